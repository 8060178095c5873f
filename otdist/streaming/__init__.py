"""Distances between samples that do not fit in memory: accumulators that take batches and merge.

* `Line`: W_p on the line, with a bracket;
* `Slices`: sliced Wasserstein, with a bound on what the sketches cost;
* `Frechet`: W_2 of the fitted Gaussians, exactly;
* `KID`: the kernel distance of evaluations, by blocks.

``update(x=batch, y=batch)``, ``merge(other)``, ``reduce(process_group)``, ``compute()``,
``reset()``.
"""

from otdist.streaming.accumulator import Accumulator, merged
from otdist.streaming.frechet import Frechet
from otdist.streaming.kid import KID, KIDEstimate
from otdist.streaming.line import Line
from otdist.streaming.sliced import Slices

__all__ = ["KID", "Accumulator", "Frechet", "KIDEstimate", "Line", "Slices", "merged"]
