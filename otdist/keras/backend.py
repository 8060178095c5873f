"""Keras itself: version 3 or later, on torch, or an error that says what to do."""

from __future__ import annotations

import os
import sys
from typing import Any

from otdist.core.extras import require

_ADVICE = "otdist.keras runs on Keras 3 with the torch backend"


def load() -> Any:
    """The module `keras`; where it is not yet imported and no backend is named, torch is chosen.

    Raises:
        ImportError: Keras is missing, older than 3, or runs on another backend.
    """
    if "keras" not in sys.modules:
        named = os.environ.setdefault("KERAS_BACKEND", "torch")
        if named != "torch":
            raise ImportError(
                f"{_ADVICE}: KERAS_BACKEND is {named!r}; set it to 'torch' before Keras is imported"
            )
    found = require("keras", extra="keras")
    version = str(getattr(found, "__version__", "0"))
    if int(version.split(".")[0]) < 3:
        raise ImportError(f'{_ADVICE}: found Keras {version}; pip install "otdist[keras]"')
    backend = found.backend.backend()
    if backend != "torch":
        raise ImportError(
            f"{_ADVICE}: Keras was imported with {backend!r}; set KERAS_BACKEND=torch, or import "
            "otdist.keras before Keras"
        )
    return found


keras: Any = load()
