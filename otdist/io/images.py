"""Folders of images: one array, or an error that names the file.

Images are resized or converted only where that is asked for, and then with a note. A rotation in
the metadata of a photograph is not applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError
from otdist.io.reading import Reading

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
"""Kinds of pixels that are numbers. Others (palettes, CMYK) need a conversion."""
_DEEP = ("I;16", "I;16B", "I", "F")
"""More than 8 bits a channel."""


def read_folder(path: Path, reading: Reading) -> tuple[np.ndarray, tuple[str, ...]]:
    """The images of a folder in the order of their names, and notes.

    Args:
        path: A folder; what lies in folders below is read where `reading.recursive` is set, other
            files are left out with a note.
        reading: What to do with the images.

    Returns:
        Shape (n, height, width), or (n, height, width, channels), with values as stored.

    Raises:
        DataError: no images, one that is damaged, of another size or kind of pixel than the first,
            or of a kind that is no numbers.
        ImportError: without Pillow, naming the extra `images`.
    """
    entries = path.rglob("*") if reading.recursive else path.iterdir()
    files = sorted(entry for entry in entries if entry.is_file())
    files = [file for file in files if not file.name.startswith(".")]
    images = [file for file in files if file.suffix.lower() in ENDINGS]
    if not images:
        below = "" if reading.recursive else _below(path)
        if not below and files:
            below = f"; other files are read one by one: pass {files[0]}"
        raise DataError(f"{path}: no images in this folder: none of {', '.join(ENDINGS)}{below}")
    notes: list[str] = []
    if len(images) < len(files):
        known = set(images)
        other = next(file for file in files if file not in known)
        notes.append(f"{path}: {len(files) - len(images)} files left out, such as {other.name}")
    if reading.mode is not None:
        notes.append(f"{path}: pixels converted to {_MODES[reading.mode]}")
    if reading.resize is not None:
        height, width = reading.resize
        notes.append(f"{path}: images resized to height {height}, width {width}, bicubic")
    reader: Any = require("PIL.Image", extra="images")
    first, kind = _pixels(reader, images[0], reading)
    out = np.empty((len(images), *first.shape), first.dtype)
    out[0] = first
    for i, file in enumerate(images[1:], 1):
        pixels, other = _pixels(reader, file, reading)
        if pixels.shape[:2] != first.shape[:2]:
            raise DataError(
                f"{file}: {_size(pixels)} pixels, but {images[0].name} has {_size(first)}; "
                "state resize (--resize HEIGHT WIDTH) to bring them to one size"
            )
        if other != kind:
            raise DataError(
                f"{file}: {_MODES[other]}, but {images[0].name} is {_MODES[kind]}; "
                "state mode (--mode L or --mode RGB) to bring them to one kind"
            )
        out[i] = pixels
    return out, tuple(notes)


def read_image(reader: Any, file: Path) -> np.ndarray:
    """The pixels of one file, as stored; `reader` is PIL.Image."""
    return _pixels(reader, file, Reading())[0]


def _below(path: Path) -> str:
    """What to say where the folders below hold images."""
    found = (file for file in path.glob("*/*") if file.suffix.lower() in ENDINGS)
    first = next(found, None)
    if first is None:
        return ""
    return f"; those in folders such as {first.parent.name} are read with recursive (--recursive)"


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]}"


def _pixels(reader: Any, file: Path, reading: Reading) -> tuple[np.ndarray, str]:
    """Pixels and their kind."""
    try:
        with reader.open(file) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(f"{file}: holds {image.n_frames} frames: save each as a file")
            if reading.mode is not None and image.mode != reading.mode:
                if image.mode in _DEEP:
                    raise DataError(
                        f"{file}: {_MODES.get(image.mode, image.mode)}, which mode would cut to 8 "
                        "bits: scale the pixels first"
                    )
                image = image.convert(reading.mode)
            if image.mode not in _MODES:
                raise DataError(
                    f"{file}: pixels are no plain numbers ({image.mode}): state mode (--mode RGB), "
                    "or save it as greyscale or RGB"
                )
            if reading.resize is not None and image.size != reading.resize[::-1]:
                image = image.resize(reading.resize[::-1], reader.Resampling.BICUBIC)
            return np.asarray(image), image.mode
    except DataError:
        raise
    except reader.DecompressionBombError as error:
        raise DataError(f"{file}: is too large to be opened safely") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        raise DataError(f"{file}: is damaged, truncated or no image ({error})") from error
