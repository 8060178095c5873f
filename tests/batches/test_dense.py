"""Small matrices of costs in batches: equal to single calls, proved, and padded without a trace."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import otdist
from otdist.batches import dense
from otdist.batches.entries import entries
from otdist.discrepancy.wasserstein import Wasserstein

wasserstein: Any = otdist.wasserstein


def solved(x: Any, y: Any, a: Any = None, b: Any = None, p: float = 2.0) -> Any:
    """The answers of this way, None where it leaves the batch to single calls."""
    return dense.solve(entries(x, y, a, b), p, lambda _: None, 0.0)


@settings(max_examples=80, deadline=None)
@given(
    size=st.integers(1, 4),
    n=st.integers(1, 9),
    m=st.integers(1, 9),
    d=st.integers(2, 4),
    p=st.sampled_from([1, 1.5, 2, 3]),
    weights=st.sampled_from(["none", "equal", "own", "zeros", "padded"]),
    scale=st.sampled_from([1e-10, 1.0, 1e10]),
    offset=st.sampled_from([0.0, 1e6]),
    ties=st.booleans(),
    single=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equal_to_single_calls(size, n, m, d, p, weights, scale, offset, ties, single, seed):
    rng = np.random.default_rng(seed)
    if weights in ("equal", "padded"):
        n = m
    x, y = (rng.normal(size=(size, k, d)) + offset for k in (n, m))
    if ties:
        x, y = x.round(), y.round()
    x, y = x * scale, y * scale
    if single:
        x, y = x.astype(np.float32), y.astype(np.float32)
    a, b = (_weights(rng, weights, size, k) for k in (n, m))
    result = wasserstein(x, y, a=a, b=b, p=p)
    alone = [
        wasserstein(x[k], y[k], a=None if a is None else a[k], b=None if b is None else b[k], p=p)
        for k in range(size)
    ]
    np.testing.assert_allclose(result.distance, [s.distance for s in alone], rtol=1e-12)
    assert (result.lower <= [s.upper for s in alone]).all()
    assert (result.upper >= [s.lower for s in alone]).all()
    assert result.converged.tolist() == [s.converged for s in alone]
    f, g = result.potentials
    for k in range(size):
        c = cdist(x[k].astype(float), y[k].astype(float)) ** p
        room = 1e-5 if single else 1e-10
        assert (f[k][:, None] + g[k] <= c + room * max(c.max(), 1e-300)).all()
        plan = result.plan[k].toarray()
        given = [np.full(z, 1 / z) if w is None else w[k] for z, w in ((n, a), (m, b))]
        np.testing.assert_allclose(plan.sum(1), given[0], atol=1e-12)
        np.testing.assert_allclose(plan.sum(0), given[1], atol=1e-12)


def _weights(rng: np.random.Generator, kind: str, size: int, n: int) -> np.ndarray | None:
    if kind == "none":
        return None
    w = np.ones((size, n)) if kind in ("equal", "padded") else rng.random((size, n)) + 0.1
    if kind in ("zeros", "padded"):
        w[rng.random((size, n)) < 0.4] = 0
        w[:, rng.integers(n)] = 1
    return w / w.sum(1, keepdims=True)


def test_padding_is_exact_and_takes_no_other_way():
    rng = np.random.default_rng(0)
    x, y, sizes = rng.normal(size=(8, 12, 3)), rng.normal(size=(8, 12, 3)), rng.integers(3, 13, 8)
    w = (np.arange(12) < sizes[:, None]) / sizes[:, None]
    x[w == 0] = 1e9
    assert solved(x, y, w, w) is not None
    result = wasserstein(x, y, a=w, b=w, p=2)
    for k, n in enumerate(sizes):
        alone = wasserstein(x[k, :n], y[k, :n], p=2)
        assert result.distance[k] == alone.distance
        assert result.lower[k] == pytest.approx(alone.lower, rel=1e-14)
        assert result.plan[k].toarray()[:n, :n] == pytest.approx(alone.plan.toarray())
        assert result.potentials[0][k].shape == (12,)


def test_gradients_of_padded_points_are_zero():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(3, 5, 2))).requires_grad_()
    y = torch.from_numpy(rng.normal(size=(3, 6, 2)))
    a = torch.tensor([[0.25, 0.25, 0.5, 0.0, 0.0]] * 3)
    wasserstein(x, y, a=a, p=2).cost.sum().backward()
    assert x.grad is not None
    assert (x.grad[:, 3:] == 0).all()
    part = x.detach()[:, :3].clone().requires_grad_()
    wasserstein(part, y, a=a[:, :3], p=2).cost.sum().backward()
    torch.testing.assert_close(x.grad[:, :3], part.grad)


def test_gradients_in_weights_of_zero():
    x, y = torch.rand(2, 4, 2), torch.rand(2, 4, 2)
    a = torch.tensor([0.5, 0.5, 0.0, 0.0]).requires_grad_()
    (found,) = torch.autograd.grad(wasserstein(x, y, a=a, p=2).cost.sum(), a)
    alone = sum(wasserstein(x[k], y[k], a=a, p=2).cost for k in range(2))
    assert isinstance(alone, torch.Tensor)
    torch.testing.assert_close(found, torch.autograd.grad(alone, a)[0])


def test_what_is_unusual_is_left_to_single_calls():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 4, 3))
    assert solved(x, y) is not None
    assert solved(x * 1e-150, y * 1e-150) is None
    assert solved(x * 1e200, y * 1e200) is None
    assert solved(x, y, p=20.0) is None
    assert solved(x, y, np.full(4, 0.3)) is None
    assert solved(np.where(x > 1, np.nan, x), y) is None
    assert wasserstein(x * 1e-150, y * 1e-150, p=2).converged.all()
    # Costs that differ by more than the digits of float64 are solved in units of their own.
    near = x + 1e-12
    result = wasserstein(x, near, p=2)
    assert result.distance == pytest.approx([1e-12 * 3**0.5] * 2, rel=1e-3)


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("m", [4, 6])
def test_only_entries_that_are_unusual_are_solved_alone(as_tensor, m, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4, 3)), rng.normal(size=(2, 3, m, 3))
    x[0, 1], y[0, 1] = x[0, 1] * 1e-150, y[0, 1] * 1e-150
    x[1, 2], y[1, 2] = x[1, 2] * 1e200, y[1, 2] * 1e200
    alone = [wasserstein(x[k], y[k], p=1.5) for k in np.ndindex(2, 3)]
    solved_alone = []
    frame = Wasserstein.frame
    monkeypatch.setattr(
        Wasserstein, "frame", lambda self, *pair: solved_alone.append(0) or frame(self, *pair)
    )
    if as_tensor:
        x, y = torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)
    result = wasserstein(x, y, p=1.5)
    assert len(solved_alone) == 2
    distance = result.distance.detach().numpy() if as_tensor else result.distance
    np.testing.assert_allclose(distance.ravel(), [s.distance for s in alone], rtol=1e-12)
    copy = pickle.loads(pickle.dumps(result))
    for k, one in enumerate(alone):
        place = divmod(k, 3)
        assert float(result.lower[place]) <= one.upper
        assert float(result.upper[place]) >= one.lower
        assert bool(result.converged[place])
        assert float(copy[place].distance) == distance[place]
        assert copy[place].message == str(result.message[place])
        plan = result.plan[place]
        plan = plan.to_dense().numpy() if as_tensor else plan.toarray()
        np.testing.assert_allclose(plan, one.plan.toarray(), atol=1e-12)
    if as_tensor:
        (found,) = torch.autograd.grad(result.distance.sum(), x)
        for k in np.ndindex(2, 3):
            z = x[k].detach().requires_grad_()
            (own,) = torch.autograd.grad(wasserstein(z, y[k], p=1.5).distance, z)
            torch.testing.assert_close(found[k], own, rtol=1e-9, atol=1e-12)


def test_equal_samples():
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    assert solved(x, x[:, ::-1]) is not None
    result = wasserstein(x, x[:, ::-1], p=2)
    assert (result.distance == 0).all()
    assert (result.upper == 0).all()


def test_single_results_and_copies():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 6, 2))
    result = wasserstein(x, y, p=2)
    one, alone = pickle.loads(pickle.dumps(result))[1], wasserstein(x[1], y[1], p=2)
    assert (one.distance, one.cost, one.message) == (alone.distance, alone.cost, alone.message)
    assert (one.plan.toarray() == alone.plan.toarray()).all()
    np.testing.assert_allclose(one.potentials[1], alone.potentials[1], rtol=1e-12, atol=1e-14)
    points = torch.from_numpy(x).requires_grad_()
    graphs = wasserstein(points, torch.from_numpy(y), p=2)
    (found,) = torch.autograd.grad(graphs[1].cost, points)
    assert found[0].abs().sum() == 0 < found[1].abs().sum()
    assert not pickle.loads(pickle.dumps(graphs))[1].cost.requires_grad
