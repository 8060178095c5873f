"""The exact solver on the line: its bracket against rational arithmetic, and against itself."""

from __future__ import annotations

import decimal
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import otdist
from otdist.core.result import ConvergenceWarning
from otdist.line import univariate
from otdist.line.counted import counted, counted_few
from otdist.line.walk import WeightedWalk, walk

pytestmark = pytest.mark.filterwarnings("ignore::otdist.core.result.ConvergenceWarning")

DIGITS = decimal.Context(prec=60, Emin=-(10**9), Emax=10**9)
POWERS = [1, 1, 1.5, 2, 2, 3, 7.3, 8, 20, 60, 60.5, 200]


def masses(weights, n: int) -> list[Fraction]:
    """Weights as rational numbers of sum one."""
    exact = [Fraction(1)] * n if weights is None else [Fraction(float(w)) for w in weights]
    return [w / sum(exact) for w in exact]


def truth(x, y, p: float, a=None, b=None) -> Decimal:
    """W_p of the floats as they are, to sixty digits."""
    xs, ys = (
        sorted((Fraction(float(v)), w) for v, w in zip(z, masses(c, len(z)), strict=True) if w)
        for z, c in ((x, a), (y, b))
    )
    with decimal.localcontext(DIGITS):
        total, (i, j), (left, right) = Decimal(0), (0, 0), (xs[0][1], ys[0][1])
        while i < len(xs) and j < len(ys):
            mass, gap = min(left, right), abs(xs[i][0] - ys[j][0])
            if mass and gap:
                total += _decimal(mass) * _decimal(gap) ** Decimal(p)
            left, right = left - mass, right - mass
            if not left and (i := i + 1) < len(xs):
                left = xs[i][1]
            if not right and (j := j + 1) < len(ys):
                right = ys[j][1]
        return total ** (1 / Decimal(p)) if total else total


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def points(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ordinary points, ties, sizes from 1e-12 to 1e12, a far offset, extreme units."""
    kind = rng.integers(5)
    if kind == 0:
        return rng.integers(-3, 4, size).astype(float)
    if kind == 1:
        return 10.0 ** rng.uniform(-12, 12, size) * rng.choice([-1, 1], size)
    if kind == 2:
        return 1e8 + rng.normal(size=size)
    return rng.normal(size=size) * 10.0 ** (rng.uniform(-150, 150) if kind == 3 else 0)


def weights(rng: np.random.Generator, size: int) -> np.ndarray | None:
    """None, generic, down to 1e-18, or such that partial sums agree, with zeros."""
    kind = rng.integers(5)
    if kind == 0:
        return None
    if kind == 1:
        w = rng.dirichlet(np.ones(size))
    elif kind == 2:
        w = 10.0 ** rng.uniform(-18, 0, size)
    else:
        w = rng.choice([0.1, 0.2, 0.3] if kind == 3 else [0, 1e-18, 1e-13, 0.5], size)
    w[rng.integers(size)] += kind != 1
    return w / w.sum()


def problem(rng: np.random.Generator):
    """A pair of samples: of separate draws, or one beside itself moved and reordered."""
    n, m = (int(k) for k in rng.integers(1, 9, 2))
    x, a = points(rng, n), weights(rng, n)
    if rng.random() < 0.6:
        return x, points(rng, m), a, weights(rng, m)
    order = rng.permutation(n)
    b = None if a is None else a[order]
    if b is not None and rng.random() < 0.3:
        b = np.nextafter(b, rng.choice([0.0, 1.0], n))
    step = rng.choice([0, 1e-12, 1e-6, 1]) * np.abs(x).max()
    return x, x[order] + step * rng.normal(size=n), a, b


@pytest.mark.parametrize("seed", range(4))
def test_the_bracket_contains_the_distance_of_the_floats_as_they_are(seed):
    rng = np.random.default_rng(seed)
    still_open = 0
    for _ in range(250):
        x, y, a, b = problem(rng)
        p = float(rng.choice(POWERS))
        found = otdist.wasserstein(x, y, a=a, b=b, p=p)
        assert found.lower <= found.distance <= found.upper, (x, y, a, b, p)
        assert found.lower <= truth(x, y, p, a, b) <= found.upper, (x, y, a, b, p)
        assert found.bracket.proves(1e-6) or not found.converged
        still_open += not found.converged
    assert still_open <= 12  # weights that agree to the last digit or two, but not exactly


@pytest.mark.parametrize("seed", range(2))
def test_masses_are_exact_up_to_their_doubt(seed):
    rng = np.random.default_rng(seed)
    for _ in range(200):
        n, m = (int(k) for k in rng.integers(1, 12, 2))
        a, b = weights(rng, n), weights(rng, m)
        found = walk(a, b, n, m)
        (part,) = found.parts()
        rows, cols, mass = found.cells(part)
        sums_a, sums_b = (np.cumsum([0, *masses(w, k)]) for w, k in ((a, n), (b, m)))
        steps = zip(rows[:-1], rows[1:], cols[:-1], strict=True)
        ends = [0, *(sums_a[i + 1] if k > i else sums_b[j + 1] for i, k, j in steps), 1]
        for got, exact in zip(mass, np.diff(ends), strict=True):
            assert abs(Fraction(float(got)) - exact) <= 2 * found.doubt + 1e-15 * abs(exact)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("few", [False, True])
def test_counted_masses_are_exact_up_to_their_doubt(seed, few):
    rng = np.random.default_rng(seed)
    for _ in range(200):
        n, m = (int(k) for k in rng.integers(1, 12, 2))
        a, b = (weights(rng, k) for k in (n, m))
        orders = rng.permutation(n), rng.permutation(m)
        if few:  # sums are one to the tolerance of weights
            a, b = (rng.dirichlet(np.ones(len(o))) if w is None else w / w.sum()
                    for w, o in zip((a, b), orders, strict=True))  # fmt: skip
            a *= 1 + 1e-6 * rng.uniform(-1, 1)
            found = counted_few(a, b, orders)
        else:
            a = np.full(n, 1.0) if a is None else a * 10.0 ** rng.integers(-3, 3)
            found = counted(a, b, n, m, orders)
        (part,) = found.parts()
        rows, cols, mass = found.cells(part)
        assert found.doubt < 1e-14
        assert (np.diff(rows) + np.diff(cols) == 1).all()
        assert (rows[0], cols[0], rows[-1], cols[-1]) == (0, 0, n - 1, m - 1)
        sums = [np.cumsum([0, *masses(a[orders[0]], n)])]
        sums.append(np.cumsum([0, *masses(None if b is None else b[orders[1]], m)]))
        steps = zip(rows[:-1], rows[1:], cols[:-1], strict=True)
        ends = [0, *(sums[0][i + 1] if k > i else sums[1][j + 1] for i, k, j in steps), 1]
        for got, exact in zip(mass, np.diff(ends), strict=True):
            assert abs(Fraction(float(got)) - exact) <= 2 * found.doubt + 1e-15 * abs(exact)


def test_parts_of_a_counted_walk_join():
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(40_000)), rng.dirichlet(np.ones(30_000))
    found = counted(a, b, len(a), len(b), (np.arange(len(a)), np.arange(len(b))))
    parts = [found.cells(part) for part in found.parts()]
    assert len(parts) > 2
    rows, cols, mass = (np.concatenate(each) for each in zip(*parts, strict=True))
    exact = walk(a, b, len(a), len(b))
    for mine, theirs in zip(
        (rows, cols, mass),
        map(np.concatenate, zip(*(exact.cells(part) for part in exact.parts()), strict=True)),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, atol=2 * found.doubt, rtol=0)


@pytest.mark.parametrize(
    "x, y, p, options",
    [
        ([0.0, 1, 54], [0.0, 1, 4], 200, {}),
        ([0.0, 1, 500], [0.0, 1, 4], 1000, {}),
        ([0.0, 1], [1e-6, 1.000001], 60, {}),
        ([0.0], [-1.0, 0], 60, {"b": [1e-17, 1]}),
        ([1.0], [1.0, 2], 1, {"b": [1, 5.365585510468337e-18]}),
        (
            [150485.39148628333, 0.002190294863413849],
            [0.15886653833778194],
            3,
            {"a": [4.8889343964569745e-18, 1]},
        ),
        (
            [-1.0, 3],
            [-1.0, 3],
            7.3,
            {
                "a": [0.41453534908891615, 0.5854646509110839],
                "b": [0.41453534908891604, 0.585464650911084],
            },
        ),
        ([0.0, 1], [0.0, 0, 1], 2, {"a": [0.3, 0.7], "b": [0.1, 0.2, 0.7]}),
        ([1e8, 1e8 + 1], [1e8, 1e8 + 0.5], 60, {}),
    ],
)
def test_what_floats_can_tell_is_told(x, y, p, options):
    found = otdist.wasserstein(x, y, p=p, **options)
    exact = truth(x, y, p, **options)
    assert found.converged
    assert found.lower <= exact <= found.upper
    assert found.distance == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("p", [1, 2])
def test_small_weights_in_large_numbers_are_moved(p):
    many = 50_000
    tiny = np.full(many, 1e-13)
    x, a = np.concatenate([np.zeros(many), [5.0]]), np.concatenate([tiny, [1 - many * 1e-13]])
    y = np.concatenate([np.ones(many), [5.0]])
    found = otdist.wasserstein(x, y, a=a, b=a, p=p)
    mass = many * Fraction(1e-13) / (many * Fraction(1e-13) + Fraction(a[-1]))
    assert found.converged
    assert found.distance == pytest.approx(float(mass) ** (1 / p), rel=1e-12)


def test_one_measure_in_two_orders_is_at_distance_zero():
    rng = np.random.default_rng(0)
    x, a = rng.integers(0, 50, 3000).astype(float), rng.dirichlet(np.ones(3000))
    order = rng.permutation(3000)
    found = otdist.wasserstein(x, x[order], a=a, b=a[order], p=60)
    assert (found.lower, found.distance, found.upper, found.converged) == (0, 0, 0, True)


def doubled(monkeypatch) -> None:
    real = univariate.cost
    monkeypatch.setattr(univariate, "cost", lambda *args, **options: 2 * real(*args, **options))


@pytest.mark.parametrize("n, m", [(50, 50), (60, 50), (40_000, 40_000), (50_000, 40_000)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [1, 2])
def test_a_wrong_closed_form_is_not_certified(monkeypatch, n, m, weighted, p):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(0.1, 2, size=m)
    options = {"a": rng.dirichlet(np.ones(n)), "b": rng.dirichlet(np.ones(m))} if weighted else {}
    few = otdist.wasserstein(x, y, p=p, **options)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    right = otdist.wasserstein(x, y, p=p, **options)
    assert float(right) == pytest.approx(float(few), rel=1e-14)
    doubled(monkeypatch)
    with pytest.warns(ConvergenceWarning, match="report it"):
        wrong = otdist.wasserstein(x, y, p=p, **options)
    assert not wrong.converged
    assert right.converged
    assert (wrong.lower, wrong.upper) == (right.lower, right.upper)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [1, 1.5, 2, 4])
def test_few_plain_numbers_have_the_answer_of_tensors(weighted, p):
    rng = np.random.default_rng(3)
    for n, m in [(1, 1), (1, 7), (20, 20), (20, 13), (300, 200)]:
        x, y = 1e3 + rng.normal(size=n), 1e3 + rng.integers(-2, 3, m).astype(float)
        weights = [rng.dirichlet(np.ones(k)) for k in (n, m)] if weighted else (None, None)
        few = otdist.wasserstein(x, y, a=weights[0], b=weights[1], p=p)
        options = {"a": weights[0], "b": weights[1], "p": p}
        found = otdist.wasserstein(torch.from_numpy(x), torch.from_numpy(y), **options)
        assert isinstance(few.distance, float)
        assert few.converged
        assert few.solver == found.solver
        assert few.message == found.message
        for name in ("distance", "cost", "lower", "upper"):
            same = pytest.approx(float(getattr(found, name)), rel=1e-14)
            assert getattr(few, name) == same, name
        assert few.lower <= truth(x, y, p, *weights) <= few.upper
        np.testing.assert_allclose(few.plan.toarray(), found.plan.to_dense(), atol=1e-16)
        for mine, theirs in zip(few.potentials, found.potentials, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_plan_and_potentials_prove_the_same_number(weighted):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=30), rng.normal(size=20)
    a, b = (rng.dirichlet(np.ones(k)) for k in (30, 20)) if weighted else (None, None)
    found = otdist.wasserstein(x, y, a=a, b=b, p=3)
    costs = np.abs(x[:, None] - y) ** 3
    f, g = found.potentials
    wa, wb = (np.full(k, 1 / k) if w is None else w for w, k in ((a, 30), (b, 20)))
    assert (found.plan.toarray() * costs).sum() == pytest.approx(found.cost, rel=1e-12)
    assert wa @ f + wb @ g == pytest.approx(found.cost, rel=1e-12)
    assert (f[:, None] + g - costs).max() < 1e-12 * costs.max()
    np.testing.assert_allclose(found.plan.toarray().sum(1), wa, atol=1e-15)


def test_a_distance_in_float32_lies_in_its_bracket():
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        x, y = torch.randn(2, 9, generator=rng)
        found = otdist.wasserstein(x, y, p=2)
        assert found.distance.dtype == torch.float32
        assert found.lower <= float(found.distance) <= found.upper
        assert found.gap < 1e-6


@pytest.mark.parametrize("p", [60, 200])
def test_gradients_where_powers_leave_the_range(p):
    x = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([1e-6, 1.0 + 2e-6], dtype=torch.float64)
    otdist.wasserstein(x, y, p=p).distance.backward()
    gap = 2e-6 * 0.5 ** (1 / p)  # the distance is that of the larger gap; the other has no share
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([0.0, -gap / 2e-6], rel=1e-9, abs=1e-12)


def test_an_open_bracket_says_so():
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        found = otdist.wasserstein(
            [0.0, 1], [1e-9, 1 + 1e-9], a=[0.3, 0.7], b=[0.3000000000000001, 0.7], p=20
        )
    exact = truth([0.0, 1], [1e-9, 1 + 1e-9], 20, [0.3, 0.7], [0.3000000000000001, 0.7])
    assert found.lower <= exact <= found.upper
    assert found.converged == found.bracket.proves(1e-6)
    assert found.converged or any(w.category is ConvergenceWarning for w in issued)
    assert isinstance(walk(np.array([0.3, 0.7]), None, 2, 2), WeightedWalk)
