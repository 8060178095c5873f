"""Parts: which points train, validate and test, drawn once, or K times: every point tests once.

A split is drawn at random. With folds, the points fall into K parts of equal size; each is the test
part of one critic, and the others are training and validation points of it, in the ratio that the
split asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST = 2
"""Points that validate, and points that test: a spread needs two."""


@dataclass(frozen=True)
class Parts:
    """How points are divided.

    Attributes:
        splits: Shares of training, validation and test points, of sum one.
        folds: How many folds; None: one split.
    """

    splits: tuple[float, float, float]
    folds: int | None = None

    def draw(self, n: int, name: str, generator: torch.Generator) -> list[list[Tensor]]:
        """Indices of training, validation and test points, once for each fold.

        Args:
            n: Number of points.
            name: Of the sample, for errors.
            generator: Of the order of the points.

        Raises:
            ValueError: too few points.
        """
        order = torch.randperm(n, generator=generator)
        if self.folds is None:
            held = [max(LEAST, round(share * n)) for share in self.splits[1:]]
            if n - sum(held) < 1:
                raise ValueError(
                    f"{name} must hold at least 5 points, and more for larger shares of validation "
                    f"and test: got {n} points for splits={self.splits}"
                )
            return [list(order.split([n - sum(held), *held]))]
        if n < LEAST * self.folds:
            raise ValueError(
                f"{name} must hold at least {LEAST} points per fold: got {n} points for "
                f"folds={self.folds}"
            )
        tests = order.tensor_split(self.folds)
        return [self._around(k, tests, name) for k in range(self.folds)]

    def _around(self, k: int, tests: tuple[Tensor, ...], name: str) -> list[Tensor]:
        """Fold k as the test part, and the split of the other folds."""
        others = torch.cat([fold for other, fold in enumerate(tests) if other != k])
        train, validation, _ = self.splits
        held = max(LEAST, round(validation / (train + validation) * len(others)))
        if len(others) <= held:
            raise ValueError(
                f"{name} must hold more points: {len(others)} of {self.folds} folds are too few to "
                "train and to validate on"
            )
        return [*others.split([len(others) - held, held]), tests[k]]


def both(
    sizes: tuple[int, int], parts: Parts, generator: torch.Generator
) -> list[list[tuple[Tensor, Tensor]]]:
    """The same of two samples: for each fold, indices (i, j) of training, validation, test."""
    sides = [parts.draw(n, name, generator) for n, name in zip(sizes, "xy", strict=True)]
    return [list(zip(i, j, strict=True)) for i, j in zip(*sides, strict=True)]
