"""Images and histograms in files are masses; what cannot be one is an error that names the file."""

import numpy as np
import pytest

import otdist
from otdist.io import DataError, read_grid, read_histogram

RNG = np.random.default_rng(0)
IMAGE = np.where(RNG.random((6, 7)) < 0.5, 0, RNG.integers(1, 255, (6, 7))).astype(np.uint8)


@pytest.mark.parametrize("ending", ["npy", "png"])
def test_pixels_are_those_of_grid(ending, tmp_path):
    path = tmp_path / f"image.{ending}"
    if ending == "npy":
        np.save(path, IMAGE)
    else:
        pytest.importorskip("PIL.Image").fromarray(IMAGE).save(path)
    samples, weights = read_grid(path)
    points, masses = otdist.grid(IMAGE)
    assert np.array_equal(samples.points, points)
    assert np.array_equal(weights, masses)
    assert f"{np.count_nonzero(IMAGE)} of 42 pixels have mass" in samples.notes[-1]


def test_a_volume_has_three_axes(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((6, 5, 7)))
    samples, weights = read_grid(tmp_path / "v.npy")
    assert samples.points.shape == (210, 3)
    assert weights == pytest.approx(np.full(210, 1 / 210))


@pytest.mark.parametrize(
    "image, words",
    [
        (np.ones((6, 6, 3)), "3 channels"),
        (np.zeros((4, 4)), "all are zero"),
        (-np.ones((4, 4)), "non-negative: got -1 at pixel"),
        (np.ones(4), "use histogram"),
    ],
)
def test_what_is_no_image_of_masses_is_named(image, words, tmp_path):
    np.save(tmp_path / "i.npy", image)
    with pytest.raises(DataError, match=words) as error:
        read_grid(tmp_path / "i.npy")
    assert "i.npy" in str(error.value)


def test_bins_come_in_any_order(tmp_path):
    path = tmp_path / "h.csv"
    path.write_text("centre,count\n3,1\n1,2\n2,0\n")
    samples, weights = read_histogram(path)
    assert samples.points.tolist() == [[1.0], [3.0]]
    assert weights == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize(
    "text, words",
    [
        ("c,n\n1,2\n1,3\n", "the bin at 1 stands there twice"),
        ("c,n\n1,2\n2,-3\n", "non-negative"),
        ("c,n\n1,0\n2,0\n", "all are zero"),
        ("c,n,m\n1,0,3\n2,0,4\n", "has two columns"),
    ],
)
def test_what_is_no_histogram_is_named(text, words, tmp_path):
    path = tmp_path / "h.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as error:
        read_histogram(path)
    assert "h.csv" in str(error.value)


def test_pixels_have_no_columns(tmp_path):
    np.save(tmp_path / "i.npy", IMAGE)
    with pytest.raises(DataError, match="columns applies to tables"):
        read_grid(tmp_path / "i.npy", columns=["a"])
