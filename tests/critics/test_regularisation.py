"""Treatments against overfitting change what they say, and states of one run are told apart."""

import pytest
import torch

from benchmarks.neural import regularisation, table
from benchmarks.neural.regularisation import AT_THE_END, TREATMENTS, Treated, cases
from otdist.critics.critics import Funnels


def test_dropped_funnels_are_away_for_one_step():
    generator = torch.Generator().manual_seed(0)
    critic = Funnels(torch.randn(64, 2, generator=generator))
    x, y = (torch.randn(50, 2, generator=generator) for _ in range(2))
    usual = Treated(1, 8, 0.1, 1, "certified").loss(critic, x, y)
    halved = Treated(1, 8, 0.1, 1, "certified", dropped=0.5).loss(critic, x, y)
    halved.backward()
    moved = (critic.centres.grad != 0).any(1)
    assert usual.item() != halved.item()
    assert 0 < int(moved.sum()) < 45
    assert torch.equal(critic.heights.detach(), torch.zeros(64))


def test_heights_are_penalised_by_their_variance():
    critic = Funnels(torch.zeros(2, 2), torch.tensor([0.0, 2.0]))
    x = torch.ones(3, 2)
    loss = Treated(1, 8, 0.1, 1, "certified", penalty=0.1).loss(critic, x, x)
    assert loss.item() == pytest.approx(0.2)


def test_one_row_a_treatment(monkeypatch):
    for name, size in (("STEPS", 40), ("POINTS", 400), ("BATCH", 32)):
        monkeypatch.setattr(regularisation, name, size)
    monkeypatch.setattr(
        regularisation, "PAIRS", {"dilated": (2, regularisation.PAIRS["dilated"][1])}
    )
    monkeypatch.setattr(regularisation, "STARTS", {64: 0})
    rows = [{**known, **measured()} for known, measured in cases([0])]
    assert [row["method"] for row in rows] == list(TREATMENTS)
    best = max(row["validation"] for row in rows if row["method"] in AT_THE_END[:2])
    assert rows[0]["validation"] == pytest.approx(best, abs=2e-3)
    assert table.regularisation(rows).splitlines()[2].startswith("| dilated | 2 | 64 | ")
