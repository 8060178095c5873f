"""Debiased entropic barycenters of images on one lattice."""

import numpy as np
import ot
import pytest
import torch

import otdist


def gaussian(mean, variances=(9.0, 9.0), side=40):
    grid = np.arange(side)
    lines = [np.exp(-((grid - m) ** 2) / (2 * v)) for m, v in zip(mean, variances, strict=True)]
    image = np.outer(*lines)
    return image / image.sum()


@pytest.mark.parametrize("eps", [None, 8.0])
def test_gaussians_of_one_covariance(eps):
    """Debiased, their barycenter is the Gaussian of that covariance at the mean, for every eps."""
    images = np.stack([gaussian((12, 14), (9, 4)), gaussian((24, 22), (9, 4))])
    found = otdist.barycenter(images, weights=[0.75, 0.25], method="entropic", eps=eps, tol=1e-6)
    assert np.abs(found.image - gaussian((15, 16), (9, 4))).sum() < 2e-3
    assert found.method == "entropic"
    assert found.converged


def test_is_the_one_of_pot():
    """Its costs are in units of the squared side: reg = eps / (side − 1)².

    Both come to rest slowly: pixels are up to 0.03.
    """
    images = np.stack([gaussian(*words, 16) for words in (
        ((5, 6), (3, 6)), ((9, 8), (7, 3)), ((8, 10), (4, 4)))])  # fmt: skip
    weights = np.array([0.5, 0.3, 0.2])
    found = otdist.barycenter(images, weights=weights, method="entropic", eps=4.0, tol=1e-5)
    wanted = ot.bregman.convolutional_barycenter2d_debiased(
        images, 4.0 / 15**2, weights, numItermax=500, stopThr=1e-10, warn=False
    )
    np.testing.assert_allclose(found.image, wanted, atol=5e-4)


def test_is_the_one_of_pot_with_a_cost_matrix():
    """Debiased, with costs in pixels; without debiasing POT's is wider at the same place."""
    side = 12
    images = np.stack([gaussian((3, 4), (2, 3), side), gaussian((7, 6), (3, 2), side)])
    at = np.argwhere(np.ones((side, side))).astype(float)
    costs = ((at[:, None] - at[None]) ** 2).sum(-1)
    columns, half = images.reshape(2, -1).T, np.array([0.5, 0.5])
    found = otdist.barycenter(
        images, method="entropic", eps=3.0, tol=1e-5, max_iter=3000
    ).image.ravel()
    how = {"numItermax": 2000, "stopThr": 1e-11, "warn": False}
    wanted = ot.bregman.barycenter_debiased(columns, costs, 3.0, half, **how)
    np.testing.assert_allclose(found, wanted, atol=5e-4)
    blurred = ot.bregman.barycenter(columns, costs, 3.0, half, **how)
    np.testing.assert_allclose(found @ at, blurred @ at, atol=0.05)
    spread = [w @ ((at - w @ at) ** 2).sum(1) for w in (found, blurred)]
    assert spread[0] < spread[1]


def test_translations_volumes_and_spacing():
    image = np.zeros((20, 24))
    image[3:7, 4:9] = np.random.default_rng(1).random((4, 5))
    moved = np.roll(image, (8, 10), (0, 1))
    found = otdist.barycenter(np.stack([image, moved]), method="entropic", spacing=0.5)
    wanted = np.roll(image, (4, 5), (0, 1)) / image.sum()
    assert np.abs(found.image - wanted).sum() < 0.3  # each pixel is blurred in two ways
    assert found.points.max(0) == pytest.approx(np.argwhere(found.image).max(0) * 0.5)
    mean = found.weights @ found.points
    assert mean == pytest.approx(np.argwhere(wanted).T @ wanted[wanted > 0] * 0.5, abs=0.01)
    volume = otdist.barycenter(
        np.stack([image[:9, :7], moved[8:17, 10:17]])[..., None] * np.ones(6), method="entropic"
    )
    assert volume.image.shape == (9, 7, 6)


def test_result_has_distances_and_a_bracket():
    images = np.stack([gaussian((6, 6), (4, 4), 16), gaussian((10, 9), (2, 6), 16)])
    found = otdist.barycenter(images, method="entropic")
    assert found.lower <= found.cost <= found.upper
    assert found.cost < 1.05 * found.lower + 0.2
    assert sum(found.weights) == pytest.approx(1)
    assert found.plot() is not None
    assert "entropic" in repr(found)


def test_torch_and_unused_images():
    images = torch.from_numpy(np.stack([gaussian((6, 6), side=14), gaussian((8, 9), side=14)]))
    found = otdist.barycenter(images.float(), weights=[1.0, 0.0], method="entropic", tol=1e-6)
    assert isinstance(found.image, torch.Tensor)
    assert float((found.image - images[0]).abs().sum()) < 1e-3
    with pytest.raises(TypeError, match="requires a gradient"):
        otdist.barycenter(images.requires_grad_(), method="entropic")


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.ones((3, 3)), {}, r"samples must be images of shape \(K, H, W\)"),
        (np.zeros((2, 3, 3)), {}, "image must have a pixel with mass"),
        (-np.ones((2, 3, 3)), {}, "image must be non-negative"),
        (np.ones((2, 3, 3)), {"weights": [1.0]}, "weights"),
        (np.ones((2, 3, 3)), {"support": np.ones((3, 2))}, "support must be None"),
        (np.ones((2, 3, 3)), {"spacing": -1}, "spacing must be"),
        (np.ones((2, 3, 3)), {"eps": 1e-300}, "eps must be within reach"),
    ],
)
def test_wrong_images(images, options, message):
    with pytest.raises(ValueError, match=message):
        otdist.barycenter(images, method="entropic", **options)


def test_too_few_steps_are_said():
    images = np.random.default_rng(0).random((2, 8, 8))
    with pytest.warns(otdist.ConvergenceWarning, match="still changed after 2 steps"):
        otdist.barycenter(images, method="entropic", max_iter=2, tol=1e-9)
