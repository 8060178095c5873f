"""Batches equal single calls, entry by entry, whatever the distance, the weights and the type."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import otdist

RNG = np.random.default_rng(1)
wasserstein: Any = otdist.wasserstein
DISTANCES: dict[str, Any] = {
    "w1": wasserstein,
    "w2": lambda *s, **k: wasserstein(*s, p=2, **k),
    "cityblock": lambda *s, **k: wasserstein(*s, metric="cityblock", **k),
    "sinkhorn": lambda *s, **k: wasserstein(*s, solver=otdist.Sinkhorn(eps=0.5), **k),
    "sliced": lambda *s, **k: otdist.sliced_wasserstein(*s, n_projections=20, **k),
    "max sliced": lambda *s, **k: otdist.max_sliced_wasserstein(*s, n_starts=2, **k),
    "divergence": lambda *s, **k: otdist.sinkhorn_divergence(*s, p=2, eps=0.5, **k),
    "entropic": lambda *s, **k: otdist.entropic_cost(*s, p=3, eps=0.5, **k),
    "gaussian": otdist.gaussian_wasserstein,
    "energy": otdist.energy_distance,
    "mmd": otdist.mmd,
}


def points(*shape: int, ties: bool = False) -> np.ndarray:
    z = RNG.normal(size=shape)
    return z.round() if ties else z


def simplex(*shape: int, zeros: bool = False) -> np.ndarray:
    w = RNG.random(shape) + 0.1
    if zeros:
        w[..., -1] = 0
    return w / w.sum(-1, keepdims=True)


def each(distance: Any, x: Any, y: Any, a: Any = None, b: Any = None) -> list[Any]:
    shape = x.shape[:-2]

    def of(w: Any, k: tuple[int, ...]) -> Any:
        return w if w is None or w.ndim == 1 else w[k]

    return [distance(x[k], y[k], a=of(a, k), b=of(b, k)) for k in np.ndindex(*shape)]


def number(result: Any) -> float:
    return float(getattr(result, "distance", result))


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("weights", ["none", "shared", "own", "zeros"])
@pytest.mark.parametrize("d", [1, 3])
def test_batched_is_one_by_one(name, weights, d):
    if name == "max sliced" and d == 1:
        pytest.skip("one direction only")
    distance, lead, n, m = DISTANCES[name], (2, 2), 5, 7
    x, y = points(*lead, n, d, ties=weights == "own"), points(*lead, m, d)
    a = b = None
    if weights != "none":
        size = () if weights == "shared" else lead
        a, b = simplex(*size, n, zeros=weights == "zeros"), simplex(*size, m)
    together: Any = distance(x, y, a=a, b=b)
    single = each(distance, x, y, a, b)
    found = getattr(together, "distance", together)
    assert found.shape == lead
    np.testing.assert_allclose(found.ravel(), [number(s) for s in single], rtol=1e-12)
    if name in ("w1", "w2", "cityblock", "sinkhorn"):
        assert (together.lower <= found * (1 + 1e-12)).all()
        assert (found <= together.upper * (1 + 1e-12)).all()
        np.testing.assert_allclose(together.lower.ravel(), [s.lower for s in single], rtol=1e-12)
        f, g = together.potentials
        assert f.shape == (*lead, n)
        assert g.shape == (*lead, m)
        np.testing.assert_allclose(f[1, 0], single[2].potentials[0], rtol=1e-9, atol=1e-12)
        assert together.plan.shape == lead
        np.testing.assert_allclose(together.plan[0, 1].toarray(), single[1].plan.toarray())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2])
def test_types_of_torch(dtype, d):
    x, y = torch.from_numpy(points(3, 6, d)).to(dtype), torch.from_numpy(points(3, 6, d)).to(dtype)
    result = wasserstein(x, y, p=2)
    assert result.distance.dtype == dtype
    assert result.lower.dtype == torch.float64
    assert result.converged.dtype == torch.bool
    for k in range(3):
        assert torch.equal(result.distance[k], wasserstein(x[k], y[k], p=2).distance)


@pytest.mark.parametrize("name", ["w2", "sliced", "divergence", "energy", "gaussian"])
@pytest.mark.parametrize("d", [1, 2])
def test_gradients(name, d):
    x, y = (torch.from_numpy(points(3, 4, d)).requires_grad_() for _ in range(2))
    a = torch.from_numpy(simplex(4)).requires_grad_() if name != "gaussian" else None
    inputs = [t for t in (x, y, a) if t is not None]

    def total(values: Any) -> torch.Tensor:
        return getattr(values, "distance", values).sum()

    together = torch.autograd.grad(total(DISTANCES[name](x, y, a=a)), inputs)
    single = sum(total(r) for r in each(DISTANCES[name], x, y, a))
    assert isinstance(single, torch.Tensor)
    for found, wanted in zip(together, torch.autograd.grad(single, inputs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_gradcheck(d):
    x, y = (torch.from_numpy(points(2, 4, d)).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(lambda *z: wasserstein(*z, p=2).distance, (x, y))


def test_padding_makes_ragged_batches():
    x, y = points(2, 6, 2), points(2, 5, 2)
    a = np.stack([np.full(6, 1 / 6), np.r_[np.full(4, 1 / 4), 0, 0]])
    x[1, 4:] = 1e6
    result = wasserstein(x, y, a=a, p=2)
    alone = wasserstein(x[1, :4], y[1], p=2)
    assert result.distance[1] == pytest.approx(alone.distance, rel=1e-12)
    assert set(result[1].sample(50)[0].tolist()) <= set(range(4))


def test_samples_of_plans():
    x, y = points(2, 3, 8, 2), points(2, 3, 8, 2)
    result = wasserstein(x, y, p=2)
    i, j = result.sample(8)
    assert i.shape == j.shape == (2, 3, 8)
    assert (np.sort(i) == np.arange(8)).all()
    paid = np.take_along_axis(x, i[..., None], 2) - np.take_along_axis(y, j[..., None], 2)
    np.testing.assert_allclose((paid**2).sum(-1).mean(-1), result.cost)
    drawn = wasserstein(torch.from_numpy(x), torch.from_numpy(y), p=2).sample(8)
    assert torch.equal(drawn[0], torch.from_numpy(i))
    with pytest.raises(ValueError, match="k must be"):
        result.sample(0)
    with pytest.raises(ValueError, match="seed must be"):
        result.sample(1, seed=-1)


def test_an_entry_that_fails_is_named():
    x, y = points(2, 3, 4, 2), points(2, 3, 4, 2)
    x[1, 2, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"entry 1, 2: x must be finite: found 1 NaN"):
        wasserstein(x, y)
    with pytest.raises(ValueError, match=r"entry 0: x must be finite"):
        wasserstein(np.full((1, 4, 1), np.nan), np.zeros((1, 4, 1)))
    with pytest.raises(ValueError, match=r"entry 1: a must sum to 1"):
        otdist.energy_distance(x[0, :2], y[0, :2], a=np.array([[0.25] * 4, [0.2] * 4]))


def test_entries_that_do_not_converge_are_marked():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 20, 2))
    solver = otdist.Sinkhorn(eps=1e-3, max_iter=2)
    with pytest.warns(otdist.ConvergenceWarning, match="entries, the first is") as told:
        result = wasserstein(x, y, solver=solver)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert not result.converged.all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        single = [wasserstein(*s, solver=solver).converged for s in zip(x, y, strict=True)]
    assert result.converged.tolist() == single


@pytest.mark.parametrize(
    "x, y, words",
    [
        ((2, 4, 3), (3, 4, 3), r"x is \(2, 4, 3\), y is \(3, 4, 3\)"),
        ((2, 4, 3), (4, 3), r"x is \(2, 4, 3\), y is \(4, 3\)"),
        ((2, 4, 3), (2, 4, 2), r"x is \(2, 4, 3\), y is \(2, 4, 2\)"),
        ((0, 4, 3), (0, 4, 3), r"without a 0: x is \(0, 4, 3\)"),
    ],
)
def test_bad_shapes(x, y, words):
    with pytest.raises(ValueError, match=words):
        wasserstein(np.zeros(x), np.zeros(y))


def test_bad_weights_and_starts():
    x, y = points(2, 4, 2), points(2, 5, 2)
    with pytest.raises(ValueError, match=r"a must have shape \(4,\) or \(2, 4\).*got \(5,\)"):
        wasserstein(x, y, a=np.full(5, 0.2))
    with pytest.raises(ValueError, match=r"start must be the result of a batch of shape \(2,\)"):
        wasserstein(x, y, start=wasserstein(x[0], y[0]))
    first = wasserstein(x, y)
    assert (wasserstein(x, y, start=first).distance == first.distance).all()
    with pytest.raises(TypeError, match="torch"):
        wasserstein(x, torch.zeros(2, 5, 2))


def test_parts_and_copies_of_a_result():
    x, y = points(2, 3, 4, 2), points(2, 3, 4, 2)
    result = wasserstein(x, y, p=2)
    assert len(result) == 2
    assert result[1].shape == (3,)
    assert result[1, 2].distance == result.distance[1, 2]
    assert (result[:, 1].upper == result.upper[:, 1]).all()
    assert [part.shape for part in result] == [(3,), (3,)]
    assert "6 pairs (2, 3)" in repr(result)
    copy = pickle.loads(pickle.dumps(result))
    assert (copy.lower == result.lower).all()
    assert (copy.iterations == 0).all()
    assert result.p == 2
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        result.nonsense  # noqa: B018
    np.testing.assert_array_equal(result.gap, result.upper - result.lower)
    nested = wasserstein(x.tolist(), y.tolist(), p=2)
    assert (nested.distance == result.distance).all()
