"""The adapter around POT: both ways of calling the sparse simplex, and failures."""

import functools
import os
import subprocess
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import ot
import pytest

import otdist
from otdist.exact import network_simplex as simplex


def problem(n=30, m=20, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.random(n), rng.random(m)
    cost = rng.random((n, m))
    return a / a.sum(), b / b.sum(), cost


def all_arcs(cost):
    rows, cols = np.indices(cost.shape)
    return rows.ravel(), cols.ravel(), cost.ravel()


def value(flow, cost):
    return float(flow.mass @ cost[flow.rows, flow.cols])


def test_sparse_on_all_arcs_is_dense():
    a, b, cost = problem()
    dense = simplex.solve_dense(a, b, cost)
    sparse = simplex.solve_sparse(a, b, *all_arcs(cost))
    assert value(sparse, cost) == pytest.approx(value(dense, cost), rel=1e-12)


def test_public_fallback_agrees_with_the_compiled_routines(monkeypatch):
    a, b, cost = problem(seed=1)
    monkeypatch.setattr(simplex, "load", lambda: SimpleNamespace(lp=SimpleNamespace(emd=ot.lp.emd)))
    for public in (simplex.solve_sparse(a, b, *all_arcs(cost)), simplex.solve_dense(a, b, cost)):
        assert value(public, cost) == pytest.approx(ot.emd2(a, b, cost), rel=1e-12)
        assert (public.f[:, None] + public.g - cost).max() < 1e-12


def test_duals_are_feasible_and_tight():
    a, b, cost = problem(seed=3)
    flow = simplex.solve_sparse(a, b, *all_arcs(cost))
    reduced = cost - flow.f[:, None] - flow.g
    assert reduced.min() > -1e-12
    assert np.abs(reduced[flow.rows, flow.cols]).max() < 1e-12


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["reduced", "raw", "tied", "equal", "sparse", "uniform"])
def test_a_tree_near_zero_reaches_the_same_optimum(seed, kind):
    """Whatever zero is worth as dual variables, and where the nearest arcs reach no target."""
    n, m = (25, 25) if kind == "uniform" else (30, 20)
    a, b, cost = problem(n, m, seed)
    if kind == "uniform":
        a = b = np.full(n, 1.0)
    if kind == "equal":
        cost[:] = 1.0
    if kind == "tied":
        cost = np.round(4 * cost)
    if kind == "reduced":
        flow = simplex.solve_dense(a, b, cost)
        cost -= flow.f[:, None] + flow.g
    rows, cols, costs = all_arcs(cost)
    if kind == "sparse":
        optimum = simplex.solve_dense(a, b, cost)
        kept = np.random.default_rng(seed).random(cost.shape) < 0.1
        kept[optimum.rows, optimum.cols] = True
        rows, cols = np.nonzero(kept)
        costs = cost[rows, cols]
    warm = simplex.solve_sparse(a, b, rows, cols, costs, near=True)
    cold = simplex.solve_sparse(a, b, rows, cols, costs)
    assert value(warm, cost) == pytest.approx(value(cold, cost), rel=1e-11, abs=1e-13)
    np.testing.assert_allclose(np.bincount(warm.rows, warm.mass, n), a, atol=1e-13)
    np.testing.assert_allclose(np.bincount(warm.cols, warm.mass, m), b, atol=1e-13)
    assert (costs - warm.f[rows] - warm.g[cols]).min() > -1e-12


def test_a_tree_near_zero_does_not_hide_that_there_is_no_flow():
    a = b = np.array([0.5, 0.5])
    with pytest.raises(simplex.SimplexError):
        simplex.solve_sparse(a, b, np.array([0, 1]), np.array([0, 0]), np.ones(2), near=True)


def test_zero_cost_arcs_are_arcs():
    a = b = np.array([0.5, 0.5])
    flow = simplex.solve_sparse(a, b, np.array([0, 1]), np.array([0, 1]), np.zeros(2))
    assert sorted(flow.rows) == [0, 1]
    assert flow.mass == pytest.approx([0.5, 0.5])


@pytest.mark.filterwarnings("ignore:Problem infeasible")
def test_arcs_that_cannot_carry_the_flow_raise():
    a = b = np.array([0.5, 0.5])
    with pytest.raises(simplex.SimplexError, match="infeasible"):
        simplex.solve_sparse(a, b, np.array([0, 1]), np.array([0, 0]), np.ones(2))


FIRST_CALL = """
import random, sys, warnings
import numpy as np, otdist.exact.exact
before = random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters)
x = np.random.default_rng(0).normal(size=(40, 3))
otdist.wasserstein(x, x + 1, a=np.arange(1, 41) / 820)
assert "ot" in sys.modules
assert before == (random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters))
"""

JAX = """
import os, random, warnings
import numpy as np
random.random(), np.random.random(), warnings.simplefilter("ignore")
print("noise of python")
os.write(1, b"noise of c")
raise ImportError
"""


def test_the_first_call_leaves_stdout_and_global_state_alone(tmp_path):
    (tmp_path / "jax.py").write_text(JAX)  # POT imports it where it is installed
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "noise of python" in done.stderr
    assert "noise of c" in done.stderr


@pytest.mark.parametrize("lead", [(), (2,)], ids=["one pair", "a batch"])
def test_the_seconds_of_a_result_leave_out_the_import(monkeypatch, lead):
    clock = 0.0

    @functools.cache
    def slow_import():
        nonlocal clock
        clock += 2.0
        return ot

    monkeypatch.setattr("time.perf_counter", lambda: clock)
    monkeypatch.setattr(simplex, "load", slow_import)
    x = np.random.default_rng(0).normal(size=(*lead, 6, 2))
    assert otdist.wasserstein(x, x[..., :5, :] + 1).seconds == 0
    assert clock == 2


def test_masses_on_a_grid_add_up_exactly():
    rng = np.random.default_rng(0)
    a, b = rng.random(5000) * 10.0 ** rng.integers(-9, 3, 5000), rng.random(700)
    b *= a.sum() / b.sum()
    on_grid = simplex._on_grid(a, b)
    for before, after in zip((a, b), on_grid, strict=True):
        assert after.min() > 0
        np.testing.assert_allclose(after, before, atol=2.0**-40 * a.sum())
    exact = [sum(map(Fraction, part.tolist())) for part in on_grid]
    assert exact[0] == exact[1] == Fraction(on_grid[0].sum())


def test_rounding_that_looks_infeasible_is_tried_again_on_a_grid(monkeypatch):
    a, b, cost = problem()
    routine, calls = ot.lp.emd_wrap.emd_c_sparse, []

    def first_time_infeasible(*given):
        calls.append(given[0].copy())
        found = routine(*given)
        return (*found[:-1], 0) if len(calls) == 1 else found

    fake = SimpleNamespace(
        lp=SimpleNamespace(
            emd_wrap=SimpleNamespace(
                emd_c_sparse=first_time_infeasible, check_result=ot.lp.emd_wrap.check_result
            )
        )
    )
    monkeypatch.setattr(simplex, "load", lambda: fake)
    flow = simplex.solve_sparse(a, b, *all_arcs(cost))
    assert len(calls) == 2
    np.testing.assert_allclose(calls[1], calls[0], atol=1e-14)
    assert value(flow, cost) == pytest.approx(ot.emd2(a, b, cost), abs=1e-12)
