"""Results that stand for one number: compared and formatted as that number is."""

from __future__ import annotations

from typing import Any, SupportsFloat

from otdist.core.shown import Shown


class AsNumber(Shown):
    """Compares and formats an object as ``float(self)``; a base of results.

    Equality stays identity: two results of one value are different results.

    >>> import otdist
    >>> result = otdist.wasserstein([0.0], [2.5])
    >>> result > 1, f"{result:.3f}"
    (True, '2.500')
    """

    def __float__(self) -> float:
        raise NotImplementedError

    def __lt__(self, other: SupportsFloat) -> Any:
        return float(self) < _number(other)

    def __le__(self, other: SupportsFloat) -> Any:
        return float(self) <= _number(other)

    def __gt__(self, other: SupportsFloat) -> Any:
        return float(self) > _number(other)

    def __ge__(self, other: SupportsFloat) -> Any:
        return float(self) >= _number(other)

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)


def _number(other: Any) -> float:
    """Another number or result.

    Raises:
        TypeError: a text, or what has no number.
    """
    if isinstance(other, (str, bytes)):
        raise TypeError(f"a result is compared with numbers, not with {other!r}")
    return float(other)
