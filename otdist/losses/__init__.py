"""Losses for training: torch modules that return W_p^p-like costs, smooth where samples meet.

    losses/
      sliced.py     SlicedWassersteinLoss: averages over random lines; the fastest
      sinkhorn.py   SinkhornLoss: the debiased entropic divergence
      exact.py      ExactLoss: exact transport between mini-batches
      image.py      ImageSinkhornLoss: the divergence between images, axis by axis
      _batch.py     what they share: leading dimensions, reduction, precision, all ranks' samples

The first three take samples (..., n, d) and (..., m, d), the last one images (..., H, W); all
reduce over the leading dimensions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otdist.losses.exact import ExactLoss
    from otdist.losses.image import ImageSinkhornLoss
    from otdist.losses.sinkhorn import SinkhornLoss
    from otdist.losses.sliced import SlicedWassersteinLoss

_ROOMS = {
    "ExactLoss": "otdist.losses.exact",
    "ImageSinkhornLoss": "otdist.losses.image",
    "SinkhornLoss": "otdist.losses.sinkhorn",
    "SlicedWassersteinLoss": "otdist.losses.sliced",
}

__all__ = ["ExactLoss", "ImageSinkhornLoss", "SinkhornLoss", "SlicedWassersteinLoss"]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
