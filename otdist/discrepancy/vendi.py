"""The Vendi score: how many rows that differ altogether the fakes are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from otdist.core.measure import SamplePair
from otdist.discrepancy.base import Discrepancy, Figure, in_units


@dataclass(frozen=True)
class Vendi(Discrepancy):
    """exp of the entropy of the eigenvalues of K/m, K the cosines between fake rows.

    It is of the fakes alone, and of their directions from the origin: 1 where all are the same, m
    where all are orthogonal. Compare it with its floor, which is that of as many reals. A fake of
    more noise has a larger value, so that it shows diversity and not likeness.

    Reference: Friedman and Dieng (2023), The Vendi score, TMLR.
    """

    higher_is_better: ClassVar[bool] = True
    spread: ClassVar[bool] = True
    title: ClassVar[str] = "Vendi score of the fakes: exp of the entropy of their cosines"
    no_limit: ClassVar[str] = (
        "no central limit theorem is known: ± is the spread of 5 draws of half of the rows"
    )

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The score of the fakes, from the smaller Gram matrix: both have one spectrum."""
        rows = in_units(pair.y, pair)
        length = rows.norm(dim=1, keepdim=True)
        rows = torch.where(length > 0, rows / length, 0)
        gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
        shares = torch.linalg.eigvalsh(gram / len(rows)).clamp(min=0)
        zero = int((length == 0).sum())
        note = f"{zero} rows are 0 and have no direction" if zero else ""
        return Figure(float(torch.special.entr(shares).sum().exp()), note=note)
