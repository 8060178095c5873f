"""The sliced distance on the sphere: against POT on the same circles, the circle, invariances."""

import math

import numpy as np
import ot
import pytest
import torch

import otdist
from otdist import metrics, spherical_sliced_wasserstein, wasserstein
from otdist.sliced import circles

RNG = np.random.default_rng(0)


def unit(n, d, shift=0.4):
    z = RNG.normal(size=(n, d)) + shift
    return z / np.linalg.norm(z, axis=1, keepdims=True)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "m", "d"), [(30, 30, 3), (25, 18, 5)])
def test_it_is_that_of_pot_on_the_same_circles(p, weighted, n, m, d):
    x, y = unit(n, d), unit(m, d, -0.2)
    a = RNG.random(n)
    a = a / a.sum() if weighted else np.full(n, 1 / n)
    found = spherical_sliced_wasserstein(x, y, a=a if weighted else None, p=p, n_projections=20)
    frames = found.directions.transpose(0, 2, 1)
    theirs = ot.sliced_wasserstein_sphere(x, y, a=a, n_projections=20, p=p, projections=frames)
    assert found.distance == pytest.approx(2 * math.pi * theirs, rel=1e-5)


@pytest.mark.parametrize("p", [1, 1.5, 2, 30])
def test_every_slice_is_the_distance_on_its_circle(p):
    x, y = unit(12, 3), unit(9, 3, 0.0)
    found = spherical_sliced_wasserstein(x, y, p=p, n_projections=5)
    for k, frame in enumerate(found.directions):
        u, v = (np.arctan2(*(z @ frame.T)[:, ::-1].T) for z in (x, y))
        circle = wasserstein(u, v, p=p, metric=metrics.Periodic(2 * math.pi))
        assert found.slices[k] == pytest.approx(circle.distance, rel=1e-9)
    assert found.cost == pytest.approx((found.slices**p).mean(), rel=1e-12)


def test_in_the_plane_there_is_one_circle():
    x, y = unit(20, 2), unit(20, 2, -0.5)
    found = spherical_sliced_wasserstein(x, y, p=2)
    assert found.distance == pytest.approx(wasserstein(x, y, p=2, metric="angular").distance)
    assert found.stderr == 0
    assert len(found.directions) == 1


@pytest.mark.filterwarnings("ignore:costs at p = 30")
def test_the_bracket_contains_the_distance_of_arcs():
    for p in (1, 2, 30):
        x, y = unit(40, 4), unit(30, 4, -0.2)
        bracket = spherical_sliced_wasserstein(x, y, p=p, n_projections=30).bracket
        assert bracket.lower <= wasserstein(x, y, p=p, metric="angular").distance <= bracket.upper
        assert bracket.lower > 0


def test_the_standard_error_is_that_of_repeated_draws():
    x, y = unit(30, 3), unit(30, 3, -0.2)
    drawn = [spherical_sliced_wasserstein(x, y, n_projections=40, seed=seed) for seed in range(60)]
    spread = np.std([float(one) for one in drawn])
    assert np.mean([one.stderr for one in drawn]) == pytest.approx(spread, rel=0.3)


def test_turning_both_samples_changes_slices_only_by_the_draw():
    x, y = unit(200, 3), unit(200, 3, -0.2)
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    one = spherical_sliced_wasserstein(x, y, n_projections=1000)
    two = spherical_sliced_wasserstein(x @ turn, y @ turn, n_projections=1000)
    assert abs(one.distance - two.distance) <= 4 * math.hypot(one.stderr, two.stderr)


@pytest.mark.parametrize("p", [1, 2])
def test_gradients_agree_with_differences(p):
    x, y = (torch.from_numpy(RNG.normal(size=(k, 3))).requires_grad_() for k in (6, 5))

    def cost(x, y):
        x, y = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
        return spherical_sliced_wasserstein(x, y, p=p, n_projections=7).cost

    assert torch.autograd.gradcheck(cost, (x, y))


def test_equal_samples_and_points_at_right_angles():
    x = np.vstack([np.eye(3), -np.eye(3)])
    found = spherical_sliced_wasserstein(
        torch.tensor(x).requires_grad_(), torch.tensor(x[::-1].copy())
    )
    assert float(found.distance.detach()) <= 1e-12
    frames = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    z = torch.tensor(x).requires_grad_()
    circles.angles(z, frames).sum().backward()
    assert torch.isfinite(z.grad).all()


def test_numpy_torch_batches_and_precisions_agree():
    x, y = unit(15, 3), unit(12, 3)
    found = spherical_sliced_wasserstein(x, y)
    assert float(spherical_sliced_wasserstein(torch.tensor(x), torch.tensor(y))) == found.distance
    single = spherical_sliced_wasserstein(torch.tensor(x).float(), torch.tensor(y).float())
    assert single.distance.dtype == torch.float32
    assert float(single) == pytest.approx(found.distance, rel=1e-5)
    batch = spherical_sliced_wasserstein(np.stack([x, x]), np.stack([y, y]))
    assert batch.distance.tolist() == [found.distance] * 2
    padded = spherical_sliced_wasserstein(
        np.vstack([x, -x[:1]]), y, a=np.r_[np.full(15, 1 / 15), 0.0]
    )
    assert padded.distance == pytest.approx(found.distance, rel=1e-9)


def test_labellings_are_values():
    chosen = otdist.discrepancy.DISCREPANCIES["spherical"](n_projections=6)
    x, y = unit(8, 3), unit(7, 3)
    pair = chosen.frame(x, y)
    labels = np.array([RNG.permutation(15) < 8 for _ in range(5)])
    z = np.vstack([x, y])
    for value, marks in zip(chosen.relabelled(pair, labels, 0), labels, strict=True):
        alone = spherical_sliced_wasserstein(z[marks], z[~marks], n_projections=6)
        assert value == pytest.approx(alone.distance, rel=1e-9)
    test = otdist.two_sample_test(unit(20, 3), -unit(20, 3), "spherical", n_permutations=19)
    assert test.pvalue == 0.05


def test_what_is_not_on_the_sphere_is_refused():
    x = unit(25, 3)
    with pytest.raises(ValueError, match=r"y must hold unit vectors: row 1 has length 1\.1"):
        spherical_sliced_wasserstein(x, np.vstack([x[:1], 1.1 * x[1:]]))
    with pytest.raises(ValueError, match="x must hold unit vectors: row 0 has length 0"):
        spherical_sliced_wasserstein(np.zeros((2, 3)), x)
    with pytest.raises(ValueError, match="at least 2 coordinates"):
        spherical_sliced_wasserstein([1.0, -1.0], [1.0])
    with pytest.raises(ValueError, match="p must be at most 100"):
        spherical_sliced_wasserstein(x, x, p=1000)
    with pytest.raises(ValueError, match="a and b must not require a gradient"):
        spherical_sliced_wasserstein(
            torch.tensor(x), torch.tensor(x), a=torch.full((25,), 0.04).requires_grad_()
        )
    with pytest.raises(ValueError, match="no limit theorem is known for slices on great circles"):
        otdist.confidence_interval(x, -x, "spherical")
