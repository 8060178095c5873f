"""Check the options of every public function: one family, one wording, one kind of error.

A value of the wrong type raises `TypeError`, a wrong value of the right type `ValueError`, and both
say what the option must be and what came. Numbers are those of Python and numpy, and arrays or
tensors without dimensions; booleans and text are not numbers. Checks return plain Python values.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Options = TypeVar("Options")

# Powers beyond this cannot be told from the largest distance: 2 ** (1 / p) is 1 up to 1e-6.
LARGEST_P = 1e6

# What fits into the integers of numpy and torch.
LARGEST_WHOLE = 2**63 - 1

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """An integer within bounds.

    >>> whole("steps", 2.5)
    Traceback (most recent call last):
    ValueError: steps must be an integer, at least 1: got 2.5
    """
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"
    most = LARGEST_WHOLE if most is None else most
    found = _plain(name, value, f"an integer, {bounds}")
    if not isinstance(found, Integral):
        raise ValueError(f"{name} must be an integer, {bounds}: got {shown(value)}")
    result = int(found)
    if not least <= result <= most:
        raise ValueError(f"{name} must be {bounds}: got {shown(value)}")
    return result


def number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number within bounds: `least` and `most` are allowed, `above` and `below` are not.

    >>> number("rtol", float("nan"), least=0)
    Traceback (most recent call last):
    ValueError: rtol must be finite and at least 0: got nan
    """
    if type(value) is not float and type(value) is not int:  # the words take longer than the check
        value = _plain(name, value, f"a number, {_bounds(least, above, most, below)}")
    try:
        result = float(value)
    except OverflowError:  # an integer beyond the range of floats
        result = math.inf
    inside = (
        math.isfinite(result)
        and (least is None or result >= least)
        and (above is None or result > above)
        and (most is None or result <= most)
        and (below is None or result < below)
    )
    if not inside:
        bounds = _bounds(least, above, most, below)
        raise ValueError(f"{name} must be {bounds}: got {shown(value)}")
    return result


def positive(name: str, value: Any) -> float:
    """A positive and finite number.

    >>> positive("seconds", "soon")
    Traceback (most recent call last):
    TypeError: seconds must be a number, positive and finite: got 'soon'
    """
    return number(name, value, above=0)


def share(name: str, value: Any) -> float:
    """A confidence, level or other share strictly between 0 and 1."""
    return number(name, value, above=0, below=1)


def exponent(value: Any, most: float = LARGEST_P, *, infinite: bool = False) -> float:
    """The exponent p of a transport distance; infinity where it is allowed.

    >>> exponent(0.5)
    Traceback (most recent call last):
    ValueError: p must be finite and at least 1: got 0.5
    """
    if infinite and _plain("p", value, "a number, at least 1") == math.inf:
        return math.inf
    found = number("p", value, least=1)
    if found > most:
        raise ValueError(f"p must be at most {most:g}: got {shown(value)}")
    return found


def optional(check: Callable[..., Any], name: str, value: Any, **bounds: Any) -> Any:
    """None, or what `check` accepts."""
    return None if value is None else check(name, value, **bounds)


def seed(value: Any, *, none: bool = True) -> int | None:
    """An integer that every generator takes, or None for a fresh one where that is allowed.

    >>> seed(-1)
    Traceback (most recent call last):
    ValueError: seed must be None or an integer from 0 to 2**63 - 1: got -1
    """
    if value is None and none:
        return None
    what = f"{'None or ' if none else ''}an integer from 0 to 2**63 - 1"
    found = _plain("seed", value, what)
    if not (isinstance(found, Integral) and 0 <= int(found) < 2**63):
        raise ValueError(f"seed must be {what}: got {shown(value)}")
    return int(found)


def generator(value: Any) -> np.random.Generator:
    """Numpy's generator of a checked seed."""
    return np.random.default_rng(seed(value))


def sizes(**values: Any) -> tuple[int, ...]:
    """Several integers of at least 1, by name and in order.

    >>> n, d = sizes(n=3, d=0)
    Traceback (most recent call last):
    ValueError: d must be at least 1: got 0
    """
    return tuple(whole(name, value) for name, value in values.items())


def shares(value: Any) -> tuple[float, float, float]:
    """Shares of training, validation and test points.

    >>> shares((0.6, 0.4))
    Traceback (most recent call last):
    ValueError: splits must be three positive shares of sum 1: got (0.6, 0.4)
    """
    what = "three positive shares of sum 1"
    entries = _sequence("splits", value, what, 3)
    first, second, third = (positive("each of splits", entry) for entry in entries)
    if not math.isclose(first + second + third, 1, abs_tol=1e-9):
        raise ValueError(f"splits must be {what}: got {shown(value)}")
    return first, second, third


def numbers(name: str, value: Any, length: int | None = None, **bounds: Any) -> tuple[float, ...]:
    """A tuple of finite numbers within bounds, such as the betas of an optimiser.

    >>> numbers("betas", 0.5, 2, least=0, below=1)
    Traceback (most recent call last):
    TypeError: betas must be 2 numbers: got 0.5
    """
    entries = _sequence(name, value, f"{length} numbers" if length else "numbers", length)
    return tuple(number(f"each of {name}", entry, **bounds) for entry in entries)


def wholes(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of integers, at least one: a shape, or widths of layers.

    >>> wholes("widths", (64, 0))
    Traceback (most recent call last):
    ValueError: each of widths must be at least 1: got 0
    """
    what = "integers, at least one"
    entries = _sequence(name, value, what)
    if not entries:
        raise ValueError(f"{name} must be {what}: got {shown(value)}")
    return tuple(whole(f"each of {name}", entry) for entry in entries)


def entries(name: str, value: Any, kind: type | tuple[type, ...] = str) -> tuple[Any, ...]:
    """The entries of a list, a set or a vector, or one text, all of a class.

    >>> entries("exclude", "age"), entries("exclude", np.array(["age", "city"]))
    (('age',), ('age', 'city'))
    """
    found: Any = (value,) if isinstance(value, str) else value
    if getattr(found, "ndim", 0) == 1 and hasattr(found, "tolist"):
        found = found.tolist()
    listed = isinstance(found, list | tuple | set | frozenset)
    if not listed or not all(isinstance(entry, kind) for entry in found):
        what = "texts" if kind is str else "texts and numbers"
        raise TypeError(f"{name} must be a list of {what}: got {shown(value)}")
    return tuple(found)


def names(name: str, value: Any, allowed: Iterable[str]) -> tuple[str, ...]:
    """One or several of the names that an option knows.

    >>> names("metrics", ["w1", "w3"], ("w1", "w2"))
    Traceback (most recent call last):
    ValueError: metrics must be among w1, w2: got w3
    """
    known, found = tuple(allowed), entries(name, value)
    unknown = [entry for entry in found if entry not in known]
    if unknown or not found:
        wrong = ", ".join(unknown) or "none"
        raise ValueError(f"{name} must be among {', '.join(known)}: got {wrong}")
    return found


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of the names that an option knows.

    >>> choice("kernel", "cubic", ("gaussian", "laplacian"))
    Traceback (most recent call last):
    ValueError: kernel must be one of gaussian, laplacian: got 'cubic'
    """
    known = tuple(allowed)
    if isinstance(value, str) and value in known:
        return value
    kind = ValueError if isinstance(value, str) else TypeError
    plain = all(re.fullmatch(r"[\w-]+", word) for word in known)
    listed = ", ".join(known if plain else map(repr, known))
    raise kind(f"{name} must be one of {listed or 'none'}: got {shown(value)}")


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one of them.

    >>> flag("progress", "yes")
    Traceback (most recent call last):
    TypeError: progress must be True or False: got 'yes'
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False: got {shown(value)}")
    return bool(value)


def function(name: str, value: Any) -> Callable[..., Any]:
    """Anything that can be called, apart from classes: an instance is what they stand for."""
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name} must be a function: got {shown(value)}")
    return value


def instance(name: str, value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """An object of a class, described in words."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {what}: got {shown(value)}")
    return value


def device(value: Any) -> torch.device:
    """A device of torch, by its name or as an object.

    >>> device("gpu")
    Traceback (most recent call last):
    ValueError: device must be a device of torch, such as "cpu" or "cuda:0": got 'gpu'
    """
    import torch

    what = 'a device of torch, such as "cpu" or "cuda:0"'
    if isinstance(value, torch.device):
        return value
    instance("device", value, str, what)
    try:
        return torch.device(value)
    except RuntimeError:
        raise ValueError(f"device must be {what}: got {shown(value)}") from None


def instances(name: str, value: Any, kind: type, what: str) -> list[Any]:
    """A list of objects of a class, described in words; it may be empty."""
    if not isinstance(value, list | tuple) or not all(isinstance(entry, kind) for entry in value):
        raise TypeError(f"{name} must be a list of {what}: got {shown(value)}")
    return list(value)


def settle(options: Options, **values: Any) -> Options:
    """Store checked values in a frozen dataclass, so that it holds plain Python numbers."""
    for name, value in values.items():
        object.__setattr__(options, name, value)
    return options


def shown(value: Any) -> str:
    """A value as error messages show it: one short line, whatever it is.

    >>> shown(np.zeros((3, 2)))
    'ndarray of shape (3, 2)'
    """
    if getattr(value, "ndim", 0):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print more digits
        return f"an integer of {value.bit_length()} bits"
    return " ".join(_SHORT.repr(value).split())


def _plain(name: str, value: Any, what: str) -> Real:
    """The Python number in `value`, or a TypeError."""
    found = value
    if getattr(value, "requires_grad", False):
        raise TypeError(
            f"{name} must be {what}, without a gradient: got a tensor that requires one; "
            f"pass float({name})"
        )
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        found = value.item()
    if isinstance(found, bool) or not isinstance(found, Real):
        raise TypeError(f"{name} must be {what}: got {shown(value)}")
    return found


def _sequence(name: str, value: Any, what: str, length: int | None = None) -> Sequence[Any]:
    """The entries of a list, tuple or vector."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must be {what}: got {shown(value)}")
    if length is not None and len(value) != length:
        raise ValueError(f"{name} must be {what}: got {shown(value)}")
    return value


def _bounds(
    least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    """The allowed range in words."""
    low = f"at least {least:g}" if least is not None else None
    low = f"above {above:g}" if above is not None else low
    high = f"at most {most:g}" if most is not None else None
    high = f"below {below:g}" if below is not None else high
    if high is None:
        if low == "above 0":
            return "positive and finite"
        return "finite" if low is None else f"finite and {low}"
    return high if low is None else f"{low} and {high}"
