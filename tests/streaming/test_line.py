"""The line in cells: the bracket holds for every p, and the order of the data changes nothing."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist.streaming import Line
from otdist.streaming.grid import Grid

ROUNDING = 1e-9
"""Relative: in-memory values are themselves rounded."""

LAWS = {
    "apart": lambda rng: (rng.normal(size=4000), rng.normal(6, 2, 3000)),
    "crossing": lambda rng: (rng.normal(size=4000), rng.normal(0.1, 1.3, 4000)),
    "equal": lambda rng: (rng.normal(size=4000), rng.normal(size=3001)),
    "heavy": lambda rng: (rng.standard_cauchy(4000), rng.standard_cauchy(4000)),
    "ties": lambda rng: (rng.integers(0, 9, 4000) / 7, rng.integers(2, 50, 999) / 7),
    "far": lambda rng: (1e9 + rng.normal(size=4000), 1e9 + rng.normal(size=4000)),
    "huge": lambda rng: (1e200 * rng.normal(size=999), 1e200 * rng.normal(size=999)),
}


def streamed(x, y, p, cells, a=None, b=None, parts=7):
    line = Line(p, cells=cells)
    split = [np.array_split(v, parts) if v is not None else [None] * parts for v in (x, y, a, b)]
    for bx, by, wa, wb in zip(*split, strict=True):
        line.update(bx, by, a=wa, b=wb)
    return line.compute()


@pytest.mark.parametrize("p", [1, 1.5, 2, 3.7])
@pytest.mark.parametrize("cells", [2, 37, 512])
@pytest.mark.parametrize("law", LAWS)
def test_the_bracket_contains_the_distance(law, cells, p):
    x, y = LAWS[law](np.random.default_rng(5))
    exact = otdist.wasserstein(x, y, p=p).distance
    result = streamed(x, y, p, cells)
    assert result.lower <= exact * (1 + ROUNDING)
    assert exact * (1 - ROUNDING) <= result.upper
    assert result.lower <= result.distance <= result.upper


@pytest.mark.parametrize("p", [1, 2])
def test_weights_of_any_sum(p):
    rng = np.random.default_rng(1)
    x, y, a, b = rng.normal(size=900), rng.normal(1, 2, 900), rng.random(900), rng.random(900)
    a[:100] = 0
    exact = otdist.wasserstein(x, y, a=a / a.sum(), b=b / b.sum(), p=p).distance
    result = streamed(x, y, p, 100, 5 * a, b / 7)
    assert result.lower <= exact <= result.upper
    assert abs(streamed(x, y, p, 1000, 5 * a, b / 7).distance - exact) < 1e-12


def test_no_mass_moves_farther_than_a_cell():
    x, y = LAWS["crossing"](np.random.default_rng(2))
    for p in (1, 2, 6):
        result = streamed(x, y, p, 64)
        exact = otdist.wasserstein(x, y, p=p).distance
        widths = sum(result.details["widths"])
        assert abs(result.distance - exact) <= widths / 2
        assert result.upper - exact <= widths


def test_exact_while_the_values_fit():
    x, y = LAWS["ties"](np.random.default_rng(3))
    result = streamed(x, y, 2, 64)
    assert "exact" in result.message
    assert result.gap <= 1e-12 * result.distance
    assert math.isclose(result.distance, otdist.wasserstein(x, y, p=2).distance, rel_tol=1e-13)
    same = streamed(x, x[::-1], 1, 64)
    assert (same.lower, same.distance, same.upper) == (0, 0, 0)


def test_quantiles_that_do_not_cross_cost_nothing():
    x, y = LAWS["apart"](np.random.default_rng(4))
    x = np.minimum(x, y.min())
    result = streamed(x, y, 1, 8)
    assert result.gap < 1e-12
    assert math.isclose(result.distance, y.mean() - x.mean(), rel_tol=1e-13)


def test_bounds_are_of_second_order_for_p_2():
    x, y = LAWS["apart"](np.random.default_rng(4))
    gaps = [streamed(x, y, 2, cells).gap for cells in (32, 128, 512)]
    assert gaps[1] < gaps[0] / 8
    assert gaps[2] < gaps[1] / 8


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.integers(-4, 4).map(float), min_size=1, max_size=60),
    st.integers(2, 20),
    st.randoms(use_true_random=False),
)
def test_a_grid_is_a_function_of_the_points_alone(values, cells, random):
    whole = Grid(cells).add(np.array(values))
    random.shuffle(values)
    parts = np.array_split(np.array(values), random.randint(1, 6))
    tree = [Grid(cells).add(part) for part in parts]
    while len(tree) > 1:
        tree.append(tree.pop(0).join(tree.pop(random.randrange(len(tree)))))
    assert tree[0].width == whole.width
    assert len(whole.mass) <= cells
    for name in ("mass", "low", "high"):
        assert np.array_equal(getattr(tree[0], name), getattr(whole, name))
    scale = np.abs(values).max()
    assert np.allclose(tree[0].mean, whole.mean, rtol=1e-13, atol=1e-15 * scale)
    assert (whole.low <= whole.mean).all()
    assert (whole.mean <= whole.high).all()
    assert (whole.high - whole.low <= whole.width).all()
    assert whole.mass.sum() == whole.count == len(values)


def test_the_width_is_the_smallest_that_fits():
    values = np.random.default_rng(0).standard_cauchy(3000)
    grid = Grid(100).add(values)
    assert len(np.unique(np.floor(values / grid.width))) <= 100
    assert len(np.unique(np.floor(values / (grid.width / 2)))) > 100


def test_torch_lists_float32_and_memory_maps_agree(tmp_path):
    x = np.random.default_rng(0).normal(size=(2000, 1)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = [0.5, 1.5]
    results = [
        Line(cells=100).extend(x=source, rows=300).update(y=y).compute()
        for source in (
            x,
            mapped,
            torch.from_numpy(x),
            iter(np.array_split(x, range(300, 2000, 300))),
        )
    ]
    assert len({(r.distance, r.lower, r.upper) for r in results}) == 1


def test_merging_leaves_the_other_as_it_is_and_checks_settings():
    one, two = Line(cells=8).update(x=[1.0]), Line(cells=8).update(x=[2.0], y=[3.0])
    assert one.merge(two).compute().distance == 1.5
    assert two.x.count == 1
    with pytest.raises(ValueError, match="same settings"):
        one.merge(Line(cells=9))
    with pytest.raises(TypeError, match="must be a Line"):
        one.merge(otdist.streaming.Frechet())
    assert "2 and 1 points" in repr(pickle.loads(pickle.dumps(one)))


def test_errors_name_the_argument():
    line = Line()
    with pytest.raises(ValueError, match=r"x must be finite: found 1 NaN, first at row 1"):
        line.update(x=[0.0, np.nan])
    with pytest.raises(ValueError, match="y must lie on the line"):
        line.update(y=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="a must be finite and non-negative"):
        line.update(x=[0.0], a=[-1.0])
    with pytest.raises(ValueError, match=r"a must hold one weight per point of x, shape \(2,\)"):
        line.update(x=[0.0, 1.0], a=[1.0])
    with pytest.raises(ValueError, match="b must come with y"):
        line.update(x=[0.0], b=[1.0])
    with pytest.raises(ValueError, match="x requires a gradient"):
        line.update(x=torch.zeros(2, requires_grad=True))
    line.update(x=[], y=np.empty((0, 1)))
    with pytest.raises(ValueError, match="x has no points yet"):
        line.compute()
    with pytest.raises(ValueError, match="y has no points yet"):
        line.update(x=[1.0], y=[1.0], b=[0.0]).compute()
    with pytest.raises(ValueError, match="cells must be at least 2"):
        Line(cells=1)
    with pytest.raises(ValueError, match="has no plan: the points are not kept"):
        _ = line.update(y=[1.0]).compute().plan


@pytest.mark.parametrize(
    "x, y",
    [
        (1e8 + np.array([0.0, 0.3, 0.9]), 1e8 + np.array([0.1, 0.2, 0.7])),
        (1 + 1e-15 * np.arange(4), 1 + 1e-15 * np.arange(1, 5)),
        (np.array([0.0, 1.0]), np.array([1e-6, 1.000001])),
    ],
)
def test_high_powers_far_from_the_origin(x, y):
    exact = otdist.wasserstein(x, y, p=60)
    result = streamed(x, y, 60, 64, parts=1)
    assert result.lower <= exact.distance * (1 + ROUNDING)
    assert exact.distance * (1 - ROUNDING) <= result.upper
    assert result.converged
    assert math.isclose(result.distance, exact.distance, rel_tol=1e-9)
