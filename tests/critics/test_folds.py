"""Folds: every point is scored once, by a critic that has not seen it, and the limit holds."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from otdist import ConvexDual, NeuralDual
from otdist.critics.limits import limit, limit_of_folds
from otdist.critics.parts import Parts

BINOMIAL = 3 * math.sqrt(0.05 * 0.95)  # three deviations of a share of misses, times √repeats


def cloud(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def quick(**options) -> NeuralDual:
    return NeuralDual("peaks", **{"steps": 10, "batch_size": 32, "folds": 4, **options})


@pytest.mark.parametrize("n, folds", [(40, 4), (41, 5), (23, 3), (8, 4), (10, 2)])
def test_folds_are_a_partition_and_no_critic_sees_its_test_points(n, folds):
    found = Parts((0.6, 0.2, 0.2), folds).draw(n, "x", torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([test for *_, test in found]).sort().values, torch.arange(n))
    for train, validation, test in found:
        assert torch.equal(torch.cat([train, validation, test]).sort().values, torch.arange(n))
        assert abs(len(test) - n / folds) < 1
        assert len(validation) == max(2, round((n - len(test)) / 4))


def test_the_estimate_is_the_mean_of_the_gaps_of_the_folds():
    """A critic that is not trained has the same scores in all folds."""
    critic = nn.Linear(2, 1, bias=False)
    critic.weight = nn.Parameter(torch.tensor([[0.6, 0.8]]), requires_grad=False)
    x, y = cloud(60, 2, 0) * 3 + 7, cloud(45, 2, 1)
    found = NeuralDual(critic, folds=5).fit(x, y)
    gap = float((x @ [0.6, 0.8]).mean() - (y @ [0.6, 0.8]).mean())
    assert found.estimate == pytest.approx(gap, rel=1e-6)
    usual = limit(torch.from_numpy(x @ [0.6, 0.8]), torch.from_numpy(y @ [0.6, 0.8]))[1]
    assert found.lower == pytest.approx(usual, rel=0.06)  # at 97.5% for 95%
    assert NeuralDual(critic).fit(x, y).lower < found.lower  # a fifth of the points


def test_one_critic_is_returned_with_the_points_that_it_has_not_seen():
    x, y = cloud(80, 2, 0), cloud(60, 2, 1, 1.0)
    found = quick().fit(x, y)
    assert (len(found.held_out.x), len(found.held_out.y)) == (20, 15)
    assert {record["fold"] for record in found.history} == {0, 1, 2, 3}
    assert found.compare_exact().estimate <= found.compare_exact().exact
    assert found.estimate == quick().fit(x, y).estimate != quick(seed=1).fit(x, y).estimate
    states = [found.potential(x), quick().fit(x, y).potential(x)]
    assert np.array_equal(*states)


def test_dependence_of_folds_widens_the_limit_up_to_that_of_one_fold():
    rng = np.random.default_rng(0)
    folds = [tuple(torch.from_numpy(rng.normal(size=200) + s) for s in (5, 0)) for _ in range(4)]
    none, some, full = (
        limit_of_folds(folds, [[v] * 4 for _ in range(4)]) for v in (0.0, 0.002, 1e9)
    )
    assert none[0] == some[0] == full[0]
    assert none[1] == limit_of_folds(folds)[1]
    errors = [float(x.var() / 200 + y.var() / 200) for x, y in folds]
    margins = [estimate - lower for estimate, lower in (none, some, full)]
    assert margins[1] / margins[0] == pytest.approx(math.sqrt(1 + 12 * 0.002 / sum(errors)))
    alike = sum(math.sqrt(error) for error in errors) ** 2
    assert margins[2] / margins[0] == pytest.approx(math.sqrt(alike / sum(errors)))


@pytest.mark.parametrize("folds", [2, 5])
def test_the_share_of_misses_of_critics_that_overfit(folds):
    """Linear critics along the difference of means of their training points, x and y alike.

    Their expectation given the training points is 0, and so is W_1: whatever they find is noise,
    and the critics of two folds share most of it.
    """
    repeats, misses = 2000, 0
    rng = np.random.default_rng(folds)
    n, d = 30, 5
    for _ in range(repeats):
        x, y = rng.normal(size=(2, n, d))
        parts, scores = np.arange(n).reshape(folds, -1), []
        ways = []
        for test in parts:
            rest = np.setdiff1d(np.arange(n), test)
            way = x[rest].mean(0) - y[rest].mean(0)
            ways.append(way / np.linalg.norm(way))
            scores.append((x[test] @ ways[-1], y[test] @ ways[-1]))
        shared = [
            [
                ((x[test] @ (one - way)).var(ddof=1) + (y[test] @ (one - way)).var(ddof=1))
                / (2 * len(test))
                for way in ways
            ]
            for test, one in zip(parts, ways, strict=True)
        ]
        pairs = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in scores]
        misses += limit_of_folds(pairs, shared)[1] > 0
    assert misses / repeats < 0.05 + BINOMIAL / math.sqrt(repeats)


def test_the_limit_of_whole_fits_is_below_the_true_distance():
    """N(0, 1) and N(1, 1): W_1 = 1 is attained, so that 5% of the limits may miss."""
    misses = 0
    for seed in range(40):
        dual = NeuralDual("linear", folds=3, seed=seed)
        lower = dual.fit(cloud(60, 1, 2 * seed), cloud(60, 1, 2 * seed + 1, 1.0)).lower
        misses += lower is not None and lower > 1
    assert misses <= 6  # binomial, 40 at 5%: above 6 has probability 0.3%


def test_convex_potentials_have_folds_too():
    x, y = cloud(300, 2, 0), cloud(300, 2, 1) * 2 + 3
    truth = (2 * 9 + 2) ** 0.5
    split, folds = (ConvexDual((8,), steps=3, folds=k).fit(x, y) for k in (None, 3))
    assert split.lower is not None
    assert folds.lower is not None
    assert split.lower < folds.lower < truth
    assert folds.estimate == pytest.approx(truth, rel=0.05)


def test_weights_leave_an_estimate_and_no_limit():
    x, y = cloud(200, 1, 0), cloud(200, 1, 1, 1.0)
    heavy = np.where(x[:, 0] < 0, 1.0, 0.1)
    found = quick().fit(x, y, heavy / heavy.sum())
    assert found.lower is None
    assert "weight" in found.message
    assert found.estimate > quick().fit(x, y).estimate + 0.3


def test_what_folds_cannot_be():
    for value, message in ((1, "folds must be at least 2: got 1"), (2.5, "folds must be an int")):
        with pytest.raises(ValueError, match=message):
            NeuralDual(folds=value)
    with pytest.raises(ValueError, match="x must hold at least 2 points per fold: got 7 points"):
        quick().fit(cloud(7, 2, 0), cloud(40, 2, 1))
    with pytest.raises(ValueError, match="y must hold more points: 2 of 2 folds are too few"):
        quick(folds=2).fit(cloud(40, 2, 0), cloud(4, 2, 1))
    with pytest.raises(ValueError, match="folds need samples: samplers have fresh points"):
        quick().fit(lambda n, seed: cloud(n, 1, seed), lambda n, seed: cloud(n, 1, seed + 1))
