"""Checks of options: what they accept, what they return, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from otdist.core import checks

NOT_NUMBERS = [None, "1", True, np.True_, [1.0], (1,), {}, object, 1j, np.ones(3), torch.ones(1)]


@pytest.mark.parametrize(
    "value", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3)], ids=repr
)
def test_integers_of_every_library_become_python_integers(value: Any) -> None:
    assert type(checks.whole("n", value)) is int
    assert checks.whole("n", value) == 3
    assert type(checks.seed(value)) is int


@pytest.mark.parametrize(
    "value",
    [0.5, np.float16(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)],
    ids=repr,
)
def test_numbers_of_every_library_become_python_floats(value: Any) -> None:
    assert type(checks.positive("eps", value)) is float
    assert checks.positive("eps", value) == 0.5


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_what_is_no_number_is_a_type_error_that_names_the_option(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^n must be an integer, at least 1: got "):
        checks.whole("n", value)
    with pytest.raises(TypeError, match=r"^eps must be a number, positive and finite: got "):
        checks.positive("eps", value)
    with pytest.raises(TypeError, match=r"^p must be a number, finite and at least 1: got "):
        checks.exponent(value)


@pytest.mark.parametrize("value", [2.5, 2.0, float("nan"), float("inf"), np.float32(3), 0, -1])
def test_a_number_that_is_no_count_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^n must be "):
        checks.whole("n", value)


@pytest.mark.parametrize("p", [0.5, -1, float("nan"), float("inf")])
def test_exponents_below_one_are_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p must be finite and at least 1"):
        checks.exponent(p)


def test_integers_beyond_every_float_are_short_messages() -> None:
    for huge in (10**400, -(10**400), 10**10_000):
        with pytest.raises(ValueError, match=r"^p must be finite and at least 1: got .{1,80}$"):
            checks.exponent(huge)
        with pytest.raises(ValueError, match=r"^seed must be .{1,120}$"):
            checks.seed(huge)
    with pytest.raises(ValueError, match=r"^n must be from 1 to 9: got an integer of"):
        checks.whole("n", 10**10_000, most=9)


def test_bounds_are_said_as_they_are_checked() -> None:
    assert checks.number("q", 0.0, least=0, most=1) == 0
    assert checks.number("q", 1.0, least=0, most=1) == 1
    with pytest.raises(ValueError, match=r"q must be at least 0 and at most 1: got 1.5"):
        checks.number("q", 1.5, least=0, most=1)
    for outside in (0, 1, float("nan")):
        with pytest.raises(ValueError, match="level must be above 0 and below 1"):
            checks.share("level", outside)
    with pytest.raises(ValueError, match="shift must be finite: got inf"):
        checks.number("shift", float("inf"))
    with pytest.raises(ValueError, match="p must be at most 1e"):
        checks.exponent(1e308)


def test_a_number_with_a_gradient_is_never_detached_silently() -> None:
    with pytest.raises(TypeError, match=r"pass float\(eps\)"):
        checks.positive("eps", torch.tensor(0.5, requires_grad=True))


def test_a_seed_may_be_required() -> None:
    assert checks.seed(None) is None
    with pytest.raises(TypeError, match=r"seed must be an integer from 0 to 2\*\*63 - 1: got None"):
        checks.seed(None, none=False)
    with pytest.raises(ValueError, match="seed must be None or an integer"):
        checks.seed(1.5)


@pytest.mark.parametrize("value", [1, 0, None, "yes", np.ones(2), np.array(True), torch.tensor(1)])
def test_flags_are_booleans_only(value: Any) -> None:
    with pytest.raises(TypeError, match="progress must be True or False"):
        checks.flag("progress", value)
    assert checks.flag("progress", np.True_) is True


def test_choices_of_the_wrong_kind_are_type_errors() -> None:
    assert checks.choice("mode", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="mode must be one of a, b: got 'c'"):
        checks.choice("mode", "c", ("a", "b"))
    for wrong in (None, 1, ["a"], np.array(["a", "b"])):
        with pytest.raises(TypeError, match="mode must be one of a, b: got "):
            checks.choice("mode", wrong, ("a", "b"))


def test_sequences_of_numbers() -> None:
    assert checks.numbers("betas", np.array([0.5, 0.9]), 2) == (0.5, 0.9)
    assert checks.wholes("shape", [2, np.int64(3)]) == (2, 3)
    with pytest.raises(ValueError, match="betas must be 2 numbers"):
        checks.numbers("betas", (0.5,), 2)
    with pytest.raises(TypeError, match="each of betas must be a number"):
        checks.numbers("betas", (0.5, "a"), 2)
    for empty in ((), []):
        with pytest.raises(ValueError, match="widths must be integers, at least one"):
            checks.wholes("widths", empty)
    with pytest.raises(TypeError, match="widths must be integers"):
        checks.wholes("widths", 64)


def test_settle_stores_plain_values_in_frozen_options() -> None:
    @dataclass(frozen=True)
    class Options:
        eps: Any

        def __post_init__(self) -> None:
            checks.settle(self, eps=checks.positive("eps", self.eps))

    assert Options(np.array(0.5)) == Options(0.5)
    assert hash(Options(torch.tensor(0.5))) == hash(Options(0.5))


def test_long_values_are_shown_short() -> None:
    assert checks.shown(np.zeros((1000, 2))) == "ndarray of shape (1000, 2)"
    assert len(checks.shown("a" * 10_000)) <= 80
    assert "\n" not in checks.shown({"a": "b\nc", "d": torch.nn.Linear(2, 3)})
