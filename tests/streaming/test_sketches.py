"""Sliced, Fréchet and KID in batches agree with the functions that hold all points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import otdist
from otdist.streaming import KID, Frechet, Line, Slices, merged


def samples(n=3000, m=2500, d=4):
    rng = np.random.default_rng(7)
    return rng.normal(size=(n, d)), rng.normal(0.3, 1.2, size=(m, d))


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("d", [1, 4])
def test_slices_stay_within_their_bound(p, d):
    x, y = samples(d=d)
    whole = otdist.sliced_wasserstein(x, y, p=p, n_projections=24)
    streamed = Slices(p, n_projections=24, cells=128).extend(x, y, rows=700).compute()
    assert np.array_equal(streamed.directions, whole.directions)
    assert 0 < abs(streamed.distance - whole.distance) <= streamed.error < 0.05
    assert np.allclose(streamed.slices, whole.slices, atol=0.05)
    assert math.isclose(streamed.stderr, whole.stderr, rel_tol=0.2, abs_tol=1e-12)
    assert "sketch ±" in repr(streamed)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_the_bracket_of_slices_contains_the_exact_distance(p):
    x, y = samples(300, 300, 3)
    exact = otdist.wasserstein(x, y, p=p)
    bracket = Slices(p, n_projections=24, cells=32).update(x, y).compute().bracket
    assert 0 < bracket.lower <= exact.upper
    assert exact.lower <= bracket.upper


def test_slices_that_fit_are_exact_and_take_weights():
    x, y = samples(200, 100)
    a = np.random.default_rng(0).random(200)
    whole = otdist.sliced_wasserstein(x, y, a=a / a.sum(), p=2)
    result = Slices(2).update(x[:90], y, a=a[:90]).update(x[90:], a=a[90:]).compute()
    assert abs(result.distance - whole.distance) < 1e-12
    assert result.error < 1e-9
    wanted = np.eye(4)[:2]
    along = Slices(2, directions=wanted).update(x, y).compute()
    assert np.array_equal(along.directions, wanted)


def test_slices_refuse_what_cannot_be_merged():
    x, y = samples(10, 10)
    with pytest.raises(ValueError, match="dimension of earlier batches, 4"):
        Slices().update(x, y[:, :3])
    with pytest.raises(ValueError, match="points of the same dimension"):
        Slices().update(x).merge(Slices().update(y=y[:, :3]))
    with pytest.raises(ValueError, match="same settings"):
        Slices(seed=0).merge(Slices(seed=1))
    with pytest.raises(TypeError, match="seed must be an integer"):
        Slices(seed=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="n_projections must be at least 1"):
        Slices(n_projections=0)
    with pytest.raises(ValueError, match="directions must be unit rows"):
        Slices(directions=[[2.0, 0.0]])
    with pytest.raises(ValueError, match="y has no points yet"):
        Slices().update(x).compute()
    with pytest.raises(ValueError, match="y must have a positive sum of weights"):
        Slices().update(x, y, b=np.zeros(10)).compute()


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_frechet_is_the_gaussian_distance(offset):
    x, y = samples()
    x, y = x + offset, y + offset
    a = np.random.default_rng(1).random(len(x))
    parts = [Frechet().update(x[i::5], y[i::5], a=a[i::5]) for i in range(5)]
    whole = otdist.gaussian_wasserstein(x, y, a=a / a.sum())
    assert math.isclose(merged(parts).compute(), whole, rel_tol=1e-12 if offset == 0 else 1e-7)
    one = Frechet().update(torch.tensor(x[:1]), torch.tensor(y[:1])).compute()
    assert math.isclose(one, float(np.linalg.norm(x[0] - y[0])), rel_tol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
def test_frechet_of_the_same_rows_in_another_order_is_zero(offset):
    x = samples()[0] + offset
    parts = [Frechet().update(x=x[i::5]) for i in range(5)]
    assert merged(parts).update(y=np.random.default_rng(0).permutation(x)).compute() == 0


@pytest.mark.parametrize("unit", [1e-140, 1e140])
def test_frechet_of_other_magnitudes(unit):
    x, y = samples()
    streamed = Frechet().update(x[:90] * unit).update(x[90:] * unit, y * unit)
    assert math.isclose(streamed.compute() / unit, otdist.gaussian_wasserstein(x, y), rel_tol=1e-9)
    apart = Frechet().update([[1e200, 0.0]], [[-1e200, 0.0]])
    assert math.isclose(apart.compute(), 2e200, rel_tol=1e-12)


def test_frechet_errors():
    with pytest.raises(ValueError, match="so small that squares vanish: rescale both"):
        Frechet().update([[1e-190], [-1e-190]], [[0.0], [4e-190]]).compute()
    with pytest.raises(ValueError, match="x must not be so large that its squares overflow"):
        Frechet().update([[1e200], [-1e200]], [[0.0]]).compute()
    with pytest.raises(ValueError, match="must have one dimension"):
        Frechet().update([[1.0]]).update([[1.0, 2.0]])
    with pytest.raises(ValueError, match="x and y must have the same dimension"):
        Frechet().update([[1.0]], [[1.0, 2.0]]).compute()


def test_one_block_of_kid_is_the_unbiased_mmd():
    x, y = samples(200, 200)
    whole = otdist.mmd(x, y, kernel="polynomial", statistic="U")
    for kid in (KID(block=200).update(x, y), KID(block=500).update(x).update(y=y)):
        assert math.isclose(kid.compute().estimate, whole, rel_tol=1e-12)
        assert math.isnan(kid.compute().stderr)


def test_blocks_of_kid_are_averaged_over_merges_and_leftovers():
    x, y = samples(1000, 1000)
    blocks = [
        otdist.mmd(x[i : i + 100], y[i : i + 100], kernel="polynomial", statistic="U")
        for i in range(0, 1000, 100)
    ]
    parts = [KID(block=100).update(x[:330], y[:330]), KID(block=100).update(x[330:], y[330:])]
    result = merged(parts).compute()
    assert result.blocks == 10
    whole = KID(block=100).extend(x, y, rows=77).compute()
    assert math.isclose(whole.estimate, np.mean(blocks), rel_tol=1e-12)
    assert math.isclose(whole.stderr, np.std(blocks, ddof=1) / math.sqrt(10), rel_tol=1e-9)
    assert abs(result.estimate - whole.estimate) < 3 * whole.stderr


def test_kid_is_unbiased():
    rng = np.random.default_rng(3)
    kid = KID(block=20).update(rng.normal(size=(8000, 2)), rng.normal(size=(8000, 2)))
    result = kid.compute()
    assert abs(result.estimate) < 4 * result.stderr


def test_kid_errors():
    with pytest.raises(ValueError, match="a and b must be None"):
        KID().update([[1.0]], a=[1.0])
    with pytest.raises(ValueError, match="y must have at least two points"):
        KID().update([[1.0], [2.0]], [[1.0]]).compute()
    with pytest.raises(ValueError, match="block must be at least 2"):
        KID(block=1)


@pytest.mark.parametrize("make", [Line, Slices, Frechet])
def test_points_of_weight_zero_are_not_seen(make):
    rng = np.random.default_rng(0)
    x, y, a = rng.normal(size=(50, 1)), rng.normal(size=(40, 1)), rng.random(50)
    plain = make().update(x, y, a=a).compute()
    far = make().update(np.append(x, [[1e30]], 0), y, a=np.append(a, 0.0))
    far.update(x=[[-1e30]], a=[0.0])
    assert float(far.compute()) == float(plain)
    with pytest.raises(ValueError, match="x must have a positive sum of weights"):
        make().update([[1.0]], y, a=[0.0]).compute()


@pytest.mark.parametrize("unit", [1e-300, 1e-190, 1e150, 1e290])
@pytest.mark.parametrize("p", [1, 2, 60])
def test_slices_of_any_magnitude(unit, p):
    x, y = samples(300, 310, 3)
    exact = otdist.wasserstein(x, y, p=min(p, 2)) if p <= 2 else None
    whole = otdist.sliced_wasserstein(x, y, p=p, n_projections=8)
    streamed = Slices(p, n_projections=8).update(x[:9] * unit).update(x[9:] * unit, y * unit)
    result = streamed.compute()
    assert math.isclose(result.distance / unit, whole.distance, rel_tol=1e-9)
    assert np.allclose(result.slices / unit, whole.slices, rtol=1e-9)
    assert result.bracket.lower / unit < result.bracket.upper / unit < 30
    if exact is not None:
        assert result.bracket.lower / unit <= exact.upper
        assert result.bracket.upper / unit >= exact.lower


def test_slices_of_numbers_whose_squares_vanish_or_overflow():
    tiny = Slices(2).update([[-5e-324, 5e-324]], [[5e-324, 5e-324]]).compute()
    assert tiny.bracket.lower <= 1e-323 <= tiny.bracket.upper < 1e-322
    far = Slices(2).update([[-1.7e308, 0.0]], [[1.7e308, 0.0]])
    with pytest.raises(ValueError, match="so far apart that distances overflow"):
        far.compute()


@pytest.mark.parametrize("p", [1, 2, 30])
def test_slices_far_from_the_origin_count_the_rounding_of_projections(p):
    x, y = (z + 1e8 for z in samples(200, 210, 3))
    result = Slices(p, n_projections=8).update(x, y).compute()
    near = otdist.sliced_wasserstein(x - 1e8, y - 1e8, p=p, directions=result.directions)
    assert abs(result.distance - near.distance) <= result.error < 1e-6
    along = Slices(p, directions=np.eye(3)).update(x, y).compute()  # nothing is rounded
    assert along.error < 1e-12


def test_the_bracket_of_slices_at_a_high_power():
    x, y = samples(60, 60, 2)
    bracket = Slices(1e6).update(x, y).compute().bracket
    longest = np.linalg.norm(x[:, None] - y[None], axis=2).max()
    assert bracket.lower <= longest <= bracket.upper


@pytest.mark.parametrize("make", [Slices, Frechet, KID])
def test_columns_of_data_frames_are_found_by_name_in_every_batch(make):
    pandas = pytest.importorskip("pandas")
    x, y = samples(300, 280, 3)
    one, two = (pandas.DataFrame(z, columns=["u", "v", "w"]) for z in (x, y))
    turned = ["w", "u", "v"]
    mixed = make().update(one[:100], two[turned]).update(one[turned][100:200]).update(x[200:])
    plain = make().update(x[:100], y).update(x[100:200]).update(x[200:])
    whole = make().extend(one, two)
    values = [repr(part.compute()).split(" directions")[0] for part in (mixed, plain)]
    assert values[0] == values[1]
    assert whole.x.count == len(x)
    other = two.rename(columns={"w": "z"})
    with pytest.raises(ValueError, match="x and y must have the same columns"):
        make().update(one, other)
    with pytest.raises(ValueError, match="earlier batches and y must have the same columns"):
        make().update(one).update(y=other)
    with pytest.raises(ValueError, match="the same columns in the same order"):
        make().update(one).merge(make().update(y=two[turned]))
