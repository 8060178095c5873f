"""Many pairs on the line: equal to single calls and proved, in and out of the safe range."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist.batches.entries import entries
from otdist.batches.line import solve
from otdist.line.proved_rows import values

wasserstein: Any = otdist.wasserstein


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 4),
    n=st.integers(1, 9),
    m=st.integers(1, 9),
    p=st.sampled_from([1, 1.5, 2, 3, 20]),
    scale=st.sampled_from([1e-30, 1.0, 1e30]),
    offset=st.sampled_from([0.0, 1e3]),
    ties=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equal_to_single_calls(size, n, m, p, scale, offset, ties, seed):
    rng = np.random.default_rng(seed)
    x, y = ((rng.normal(size=(size, k, 1)) + offset) * scale for k in (n, m))
    if ties:
        x, y = (z.round(-int(np.log10(scale))) for z in (x, y))
    result = wasserstein(x, y, p=p)
    single = [wasserstein(x[k], y[k], p=p) for k in range(size)]
    np.testing.assert_allclose(result.distance, [s.distance for s in single], rtol=1e-12)
    # Both brackets contain the exact distance, and so they meet.
    assert (result.lower <= [s.upper for s in single]).all()
    assert (result.upper >= [s.lower for s in single]).all()
    assert (result.gap <= 1e-6 * result.upper).all()


def test_what_leaves_the_safe_range_is_solved_alone():
    x, y = np.zeros((2, 3, 1)), np.full((2, 3, 1), 1e200)
    assert values(x[..., 0], y[..., 0], 2) is None
    result = wasserstein(x, y, p=2)
    assert (result.distance == 1e200).all()
    assert result.converged.all()


def test_equal_samples():
    x = np.random.default_rng(0).normal(size=(3, 5, 1))
    result = wasserstein(x, x[:, ::-1], p=2)
    assert (result.distance == 0).all()
    assert (result.upper == 0).all()


@pytest.mark.parametrize("as_tensor", [False, True])
def test_evidence_comes_when_it_is_asked_for(as_tensor):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 1)), rng.normal(size=(2, 6, 1))
    if as_tensor:
        x, y = torch.from_numpy(x), torch.from_numpy(y)
    result = pickle.loads(pickle.dumps(wasserstein(x, y, p=2)))
    assert result.potentials[1].shape == (2, 6)
    plan = result.plan[1]
    dense = plan.to_dense().numpy() if as_tensor else plan.toarray()
    np.testing.assert_allclose(dense.sum(1), 0.25)
    assert result.message[0] == "exact: sorted quantiles"
    assert float(result[1].distance) == float(result.distance[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_precisions_are_sorted_together_too(dtype):
    """The rounding of a distance that is shown widens its bracket; it opens none."""
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(6, 9, 1, generator=rng).to(dtype) for _ in range(2))
    batch = entries(x, y, None, None)
    found = solve(batch, 2.0, None, 0.0)
    assert found is not None
    result = wasserstein(x, y, p=2)
    assert result.converged.all()
    assert result.distance.dtype == dtype
    shown = result.distance.double()
    assert ((result.lower <= shown) & (shown <= result.upper)).all()
    single = [wasserstein(x[k], y[k], p=2) for k in range(6)]
    assert [float(d) for d in result.distance] == [float(s.distance) for s in single]
