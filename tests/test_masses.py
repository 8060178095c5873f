"""Images and histograms become weighted points, and bad masses are named."""

import numpy as np
import pytest
import torch

import otdist
from otdist import grid, histogram


def test_pixels_without_mass_are_left_out():
    image = np.zeros((4, 5))
    image[1, 2], image[3, 0] = 3, 1
    points, weights = grid(image, spacing=(2.0, 0.5), origin=(10.0, -1.0))
    assert points.tolist() == [[12.0, 0.0], [16.0, -1.0]]
    assert weights.tolist() == [0.75, 0.25]


def test_a_moved_image_has_the_length_of_the_move():
    image = np.zeros((20, 20), dtype=np.uint8)
    image[3:7, 2:9] = np.random.default_rng(0).integers(1, 255, (4, 7))
    moved = np.roll(image, (6, 8), axis=(0, 1))
    (x, a), (y, b) = grid(image), grid(moved)
    assert otdist.wasserstein(x, y, a=a, b=b, p=2).distance == pytest.approx(10, rel=1e-12)


def test_a_volume_has_three_coordinates():
    points, weights = grid(np.ones((6, 7, 8)))
    assert points.shape == (6 * 7 * 8, 3)
    assert weights == pytest.approx(1 / 336)


def test_torch_images_keep_dtype_and_graph():
    image = torch.rand(5, 5, dtype=torch.float32, requires_grad=True)
    points, weights = grid(image)
    assert points.dtype == weights.dtype == torch.float32
    weights[0].backward()
    assert float((image.grad * image.detach()).sum()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(32, 32, 3), (3, 32, 32), (1, 28, 28), (28, 28, 4)])
def test_channels_are_refused_with_advice(shape):
    with pytest.raises(ValueError, match="channels along axis"):
        grid(np.ones(shape))


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ([[1.0, -2.0]], r"non-negative: got -2 at pixel \(0, 1\)"),
        ([[1.0], [float("nan")]], r"finite: got nan at pixel \(1, 0\)"),
        ([[0, 0]], "all are zero"),
        ([1, 2], "use histogram"),
        (np.ones((2, 2, 2, 2)), r"shape \(H, W\) or \(D, H, W\)"),
    ],
)
def test_bad_images_name_the_pixel(image, text):
    with pytest.raises(ValueError, match=text):
        grid(image)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"spacing": 0}, "spacing must be positive"),
        ({"spacing": (1, 2, 3)}, "spacing must be 2 numbers"),
        ({"spacing": (1, 0)}, "each of spacing must be positive"),
        ({"spacing": (1, "a")}, "each of spacing must be a number"),
        ({"spacing": "wide"}, "spacing must be a number"),
        ({"origin": float("inf")}, "origin must be finite"),
    ],
)
def test_bad_frames_are_named(options, text):
    with pytest.raises((ValueError, TypeError), match=text):
        grid([[1, 1]], **options)


def test_a_histogram_is_the_sample_of_its_centres():
    rng = np.random.default_rng(1)
    edges = np.linspace(-3, 3, 13)
    centres = (edges[1:] + edges[:-1]) / 2
    x, y = (rng.choice(centres, size) for size in (200, 300))
    (u, a), (v, b) = (histogram(np.histogram(z, edges)[0], edges) for z in (x, y))
    direct = otdist.wasserstein(x, y).distance
    assert otdist.wasserstein(u, v, a=a, b=b).distance == pytest.approx(direct, rel=1e-12)
    assert histogram([1, 2], [0.5, 4.0])[0].tolist() == [0.5, 4.0]


def test_histograms_of_more_dimensions():
    rng = np.random.default_rng(2)
    counts, edges = np.histogramdd(rng.normal(size=(100, 2)), bins=(4, 5))
    points, weights = histogram(counts, edges)
    assert points.shape == (int((counts > 0).sum()), 2)
    assert weights.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="sequence of 2 arrays"):
        histogram(counts, edges[0])


@pytest.mark.parametrize(
    ("counts", "edges", "text"),
    [
        ([1, 2], [0, 1, 2, 3], "edges must hold 3 edges or 2 centres"),
        ([1, 2], [0, 2, 1], "edges must be finite and increasing"),
        ([1, -2], [0, 1, 2], r"counts must be non-negative: got -2 at bin \(1,\)"),
        ([0, 0], [0, 1, 2], "all are zero"),
        (3, [0, 1], "one number for each bin"),
    ],
)
def test_bad_histograms_are_named(counts, edges, text):
    with pytest.raises(ValueError, match=text):
        histogram(counts, edges)
