"""Files of tensors and plain values, which can be read without executing anything in them."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from torch import Tensor

from otdist.core import measure
from otdist.core.measure import SamplePair
from otdist.critics.samples import original


def tensors_in(
    path: str | PathLike[str], form: str, name: str, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Read a dictionary of tensors and plain values.

    Args:
        path: The file.
        form: What its entry "format" must be.
        name: What it should be, for errors.
        device: Where its tensors go.

    Raises:
        ValueError: not such a file, or a part of one.
    """
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # what bytes of any kind make of a reader
            text = f"{path} is not a whole file, or not a saved {name}: {error}"
            raise ValueError(text) from None
    if not isinstance(content, dict) or content.get("format") != form:
        raise ValueError(f"{path} is not a saved {name}, or of another version of otdist")
    return content


def points_of(pair: SamplePair | None) -> list[Tensor | None] | None:
    """x, y, a, b in the caller's units, as `pair_of` takes them."""
    if pair is None:
        return None
    sides = (pair.x, pair.y)
    weights = [None if s.uniform else s.weights.detach() for s in sides]
    return [*(original(s, pair) for s in sides), *weights]


def pair_of(points: list[Tensor | None] | None) -> SamplePair | None:
    """The pair that `points_of` took apart."""
    return None if points is None else measure.pair(*points)
