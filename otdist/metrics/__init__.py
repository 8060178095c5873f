"""Ground metrics by name: what `metric=` of the distances accepts.

A metric is one class in one file and one line in `NAMES`. A function of two blocks of points is a
`Custom` metric.
"""

from __future__ import annotations

from typing import Any

from otdist.core import checks
from otdist.core.metric import Metric
from otdist.metrics.custom import Custom
from otdist.metrics.norms import Chebyshev, Cityblock, Mahalanobis
from otdist.metrics.periodic import Periodic
from otdist.metrics.sphere import Angular, Cosine, Haversine

__all__ = [
    "Angular",
    "Chebyshev",
    "Cityblock",
    "Cosine",
    "Custom",
    "Haversine",
    "Mahalanobis",
    "Metric",
    "Periodic",
]

NAMES: dict[str, type[Metric]] = {
    kind.name: kind for kind in (Cityblock, Chebyshev, Cosine, Angular, Haversine)
}
"""Metrics without a required option."""


def named(metric: Any) -> Metric | None:
    """The metric that a caller asks for; None, which may be asked for too, for the Euclidean one.

    Raises:
        TypeError: neither a name, a metric nor a function.
        ValueError: an unknown name.

    >>> named("cityblock").name, named("euclidean")
    ('cityblock', None)
    """
    if metric is None:
        return None
    if isinstance(metric, str):
        name = checks.choice("metric", metric, ("euclidean", *NAMES))
        return None if name == "euclidean" else NAMES[name]()
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) or not callable(metric):
        raise TypeError(
            "metric must be a name, an object of otdist.metrics or a function of two blocks of "
            f"points: got {checks.shown(metric)}"
        )
    return Custom(metric)
