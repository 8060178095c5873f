"""Tests of rows with structure, and monitors of streams: how often they raise an alarm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.records import Row

Test = Callable[[np.random.Generator, int, int, int, int], float]
"""(rng, n, m, d, seed) → the p-value of samples of one population."""
PERMUTATIONS = 39


def groups(rng: np.random.Generator, n: int, m: int, d: int, seed: int) -> float:
    """Donors, n + m of them, with 3 to 8 cells each, which resemble each other."""
    import otdist

    sizes = rng.integers(3, 9, size=n + m)
    names = np.repeat(np.arange(n + m), sizes)
    cells = rng.standard_t(3, size=(n + m, d))[names] + 0.3 * rng.standard_normal((len(names), d))
    first = names < n
    result = otdist.two_sample_test(
        cells[first], cells[~first], "energy", groups_x=names[first], groups_y=names[~first],
        n_permutations=PERMUTATIONS, seed=seed,
    )  # fmt: skip
    return result.pvalue


def pairs(rng: np.random.Generator, n: int, m: int, d: int, seed: int) -> float:
    """Subjects, n of them, each seen twice."""
    import otdist

    subjects = 3 * rng.standard_normal((n, d))
    x, y = (subjects + rng.standard_t(3, size=(n, d)) for _ in range(2))
    result = otdist.two_sample_test(
        x, y, "energy", paired=True, n_permutations=PERMUTATIONS, seed=seed
    )
    return result.pvalue


def weights(rng: np.random.Generator, n: int, m: int, d: int, seed: int) -> float:
    """Rows whose weights depend on them."""
    import otdist

    z = rng.standard_t(3, size=(n + m, d))
    w = np.exp(np.tanh(z[:, 0]) + rng.standard_normal(n + m))
    result = otdist.two_sample_test(
        z[:n], z[n:], "energy", a=w[:n], b=w[n:], n_permutations=PERMUTATIONS, seed=seed
    )
    return result.pvalue


def copying(rng: np.random.Generator, n: int, m: int, d: int, seed: int) -> float:
    """Training and real rows, n of each, and m fakes of another distribution that copies none."""
    from otdist.core.measure import pair
    from otdist.discrepancy import Copying
    from otdist.inference.permutation import permutation_test

    z, fakes = rng.standard_t(3, size=(2 * n, d)), 0.5 * rng.standard_normal((m, d)) + 0.5
    return permutation_test(Copying(z[:n]), pair(z[n:], fakes), PERMUTATIONS, seed).pvalue


STRUCTURED: dict[str, Test] = {
    "groups": groups, "paired": pairs, "weights": weights, "copying": copying,
}  # fmt: skip


REFERENCE = 200
"""Rows of the reference of a monitor."""
FIT = 100
"""Runs that share the axes of one monitor."""


def quiet(alpha: float, horizon: bool, rows: int, d: int, trials: int) -> Row:
    """How many of many runs without a drift raise an alarm, side by side.

    Axes and threshold are those of one monitor for `FIT` runs; what rows are ranked among is drawn
    anew for each. Arguments as for `monitored`.
    """
    from otdist.inference.monitor import DriftMonitor

    alarms = 0
    for fit in range(-(-trials // FIT)):
        rng = np.random.default_rng([fit, rows, d, horizon])
        monitor = DriftMonitor(
            rng.standard_t(3, size=(REFERENCE, d)), alpha=alpha, horizon=rows if horizon else None,
            seed=fit,
        )  # fmt: skip
        runs, held = min(FIT, trials - fit * FIT), REFERENCE // 2
        drawn = rng.standard_t(3, size=(runs * (held + rows), d))
        scores = monitor.scores(drawn).reshape(runs, held + rows, -1)
        ties = rng.random((runs, rows, scores.shape[2]))
        alarms += int((first_alarms(scores, ties, monitor.threshold) >= 0).sum())
    return {"trials": trials, "alarms": alarms, "false": alarms, "delay": None}


def first_alarms(scores: np.ndarray, ties: np.ndarray, threshold: float) -> np.ndarray:
    """The row that raises the alarm of each run, −1 for none, as `DriftMonitor` finds it.

    Args:
        scores: Shape (runs, held + rows, K), the held ones first.
        ties: Uniform numbers that decide among equal scores, shape (runs, rows, K).
        threshold: Wealth of an alarm.
    """
    from otdist.inference.monitor import bet

    runs, rows, number = ties.shape
    held, first = scores.shape[1] - rows, np.full(runs, -1)
    wealth = np.full((runs, number, 3), 1 / 3)
    for t in range(rows):
        before, now = scores[:, : held + t], scores[:, held + t, None]
        below, equal = (before < now).sum(1), (before == now).sum(1)
        wealth = bet(wealth, (below + ties[:, t] * (1 + equal)) / (held + t + 1))
        first[(first < 0) & (wealth.sum(2).mean(1) >= threshold)] = t
    return first


def monitored(
    alpha: float, horizon: bool, shift: float, rows: int, d: int, trials: int, change: int = 100
) -> Row:
    """How many runs raise an alarm, and how soon after the first column has moved.

    Args:
        alpha: Stated chance of a false alarm in the whole run.
        horizon: Whether the monitor knows the number of rows.
        shift: Of the first column, from row `change` on; 0 for none.
        rows: Of each run, Student's t_3; the reference has `REFERENCE`.
        d: Columns.
        trials: Runs.
        change: First row that has moved.
    """
    from otdist.inference.monitor import DriftMonitor

    alarms, false, delays = 0, 0, []
    for trial in range(trials):
        rng = np.random.default_rng([trial, rows, d])
        monitor = DriftMonitor(
            rng.standard_t(3, size=(REFERENCE, d)), alpha=alpha, horizon=rows if horizon else None,
            seed=trial,
        )  # fmt: skip
        stream = rng.standard_t(3, size=(rows, d))
        stream[change:, 0] += shift
        found = monitor.update(stream)
        alarms += found.alarm
        early = found.alarm_row is not None and (shift == 0 or found.alarm_row < change)
        false += early
        if found.alarm_row is not None and not early:
            delays.append(found.alarm_row - change)
    delay = float(np.median(delays)) if delays else None
    return {"trials": trials, "alarms": alarms, "false": false, "delay": delay}
