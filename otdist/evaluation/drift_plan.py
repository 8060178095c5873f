"""How a drift is tested: which labellings are drawn, for which columns, and of which rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from otdist.core import checks, measure
from otdist.core.progress import Say
from otdist.discrepancy.energy import Energy
from otdist.evaluation.corrections import growth
from otdist.evaluation.report import MetricResult
from otdist.evaluation.report.verdict import JOINT
from otdist.evaluation.table_columns import Categories, Numbers, Window, labellings
from otdist.inference.permutation import TestResult, pvalue

_JOINT_ROWS = 4000
_COUNT, _MOST = 999, 19_999
"""Labellings unless a caller states them: of every column, and of those with small p-values."""
_FEW = 10
"""Labellings beyond the observed value, itself counted, up to which a p-value is small."""
_REACHED, _SMALL = 0.01, 0.05
"""P-values after correction: what labellings are drawn for, and above which a note says so."""
NO_INTERVAL = "the limit distribution differs between columns that have moved and that have not"


@dataclass(frozen=True)
class Found:
    """What one column shows: (B + 1, k) distances for k windows, the observed ones first."""

    column: Numbers | Categories
    distances: np.ndarray
    seconds: float

    @property
    def null(self) -> np.ndarray:
        """The largest distance of any window, at each random labelling."""
        return np.nan_to_num(self.distances[1:]).max(1)

    def pvalues(self) -> list[float]:
        """The p-value of every window, valid for all of them together; 1 where it holds nothing."""
        return [pvalue(float(value), self.null) for value in np.nan_to_num(self.distances[0])]


@dataclass(frozen=True)
class Plan:
    """How labellings are drawn."""

    stated: int | None
    block: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        checks.optional(checks.whole, "n_permutations", self.stated, least=0)

    @property
    def count(self) -> int:
        """Labellings for every column."""
        return _COUNT if self.stated is None else self.stated

    def most(self, pairs: list[Numbers | Categories], correction: str) -> int:
        """Labellings for columns whose p-values are small."""
        if self.stated is not None:
            return self.stated
        needed = math.ceil(growth(_tested(pairs), correction) / _REACHED) - 1
        return min(max(_COUNT, needed), _MOST)

    def unreachable(self, pairs: list[Numbers | Categories], correction: str) -> list[str]:
        """A note where no p-value can be small after the correction, however far columns moved."""
        k, count = _tested(pairs), self.most(pairs, correction)
        least = growth(k, correction) / (count + 1)
        if not count or least <= _SMALL:
            return []
        enough = math.ceil(growth(k, correction) / _REACHED) - 1
        return [
            f"with n_permutations={count} and {correction} over {k} results, no p-value can be "
            f"below {min(least, 1):.2g}: {enough} reach {_REACHED}"
        ]

    def whole(self, name: str, table: dict[str, np.ndarray]) -> int:
        """Rows in whole blocks."""
        rows = len(next(iter(table.values())))
        if rows < self.block:
            raise ValueError(f"block must be at most the {rows} rows of {name}: got {self.block}")
        return rows - rows % self.block

    def compare(
        self,
        pairs: list[Numbers | Categories],
        number: int,
        windows: list[Window],
        correction: str,
        say: Say,
    ) -> list[Found]:
        """Every column at every labelling; the labellings are the same for all columns.

        Where more are needed than all columns get, those go on that few labellings have reached. Of
        the two p-values that a column could have, the first exceeds every level that the second is
        read for, so that each stays valid at every level (as in Besag and Clifford 1991).
        """
        slots = labellings(number, self.block, self.count, self.rng)
        found = self._at(pairs, windows, slots, partial(say, f"{len(pairs)} columns"))
        more = self.most(pairs, correction) - self.count
        far = [k for k, one in enumerate(found) if min(one.pvalues()) <= _FEW / (self.count + 1)]
        if more and far:
            slots = labellings(number, self.block, more, self.rng)
            say(f"more labellings for the {len(far)} columns that moved most")
            again = self._at([pairs[k] for k in far], windows, slots, lambda done: None)
            for k, one in zip(far, again, strict=True):
                distances = np.concatenate([found[k].distances, one.distances[1:]])
                found[k] = Found(pairs[k], distances, found[k].seconds + one.seconds)
        return found

    def _at(
        self,
        pairs: list[Numbers | Categories],
        windows: list[Window],
        labels: Iterable[torch.Tensor],
        tell: Callable[[int], None],
    ) -> list[Found]:
        pieces: list[list[np.ndarray]] = [[] for _ in pairs]
        seconds = [0.0] * len(pairs)
        done = 0
        for each in labels:
            tell(done)
            done += len(each)
            slots = each.T.contiguous()  # rows are picked by whole lines
            for k, column in enumerate(pairs):
                started = time.perf_counter()
                pieces[k].append(column.distances(slots, windows))
                seconds[k] += time.perf_counter() - started
        return [
            Found(column, np.concatenate(piece), time_taken)
            for column, piece, time_taken in zip(pairs, pieces, seconds, strict=True)
        ]

    def joint(self, old: np.ndarray, new: np.ndarray) -> MetricResult:
        """The energy distance in all coordinates at once, of whole blocks drawn at random."""
        words = "energy distance of standardised columns and indicators"
        if old.shape[1] == 0:
            return MetricResult(JOINT, words, None, note="no column has a place in it")
        started = time.perf_counter()
        old, new = self._drawn(old, new)
        n, number = len(old), len(old) + len(new)
        pieces = labellings(number, self.block, self.count, self.rng)
        labels = np.concatenate([slots.numpy() < n for slots in pieces])
        values = Energy().relabelled(measure.pair(old, new), labels, None)
        test = None
        if self.count:
            test = test_of(Energy().quantity, values, (n, len(new)), time.perf_counter() - started)
        return MetricResult(
            JOINT, words, float(values[0]), pvalue=None if test is None else test.pvalue,
            test=test, size=max(n, len(new)), no_interval=NO_INTERVAL,
            seconds=time.perf_counter() - started,
        )  # fmt: skip

    def _drawn(self, *tables: np.ndarray) -> list[np.ndarray]:
        """At most 4,000 rows of each table, in whole blocks.

        The blocks of least priority are taken, and a block that occurs in both tables has the same
        priority in both: equal tables have equal draws. Blocks that differ have independent ones.
        """
        most = max(1, _JOINT_ROWS // self.block)
        blocks = [rows.reshape(-1, self.block * rows.shape[1]) for rows in tables]
        if max(map(len, blocks)) <= most:
            return list(tables)
        content = np.unique(_hashed(np.concatenate(blocks)), return_inverse=True)[1]
        copies = [_copy(part) for part in np.split(content, [len(blocks[0])])]
        same = content * (len(content) + 1) + np.concatenate(copies)  # k-th copy in either table
        units, place = np.unique(same, return_inverse=True)
        priority = np.split(self.rng.random(len(units))[place], [len(blocks[0])])
        chosen = [np.sort(np.argsort(part)[:most]) for part in priority]
        return [
            part[index].reshape(-1, rows.shape[1])
            for part, index, rows in zip(blocks, chosen, tables, strict=True)
        ]


def _hashed(rows: np.ndarray) -> np.ndarray:
    """A number for the content of each row, (n,)."""
    out = np.zeros(len(rows), np.uint64)
    for column in np.ascontiguousarray(rows.T + 0.0).view(np.uint64):  # −0 is 0
        out = (out ^ column) * np.uint64(0x9E3779B97F4A7C15)
        out ^= out >> np.uint64(29)
    return out


def _copy(content: np.ndarray) -> np.ndarray:
    """How many equal values stand before each value, (n,)."""
    order = np.argsort(content, kind="stable")
    ordered = content[order]
    out = np.empty(len(content), np.int64)
    out[order] = np.arange(len(content)) - np.searchsorted(ordered, ordered)
    return out


def _tested(pairs: list[Numbers | Categories]) -> int:
    """Columns whose p-values are corrected; a constant one has none that could be small."""
    return max(1, sum(not column.constant for column in pairs))


def test_of(name: str, values: np.ndarray, sizes: tuple[int, int], seconds: float) -> TestResult:
    """The first value is the observed one."""
    p = pvalue(float(values[0]), values[1:])
    return TestResult(float(values[0]), p, values[1:], name, *sizes, seconds)
