"""Shapes of single samples, compared before flattening hides that they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


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
