"""Files of arrays: the array that is wanted, or an error that names the keys there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError
from otdist.io.reading import Reading

Raw = tuple[np.ndarray, tuple[str, ...] | None, tuple[str, ...]]
"""Array of any rank and dtype, column names or None, notes."""

_NUMPY = b"\x93NUMPY"
"""How a .npy file begins."""
_MAP_FROM = 2**26
"""Bytes from which a .npy file is mapped into memory rather than read."""


def no_key(path: Path, key: str | None) -> None:
    if key is not None:
        raise DataError(f"{path}:{key}: a {path.suffix} file has no keys")


def read_npy(path: Path, key: str | None, reading: Reading) -> Raw:
    """A numpy array, mapped when large."""
    no_key(path, key)
    mode = "r" if path.stat().st_size >= _MAP_FROM else None
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False), None, ()
    except (ValueError, EOFError) as error:
        with open(path, "rb") as file:
            begins = file.read(len(_NUMPY))
        if not begins.startswith((_NUMPY, b"\x80")):  # the latter begins a pickle
            what = f"is no {path.suffix or '.npy'} file: it does not begin as files of numpy do"
            raise DataError(f"{path}: {what}; state its format (--format)") from None
        raise DataError(f"{path}: {_numpy_reason(error)}") from error


def read_npz(path: Path, key: str | None, reading: Reading) -> Raw:
    """One array of an archive."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: not a .npz archive")
            return archive[_choose(path, key, list(archive.files))], None, ()
    except DataError:
        raise
    except (ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: {_numpy_reason(error)}") from error


def _numpy_reason(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        return "holds Python objects (a pickle), which are never loaded; save plain numbers"
    return f"is damaged or truncated ({error})"


def _choose(path: Path, key: str | None, available: list[str]) -> str:
    """The wanted key, or the only one."""
    listed = ", ".join(available) or "none"
    if key is None and len(available) == 1:
        return available[0]
    if key is None:
        raise DataError(f"{path}: which array? write {path}:KEY with KEY one of: {listed}")
    if key not in available:
        raise DataError(f"{path}: no key '{key}', available: {listed}")
    return key


def read_torch(path: Path, key: str | None, reading: Reading) -> Raw:
    """A tensor, or one tensor of a dictionary; code in the file is refused, not run."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises pickle, runtime, zip and key errors for damaged files
        if "weights_only" in str(error):
            reason = "holds Python objects, which are never loaded; save a tensor"
        else:
            reason = "is damaged, truncated or not a torch file"
        raise DataError(f"{path}: {reason}") from error
    if isinstance(content, dict):
        tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
        name = f"{path}:{key}"
        content = tensors[_choose(path, key, list(tensors))]
    else:
        name = str(path)
        if key is not None:
            raise DataError(f"{path}:{key}: the file holds no dictionary, so it has no keys")
    if not isinstance(content, torch.Tensor):
        raise DataError(f"{name}: samples must be a tensor, found {type(content).__name__}")
    tensor = content.detach().to_dense() if content.layout != torch.strided else content.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy(), None, (f"{name}: bfloat16 computed in float32",)
    return tensor.numpy(), None, ()


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """An open HDF5 file; damage is an error that names it."""
    h5py = require("h5py", extra="hdf5")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path}: is damaged, truncated or no HDF5 file ({error})") from error


def read_hdf5(path: Path, key: str | None, reading: Reading) -> Raw:
    """One dataset of an HDF5 file; a key may be a path within it, such as group/data."""
    with _hdf5(path) as file:
        found: dict[str, Any] = {}
        file.visititems(lambda name, item: found.update({name: item} if _is_data(item) else {}))
        chosen = _choose(path, None if key is None else key.strip("/"), list(found))
        array = found[chosen][()]
    if array.dtype.names:
        raise DataError(
            f"{path}:{chosen}: holds records of {', '.join(array.dtype.names)}, not numbers: save "
            "one dataset for the columns together"
        )
    return array, None, ()


def _is_data(item: Any) -> bool:
    """Whether an item of an HDF5 file is a dataset that holds something."""
    return getattr(item, "shape", None) is not None


def read_mat(path: Path, key: str | None, reading: Reading) -> Raw:
    """One variable of a MATLAB file of any version."""
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        names = [name for name, _, _ in whosmat(path)]
        chosen = _choose(path, key, names)
        array = loadmat(path, variable_names=[chosen])[chosen]
    except NotImplementedError:  # from version 7.3 on they are HDF5, with axes in reverse order
        with _hdf5(path) as file:
            found = {name: item for name, item in file.items() if _is_data(item)}
            chosen = _choose(path, key, [name for name in found if not name.startswith("#")])
            array = found[chosen][()].T
    except (DataError, FileNotFoundError):
        raise
    except (MatReadError, ValueError, TypeError, OSError) as error:
        raise DataError(f"{path}: is damaged, truncated or no MATLAB file ({error})") from error
    if hasattr(array, "toarray"):
        array = array.toarray()
    if array.ndim == 2 and array.shape[0] == 1 < array.shape[1]:  # a vector of MATLAB is a row
        return array[0], None, (f"{path}: '{chosen}', a row of {array.size}, read as a column",)
    return array, None, ()
