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
