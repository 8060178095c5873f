"""Features: a function or network in batches, on a device, with its answers kept on disk."""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from otdist.core import checks
from otdist.core.arrays import as_tensor
from otdist.evaluation.encoders import Encoder, content, encoder

_BATCH = 256
_IMAGES = 64
"""Images at a time in an encoder: at 299 × 299 they are 70 MB of float32."""


@dataclass(frozen=True)
class Features:
    """How `evaluate` computes features, where a plain function or module does not say enough.

    Attributes:
        function: From rows to features, one array: an nn.Module (given tensors, in eval and
            inference mode, then put back as it was), another callable (given the rows as they
            came), or an import path "module:function" of either. A module's rows take the floating
            type of its parameters; integers stay integers where it has an embedding layer. Also an
            encoder of images by name, "torchvision:resnet50", "torch-fidelity:inception-v3-compat"
            or "open_clip:ViT-B-32" (`pip install "otdist[encoders]"`).
        batch_size: Rows at a time. None: 256 for modules, 64 for encoders, all for other callables.
        device: Where a module runs, such as "cuda"; it is moved back afterwards. None: where it is.
        cache: Folder that keeps features on disk, by the content of rows and function; None: none.
        identity: Distinguishes this function from others in the cache: needed for callables that
            are neither modules nor import paths, whose content cannot be hashed.
        weights: File with the weights of an encoder. None: the one in the cache of PyTorch.
        download: Whether weights of an encoder that are not there may be fetched.

    >>> import numpy as np, otdist
    >>> halves = otdist.Features(lambda rows: rows[:, :1], batch_size=2)
    >>> report = otdist.evaluate(np.eye(4), np.eye(4) + 1, features=halves, metrics=["w1"])
    >>> report.dimension, report.metrics["w1"].estimate
    (1, 1.0)
    """

    function: Callable[[Any], Any] | str
    batch_size: int | None = None
    device: Any = None
    cache: str | Path | None = None
    identity: str | None = None
    weights: str | Path | None = None
    download: bool = False

    def __post_init__(self) -> None:
        checks.settle(self, batch_size=checks.optional(checks.whole, "batch_size", self.batch_size))
        if isinstance(self.function, type) or not callable(self.function):
            checks.instance("function", self.function, str, 'callable or "module:function"')
        if self.cache is not None:
            checks.instance("cache", self.cache, (str, os.PathLike), "a folder or None")
        if self.identity is not None:
            checks.instance("identity", self.identity, str, "text or None")
        if self.device is not None:
            checks.settle(self, device=checks.device(self.device))
        checks.flag("download", self.download)
        if self.weights is not None:
            checks.instance("weights", self.weights, (str, os.PathLike), "a file or None")

    @cached_property
    def made(self) -> Callable[[Any], Any] | Encoder:
        """The function itself, or the encoder, of the name that stands for it.

        Raises:
            ImportError: the package of an encoder is missing.
            ValueError: a name that stands for nothing; weights that are missing, or do not apply.
        """
        found = None
        if isinstance(self.function, str):
            found = encoder(self.function, self.weights, self.download)
        if found is None and (self.weights is not None or self.download):
            option = "download" if self.weights is None else "weights"
            raise ValueError(
                f'{option} applies to encoders such as "torchvision:resnet50" only: got '
                f"{checks.shown(self.function)}"
            )
        if found is not None:
            return found
        return imported(self.function) if isinstance(self.function, str) else self.function

    @property
    def name(self) -> str:
        """The name of the function, for the report."""
        if isinstance(self.function, str):
            if isinstance(self.made, Encoder):
                return self.made.label
            return self.function.partition(":")[2]
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, rows: Any, name: str) -> np.ndarray:
        """Features of the rows, (n, k); see `arrays` for errors."""
        return flat(self.arrays(rows, name), name)

    def arrays(self, rows: Any, name: str) -> np.ndarray:
        """Features of the rows as the function gives them, (n, ...), from the cache if there.

        Raises:
            ValueError: an import that fails, no identity for the cache, a device for what is not a
                module, several outputs instead of one array, or features of the wrong number of
                rows.
        """
        function = self.made
        if self.device is not None and not isinstance(function, torch.nn.Module | Encoder):
            raise ValueError("device applies to modules only: leave it out")
        path = None
        if self.cache is not None:
            path = Path(self.cache) / f"{_digest(rows, name, self._identity(function))}.npy"
            found = _read(path)
            if found is not None:
                return found
        found = self._compute(function, rows, name)
        if len(found) != len(rows):
            raise ValueError(f"features of {name} must have {len(rows)} rows: got {len(found)}")
        if path is not None:
            _write(path, found)
        return found

    def _compute(
        self, function: Callable[[Any], Any] | Encoder, rows: Any, name: str
    ) -> np.ndarray:
        if isinstance(function, Encoder):
            size = self.batch_size or _IMAGES
            with _at_work(function.network, self.device):
                parts = [
                    function(rows[i : i + size], name).numpy() for i in range(0, len(rows), size)
                ]
            return np.concatenate(parts)
        if not isinstance(function, torch.nn.Module):
            size = self.batch_size or len(rows)
            starts = range(0, len(rows), max(1, size))
            batches = (rows[i : i + size] for i in starts)
            return np.concatenate([self._of_batch(function, batch, name) for batch in batches])
        size = self.batch_size or _BATCH
        tensor, kept = as_tensor(rows, name), _tokens(function, rows)
        tensor = tensor if kept is None else kept
        with _at_work(function, self.device):
            parameter = next(function.parameters(), tensor)
            kind = parameter.dtype if kept is None else kept.dtype
            batches = (tensor[i : i + size] for i in range(0, len(tensor), size))
            moved = (batch.to(parameter.device, kind) for batch in batches)
            return np.concatenate([self._of_batch(function, batch, name) for batch in moved])

    def _of_batch(self, function: Callable[[Any], Any], batch: Any, name: str) -> np.ndarray:
        """Features of a batch; what goes wrong in a function found by its path is told with it.

        Callers who pass the function itself see its own error.
        """
        if not isinstance(self.function, str):
            return _one(function(batch), name)
        try:
            output = function(batch)
        except MemoryError:
            raise
        except Exception as error:
            told = f"features {self.function} failed on {name}: {_told(error)}"
            raise ValueError(told) from error
        try:
            return _one(output, name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{error} (from {self.function})") from None

    def _identity(self, function: Callable[[Any], Any] | Encoder) -> list[bytes]:
        """What the answers depend on besides the rows."""
        parts = [] if self.identity is None else [self.identity.encode()]
        if isinstance(function, Encoder):
            parts += [function.label.encode(), *content(function.network)]
        elif isinstance(function, torch.nn.Module):
            parts += [*content(function), _source(type(function))]
        elif isinstance(self.function, str):
            module = inspect.getmodule(function)
            parts += [self.function.encode(), b"" if module is None else _source(module)]
        elif self.identity is None:
            raise ValueError(
                "identity must be given with a cache: a callable's own content cannot be hashed; "
                'pass a name that changes when the function does, or "module:function"'
            )
        return parts


def floats(value: Any, name: str) -> np.ndarray:
    """Rows (n, ...) of float32 or float64."""
    rows = as_tensor(value, name).detach().cpu()
    if rows.ndim == 0 or 0 in rows.shape:
        raise ValueError(f"{name} must hold at least one row: got shape {tuple(rows.shape)}")
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.double()
    return rows.numpy()


def flat(value: Any, name: str) -> np.ndarray:
    """Rows (n, d) of floats; arrays of higher rank are flattened per row."""
    rows = floats(value, name)
    return rows.reshape(len(rows), -1)


def _one(output: Any, name: str) -> np.ndarray:
    """The one array that a function returned for a batch.

    A sequence of arrays, which `numpy.asarray` would stack into rows, is several outputs; a list of
    plain rows is one.
    """
    several = isinstance(output, (tuple, list)) and any(
        isinstance(part, Mapping) or getattr(part, "ndim", 0) > isinstance(output, list)
        for part in output
    )
    if several or isinstance(output, Mapping):
        what, take = f"a {type(output).__name__} of {len(output)}", "[0]"
        if isinstance(output, Mapping):
            what, take = f"outputs {', '.join(map(str, output))}", f"[{next(iter(output))!r}]"
        raise ValueError(
            f"features of {name} must be one array: got {what}; choose one, such as "
            f"features=lambda rows: network(rows){take}"
        )
    return floats(output, f"features of {name}")


def _tokens(module: torch.nn.Module, rows: Any) -> torch.Tensor | None:
    """The rows as int64 where they are integers and the module looks them up in a table."""
    tables = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    if not any(isinstance(part, tables) for part in module.modules()):
        return None
    tensor = rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows))
    return None if tensor.is_floating_point() else tensor.long()


class UnknownFeaturesError(ValueError):
    """What is stated as features cannot be had: no such function, or too many components."""


def imported(path: str) -> Callable[[Any], Any]:
    """The function of an import path "module:function".

    Raises:
        UnknownFeaturesError: not of this form, or nothing there.
    """
    module, _, function = path.partition(":")
    if not function:
        raise UnknownFeaturesError(
            f'features must be "raw", "pca-K" or "module:function": got {path!r}'
        )
    try:
        found = getattr(import_module(module), function)
    except MemoryError:
        raise
    except (ImportError, AttributeError) as error:
        raise UnknownFeaturesError(f"features {path!r} cannot be imported: {error}") from None
    except Exception as error:  # whatever the module does when it is imported
        raise UnknownFeaturesError(
            f"features {path!r} cannot be imported: {_told(error)}"
        ) from error
    if isinstance(found, type) or not callable(found):
        raise UnknownFeaturesError(
            f"features {path!r} must be a function: got {checks.shown(found)}"
        )
    return found


def _told(error: Exception) -> str:
    """An error of someone else's code in words, with the line that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    words = f"{type(error).__name__}: {str(error) or 'no message'}"
    file = Path(place.filename)
    return f"{words} ({file.name}, line {place.lineno})" if file.is_file() else words


@contextmanager
def _at_work(module: torch.nn.Module, device: Any) -> Iterator[None]:
    """Eval and inference mode on the device; every submodule's mode and the device come back."""
    modes = {part: part.training for part in module.modules()}
    parameter = next(module.parameters(), None)
    home = None if parameter is None else parameter.device
    try:
        module.eval()
        if device is not None:
            module.to(device)
        with torch.inference_mode():
            yield
    finally:
        if device is not None and home is not None:
            module.to(home)
        for part, training in modes.items():
            part.training = training


def _digest(rows: Any, name: str, identity: list[bytes]) -> str:
    """SHA-256 of type, shape and content of the rows, and of the function's identity."""
    array = np.ascontiguousarray(as_tensor(rows, name).detach().cpu().numpy())
    content = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    content.update(array.data)
    for part in identity:
        content.update(len(part).to_bytes(8, "big"))
        content.update(part)
    return content.hexdigest()


def _source(thing: Any) -> bytes:
    try:
        return inspect.getsource(thing).encode()
    except (OSError, TypeError):  # built in, or typed at a prompt
        return repr(thing).encode()


def _read(path: Path) -> np.ndarray | None:
    """Features on disk; None where there are none, or none that can be read."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def _write(path: Path, found: np.ndarray) -> None:
    """Whole or not at all: another process may read at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.save(file, found)
    os.replace(file.name, path)
