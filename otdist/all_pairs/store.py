"""A folder that keeps every finished pair: what a run computed before it was killed is not lost.

Each run appends lines of JSON to a file of its own, so that runs may share a folder, and reads
those of all earlier runs. A line counts when it ends in a line break and parses; the last line of a
killed run may do neither. Lines are flushed one by one: they survive the process, not a power cut.

Pairs are found by content: SHA-256 over the function with its options and the bytes of both samples
and weights. Samples may come back in another order, and new ones may join.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from otdist import __version__
from otdist.all_pairs.work import Record


class Store:
    """Records in a folder, by key.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Store(folder) as store:
    ...         store.add("key", Record(1.5, converged=True))
    ...     Store(folder).known["key"].distance
    1.5
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.known: dict[str, Record] = {}
        for path in sorted(self.folder.glob("pairs-*.jsonl")):
            self._read(path)
        self._file: Any = None

    def _read(self, path: Path) -> None:
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue
            try:
                entry = json.loads(line)
                self.known[entry.pop("key")] = Record(**{**_NOTHING, **_numbers(entry)})
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # half-written, or not of this package: the pair is computed again

    def add(self, key: str, record: Record) -> None:
        """Keep a record, on disk before this returns."""
        if self._file is None:
            path = self.folder / f"pairs-{uuid.uuid4().hex}.jsonl"
            self._file = path.open("w", encoding="utf-8")
        values = {"key": key, **asdict(record)}
        del values["error"]
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


_NOTHING = {"lower": math.nan, "upper": math.nan, "converged": True}


def _numbers(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record; raises where one is not what it must be."""
    numbers = {name: float(entry[name]) for name in ("distance", "lower", "upper")}
    if not math.isfinite(numbers["distance"]) or not isinstance(entry["converged"], bool):
        raise ValueError("not the record of a pair")
    return {**numbers, "converged": entry["converged"]}


def pair_key(function: str, x: str, y: str) -> str:
    """The key of a pair, the same in both orders."""
    return hashlib.sha256("\n".join([function, *sorted([x, y])]).encode()).hexdigest()


def sample_digest(sample: Any, weights: Any) -> str:
    """The digest of a sample and its weights; ValueError where one is not numbers."""
    return _digest([_described(_array(sample)), _described(_array(weights))])


def _array(value: Any) -> Any:
    """A list as an array."""
    return np.asarray(value) if isinstance(value, (list, tuple)) else value


def function_digest(function: Callable[..., Any], options: dict[str, Any]) -> str:
    """The digest of a distance with its options.

    Raises:
        ValueError: a function or option that cannot be recognised in a later run.
    """
    parts = [__version__]
    while isinstance(function, partial):
        parts += [_described(list(function.args)), _described(function.keywords)]
        function = function.func
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', '?')}"
    if "<" in name or "?" in name:
        raise ValueError(
            f"cache needs a distance that a later run can recognise: define {name} at the top of a "
            "module, with its options in a functools.partial"
        )
    parts.append(name)
    if not name.startswith("otdist."):
        code = getattr(function, "__code__", None)
        parts.append("" if code is None else repr((code.co_code, code.co_consts, code.co_names)))
    return _digest([*parts, _described(options)])


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _described(value: Any) -> str:
    """A text that is the same for equal values, in every process."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float().numpy() if value.dtype.is_floating_point and (
            value.element_size() < 4
        ) else value.numpy()  # fmt: skip
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array {value.dtype.str} {value.shape} {content}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_described(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_described(item) for item in value) + "]"
    if is_dataclass(value) and not isinstance(value, type):
        fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return f"{type(value).__module__}.{type(value).__qualname__} {_described(fields)}"
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return repr(value)
    raise ValueError(
        f"cache cannot recognise a {type(value).__name__} in a later run: pass numbers, text, "
        "arrays, or one of otdist's solvers"
    )
