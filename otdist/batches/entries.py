"""Samples with leading dimensions, cut into the pairs that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otdist.core.arrays import Kind, as_tensor, enter
from otdist.core.measure import onto_present, weight_tolerance

Entry = tuple[Any, Any, Any, Any]
"""One pair: x (n, d), y (m, d), and weights a (n,) and b (m,) or None."""


@dataclass(frozen=True)
class Entries:
    """Many pairs of samples.

    Attributes:
        kind: What the caller's samples were.
        shape: The leading dimensions.
        x: All first samples, (B, n, d), float32 or float64, with their graph.
        y: All second samples, (B, m, d).
        a: Weights of x as given, (B, n); None where uniform.
        b: Weights of y, (B, m); None where uniform.
    """

    kind: Kind
    shape: tuple[int, ...]
    x: Tensor
    y: Tensor
    a: Tensor | None
    b: Tensor | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def pairs(self) -> int:
        """Pairs of points in one entry."""
        return self.x.shape[1] * self.y.shape[1]

    @property
    def needs_gradient(self) -> bool:
        """Whether any of points or weights requires a gradient."""
        tensors = (self.x, self.y, self.a, self.b)
        return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)

    def usual(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor | None, Tensor | None]] | None:
        """Both samples, and weights of sum one with their graph, float64, None where uniform.

        Points of weight zero lie on others (`measure.onto_present`). None where a sample, a weight
        or a derivative is unusual, which single calls explain or answer: not finite, not of sum
        one, or asked for in a weight of zero, where it is the potential of a point elsewhere.
        """
        points, masses = [], []
        for z, given in ((self.x, self.a), (self.y, self.b)):
            w = None if given is None else given.double()
            if not bool(z.isfinite().all()):
                return None
            if w is not None and given is not None:
                total = w.sum(-1, keepdim=True)
                fits = ((total - 1).abs() <= weight_tolerance(given)).all() & (w >= 0).all()
                graph = w.requires_grad and torch.is_grad_enabled()
                if not bool(fits) or (graph and bool((w == 0).any())):
                    return None
                w = w / total
            points.append(onto_present(z, w))
            masses.append(w)
        return (points[0], points[1]), (masses[0], masses[1])

    def kept(self) -> Entries:
        """The samples as single results need them later: no graph where none was asked for."""
        if self.needs_gradient:
            return self
        a, b = (None if w is None else w.detach() for w in (self.a, self.b))
        return replace(self, x=self.x.detach(), y=self.y.detach(), a=a, b=b)

    def cut(self) -> list[Entry]:
        """The pairs one by one, as arrays of numpy or tensors."""
        sides: list[Sequence[Any]] = []
        for values in (self.x, self.y, self.a, self.b):
            if values is None:
                sides.append([None] * len(self))
            elif self.kind.torch or values.requires_grad:
                sides.append(values.unbind(0))
            else:
                sides.append(list(values.contiguous().numpy()))
        return list(zip(*sides, strict=True))

    def entry(self, k: int) -> Entry:
        """One pair."""
        sides = (None if v is None else v[k : k + 1] for v in (self.x, self.y, self.a, self.b))
        x, y, a, b = sides
        assert x is not None
        assert y is not None
        return replace(self, shape=(1,), x=x, y=y, a=a, b=b).cut()[0]


def is_batch(*samples: Any) -> bool:
    """Whether one of the samples has leading dimensions.

    >>> is_batch([[[0.0, 0.0]], [[1.0, 0.0]]]), is_batch([[0.0, 0.0]], [1.0])
    (True, False)
    """
    return any(_depth(sample) > 2 for sample in samples)


def _depth(value: Any) -> int:
    """Dimensions of an array, or of lists in lists."""
    depth = 0
    while isinstance(value, list | tuple) and value:
        value, depth = value[0], depth + 1
    found = getattr(value, "ndim", 0)
    return depth + (found if isinstance(found, int) else 0)


def entries(x: Any, y: Any, a: Any, b: Any) -> Entries:
    """Check the shapes of samples (..., n, d) and (..., m, d) and cut them.

    Raises:
        TypeError: not numbers; numpy mixed with torch.
        ValueError: leading dimensions or dimensions differ, no points, weights of another shape.
    """
    kind, raw = enter(x=x, y=y)
    x, y = raw["x"], raw["y"]
    shapes = f"x is {tuple(x.shape)}, y is {tuple(y.shape)}"
    if min(x.ndim, y.ndim) < 2 or x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            "x and y must have the same leading dimensions and the same last one, (..., n, d) and "
            f"(..., m, d): {shapes}"
        )
    if 0 in x.shape or 0 in y.shape:
        raise ValueError(f"x and y must have shapes without a 0: {shapes}")
    shape = tuple(x.shape[:-2])
    a, b = _weights(a, "a", "x", x), _weights(b, "b", "y", y)
    return Entries(kind, shape, x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:]), a, b)


def _weights(value: Any, name: str, of: str, points: Tensor) -> Tensor | None:
    """Weights (B, n) of points (..., n, d), unchecked but for their shape."""
    if value is None:
        return None
    given, lead, n = as_tensor(value, name), points.shape[:-2], points.shape[-2]
    if tuple(given.shape) not in ((n,), (*lead, n)):
        raise ValueError(
            f"{name} must have shape {(n,)} or {(*lead, n)} for {of} of shape "
            f"{tuple(points.shape)}: got {tuple(given.shape)}"
        )
    return given.to(points.device).expand(*lead, n).reshape(-1, n)
