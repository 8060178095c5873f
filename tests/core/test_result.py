"""Results: one readable line, lazy parts, pickles."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import scipy.sparse
import torch

import otdist
from otdist import Bracket

X, Y = np.random.default_rng(0).normal(size=(2, 30, 2))


def test_repr_is_one_line() -> None:
    line = repr(otdist.wasserstein(X, Y))
    assert re.fullmatch(r"W_1 = [\d.]+  \[[\d.]+, [\d.]+\]  exact, [\d.]+ s", line)


@pytest.mark.parametrize("sample", [(X, Y), (X[:, 0], Y[:, 0])], ids=["plane", "line"])
def test_results_pickle_with_their_lazy_parts(sample: tuple[np.ndarray, np.ndarray]) -> None:
    result = otdist.wasserstein(*sample, p=2)
    back = pickle.loads(pickle.dumps(result))
    assert back.distance == result.distance
    assert np.array_equal(back.potentials[0], result.potentials[0])
    assert abs(back.plan - result.plan).sum() == 0


def test_results_with_a_graph_pickle_without_it() -> None:
    x = torch.tensor(X, requires_grad=True)
    result = otdist.wasserstein(x, torch.tensor(Y))
    back = pickle.loads(pickle.dumps(result))
    assert not back.distance.requires_grad
    assert back.distance == result.distance.detach()
    assert result.distance.requires_grad


def test_float_and_gap() -> None:
    result = otdist.wasserstein(X, Y)
    assert float(result) == result.distance
    assert result.gap == result.upper - result.lower
    assert result.bracket == Bracket(result.lower, result.upper)


def test_plan_comes_in_the_kind_of_the_input() -> None:
    assert scipy.sparse.issparse(otdist.wasserstein(X, Y).plan)
    plan = otdist.wasserstein(torch.tensor(X), torch.tensor(Y)).plan
    assert plan.is_sparse
    torch.testing.assert_close(plan.to_dense().sum(1), torch.full((30,), 1 / 30).double())


def test_bracket_proves_and_contains() -> None:
    bracket = Bracket(0.99, 1.0)
    assert bracket.proves(0.011)
    assert not bracket.proves(0.01)
    assert 0.995 in bracket
    assert 1.1 not in bracket
    assert Bracket(0.0, 0.0).proves(0.0)


WARNING = {
    "exact": lambda: otdist.wasserstein(
        X[:2], X[:2], a=[0.5, 0.5], b=[0.5 - 2.0**-53, 0.5 + 2.0**-53], p=60
    ),
    "Sinkhorn": lambda: otdist.wasserstein(X, Y, solver=otdist.Sinkhorn(eps=1e-3, max_iter=1)),
    "divergence": lambda: otdist.sinkhorn_divergence(X, Y, max_iter=1),
    "loss": lambda: otdist.losses.SinkhornLoss(eps=1e-3, max_iter=1)(
        torch.tensor(X), torch.tensor(Y)
    ),
    "sliced": lambda: otdist.sliced_wasserstein(X, Y, stderr_rtol=1e-9),
}


@pytest.mark.parametrize("call", WARNING)
def test_a_warning_points_at_the_line_of_the_caller(call):
    with pytest.warns(otdist.core.result.ConvergenceWarning) as issued:
        WARNING[call]()
    assert issued[0].filename == __file__


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("d", [1, 2])
def test_the_rounding_of_a_distance_stays_in_its_bracket_and_reading_it_needs_no_detach(
    dtype: torch.dtype, d: int
) -> None:
    for shift in range(5):
        x = torch.tensor(X[:5, :d] + shift, dtype=dtype, requires_grad=True)
        y = torch.tensor(Y[:6, :d], dtype=dtype)
        exact, largest = otdist.wasserstein(x, y, p=2), otdist.max_sliced_wasserstein(x, y, p=2)
        assert float(exact) in exact.bracket
        assert float(largest) <= largest.bracket.upper
        if d == 1:
            assert float(largest) in largest.bracket
            average = otdist.sliced_wasserstein(x, y, p=2)
            assert float(average) in average.bracket
        wide = otdist.wasserstein(x.detach().double(), y.double(), p=2)
        assert exact.lower <= wide.upper
        assert wide.lower <= exact.upper
        divergence = otdist.sinkhorn_divergence(x, y, p=2)
        for result in (exact, largest, divergence):
            assert " s" in repr(result)
            assert result.distance.requires_grad


def test_only_rounding_widens_a_bracket() -> None:
    bracket = Bracket(1.0, 1.0)
    near, far = torch.tensor(1.0 + 2**-23), torch.tensor(1.01)
    assert bracket.around(near) == Bracket(1.0, 1.0 + 2**-23)
    assert bracket.around(far) == bracket.around(1.01) == bracket
    assert bracket.around(torch.tensor(float("inf"))) == bracket
