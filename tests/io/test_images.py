"""A folder of images arrives pixel by pixel, or an error names the file."""

import sys

import numpy as np
import pytest

from otdist.io import DataError, align, read_samples

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (3, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)


def save(folder, images, ending="png"):
    folder.mkdir(exist_ok=True)
    for k, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{k:02d}.{ending}")
    return folder


def fails(folder, *words):
    with pytest.raises(DataError) as caught:
        read_samples(folder)
    for word in words:
        assert word in str(caught.value), caught.value


@pytest.mark.parametrize("images, shape", [(GREY, (5, 4)), (COLOUR, (5, 4, 3))])
def test_pixels_arrive_in_the_order_of_names(tmp_path, images, shape):
    samples = read_samples(save(tmp_path / "images", images))
    np.testing.assert_array_equal(samples.points, images.reshape(3, -1))
    assert samples.points.dtype == np.float64
    assert samples.dtype == "uint8"
    assert samples.shape == shape
    assert f"each sample of shape {shape} flattened" in samples.notes[-1]


def test_sixteen_bits_keep_their_values(tmp_path):
    pixels = np.array([[0, 300], [40_000, 65_535]], dtype=np.uint16)
    np.testing.assert_array_equal(
        read_samples(save(tmp_path / "deep", [pixels])).points, [[0, 300, 40_000, 65_535]]
    )


def test_folders_of_different_depth_are_not_compared(tmp_path):
    grey = read_samples(save(tmp_path / "grey", GREY))
    deep = read_samples(save(tmp_path / "deep", GREY.astype(np.uint16) * 257))
    with pytest.raises(DataError, match=r"grey has uint8, .*deep has uint16; convert one"):
        align(grey, deep)
    assert "20 numbers from 0 to 255" in grey.notes[-1]
    np.save(tmp_path / "scaled.npy", GREY / 255.0)
    _, scaled = align(grey, read_samples(tmp_path / "scaled.npy"))
    assert "are they on one scale?" in scaled.notes[-1]


def test_other_files_are_left_out_with_a_note(tmp_path):
    folder = save(tmp_path / "images", GREY)
    (folder / "labels.txt").write_text("0 1 2")
    (folder / ".hidden").write_text("")
    (folder / "below").mkdir()
    samples = read_samples(folder)
    assert samples.n == 3
    assert "1 files left out, such as labels.txt" in samples.notes[0]


def test_another_size_names_the_file(tmp_path):
    folder = save(tmp_path / "images", GREY)
    Image.fromarray(GREY[0, :4]).save(folder / "07.png")
    fails(folder, "07.png: 4 × 4 pixels, but 00.png has 4 × 5", "state resize")


def test_greyscale_among_colour_names_the_file(tmp_path):
    folder = save(tmp_path / "images", COLOUR)
    Image.fromarray(GREY[0]).save(folder / "01.png")
    fails(folder, "01.png: greyscale, but 00.png is RGB", "state mode")


def test_a_palette_is_no_number(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(COLOUR[0]).convert("P").save(folder / "a.png")
    fails(folder, "a.png: pixels are no plain numbers (P)")


def test_several_frames_are_not_cut_to_one(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    first, *others = (Image.fromarray(pixels) for pixels in GREY)
    first.save(folder / "a.tiff", save_all=True, append_images=others)
    fails(folder, "a.tiff: holds 3 frames")


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_damaged_image_names_the_file(tmp_path, content):
    folder = save(tmp_path / "images", GREY)
    damaged = (folder / "01.png").read_bytes()[:60] if content is None else content
    (folder / "01.png").write_bytes(damaged)
    fails(folder, "01.png: is damaged, truncated or no image")


def test_a_folder_without_images(tmp_path):
    (tmp_path / "points.csv").write_text("1,2\n")
    fails(tmp_path, str(tmp_path), "no images in this folder")


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    folder = save(tmp_path / "images", GREY)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    with pytest.raises(ImportError, match=r'this needs PIL: pip install "otdist\[images\]"'):
        read_samples(folder)


def test_folders_below_are_read_where_asked(tmp_path):
    for name, pixels in zip("ba", GREY, strict=False):
        (tmp_path / "classes").mkdir(exist_ok=True)
        save(tmp_path / "classes" / name, [pixels])
    fails(tmp_path / "classes", "--recursive", "folders such as")
    found = read_samples(tmp_path / "classes", recursive=True).points
    np.testing.assert_array_equal(found, GREY[[1, 0]].reshape(2, -1))


def test_sizes_and_modes_are_changed_where_asked(tmp_path):
    folder = save(tmp_path / "images", [*COLOUR, GREY[0][:4, :3]])
    samples = read_samples(folder, resize=(2, 3), mode="L")
    assert samples.points.shape == (4, 6)
    assert samples.shape == (2, 3)
    assert any("resized to height 2, width 3" in note for note in samples.notes)
    assert any("converted to greyscale" in note for note in samples.notes)
    assert read_samples(folder, resize=(2, 3), mode="RGB").shape == (2, 3, 3)


def test_deep_pixels_are_not_cut(tmp_path):
    folder = save(tmp_path / "deep", [np.full((2, 2), 40_000, dtype=np.uint16)])
    with pytest.raises(DataError, match="16 bits, which mode would cut"):
        read_samples(folder, mode="L")
