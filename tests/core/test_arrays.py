"""The edge: what enters, what leaves, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otdist.core.arrays import as_tensor, enter


def test_numpy_enters_without_a_copy() -> None:
    array = np.arange(6.0).reshape(3, 2)
    _, tensors = enter(x=array)
    array[0, 0] = 7
    assert tensors["x"][0, 0] == 7


@pytest.mark.parametrize(
    "value, dtype",
    [
        ([[1, 2]], torch.float64),
        (np.array([1, 2], dtype=np.int32), torch.float64),
        (np.array([True, False]), torch.float64),
        (np.array([1, 2], dtype=np.float32), torch.float32),
        (np.array([1, 2], dtype=">f8"), torch.float64),
        (np.array([1.0, 2.0], dtype=np.longdouble), torch.float64),
        (torch.tensor([1, 2]), torch.float64),
        (torch.tensor([1.0], dtype=torch.float16), torch.float32),
        (torch.tensor([1.0], dtype=torch.bfloat16), torch.float32),
    ],
)
def test_working_type(value: object, dtype: torch.dtype) -> None:
    _, tensors = enter(x=value)
    assert tensors["x"].dtype == dtype


def test_lists_take_the_type_beside_them() -> None:
    kind, tensors = enter(x=np.ones(2, dtype=np.float32), y=[1, 2])
    assert tensors["y"].dtype == torch.float32
    assert not kind.torch


def test_strided_and_read_only_arrays_enter() -> None:
    array = np.arange(6.0)[::-1]
    assert as_tensor(array, "x").tolist() == array.tolist()
    frozen = np.zeros(2**18)
    frozen.flags.writeable = False
    assert len(as_tensor(frozen, "x")) == 2**18


def test_results_leave_as_what_came_in() -> None:
    kind, _ = enter(x=np.ones(2, dtype=np.float32))
    assert kind.array(torch.ones(2, dtype=torch.float64)).dtype == np.float32
    assert isinstance(kind.number(torch.tensor(1.0)), float)
    kind, _ = enter(x=torch.ones(2, dtype=torch.float16))
    assert kind.number(torch.tensor(1.0)).dtype == torch.float16


@pytest.mark.parametrize(
    "arrays, error, text",
    [
        ({"x": "abc"}, TypeError, "x must be an array of real numbers: got dtype <U3"),
        ({"x": [["a"]]}, TypeError, "x must be an array of real numbers"),
        ({"x": np.array([None, 1])}, TypeError, "dtype object"),
        ({"x": np.array([1j])}, TypeError, "complex128"),
        ({"x": torch.tensor([1j])}, TypeError, "x must be real"),
        ({"x": [[1], [1, 2]]}, ValueError, "x must be a rectangular array"),
        ({"x": torch.ones(1), "y": np.ones(1)}, TypeError, "x is a torch tensor but y is a numpy"),
        ({"x": torch.ones(1), "y": [1.0]}, TypeError, "x is a torch tensor but y is a list"),
        (
            {"x": np.ones(1, dtype=np.float32), "y": np.ones(1)},
            ValueError,
            "x is float32, y is float64",
        ),
        ({"x": torch.eye(2).to_sparse()}, TypeError, "dense"),
        ({"x": np.ma.masked_greater([1.0, 2.0], 1)}, TypeError, "masked"),
    ],
)
def test_refusals_name_the_argument(arrays: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        enter(**arrays)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_devices_may_not_differ() -> None:
    with pytest.raises(ValueError, match="one device"):
        enter(x=torch.ones(2), y=torch.ones(2, device="cuda"))


@pytest.mark.parametrize(
    "value",
    [
        np.array([2**53 + 1]),
        np.array([2**64 - 1], dtype=np.uint64),
        [2**53 + 1],
        torch.tensor([2**53 + 1]),
        torch.tensor([2**63 - 1]),
    ],
)
def test_integers_that_would_be_rounded_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"x must hold integers .* up to 2\*\*53: got .* subtract"):
        enter(x=value)


def test_large_integers_that_float64_holds_enter() -> None:
    for value in ([2**60, -(2**62)], torch.tensor([2**60]), np.array([2**63], dtype=np.uint64)):
        _, tensors = enter(x=value)
        assert [int(v) for v in tensors["x"]] == [int(v) for v in value]


def test_integers_beside_float32_are_not_rounded() -> None:
    with pytest.raises(ValueError, match=r"y must hold integers that float32 does not round"):
        enter(x=np.ones(1, dtype=np.float32), y=np.array([2**24 + 1], dtype=np.int32))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="no type longer than float64")
def test_long_doubles_that_would_be_rounded_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"x must fit float64, which rounds the (longdouble|float128)"
    ):
        enter(x=np.array([1, 2**53 + 1], dtype=np.longdouble))


def test_what_is_no_number_in_an_array_of_objects_is_named() -> None:
    with pytest.raises(TypeError, match=r"dtype object from a list, which holds None \(entry 1\)"):
        enter(x=[1.0, None])


def test_devices_without_float64_are_refused() -> None:
    with pytest.raises(TypeError, match=r"x must be on the CPU or on CUDA: got meta, .*x.cpu\(\)"):
        enter(x=torch.ones(2, device="meta"))
