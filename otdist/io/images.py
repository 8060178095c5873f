"""Folders of images: one array, or an error that names the file. Nothing is resized or converted.

Pixels are read as they are stored: a rotation in the metadata of a photograph is not applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm")
_MODES = {
    "L": "greyscale",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
    "I;16": "greyscale of 16 bits",
    "1": "black and white",
    "F": "greyscale of floats",
    "I": "greyscale of 32 bits",
}
"""Kinds of pixels that are numbers. Others (palettes, CMYK) would need a conversion."""


def read_folder(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The images of a folder in the order of their names, and notes.

    Args:
        path: A folder; what lies in folders below is not read, other files are left out with a
            note.

    Returns:
        Shape (n, height, width), or (n, height, width, channels), with values as stored.

    Raises:
        DataError: no images, one that is damaged, of another size or kind of pixel than the first,
            or of a kind that is no numbers.
        ImportError: without Pillow, naming the extra `images`.
    """
    files = sorted(entry for entry in path.iterdir() if entry.is_file())
    files = [file for file in files if not file.name.startswith(".")]
    images = [file for file in files if file.suffix.lower() in ENDINGS]
    if not images:
        raise DataError(f"{path}: no images in this folder: none of {', '.join(ENDINGS)}")
    notes: tuple[str, ...] = ()
    if len(images) < len(files):
        other = next(file for file in files if file not in images)
        notes = (f"{path}: {len(files) - len(images)} files left out, such as {other.name}",)
    reader: Any = require("PIL.Image", extra="images")
    first, kind = _pixels(reader, images[0])
    out = np.empty((len(images), *first.shape), first.dtype)
    out[0] = first
    for i, file in enumerate(images[1:], 1):
        pixels, other = _pixels(reader, file)
        if pixels.shape[:2] != first.shape[:2]:
            raise DataError(
                f"{file}: {_size(pixels)} pixels, but {images[0].name} has {_size(first)}; "
                "images are never resized: make them one size first"
            )
        if other != kind:
            raise DataError(
                f"{file}: {_MODES[other]}, but {images[0].name} is {_MODES[kind]}; "
                "images are never converted: make them one kind first"
            )
        out[i] = pixels
    return out, notes


def read_image(reader: Any, file: Path) -> np.ndarray:
    """The pixels of one file, as stored; `reader` is PIL.Image."""
    return _pixels(reader, file)[0]


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]}"


def _pixels(reader: Any, file: Path) -> tuple[np.ndarray, str]:
    """Pixels and their kind."""
    try:
        with reader.open(file) as image:
            if image.mode not in _MODES:
                raise DataError(
                    f"{file}: pixels are no plain numbers ({image.mode}): save it as greyscale or "
                    "RGB"
                )
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(f"{file}: holds {image.n_frames} frames: save each as a file")
            return np.asarray(image), image.mode
    except DataError:
        raise
    except reader.DecompressionBombError as error:
        raise DataError(f"{file}: is too large to be opened safely") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        raise DataError(f"{file}: is damaged, truncated or no image ({error})") from error
