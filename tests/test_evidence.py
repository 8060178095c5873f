"""Evidence of any origin: whatever is passed, the bracket is valid; what is malformed is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import torch

import otdist

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 3)), RNG.normal(0.4, size=(9, 3))
COST = np.linalg.norm(X[:, None] - Y, axis=2)
PERMUTATION = scipy.optimize.linear_sum_assignment(COST)[1]
DENSE = np.eye(9)[PERMUTATION] / 9
TRUTH = float((COST * DENSE).sum())


def as_torch(method: str) -> Callable[[], Any]:
    return lambda: getattr(torch.from_numpy(DENSE), method)()


FORMS: dict[str, Callable[[], Any]] = {
    "dense": lambda: DENSE,
    "lists": lambda: DENSE.tolist(),
    "torch": lambda: torch.from_numpy(DENSE),
    "permutation": lambda: PERMUTATION,
    "torch permutation": lambda: torch.from_numpy(PERMUTATION),
    "triple": lambda: (np.arange(9), PERMUTATION, np.full(9, 1 / 9)),
    "torch to_sparse_coo": as_torch("to_sparse_coo"),
    "torch to_sparse_csr": as_torch("to_sparse_csr"),
    "torch to_sparse_csc": as_torch("to_sparse_csc"),
} | {
    f"scipy {kind}": (lambda kind=kind: getattr(scipy.sparse, kind)(DENSE))
    for kind in ("coo_array", "csr_array", "csc_matrix", "lil_matrix", "dok_array", "coo_matrix")
}


@pytest.mark.filterwarnings("ignore:Sparse CS")
@pytest.mark.parametrize("form", FORMS)
def test_a_plan_of_any_form_bounds_from_above(form: str) -> None:
    found = otdist.certify(X, Y, plan=FORMS[form]())
    assert found.lower == 0
    assert TRUTH <= found.upper <= TRUTH * (1 + 1e-12)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("d", [1, 3, 16])
def test_optimal_evidence_closes_the_bracket(p: float, d: int) -> None:
    x, y = RNG.normal(size=(12, d)), RNG.normal(size=(7, d))
    a = RNG.random(12)
    a /= a.sum()
    best = otdist.wasserstein(x, y, a=a, p=p)
    for potentials in (best.potentials, (best.potentials[0], None), (None, best.potentials[1])):
        found = otdist.certify(x, y, plan=best.plan, potentials=potentials, a=a, p=p)
        assert best.distance in found
        assert found.gap < 1e-9


@pytest.mark.parametrize("side", [(True, True), (True, False), (False, True)])
def test_any_potentials_bound_from_below(side: tuple[bool, bool]) -> None:
    for size in (0.0, 0.3, 100.0):
        potentials = tuple(size * RNG.normal(size=9) if given else None for given in side)
        found = otdist.certify(X, Y, potentials=potentials)
        assert 0 <= found.lower <= TRUTH
        assert found.upper == np.inf


def test_of_a_pair_that_is_not_feasible_the_better_half_counts() -> None:
    f, g = otdist.wasserstein(X, Y).potentials
    noise = 100 * RNG.normal(size=9)
    assert otdist.certify(X, Y, potentials=(f + 50 + noise.clip(0), g)).lower > TRUTH * 0.999999


def test_a_value_that_is_not_known_is_minus_infinity() -> None:
    f, _ = otdist.wasserstein(X, Y).potentials
    f = np.where(np.arange(9) < 4, -np.inf, f)
    assert 0 < otdist.certify(X, Y, potentials=(f, None)).lower <= TRUTH


def test_what_the_marginals_miss_is_charged_and_said() -> None:
    for plan in (DENSE * 0.5, DENSE * 9, np.zeros((9, 9)), np.full((9, 9), 1 / 9)):
        with pytest.warns(UserWarning, match="the marginals of plan miss the weights by"):
            found = otdist.certify(X, Y, plan=plan)
        assert found.upper >= TRUTH
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = otdist.certify(X, Y, plan=DENSE.astype(np.float32))
    assert TRUTH <= found.upper < TRUTH * (1 + 1e-5)


def test_points_without_weight_take_no_part() -> None:
    x, y = np.vstack([X, [[1e9] * 3]]), np.vstack([[[-1e9] * 3], Y])
    a, b = np.append(np.full(9, 1 / 9), 0), np.append(0, np.full(9, 1 / 9))
    best = otdist.wasserstein(x, y, a=a, b=b)
    found = otdist.certify(x, y, plan=best.plan, potentials=best.potentials, a=a, b=b)
    assert TRUTH in found
    assert found.gap < 1e-9
    stray = best.plan.toarray()
    stray[9, 0] = 0.25
    assert TRUTH <= otdist.certify(x, y, plan=stray, a=a, b=b).upper < 1e3


def test_evidence_may_be_of_another_kind_than_the_samples() -> None:
    x, y = torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)
    f = torch.zeros(9, requires_grad=True)
    found = otdist.certify(x, y, plan=PERMUTATION, potentials=(f, None))
    assert isinstance(found.lower, float)
    assert TRUTH in otdist.certify(x, y, plan=DENSE, potentials=(list(range(9)), None))


@pytest.mark.parametrize(
    "evidence, error, text",
    [
        ({}, ValueError, "pass a plan, potentials or both"),
        ({"plan": DENSE[:8]}, ValueError, r"plan must have one row .*got shape \(8, 9\)"),
        ({"plan": scipy.sparse.coo_array(DENSE[:, 1:])}, ValueError, r"got shape \(9, 8\)"),
        ({"plan": DENSE * np.nan}, ValueError, "plan must be finite"),
        ({"plan": -DENSE}, ValueError, "plan must be non-negative: the lowest mass is -0.111"),
        ({"plan": "best"}, TypeError, "plan must be an array of real numbers"),
        ({"plan": np.arange(8)}, ValueError, "as a permutation must have shape"),
        ({"plan": np.zeros(9, int)}, ValueError, "target 0 occurs 9 times"),
        ({"plan": np.arange(9) + 1}, ValueError, "plan must hold indices from 0 to 8: got 9"),
        ({"plan": np.arange(9) - 1}, ValueError, "plan must hold indices from 0 to 8: got -1"),
        ({"plan": np.arange(9) / 2}, ValueError, "plan must hold integers"),
        ({"plan": ([0], [0])}, ValueError, "must be .rows, columns, mass.: got 2 entries"),
        ({"plan": ([0], [0, 1], [1.0])}, ValueError, "of one length: got shapes"),
        ({"plan": ([0], [9], [1.0])}, ValueError, r"plan\[1\] must hold indices .* 8: got 9"),
        ({"plan": ([0.5], [0], [1.0])}, ValueError, r"plan\[0\] must hold integers"),
        ({"plan": ([0], [0], [-1.0])}, ValueError, "plan must be non-negative"),
        ({"potentials": np.zeros(9)}, ValueError, r"potentials must be a pair \(f, g\)"),
        ({"potentials": (None, None)}, ValueError, "both are None"),
        ({"potentials": (np.zeros(8), None)}, ValueError, r"potentials\[0\] must hold one number"),
        ({"potentials": (None, np.full(9, np.nan))}, ValueError, r"potentials\[1\] must be finite"),
        ({"potentials": (np.full(9, -np.inf), None)}, ValueError, "must be finite somewhere"),
        ({"potentials": (["a"] * 9, None)}, TypeError, r"potentials\[0\] must be an array of real"),
        ({"plan": DENSE, "p": 0.5}, ValueError, "p must be"),
        ({"plan": DENSE, "a": [1.0]}, ValueError, "a must hold one weight per point"),
    ],
)  # fmt: skip
def test_malformed_evidence_is_named(evidence: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        otdist.certify(X, Y, **evidence)
