"""How a call of the package ends: with a result, with a clear error, or with a raw one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import otdist

ROOT = Path(otdist.__file__).parent


def outcome(call: Callable[[], Any], named: str) -> Any:
    """What the call returns; "refused", or what is wrong with the error.

    An error is clear when otdist raised it (not numpy, torch, POT, …), when it is a `ValueError` or
    a `TypeError`, and when its text holds a word that matches the pattern `named`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except (TypeError, ValueError) as error:
        text = str(error)
        if not _innermost(error.__traceback__).startswith(str(ROOT)):
            return Wrong(f"raised outside otdist: {type(error).__name__}: {text[:150]}")
        if not re.search(rf"\b({named})\b", text):
            return Wrong(f"does not name {named}: {text[:150]}")
        return Refused(text)
    except Exception as error:
        return Wrong(f"raw {type(error).__name__}: {str(error)[:150]}")


class Refused(str):
    """The text of a clear error."""


class Wrong(str):
    """Why an error is not clear."""


def _innermost(traceback: TracebackType | None) -> str:
    """The file that raised."""
    file = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        traceback = traceback.tb_next
    return file
