"""Evidence: the few rows that a report keeps for its pictures.

What a picture shows is computed from them when it is first drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from otdist.core.principal import principal
from otdist.distances import wasserstein

_MOST_ROWS = 1000
_MOST_ENTRIES = 2**22
_EXACT_ROWS = 500
"""Rows of each side for exact plans: a fraction of a second each."""

Array = np.ndarray


class Matched(NamedTuple):
    """Fake rows from the worst matched on, under the exact W_1 plan to the reference.

    Attributes:
        fake: Positions in the evidence, shape (k,).
        real: The row of the reference that sends most mass there, (k,).
        distance: Mean distance that the mass of the fake row travels, (k,), falling.
    """

    fake: Array
    real: Array
    distance: Array


class Growth(NamedTuple):
    """Exact W_1 at growing sizes, shape (k,) each.

    Attributes:
        size: Rows of each side.
        value: W_1 between reference and fake.
        floor: W_1 between disjoint parts of the reference.
    """

    size: Array
    value: Array
    floor: Array


@dataclass(frozen=True, eq=False)
class Evidence:
    """Some rows of each sample, drawn at random and in random order.

    Attributes:
        reference: Name of the sample that the others are compared with.
        rows: Name → features, shape (k, d), float64.
        originals: Name → the same rows as they were given, shape (k, ...).
        indices: Name → their places in the sample, shape (k,).
    """

    reference: str
    rows: dict[str, Array]
    originals: dict[str, Array]
    indices: dict[str, Array]

    @cached_property
    def planes(self) -> dict[str, Array]:
        """Name → coordinates (k, 2) along the reference's first two principal components.

        The second coordinate is 0 where there is one dimension.
        """
        real = self.rows[self.reference]
        centre, axes, _ = principal(real, min(2, *real.shape))
        planes = {name: (rows - centre) @ axes for name, rows in self.rows.items()}
        return {name: np.pad(p, ((0, 0), (0, 2 - p.shape[1]))) for name, p in planes.items()}

    @property
    def dimension(self) -> int:
        """Columns of the features."""
        return self.rows[self.reference].shape[1]

    def images(self, name: str, shape: tuple[int, ...] | None = None) -> Array | None:
        """The original rows as images (k, h, w) or (k, h, w, 3), or None where they are none.

        Args:
            name: Of the sample.
            shape: (h, w), (h, w, channels) or (channels, h, w) of a flat row; None takes rows as
                images where they are arrays of rank 2 or 3.

        Raises:
            ValueError: a row does not have so many numbers.
        """
        rows = self.originals[name]
        if shape is not None:
            if int(np.prod(shape)) != int(np.prod(rows.shape[1:])):
                raise ValueError(
                    f"shape must hold {int(np.prod(rows.shape[1:]))} numbers, as a row of "
                    f"{name} does: got {shape}"
                )
            rows = rows.reshape(len(rows), *shape)
        if rows.ndim == 4 and rows.shape[1] in (1, 3) and rows.shape[3] not in (1, 3):
            rows = np.moveaxis(rows, 1, 3)
        if rows.ndim == 4 and rows.shape[3] == 1:
            rows = rows[..., 0]
        grey, colour = rows.ndim == 3, rows.ndim == 4 and rows.shape[3] == 3
        return rows if grey or colour else None

    @property
    def fakes(self) -> list[str]:
        """Names of the samples beside the reference."""
        return [name for name in self.rows if name != self.reference]

    @cached_property
    def matches(self) -> dict[str, Matched]:
        """Name → how the exact W_1 plan matches up to 500 rows of each side."""
        return {name: self._matched(name) for name in self.fakes}

    @cached_property
    def growth(self) -> dict[str, Growth]:
        """Name → exact W_1 at sizes that double, up to 500 rows of each side."""
        return {name: self._growth(name) for name in self.fakes}

    def _matched(self, name: str) -> Matched:
        real, fake = (self.rows[key][:_EXACT_ROWS] for key in (self.reference, name))
        plan = wasserstein(real, fake).plan.tocoo()
        apart = np.linalg.norm(real[plan.row] - fake[plan.col], axis=1)
        travelled = np.bincount(plan.col, plan.data * apart, len(fake)) * len(fake)
        order = np.lexsort((plan.data, plan.col))  # the last of each column has most mass
        partner = np.zeros(len(fake), dtype=np.int64)
        partner[plan.col[order]] = plan.row[order]
        worst = np.argsort(-travelled, kind="stable")
        return Matched(worst, partner[worst], travelled[worst])

    def _growth(self, name: str) -> Growth:
        real, fake = self.rows[self.reference], self.rows[name]
        half = len(real) // 2
        most = min(half, len(fake), _EXACT_ROWS)
        sizes = [most >> k for k in range(6) if most >> k >= 8][::-1]
        pairs = [(real[:s], fake[:s], real[half : half + s]) for s in sizes]
        value = [float(wasserstein(x, y).distance) for x, y, _ in pairs]
        floor = [float(wasserstein(x, z).distance) for x, _, z in pairs]
        return Growth(np.array(sizes), np.array(value), np.array(floor))


def keep(
    rows: dict[str, Array], originals: dict[str, Any], reference: str, seed: int | None
) -> Evidence:
    """Draw the rows that pictures need: at most 1,000 of each sample, fewer where they are large.

    Args:
        rows: Name → features, shape (n, d).
        originals: Name → the samples as given; what is not an array of n rows is left out.
        reference: Name of the sample that the others are compared with.
        seed: Of the draw; None draws a fresh one.
    """
    rng = np.random.default_rng(seed)
    kept: dict[str, Array] = {}
    given: dict[str, Array] = {}
    indices: dict[str, Array] = {}
    for name, value in rows.items():
        original = originals.get(name)
        if getattr(original, "ndim", 0) < 2 or len(original) != len(value):  # pyright: ignore
            original = value
        entries = max(value.shape[1], int(np.prod(original.shape[1:])))  # pyright: ignore
        most = min(_MOST_ROWS, max(64, _MOST_ENTRIES // entries))
        index = rng.permutation(len(value))[:most]
        kept[name], indices[name] = value[index].astype(np.float64), index
        part = original[index]  # pyright: ignore[reportOptionalSubscript]
        given[name] = part if isinstance(part, np.ndarray) else part.detach().cpu().numpy()
    return Evidence(reference, kept, given, indices)
