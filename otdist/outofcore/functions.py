"""The public functions for dask arrays; their docstrings are those of the functions in memory."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from otdist.core import measure
from otdist.core.extras import require
from otdist.core.result import OTResult, SlicedResult, warn_caller
from otdist.moments import kernels
from otdist.outofcore import pairs
from otdist.outofcore.blocks import Blocks, accumulate, counted, two_samples
from otdist.sliced.sliced import Choice
from otdist.streaming.frechet import Frechet
from otdist.streaming.line import CELLS, Line
from otdist.streaming.sliced import Slices

MOST_CELLS = 1 << 22
"""Where adding cells for `rtol` ends, with a warning: 128 MB a sketch."""


def wasserstein(
    x: Any, y: Any, *, a: Any, b: Any, p: float, solver: Any, rtol: float, start: Any
) -> OTResult:
    """W_p on the line; with `rtol`, in further passes of more cells until the bracket proves it."""
    started = time.perf_counter()
    if solver is not None or start is not None:
        name = "solver" if solver is not None else "start"
        raise ValueError(f"{name} must be None for dask arrays, which are solved on the line")
    first, second = two_samples(x, y, a, b)
    if first.dimension > 1:
        raise ValueError(
            f"x must lie on the line where it is a dask array: got {first.dimension} coordinates. "
            "Past memory use sliced_wasserstein, gaussian_wasserstein, energy_distance or mmd; "
            "or pass a part that fits, such as x[::1000].compute()"
        )
    cells = CELLS
    while True:
        line = accumulate(Line(p, cells=cells), first, second)
        _check_weights(line, a, b)
        result = line.compute()
        if not rtol or result.bracket.proves(rtol):
            break
        if cells >= MOST_CELLS:
            message = (
                f"the bracket of {cells:,} cells proves {_proved(result):.2g}, not rtol={rtol:g}: "
                "accept more error"
            )
            warn_caller(message)
            result = replace(result, converged=False, message=message)
            break
        # The gap falls at least like the width of a cell.
        wanted = 2 * cells * _proved(result) / rtol
        cells = int(min(max(wanted, 4 * cells), MOST_CELLS))
    return replace(result, seconds=time.perf_counter() - started)


def sliced_wasserstein(x: Any, y: Any, *, a: Any, b: Any, p: float, choice: Choice) -> SlicedResult:
    """SW_p with sketched slices: `error` bounds what the sketches cost."""
    started = time.perf_counter()
    if choice.stderr_rtol is not None:
        raise ValueError(
            "stderr_rtol must be None for dask arrays, which it would read again and again: "
            "choose n_projections"
        )
    seed = choice.seed
    if seed is None:
        seed = int(np.random.default_rng().integers(2**62))
    drawn: Any = {"n_projections": choice.n_projections, "directions": choice.directions}
    start = Slices(p, **drawn, seed=seed)
    slices = accumulate(start, *two_samples(x, y, a, b))
    _check_weights(slices, a, b)
    return replace(slices.compute(), seconds=time.perf_counter() - started)


def gaussian_wasserstein(x: Any, y: Any, *, a: Any, b: Any) -> float:
    """W_2 of the fitted Gaussians, exactly."""
    frechet = accumulate(Frechet(), *two_samples(x, y, a, b))
    _check_weights(frechet, a, b)
    return frechet.compute()


def energy_distance(x: Any, y: Any, *, a: Any, b: Any) -> float:
    """The energy distance over all pairs of blocks, exactly: MMD of the kernel −‖x − y‖."""
    return math.sqrt(_squared(pairs.NamedKernel("distance"), x, y, a, b, unbiased=False))


def mmd(
    x: Any, y: Any, *, a: Any, b: Any, kernel: str, bandwidth: float | None, statistic: str
) -> float:
    """MMD over all pairs of blocks, exactly; `bandwidth` None gathers 1,000 points of each."""
    if bandwidth is None and kernel != "polynomial":
        bandwidth = _median_distance(*two_samples(x, y, a, b))
    unbiased = statistic == "U"
    squared = _squared(pairs.NamedKernel(kernel, bandwidth), x, y, a, b, unbiased=unbiased)
    return squared if unbiased else math.sqrt(squared)


def _squared(kernel: pairs.NamedKernel, x: Any, y: Any, a: Any, b: Any, *, unbiased: bool) -> float:
    """E k(x, x') + E k(y, y') − 2 E k(x, y)."""
    first, second = two_samples(x, y, a, b)
    own_x, own_y, cross = _terms(kernel, first, second, a, b, diagonal=unbiased)
    within, between = 0.0, 2 * cross.total / (own_x.mass * own_y.mass)
    for name, own in (("x", own_x), ("y", own_y)):
        total, rest = own.total, own.mass**2
        if unbiased:
            total, rest = total - own.diagonal, rest - own.squares
            if rest <= 1e-12 * own.mass**2:
                raise ValueError(
                    f'{name} must hold at least two points with weight for statistic="U"'
                )
        within += total / rest
    squared = within - between
    return squared if unbiased else kernels.above_rounding(squared, abs(within))


def _terms(
    kernel: pairs.NamedKernel, x: Blocks, y: Blocks, a: Any, b: Any, *, diagonal: bool = False
) -> tuple[pairs.Sums, pairs.Sums, pairs.Sums]:
    """Sums within x, within y and between them."""
    terms = require("dask", extra="dask").compute(
        pairs.within(kernel, x, diagonal=diagonal),
        pairs.within(kernel, y, diagonal=diagonal),
        pairs.between(kernel, x, y),
    )
    for name, weights, own in (("x", a, terms[0]), ("y", b, terms[1])):
        if not own.mass > 0:
            raise ValueError(f"{name} must hold at least one point")
        _check_sum("a" if name == "x" else "b", weights, own.mass)
    return terms


def _median_distance(x: Blocks, y: Blocks) -> float:
    """The default bandwidth, from at most 1,000 evenly spaced rows of each sample."""
    parts = []
    for sample in (x, y):
        array = counted(sample.array)
        parts.append(array[:: kernels.median_step(len(array))])
    pair = measure.pair(*require("dask", extra="dask").compute(*parts))
    return kernels.median_distance(pair) * pair.scale


def _check_weights(accumulator: Any, a: Any, b: Any) -> None:
    """Weights, where given, must sum to one, as they must in memory."""
    for name, weights, sketch in (("a", a, accumulator.x), ("b", b, accumulator.y)):
        if weights is not None:
            spread = getattr(sketch, "spread", sketch)
            _check_sum(name, weights, float(np.sum(spread.mass)))


def _check_sum(name: str, weights: Any, total: float) -> None:
    if weights is not None and abs(total - 1) > measure.WEIGHT_TOLERANCE:
        raise ValueError(
            f"{name} must sum to 1 within {measure.WEIGHT_TOLERANCE:g}: got {total:.9g}; "
            f"pass {name} / {name}.sum()"
        )


def _proved(result: OTResult) -> float:
    """The relative accuracy that the bracket proves; at most one."""
    return min(result.gap / result.lower, 1.0) if result.lower > 0 else 1.0
