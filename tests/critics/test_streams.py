"""Iterables are read once, held-out points never come back, and training ends where they end."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from otdist import ConvexDual, NeuralDual
from otdist.critics import streams
from otdist.critics.parts import Parts

PARTS = Parts((0.6, 0.2, 0.2))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(streams, "HELD_OUT", 500)


def law(shift: float, seed: int, size: int = 64):
    """An endless generator of batches of N(shift, 1)."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.standard_normal((size, 1)) + shift


class Endless(IterableDataset):
    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __iter__(self):
        generator = torch.Generator().manual_seed(0 if self.shift else 1)
        while True:
            yield torch.randn(1, generator=generator) + self.shift


def quick(**options) -> NeuralDual:
    return NeuralDual("peaks", **{"steps": 30, "batch_size": 64, **options})


def test_generators_and_iterable_datasets_estimate_the_distance_of_laws():
    for x, y in ((law(0, 0), law(1, 1)), (Endless(0), Endless(1))):
        result = quick().fit(x, y)
        assert result.lower is not None
        assert 0.75 < result.lower < 1.0
        assert result.estimate == pytest.approx(1, abs=0.2)
        assert result.samples is None


def test_held_out_points_are_never_trained_on():
    """Points are numbered; what the supply hands out later is not among the first."""
    (supply,) = streams.supplies_of((law(0, 0, 7), law(1, 1, 7)), (None, None), PARTS, 0)
    held = np.concatenate([supply.validation.x.points, supply.test.x.points])
    x, _ = supply.batch(200)
    later = supply.frame.leave(x.double()).numpy()
    known = held * supply.test.x.points.new_tensor(supply.test.scale).item()
    assert len(np.unique(held)) == 1000
    assert np.abs(later - known.T).min() > 1e-9


def test_a_finite_loader_is_read_once_and_ends_the_training():
    numbers = torch.arange(6000.0)[:, None] / 6000
    labels = torch.zeros(6000)
    x = DataLoader(TensorDataset(numbers, labels), batch_size=100, shuffle=True)
    y = DataLoader(TensorDataset(numbers + 1, labels), batch_size=100, shuffle=True)
    result = quick(steps=10**6).fit(x, y)
    # 1000 held out and 1024 to start from leave 62 batches of 64 at most
    assert 10 < result.history[-1]["step"] < 63
    assert result.estimate == pytest.approx(1, abs=0.1)


def loaders(points: int) -> list[DataLoader]:
    """Two laws on the line, one from the other by 1, of so many points in random order."""
    order = torch.randperm(points, generator=torch.Generator().manual_seed(0))
    numbers = (order[:, None] + 0.5) / points
    return [DataLoader(TensorDataset(numbers + shift), batch_size=100) for shift in (0, 1)]


@pytest.mark.parametrize("critic", ["auto", "mcshane", "peaks", "sorting"])
@pytest.mark.parametrize("points", [1003, 1100, 3000])
def test_a_stream_may_end_at_any_time(critic, points):
    result = NeuralDual(critic, steps=400, batch_size=64).fit(*loaders(points))
    assert result.lower is not None
    assert result.lower <= 1
    ended = critic != "mcshane" or points < 2500  # which needs 1500 points beside those held out
    assert ("a stream ended before training did" in result.message) == ended
    if critic != "sorting":  # a start from exact potentials needs no training
        assert result.estimate > 0.8
    convex = ConvexDual(steps=400).fit(*loaders(points))
    assert convex.estimate == pytest.approx(1, abs=0.1)
    assert "a stream ended" in convex.message


def test_critics_of_a_portfolio_see_the_same_points_once(monkeypatch):
    supply = streams.Streamed((law(0, 0), law(1, 1)), 0)
    start = supply.start(100)
    first, second = supply.again(), supply.again()
    assert torch.equal(first.start(50)[0], start[0][:50])
    seen = [first.batch(64)[0] for _ in range(4)]
    assert all(torch.equal(second.batch(64)[0], batch) for batch in seen)
    assert len(torch.cat([start[0], *seen]).unique()) == 100 + 4 * 64
    monkeypatch.setattr(streams, "KEPT", 0)
    assert not torch.equal(second.batch(64)[0], first.batch(64)[0])


def test_bad_streams():
    with pytest.raises(ValueError, match="x ended after 1000 points: 1000 are held out"):
        quick().fit(iter([np.zeros((500, 1))] * 2), law(0, 0))
    with pytest.raises(ValueError, match="x must yield points of one dimension: got 2 after 1"):
        quick().fit(iter([np.zeros((64, 1)), np.zeros((64, 2))]), law(0, 0))
    turns = iter(range(9))
    with pytest.raises(
        ValueError, match="samplers must return points of one dimension: got 2 after 1"
    ):
        quick().fit(*[lambda n, seed: np.ones((n, 1 + next(turns) // 2))] * 2)
    with pytest.raises(TypeError, match="sampler x must return points: got ndarray"):
        quick().fit(*[lambda n, seed: np.array(1.0)] * 2)
    with pytest.raises(ValueError, match="x ended after 640 points: 1000 are held out"):
        quick().fit(iter([np.zeros((64, 1))] * 10), law(0, 0))
    with pytest.raises(ValueError, match=r"must yield points \(d,\) or batches"):
        quick().fit(iter([np.zeros((2, 2, 2))]), law(0, 0))
    with pytest.raises(TypeError, match="both be samples"):
        quick().fit(law(0, 0), np.zeros((20, 1)))
    with pytest.raises(ValueError, match="take no weights"):
        quick().fit(law(0, 0), law(1, 1), np.ones(3))
