"""Shapes and pixels of single samples, compared before flattening hides that they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PIXELS = {"bool": 1, "uint8": 255, "uint16": 65_535}
"""Types that pixels are stored in, and the number that stands for white."""


def check_shapes(
    shapes: Mapping[str, Sequence[int]], raised: type[ValueError] = ValueError
) -> None:
    """Refuse samples whose single rows are arrays of different shapes.

    Axes of length 1 do not count, since they do not change the order of the numbers. Flat rows have
    no shape to contradict another: their number of columns is compared elsewhere.

    Args:
        shapes: Name of each sample → shape of one row of it.
        raised: The error.

    >>> check_shapes({"real": (1, 8, 6), "fake": (8, 6)})
    >>> check_shapes({"real": (1, 8, 6), "fake": (6, 8, 1)})
    Traceback (most recent call last):
    ValueError: single samples must have one shape: real has (1, 8, 6), fake has (6, 8, 1)
    """
    arrays = {name: tuple(size for size in shape if size != 1) for name, shape in shapes.items()}
    arrays = {name: shape for name, shape in arrays.items() if len(shape) > 1}
    if len(set(arrays.values())) > 1:
        told = ", ".join(f"{name} has {tuple(shapes[name])}" for name in arrays)
        raise raised(f"single samples must have one shape: {told}")


def check_pixels(
    types: Mapping[str, str], largest: Mapping[str, float], raised: type[ValueError] = ValueError
) -> list[str]:
    """Refuse images whose pixels are stored in different depths, and note what may differ in scale.

    Args:
        types: Name of each sample of images → type of its numbers.
        largest: Name → its largest number.
        raised: The error.

    Returns:
        Notes about floats that look as if they were scaled to 1 beside pixels that are not.

    >>> check_pixels({"real": "uint8", "fake": "float32"}, {"real": 255, "fake": 1.0})
    ['real has pixels from 0 to 255, fake numbers up to 1: are they on one scale?']
    >>> check_pixels({"real": "uint8", "fake": "uint16"}, {"real": 255, "fake": 40_000})
    Traceback (most recent call last):
    ValueError: images must have one kind of pixel: real has uint8, fake has uint16; convert one
    """
    stored = {name: kind for name, kind in types.items() if kind in PIXELS}
    if len(set(stored.values())) > 1:
        told = ", ".join(f"{name} has {kind}" for name, kind in stored.items())
        raise raised(f"images must have one kind of pixel: {told}; convert one")
    white = next((name for name in stored if largest[name] > 1), None)
    if white is None:
        return []
    return [
        f"{white} has pixels from 0 to {PIXELS[stored[white]]}, {name} numbers up to "
        f"{largest[name]:.3g}: are they on one scale?"
        for name in types
        if name not in stored and largest[name] <= 1
    ]
