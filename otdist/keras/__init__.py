"""Wasserstein GANs for Keras 3: the guides' losses as `keras.losses.Loss`, and a model to `fit`.

    keras/
      losses.py      WassersteinLoss, WassersteinGradientPenaltyLoss, WassersteinDivergence
      penalties.py   compute_gradient_penalty and clip_weights on Keras critics
      model.py       WGAN, a keras.Model that trains both networks
      callbacks.py   Evaluation: exact W_1 to held-out samples, with its floor, in the logs
      backend.py     Keras itself, on torch

Needs `pip install "otdist[keras]"`, Keras 3 or later, on its torch backend: Keras reads its backend
once, when it is imported, so import `otdist.keras` first or set KERAS_BACKEND=torch. Values are
those of the classes of the same names in `otdist.wgan`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otdist.keras.callbacks import Evaluation
    from otdist.keras.losses import (
        WassersteinDivergence,
        WassersteinGradientPenaltyLoss,
        WassersteinLoss,
        create_wgan_gp_losses,
        create_wgan_losses,
    )
    from otdist.keras.model import WGAN
    from otdist.keras.penalties import clip_weights, compute_gradient_penalty

_WHERE = {
    "Evaluation": "otdist.keras.callbacks",
    "WGAN": "otdist.keras.model",
    "WassersteinDivergence": "otdist.keras.losses",
    "WassersteinGradientPenaltyLoss": "otdist.keras.losses",
    "WassersteinLoss": "otdist.keras.losses",
    "clip_weights": "otdist.keras.penalties",
    "compute_gradient_penalty": "otdist.keras.penalties",
    "create_wgan_gp_losses": "otdist.keras.losses",
    "create_wgan_losses": "otdist.keras.losses",
}

__all__ = [
    "WGAN",
    "Evaluation",
    "WassersteinDivergence",
    "WassersteinGradientPenaltyLoss",
    "WassersteinLoss",
    "clip_weights",
    "compute_gradient_penalty",
    "create_wgan_gp_losses",
    "create_wgan_losses",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
