"""Sliced distances: against POT, closed forms, exact transport; errors of directions; gradients."""

from __future__ import annotations

import math
import pickle

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist.core import measure
from otdist.core.result import ConvergenceWarning
from otdist.core.task import of_matrix, of_pair
from otdist.line import univariate
from otdist.sliced import directions as families
from otdist.sliced.sliced import Sliced
from otdist.sliced_distances import max_sliced_wasserstein, sliced_wasserstein

CERTIFIED = 1 + 1e-12  # rounding of the oracle that brackets are compared with


def samples(n: int, m: int, d: int, seed: int = 0, weighted: bool = False):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 1.3 + 0.4
    a, b = (rng.dirichlet(np.ones(k)) if weighted else None for k in (n, m))
    return x, y, a, b


def exact(x, y, a, b, p: float) -> float:
    pairs = ((x[:, None] - y[None]) ** 2).sum(-1) ** (p / 2)
    wa = np.full(len(x), 1 / len(x)) if a is None else a
    wb = np.full(len(y), 1 / len(y)) if b is None else b
    return float(ot.emd2(wa, wb, pairs)) ** (1 / p)


@pytest.mark.parametrize("p", [1, 1.5, 2, 4])
@pytest.mark.parametrize("n,m,weighted", [(60, 60, False), (60, 41, False), (60, 41, True)])
def test_equals_pot_with_the_same_directions(p, n, m, weighted):
    x, y, a, b = samples(n, m, 5, weighted=weighted)
    result = sliced_wasserstein(x, y, a=a, b=b, p=p, n_projections=40)
    theirs = ot.sliced_wasserstein_distance(
        x, y, a, b, projections=np.ascontiguousarray(result.directions.T), p=p
    )
    assert result.distance == pytest.approx(theirs, rel=1e-10)
    assert result.cost == pytest.approx(theirs**p, rel=1e-10)
    assert np.mean(result.slices**p) == pytest.approx(result.cost, rel=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3.5])
@pytest.mark.parametrize("kind", families.KINDS)
def test_translation_has_a_closed_form(p, kind):
    x = np.random.default_rng(0).normal(size=(50, 4))
    v = np.array([1.0, -2.0, 0.5, 0.0])
    result = sliced_wasserstein(x, x + v, p=p, n_projections=4000, directions=kind)
    # E|⟨θ, v⟩|^p = |v|^p Γ((p+1)/2) Γ(d/2) / (√π Γ((p+d)/2))
    log_moment = math.lgamma((p + 1) / 2) + math.lgamma(2) - math.lgamma((p + 4) / 2)
    truth = np.linalg.norm(v) * (math.exp(log_moment) / math.sqrt(math.pi)) ** (1 / p)
    assert abs(result.distance - truth) <= 4 * result.stderr + 1e-12
    given_directions = np.abs(result.directions @ v)
    np.testing.assert_allclose(result.slices, given_directions, rtol=1e-9)
    assert result.bracket.lower >= 0.999999 * np.linalg.norm(v)


def test_isotropic_gaussians_have_a_closed_form():
    # Every slice is between N(0, 1) and N(⟨θ, v⟩, 2²): W_2² = ⟨θ, v⟩² + 1, so SW_2² = |v|²/d + 1.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40_000, 3)), 2 * rng.normal(size=(40_000, 3)) + [3.0, 0.0, 0.0]
    result = sliced_wasserstein(x, y, p=2, n_projections=64, directions="qmc")
    assert result.cost == pytest.approx(9 / 3 + 1, rel=0.03)


@pytest.mark.parametrize("kind", families.KINDS)
@pytest.mark.parametrize("d", [2, 3, 6])
def test_two_standard_errors_cover_the_value(kind, d):
    # The cost of a translation plus noise, in closed form along each direction: no sorting needed.
    spread = np.linspace(0.5, 2.0, d) ** 2

    def costs(rows):
        return (rows**2 @ spread) ** 1.5

    truth = costs(families.draw("qmc", 1 << 19, d, np.random.default_rng(99)).rows).mean()
    inside = 0
    for seed in range(200):
        drawn = families.draw(kind, 96, d, np.random.default_rng(seed))
        values = costs(drawn.rows)
        error = families.standard_error(values, drawn, 2.0)
        inside += abs(values.mean() ** 0.5 - truth**0.5) <= 2 * error
    assert 0.90 <= inside / 200 <= 0.99


@pytest.mark.parametrize("kind", families.KINDS)
@pytest.mark.parametrize("count,d", [(1, 3), (7, 3), (100, 2), (100, 3), (100, 5), (30, 50)])
def test_directions_are_unit_rows_in_enough_replicates(kind, count, d):
    drawn = families.draw(kind, count, d, np.random.default_rng(0))
    assert drawn.rows.shape == (count, d)
    np.testing.assert_allclose(np.linalg.norm(drawn.rows, axis=1), 1, atol=1e-14)
    assert len(np.unique(drawn.replicate)) >= min(count, 8)
    if kind == "orthogonal":
        for r in np.unique(drawn.replicate):
            rows = drawn.rows[drawn.replicate == r]
            np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-13)


def test_orthogonal_directions_have_the_lower_variance():
    x, y, *_ = samples(200, 200, 8)
    spread = {
        kind: np.std(
            [
                sliced_wasserstein(x, y, p=2, n_projections=160, directions=kind, seed=s).distance
                for s in range(30)
            ]
        )
        for kind in ("iid", "orthogonal")
    }
    assert spread["orthogonal"] < 0.5 * spread["iid"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_and_torch_give_the_same(dtype):
    x, y = (v.astype(dtype) for v in samples(30, 20, 4)[:2])
    ours = sliced_wasserstein(x, y, p=2, seed=5)
    theirs = sliced_wasserstein(torch.from_numpy(x), torch.from_numpy(y), p=2, seed=5)
    assert isinstance(ours.distance, float)
    assert theirs.distance.dtype == torch.from_numpy(x).dtype
    assert float(theirs.distance) == ours.distance
    np.testing.assert_array_equal(theirs.directions.numpy(), ours.directions)
    assert ours.directions.dtype == dtype


def test_seed_none_draws_fresh_directions_and_leaves_global_state_alone():
    x, y, *_ = samples(10, 10, 3)
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = sliced_wasserstein(x, y, seed=None)
    assert not np.array_equal(first.directions, sliced_wasserstein(x, y, seed=None).directions)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(torch_state, torch.get_rng_state())


@st.composite
def clouds(draw):
    d = draw(st.integers(1, 5))
    n, m = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    x, y, a, b = samples(n, m, d, draw(st.integers(0, 10**6)), draw(st.booleans()))
    scale = draw(st.sampled_from([1.0, 1e-100, 1e100]))
    y = y * draw(st.sampled_from([0.0, 0.5, 1.0])) + draw(st.sampled_from([0, 3]))
    return x * scale, y * scale, a, b


@settings(max_examples=100, deadline=None)
@given(clouds(), st.sampled_from([1, 1.5, 2, 3]), st.sampled_from(families.KINDS))
def test_bracket_contains_the_exact_distance(cloud, p, kind):
    x, y, a, b = cloud
    result = sliced_wasserstein(x, y, a=a, b=b, p=p, n_projections=24, directions=kind)
    size = max(np.abs(x).max(), np.abs(y).max(), 1e-300)
    truth = exact(x / size, y / size, a, b, p) * size
    bracket = result.bracket
    assert bracket.lower <= truth * CERTIFIED + 1e-13 * size
    assert truth <= bracket.upper * CERTIFIED + 1e-13 * size
    assert bracket.lower >= result.slices.max() * (1 - 1e-9) - 1e-12 * size
    best = max_sliced_wasserstein(x, y, a=a, b=b, p=p, n_starts=4, max_iter=20)
    assert best.distance <= truth * CERTIFIED + 1e-13 * size


def test_orthonormal_blocks_prove_more_than_the_best_slice_in_high_dimension():
    x, y, *_ = samples(300, 300, 32)
    for p in (1, 2, 3):
        result = sliced_wasserstein(x, 2 * y, p=p)
        assert result.bracket.lower > 1.5 * result.slices.max()


def test_a_line_is_solved_exactly():
    x, y, a, b = samples(30, 20, 1, weighted=True)
    result = sliced_wasserstein(x[:, 0], y[:, 0], a=a, b=b, p=2, n_projections=3)
    truth = exact(x, y, a, b, 2)
    assert result.distance == pytest.approx(truth, rel=1e-12)
    assert result.stderr == 0
    assert result.bracket.upper - result.bracket.lower < 1e-10


def test_results_pickle_with_their_bracket():
    x, y, *_ = samples(10, 8, 3)
    result = sliced_wasserstein(x, y)
    again = pickle.loads(pickle.dumps(result))
    assert again.bracket == result.bracket
    assert repr(again) == repr(result)


def test_stderr_rtol_adds_directions():
    x, y, *_ = samples(50, 50, 5)
    coarse = sliced_wasserstein(x, y, p=2, n_projections=16)
    fine = sliced_wasserstein(x, y, p=2, n_projections=16, stderr_rtol=1e-3)
    assert fine.stderr <= 1e-3 * fine.distance < coarse.stderr
    np.testing.assert_array_equal(fine.directions[:16], coarse.directions)


def test_stderr_rtol_out_of_reach_warns():
    x, y, *_ = samples(3, 3, 3)
    with pytest.warns(ConvergenceWarning, match="accept more error"):
        sliced_wasserstein(x, y, directions="iid", stderr_rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("weighted,m", [(False, 6), (False, 4), (True, 4)])
def test_gradcheck(p, weighted, m):
    x, y, a, b = samples(6, m, 3, weighted=weighted)
    inputs = [torch.tensor(v, requires_grad=True) for v in (x, y)]
    if weighted:
        assert a is not None
        assert b is not None
        inputs += [torch.tensor(np.log(v), requires_grad=True) for v in (a, b)]

    def distance(x, y, s=None, t=None):
        a, b = (None if v is None else v.softmax(0) for v in (s, t))
        return sliced_wasserstein(x, y, a=a, b=b, p=p, n_projections=5).distance

    assert torch.autograd.gradcheck(distance, inputs)


@pytest.mark.parametrize("p", [1, 1.5, 2])
def test_identical_samples_give_zero_with_zero_gradient(p):
    x = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    result = sliced_wasserstein(x, x.detach(), p=p)
    result.distance.backward()
    assert result.distance.item() == 0.0
    assert bool((x.grad == 0).all())
    assert result.stderr == 0.0
    assert result.bracket.lower == 0.0


def test_second_derivative_raises():
    x, y = (torch.tensor(v, requires_grad=True) for v in samples(5, 5, 2)[:2])
    cost = sliced_wasserstein(x, y, p=2).cost
    (first,) = torch.autograd.grad(cost, x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        (first.sum() + x.sum()).backward()


def test_max_sliced_finds_the_direction_of_a_shift_and_of_a_stretch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 10))
    shift = max_sliced_wasserstein(x, x + np.eye(10)[3] * 2, p=2)
    assert shift.distance == pytest.approx(2, rel=1e-9)
    assert abs(shift.directions[0, 3]) == pytest.approx(1, abs=1e-6)
    y = x * np.where(np.arange(10) == 6, 3, 1)
    stretch = max_sliced_wasserstein(x, y, p=2)
    assert abs(stretch.directions[0, 6]) > 0.99
    assert stretch.stderr == 0
    assert stretch.distance >= sliced_wasserstein(x, y, p=2).slices.max()


def test_max_sliced_is_not_below_many_random_directions():
    x, y, *_ = samples(80, 60, 4, seed=3)
    found = max_sliced_wasserstein(x, y, p=1)
    assert found.distance >= sliced_wasserstein(x, y, p=1, n_projections=20_000).slices.max()


def test_solver_returns_a_feasible_plan_and_feasible_potentials():
    x, y, a, b = samples(25, 18, 3, weighted=True)
    assert a is not None
    result = Sliced(n_projections=32).solve(of_pair(measure.pair(x, y, a, b), 2.0))
    pairs = ((x[:, None] - y[None]) ** 2).sum(-1)
    plan = result.plan.toarray()
    np.testing.assert_allclose(plan.sum(1), a, atol=1e-14)
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-14)
    assert (plan * pairs).sum() == pytest.approx(result.cost, rel=1e-12)
    f, g = result.potentials
    assert (f[:, None] + g - pairs).max() <= 1e-12 * pairs.max()
    assert result.lower <= exact(x, y, a, b, 2) <= result.distance * CERTIFIED
    again = pickle.loads(pickle.dumps(result))
    assert (again.plan != result.plan).nnz == 0


def test_solver_gradient_is_that_of_its_plan():
    x, y, *_ = samples(6, 5, 3)
    inputs = [torch.tensor(v, requires_grad=True) for v in (x, y)]

    def distance(x, y):
        return Sliced(n_projections=8).solve(of_pair(measure.pair(x, y), 2.0)).distance

    assert torch.autograd.gradcheck(distance, inputs)


def test_solver_refuses_what_it_cannot_do():
    x, y, a, _ = samples(6, 5, 3, weighted=True)
    task = of_pair(measure.pair(x, y), 1.0)
    with pytest.raises(ValueError, match="rtol"):
        Sliced().solve(task, rtol=0.1)
    with pytest.raises(ValueError, match="start"):
        Sliced().solve(task, start=Sliced(n_projections=2).solve(task))
    with pytest.raises(ValueError, match="cost matrix"):
        Sliced().solve(of_matrix(np.ones((2, 3))))
    weights = torch.tensor(a, requires_grad=True)
    graph = of_pair(measure.pair(torch.tensor(x), torch.tensor(y), weights), 1.0)
    with pytest.raises(ValueError, match="no gradient in the weights"):
        Sliced().solve(graph)


@pytest.mark.parametrize(
    "options,error,text",
    [
        ({"p": 0.5}, ValueError, "p must be finite and at least 1"),
        ({"n_projections": 0}, ValueError, "n_projections must be at least 1: got 0"),
        ({"n_projections": 2.5}, ValueError, "n_projections must be an integer"),
        ({"directions": "sobol"}, ValueError, "directions must be one of"),
        ({"directions": np.eye(4)}, ValueError, r"shape \(L, 3\).*got shape \(4, 4\)"),
        ({"directions": np.ones((2, 3))}, ValueError, "unit rows: row 0 has length 1.73205"),
        ({"directions": np.full((2, 3), np.nan)}, ValueError, "finite.*row 0"),
        ({"directions": np.eye(3), "n_projections": 3}, ValueError, "not both"),
        ({"directions": np.eye(3), "stderr_rtol": 0.1}, ValueError, "stderr_rtol"),
        ({"stderr_rtol": 0.0}, ValueError, "stderr_rtol must be positive"),
        ({"stderr_rtol": "a"}, TypeError, "stderr_rtol must be a number, positive"),
        ({"seed": -1}, ValueError, "seed must be None or an integer"),
        ({"seed": "a"}, TypeError, "seed must be None or an integer"),
        ({"a": np.ones(4)}, ValueError, "a must sum to 1"),
    ],
)
def test_bad_options_are_named(options, error, text):
    x, y, *_ = samples(4, 5, 3)
    with pytest.raises(error, match=text):
        sliced_wasserstein(x, y, **options)


def test_the_solver_checks_its_options_when_it_is_built():
    for options, text in (
        ({"seed": 1.5}, "seed must be"),
        ({"directions": np.ones((2, 3))}, "unit rows: row 0"),
        ({"directions": np.ones(3)}, r"shape \(L, d\)"),
    ):
        with pytest.raises(ValueError, match=text):
            Sliced(**options)


@pytest.mark.parametrize("p", [20, 80, 200, 400])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_high_powers_of_small_distances(p, kind):
    x, *_ = samples(40, 5, 3)
    x = x.astype(kind)
    y = (x + np.float32(1e-3)).astype(kind)
    result = sliced_wasserstein(x, y, p=p, n_projections=50)
    gaps = np.linalg.norm(y.astype(float) - x, axis=1)
    along = (np.abs((y.astype(float) - x) @ result.directions.T).astype(float) / gaps.max()) ** p
    assert result.distance == pytest.approx(along.mean() ** (1 / p) * gaps.max(), rel=1e-4)
    assert 0 < result.stderr < 0.1 * result.distance
    whole = ((gaps / gaps.max()) ** p).mean() ** (1 / p) * gaps.max()  # of a feasible plan
    assert result.bracket.lower <= whole * (1 + 1e-9)
    assert result.bracket.upper >= gaps.min()


def test_directions_of_half_precision_samples_are_unit_rows():
    x, y = (torch.randn(9, 3).half() for _ in range(2))
    result = sliced_wasserstein(x, y)
    assert result.distance.dtype == torch.float16
    again = sliced_wasserstein(x, y, directions=result.directions)
    assert again.distance == result.distance


def test_bad_samples_are_named():
    x, y, *_ = samples(4, 5, 3)
    with pytest.raises(ValueError, match="same dimension"):
        sliced_wasserstein(x, y[:, :2])
    x[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite.*row 2"):
        max_sliced_wasserstein(x, y)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("weighted", [False, True])
def test_cuda_agrees_with_cpu(weighted):
    x, y, a, b = samples(300, 211, 6, weighted=weighted)
    here = sliced_wasserstein(x, y, a=a, b=b, p=2)
    there = sliced_wasserstein(torch.tensor(x).cuda(), torch.tensor(y).cuda(), a=a, b=b, p=2)
    assert float(there.distance) == pytest.approx(here.distance, rel=1e-10)
    assert there.bracket.lower == pytest.approx(here.bracket.lower, rel=1e-9)
    assert there.bracket.upper == pytest.approx(here.bracket.upper, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_wrong_closed_forms_are_not_certified(monkeypatch, p, weighted):
    x, y, a, b = samples(40, 30, 3, weighted=weighted)
    right = sliced_wasserstein(x, y, a=a, b=b, p=p).bracket
    for name in ("cost", "cost_"):
        real = getattr(univariate, name)
        monkeypatch.setattr(univariate, name, lambda *args, real=real: 2 * real(*args))
    wrong = sliced_wasserstein(x, y, a=a, b=b, p=p)
    assert wrong.bracket == right
    solved = Sliced(n_projections=32).solve(of_pair(measure.pair(x, y, a, b), float(p)))
    assert solved.lower <= exact(x, y, a, b, p) <= solved.upper


@pytest.mark.parametrize("kind", ["iid", "orthogonal"])
def test_the_largest_slice_of_float32_samples_is_not_below_what_its_bracket_proves(kind):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = (rng.normal(size=(5, 1)).astype(np.float32) for _ in "xy")
        found = max_sliced_wasserstein(x, y, p=2, n_starts=2, max_iter=5)
        whole = sliced_wasserstein(x, y, p=2, directions=kind)
        for result in (found, whole):
            assert result.bracket.upper - result.bracket.lower < 1e-13
            assert result.distance == pytest.approx(result.bracket.lower, rel=1e-14)


@pytest.mark.parametrize("p", [1, 3, 20, 60])
def test_weights_far_below_a_rounding_stay_in_the_bracket(p):
    x, a = [[150485.39148628333], [0.002190294863413849]], [4.8889343964569745e-18, 1.0]
    y = [[0.15886653833778194]]
    exact_value = otdist.wasserstein(x, y, a=a, p=p)
    found = otdist.wasserstein(x, y, a=a, p=p, solver=Sliced(n_projections=3))
    assert exact_value.converged
    assert found.lower <= exact_value.distance <= found.upper
    assert found.lower <= found.distance <= found.upper
    along = sliced_wasserstein(x, y, a=a, p=p, n_projections=3)
    assert along.distance == pytest.approx(exact_value.distance, rel=1e-12)
