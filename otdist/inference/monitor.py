r"""Does a stream still come from the distribution of a reference? Watched row by row, all the time.

A test that is repeated until it rejects always rejects in the end. Here the chance of *any* alarm
in the whole run is bounded. Each new row is ranked among the reference and the rows before it; if
all are exchangeable, the ranks

.. math::  u_t = \frac{\#\{i < t: s_i < s_t\} + τ_t (1 + \#\{i < t: s_i = s_t\})}{t},
           \qquad τ_t \text{ uniform},

of any score s are independent and uniform on (0, 1), whatever the distribution (Vovk, Gammerman and
Shafer 2022, Algorithmic learning in a random world, chapter 8). A gambler who starts with 1 and
bets that ranks have become larger, or smaller, multiplies his wealth by 1 + ε (u − 1/2). Without a
drift that is fair: his wealth ever reaches 1/α with probability at most α (Ville 1939). Bets on
ε = −1, 0 and 1 are mixed, and a share of each moves to the others at every row, so that a drift
that comes late finds wealth left to bet with (the simple jumper of Vovk et al. 2021, Retrain or not
retrain: conformal test martingales for change-point detection).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otdist.core import checks, measure
from otdist.core.principal import principal

_AXES = 8
"""Most principal axes that are watched, beside the distance from the mean."""
_JUMP = 0.01
"""Share of each bet that moves to the others at every row, as in the reference."""
_BETS = np.array([-1.0, 0.0, 1.0])
_LEAST_ROWS = 40
"""Of the reference: half of them define the scores and half are what rows are ranked among."""
_RUNS, _STEPS = (1000, 4000), 1 << 22
"""Simulated runs, at least and at most, and how many rows of all runs together: 4,000 runs put the
rate of alarms to within 0.4 points of 5% (`python -m benchmarks coverage monitor`)."""
_LONGEST = 100_000
"""Rows of the longest run that is simulated, in half a minute; without an end there is no limit."""
_RICH = 1e100
"""Wealth beyond which nothing more is counted."""


@dataclass(frozen=True)
class Watch:
    """What a monitor knows after some rows.

    Attributes:
        rows: Rows seen.
        evidence: The wealth of the gambler, 1 at the start: large where rows have drifted.
        threshold: Wealth at which there is an alarm.
        alarm: Whether there has been one.
        alarm_row: The row that raised it, counted from 0; None where there was none.
        scores: Wealth by score: "axis 1", … for the principal axes, "distance" from the mean.

    >>> Watch(60, 250.0, 100.0, True, 41, {"axis 1": 400.0, "distance": 100.0})
    alarm at row 41: evidence 250 of 100 after 60 rows
    """

    rows: int
    evidence: float
    threshold: float
    alarm: bool
    alarm_row: int | None
    scores: dict[str, float]

    def __repr__(self) -> str:
        told = f"alarm at row {self.alarm_row}" if self.alarm else "no alarm"
        return (
            f"{told}: evidence {self.evidence:.4g} of {self.threshold:.4g} after {self.rows} rows"
        )


class DriftMonitor:
    r"""Watches a stream for drift; the chance of any false alarm in the whole run is bounded.

    The scores are the coordinates along the first principal axes of one half of the reference (at
    most 8), and the distance from its mean in units of its standard deviations. Rows of the other
    half and of the stream must be exchangeable while nothing drifts: independent rows are, those of
    a series with memory are not.

    Args:
        reference: Rows that the stream should resemble, shape (n, d) or (n,); at least 40.
        alpha: Largest chance of a false alarm, in the whole run.
        horizon: Rows after which the run ends, at most 100,000. None: it never does, and the bound
            holds for all time. With an end the threshold is lower, from simulated runs, so that
            about `alpha` of them raise an alarm.
        seed: Of the halves, of ranks among equal scores and of simulated runs.

    Raises:
        TypeError, ValueError: bad samples or options.

    Cost: O(log n) a row and score, and a move in a sorted list.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> monitor = otdist.DriftMonitor(rng.normal(size=(500, 3)), alpha=0.01)
    >>> monitor.update(rng.normal(size=(300, 3))).alarm
    False
    >>> monitor.update(rng.normal(size=(100, 3)) + [1, 0, 0]).alarm
    True
    """

    def __init__(
        self,
        reference: Any,
        *,
        alpha: float = 0.01,
        horizon: int | None = None,
        seed: int | None = 0,
    ) -> None:
        self.alpha = checks.share("alpha", alpha)
        self.horizon = checks.optional(checks.whole, "horizon", horizon, most=_LONGEST)
        self._rng = checks.generator(seed)
        rows = _rows(reference, "reference")
        if len(rows) < _LEAST_ROWS:
            raise ValueError(f"reference must hold at least {_LEAST_ROWS} rows: got {len(rows)}")
        order = self._rng.permutation(len(rows))
        self._fit(rows[order[: len(rows) // 2]])
        scores = self.scores(rows[order[len(rows) // 2 :]])
        self._ranked = [sorted(column) for column in scores.T.tolist()]
        self._wealth = np.full((scores.shape[1], len(_BETS)), 1 / len(_BETS))
        self._seen, self._alarm_row = 0, None
        self.threshold = 1 / self.alpha if horizon is None else self._simulated(scores)

    def update(self, rows: Any) -> Watch:
        """Look at new rows, shape (m, d), or (m,) on the line, in the order of time.

        Raises:
            ValueError: rows of another dimension, or beyond the horizon.
        """
        found = _rows(rows, "rows")
        if found.shape[1] != self._columns:
            raise ValueError(
                f"rows must have the {self._columns} columns of reference: got {found.shape[1]}"
            )
        if self.horizon is not None and self._seen + len(found) > self.horizon:
            raise ValueError(
                f"rows must end at the horizon of {self.horizon}: got {self._seen + len(found)}"
            )
        ties = self._rng.random((len(found), len(self._ranked)))
        for scores, tie in zip(self.scores(found).tolist(), ties, strict=True):
            ranks = [self._rank(k, score, tie[k]) for k, score in enumerate(scores)]
            self._wealth = np.minimum(bet(self._wealth, np.array(ranks)), _RICH)
            if self._alarm_row is None and self._evidence >= self.threshold:
                self._alarm_row = self._seen
            self._seen += 1
        return self.state

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """What is ranked of rows (m, d): shape (m, K), each a function of the row alone."""
        scaled = (rows - self._mean) / self._unit
        distance = np.linalg.norm(scaled, axis=1, keepdims=True)
        return np.concatenate([scaled @ self._axes, distance], axis=1)

    @property
    def state(self) -> Watch:
        """What is known now."""
        names = [f"axis {k + 1}" for k in range(len(self._wealth) - 1)] + ["distance"]
        by_score = dict(zip(names, self._wealth.sum(1).tolist(), strict=True))
        return Watch(
            self._seen, self._evidence, self.threshold, self._alarm_row is not None,
            self._alarm_row, by_score,
        )  # fmt: skip

    @property
    def _evidence(self) -> float:
        return float(self._wealth.sum(1).mean())

    def _fit(self, rows: np.ndarray) -> None:
        """Axes and units of the scores."""
        self._columns = rows.shape[1]
        self._mean = rows.mean(0)
        spread = rows.std(0)
        self._unit = np.where(spread > 0, spread, 1.0)
        _, self._axes, _ = principal((rows - self._mean) / self._unit, min(self._columns, _AXES))

    def _rank(self, k: int, score: float, tie: float) -> float:
        """The rank u of a score, which is then one of those that later ones are ranked among."""
        ranked = self._ranked[k]
        below, up_to = bisect_left(ranked, score), bisect_right(ranked, score)
        insort(ranked, score)
        return (below + tie * (1 + up_to - below)) / len(ranked)

    def _simulated(self, scores: np.ndarray) -> float:
        """The wealth that a share of α of runs of rows of the reference reach, at most 1/α.

        The ranks of one score are uniform exactly; how those of several scores depend on each other
        is taken from the rows.
        """
        assert self.horizon is not None
        runs = int(np.clip(_STEPS // self.horizon, *_RUNS))
        places = scores.argsort(0, kind="stable").argsort(0)
        wealth = np.full((runs, scores.shape[1], len(_BETS)), 1 / len(_BETS))
        largest = np.ones(runs)
        for _ in range(self.horizon):
            drawn = places[self._rng.integers(len(places), size=runs)]
            wealth = bet(wealth, (drawn + self._rng.random(drawn.shape)) / len(places))
            np.maximum(largest, wealth.sum(2).mean(1), out=largest)
        return float(min(np.quantile(largest, 1 - self.alpha, method="higher"), 1 / self.alpha))


def bet(wealth: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Wealth (..., K, 3) after ranks (..., K): some moves between the bets, then they are paid."""
    total = wealth.sum(-1, keepdims=True)
    moved = (1 - _JUMP) * wealth + _JUMP / len(_BETS) * total
    return moved * (1 + _BETS * (ranks[..., None] - 0.5))


def _rows(value: Any, name: str) -> np.ndarray:
    """Shape (n, d), float64."""
    return measure.sample(value, name).to("cpu", torch.float64).numpy()
