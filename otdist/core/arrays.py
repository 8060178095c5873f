"""The edge: arrays, tensors, lists or data frames come in as tensors and leave as what they were.

Numpy arrays enter without a copy. Lists and integers take the floating type of the arrays beside
them, float64 when there is none. Data frames are compared column by column of the same name
(`frames`). What cannot be compared safely raises instead of being converted: numpy beside torch,
float32 beside float64, one device beside another, numbers that the type would round.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import frames
from otdist.core.large import is_large, refuse
from otdist.core.modes import refuse_transforms

_WITHOUT_DOUBLE = ("mps", "meta")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Kind:
    """What the caller's samples were, and so what results should be.

    Attributes:
        torch: True when the samples were tensors.
        dtype: Their floating type.
        device: Where they live.
    """

    torch: bool
    dtype: torch.dtype
    device: torch.device

    def number(self, value: Tensor | float) -> float | Tensor:
        """A 0-d tensor of the caller's type with its graph, or a Python float."""
        if not self.torch:
            return float(value)
        if not isinstance(value, Tensor):
            return torch.tensor(value, dtype=self.dtype, device=self.device)
        return value.to(self.dtype)

    def array(self, value: Tensor) -> np.ndarray | Tensor:
        """A tensor of the caller's floating type, or a numpy array of it."""
        value = value.to(self.dtype) if value.is_floating_point() else value
        return value if self.torch else value.detach().numpy()


NUMPY = Kind(False, torch.float64, torch.device("cpu"))
"""What numbers of numpy, or none in particular, make of a result."""


def enter(**arrays: Any) -> tuple[Kind, dict[str, Tensor]]:
    """Tensors for the named samples, all of one floating type and device.

    Args:
        **arrays: Samples by the name that errors should use.

    Returns:
        The kind of the samples, and the tensors by name (half precision is raised to float32).

    Raises:
        TypeError: an array of strings, objects or complex numbers; numpy mixed with torch.
        ValueError: ragged lists; samples of different floating types or devices.
    """
    arrays = frames.aligned(arrays)
    tensors = {name: as_tensor(value, name) for name, value in arrays.items()}
    torch_names = [name for name, value in arrays.items() if isinstance(value, Tensor)]
    if torch_names and len(torch_names) < len(arrays):
        other = next(name for name in arrays if name not in torch_names)
        raise TypeError(
            f"{torch_names[0]} is a torch tensor but {other} is {_kind_name(arrays[other])}: "
            "pass both as tensors or both as numpy arrays"
        )
    dtype = _common(arrays, tensors)
    devices = {name: tensor.device for name, tensor in tensors.items()}
    if len(set(devices.values())) > 1:
        listed = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise ValueError(f"samples must be on one device: {listed}")
    work = torch.float64 if dtype == torch.float64 else torch.float32
    kind = Kind(bool(torch_names), dtype, next(iter(devices.values())))
    return kind, {name: _to(tensor, work, name) for name, tensor in tensors.items()}


def _to(tensor: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """Raise to the working type; integers only where it does not round them."""
    if dtype == torch.float32 and not tensor.is_floating_point() and tensor.element_size() > 2:
        frames.exactly(tensor.cpu().numpy(), str(dtype)[6:], name)
    return tensor.to(dtype)


def as_tensor(value: Any, name: str) -> Tensor:
    """A tensor that shares the memory of `value` where it can; integers and booleans stay so.

    Raises:
        TypeError: strings, objects, complex numbers; a dask array, which would be gathered whole;
            a tensor of forward-mode differentiation or of torch.func, or without float64.
        ValueError: ragged lists, missing values, long doubles with more digits than float64.
    """
    if is_large(value):
        raise refuse(name)
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError(f"{name} must be real: got {value.dtype}")
        if value.layout != torch.strided:
            raise TypeError(f"{name} must be a dense tensor: got layout {value.layout}")
        if value.device.type in _WITHOUT_DOUBLE:
            raise TypeError(
                f"{name} must be on the CPU or on CUDA: got {value.device}, which has no float64; "
                f"pass {name}.cpu()"
            )
        refuse_transforms(value, name)
        if value.dtype == torch.int64:
            frames.exactly(value.cpu().numpy(), np.float64, name)
        return value
    if frames.column_names(value) is not None:
        value = frames.aligned({name: value})[name]
    elif hasattr(value, "to_numpy"):  # a column of a data frame
        value = frames.numbers(value, name)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None
    except RuntimeError:  # a list of tensors with gradients: numpy has no graph
        raise TypeError(
            f"{name} must be one tensor, as of torch.stack: got {_kind_name(value)} of tensors "
            "that require a gradient"
        ) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must be an array of real numbers: got dtype {array.dtype} "
            f"from {_kind_name(value)}{_stranger(array)}"
        )
    if array.dtype == np.longdouble and array.dtype.itemsize > 8:
        array = frames.exactly(array, np.float64, name)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{name} must not be masked: pass the unmasked rows")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "iub":
        whole = array.dtype.itemsize > 4
        array = frames.exactly(array, np.float64, name) if whole else array.astype(np.int64)
    if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
        array = array.copy() if array.nbytes < _COPY or array.flags.writeable else array
    if not array.flags.writeable:
        return _borrowed(array)
    return torch.from_numpy(array)


_COPY = 2**20
"""Read-only arrays below this many bytes are copied; larger ones (memory maps) are borrowed."""


def _borrowed(array: np.ndarray) -> Tensor:
    """A tensor over read-only memory, which nothing in this package writes to."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _common(arrays: dict[str, Any], tensors: dict[str, Tensor]) -> torch.dtype:
    """The one floating type among the arrays; float64 when all are lists or integers."""
    typed = {
        name: tensor.dtype
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and hasattr(arrays[name], "dtype")
    }
    for name, dtype in typed.items():
        if dtype not in _FLOATS:
            raise TypeError(f"{name} must be float16, bfloat16, float32 or float64: got {dtype}")
    if len(set(typed.values())) > 1:
        listed = ", ".join(f"{name} is {str(dtype)[6:]}" for name, dtype in typed.items())
        raise ValueError(f"samples must have one floating type: {listed}; convert one of them")
    return next(iter(typed.values()), torch.float64)


def _stranger(array: np.ndarray) -> str:
    """Which entry of an array of objects is no number, in words."""
    for place, entry in enumerate(array.ravel()):
        if not isinstance(entry, Real):
            return f", which holds {entry!r} (entry {place})"
    return ""


def _kind_name(value: Any) -> str:
    return "a numpy array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
