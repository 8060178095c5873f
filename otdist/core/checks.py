"""Checks of options: a wrong one says what it must be when it is given.

Numbers of numpy are numbers; booleans are not.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def whole(name: str, value: Any, least: int = 1) -> None:
    """An integer that is at least so large.

    >>> whole("steps", 2.5)
    Traceback (most recent call last):
    ValueError: steps must be an integer, at least 1: got 2.5
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name} must be an integer, at least {least}: got {value!r}")


def positive(name: str, value: Any) -> None:
    """A positive and finite number.

    >>> positive("seconds", "soon")
    Traceback (most recent call last):
    ValueError: seconds must be positive and finite: got 'soon'
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 < float(value) < math.inf):
        raise ValueError(f"{name} must be positive and finite: got {value!r}")


def seed(value: Any) -> None:
    """None or an integer that every generator takes.

    >>> seed(-1)
    Traceback (most recent call last):
    ValueError: seed must be None or an integer from 0 to 2**63 - 1: got -1
    """
    fits = isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) < 2**63
    if value is not None and not fits:
        raise ValueError(f"seed must be None or an integer from 0 to 2**63 - 1: got {value!r}")


def shares(value: Any) -> None:
    """Shares of training, validation and test points.

    >>> shares((0.6, 0.4))
    Traceback (most recent call last):
    ValueError: splits must be three positive shares of sum 1: got (0.6, 0.4)
    """
    three = isinstance(value, tuple | list) and len(value) == 3
    if not (
        three
        and all(isinstance(share, Real) and float(share) > 0 for share in value)
        and math.isclose(sum(value), 1, abs_tol=1e-9)
    ):
        raise ValueError(f"splits must be three positive shares of sum 1: got {value!r}")
