"""Measures: the change of units is exact, and bad input is refused by name."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otdist.core import measure

coordinates = st.one_of(
    st.floats(-1e150, 1e150),
    st.floats(-1, 1),
    st.floats(0, 1).map(lambda v: 1e8 + v),
    st.floats(-1e-310, 1e-310),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=6))
def test_the_frame_is_exact(rows: list[tuple[float, float]]) -> None:
    x = np.array(rows)
    sizes = np.abs(x[x != 0])
    if len(sizes) and sizes.max() / 1e130 > sizes.min():
        return  # more than the range of float64, refused below
    pair = measure.pair(x, x[::-1])
    for raw, point in zip(x.tolist(), pair.x.points.tolist(), strict=True):
        for value, scaled, centre in zip(raw, point, pair.centre.tolist(), strict=True):
            assert Fraction(scaled) == (Fraction(value) - Fraction(centre)) / Fraction(pair.scale)


def test_offset_is_removed_and_size_normalised() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)) * 1e-3 + 1e8
    pair = measure.pair(x, x)
    assert 0.1 < float(pair.x.points.abs().max()) <= 2
    assert np.array_equal(pair.x.points.numpy() * pair.scale + pair.centre.numpy(), x)


def test_one_dimension_becomes_a_column() -> None:
    assert measure.pair([1.0, 2.0], [[3.0]]).x.points.shape == (2, 1)


def test_weights_are_normalised_exactly() -> None:
    a = np.array([0.5, 0.5 + 5e-7], dtype=np.float32)
    pair = measure.pair([1.0, 2.0], [0.0], a=a)
    assert pair.x.weights.dtype == torch.float64
    assert abs(float(pair.x.weights.sum()) - 1) < 1e-15
    assert not pair.x.uniform
    assert pair.y.uniform


@pytest.mark.parametrize(
    "change, text",
    [
        ({"x": [[0.0, float("nan")], [float("inf"), 0.0]]}, "1 NaN, first at row 0; 1 infinite"),
        ({"y": [[0.0, 0.0], [float("nan"), 1.0]]}, "y must be finite: found 1 NaN, first at row 1"),
        ({"x": []}, "x must hold at least one point"),
        ({"x": np.zeros((2, 0))}, "x must hold at least one coordinate"),
        ({"x": np.zeros((2, 2, 2))}, r"x must have shape \(n, d\)"),
        ({"x": 3.0}, r"x must have shape \(n, d\)"),
        ({"x": [[1.0, 2.0, 3.0]]}, "same dimension"),
        ({"a": [1.0]}, r"a must hold one weight per point of x, shape \(2,\): got shape \(1,\)"),
        ({"a": [2.0, -1.0]}, "a must be non-negative: got -1 at entry 1"),
        ({"b": [0.5, 0.6]}, r"b must sum to 1 within 1e-06: got 1.1; pass b / b.sum\(\)"),
        ({"b": [0.5, float("nan")]}, "b must be finite"),
        ({"a": [0.0, 0.0]}, "a must sum to 1"),
    ],
)
def test_refusals(change: dict, text: str) -> None:
    sample = {"x": [[0.0, 0.0], [1.0, 0.0]], "y": [[0.0, 1.0], [1.0, 1.0]]} | change
    with pytest.raises(ValueError, match=text):
        measure.pair(**sample)


def test_no_two_points_are_farther_apart_than_one_in_the_frame() -> None:
    for size in (1e-300, 1.0, 54.0, 1e300):
        x = np.random.default_rng(0).normal(size=(50, 4)) * size
        points = measure.pair(x, x[::-1]).x.points
        assert 0.05 < float(torch.cdist(points, points).max()) <= 1


def test_high_powers_scale_the_line_too() -> None:
    pair = measure.pair([0.0, 1.0, 54.0], [0.0, 1.0, 4.0], p=200)
    assert 1 < (float(pair.x.points.max()) - float(pair.x.points.min())) ** 200 < 2.0**1001
    assert measure.pair([0.0, 1.0, 54.0], [0.0, 1.0, 4.0], p=2).scale == 1


def test_float32_that_would_lose_digits_is_widened() -> None:
    x = np.array([[1e30, 0.0], [1e-12, 0.0]], dtype=np.float32)
    pair = measure.pair(x, x)
    assert pair.x.points.dtype == torch.float64
    assert np.array_equal(pair.x.points.numpy() * pair.scale, x.astype(float))


def test_more_than_the_range_of_float64_is_refused() -> None:
    x = [[1e200, 0.0], [0.0, 1e-200]]
    with pytest.raises(ValueError, match="must fit the range of float64"):
        measure.pair(x, x, p=4)


def test_the_largest_and_the_least_numbers_are_samples() -> None:
    for value in (1.7e308, 5e-324):
        pair = measure.pair([[value, 0.0]], [[-value, 0.0]])
        assert np.isfinite(pair.x.points.numpy()).all()
        assert float(pair.x.points[0, 0]) * pair.scale == value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 6),
    d=st.integers(1, 3),
    p=st.sampled_from([1.0, 2.0, 16.0]),
    weighted=st.booleans(),
    places=st.sampled_from([0.0, 1.0, 1e6, -1e6, 1e-300, 1e300]),
    sizes=st.sampled_from([0.0, 1.0, 1e-9, 1e9, 1e-310, 1e-200]),
    seed=st.integers(0, 2**20),
)
def test_arrays_enter_as_tensors_do(n, d, p, weighted, places, sizes, seed):
    """Small arrays have a way of their own; the frame and its points are the same to the bit."""
    rng = np.random.default_rng(seed)
    x, y = places + sizes * rng.normal(size=(2, n, d))
    a = np.array(rng.random(n) + 0.1) if weighted else None
    a = None if a is None else a / a.sum()
    of_arrays = measure.pair(x, y, a, p=p)
    of_tensors = measure.pair(torch.tensor(x), torch.tensor(y), a, p=p)
    assert of_arrays.scale == of_tensors.scale
    torch.testing.assert_close(of_arrays.centre, of_tensors.centre, rtol=0, atol=0)
    for one, two in ((of_arrays.x, of_tensors.x), (of_arrays.y, of_tensors.y)):
        torch.testing.assert_close(one.points, two.points, rtol=0, atol=0)
        torch.testing.assert_close(one.weights, two.weights, rtol=1e-15, atol=0)
        assert one.uniform == two.uniform


def test_the_way_of_arrays_names_what_is_wrong():
    good = np.zeros((3, 2))
    for bad in (np.full((3, 2), np.nan), np.full((3, 2), -np.inf)):
        with pytest.raises(ValueError, match="x must be finite"):
            measure.pair(bad, good)
        with pytest.raises(ValueError, match="y must be finite"):
            measure.pair(good, bad)
    with pytest.raises(ValueError, match="a must be non-negative"):
        measure.pair(good, good, np.array([0.5, 1.0, -0.5]))
    with pytest.raises(ValueError, match="a must sum to 1"):
        measure.pair(good, good, np.array([0.5, 1.0, 0.5]))
    with pytest.raises(ValueError, match="one weight per point"):
        measure.pair(good, good, np.array([0.5, 0.5]))
