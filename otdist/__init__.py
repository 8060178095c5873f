"""otdist: optimal-transport distances whose answers carry a proof.

Names are imported when first used, so that `import otdist` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otdist.core.painters import PAINTERS

if TYPE_CHECKING:
    from otdist import keras, losses, metrics, neural, problems, streaming, wgan
    from otdist.all_pairs.matrix import PairwiseResult, pairwise
    from otdist.barycenters.barycenter import barycenter
    from otdist.barycenters.result import BarycenterResult
    from otdist.batches.result import BatchResult
    from otdist.core.result import (
        Bracket,
        ConvergenceWarning,
        DivergenceResult,
        OTResult,
        SlicedResult,
    )
    from otdist.core.threads import set_threads
    from otdist.critics.convex_dual import ConvexDual
    from otdist.critics.convex_result import ConvexDualResult
    from otdist.critics.dual import NeuralDual
    from otdist.critics.result import DualResult
    from otdist.discrepancy.limit import ConfidenceInterval
    from otdist.distances import (
        energy_distance,
        entropic_cost,
        gaussian_wasserstein,
        mmd,
        sinkhorn_divergence,
        wasserstein,
    )
    from otdist.entropic.sinkhorn import Sinkhorn
    from otdist.evaluation.drift import drift
    from otdist.evaluation.evaluate import evaluate
    from otdist.evaluation.feature_functions import Features
    from otdist.evaluation.report import MetricResult, Report
    from otdist.evidence import certify
    from otdist.exact.exact import Exact
    from otdist.inference.intervals import confidence_interval
    from otdist.inference.monitor import DriftMonitor
    from otdist.inference.permutation import TestResult, two_sample_test
    from otdist.masses import grid, histogram
    from otdist.mixtures import mixture_wasserstein
    from otdist.sliced.sliced import Sliced
    from otdist.sliced_distances import (
        max_sliced_wasserstein,
        sliced_wasserstein,
        spherical_sliced_wasserstein,
    )
    from otdist.solve import transport
    from otdist.transport_map import barycentric_map, extend_potential, soft_ctransform
    from otdist.unbalanced.functions import partial_wasserstein, unbalanced_wasserstein

__version__ = "0.2.0"

_WHERE = {
    "BatchResult": "otdist.batches.result",
    "BarycenterResult": "otdist.barycenters.result",
    "Bracket": "otdist.core.result",
    "ConfidenceInterval": "otdist.discrepancy.limit",
    "ConvergenceWarning": "otdist.core.result",
    "DivergenceResult": "otdist.core.result",
    "ConvexDual": "otdist.critics.convex_dual",
    "ConvexDualResult": "otdist.critics.convex_result",
    "DualResult": "otdist.critics.result",
    "Exact": "otdist.exact.exact",
    "Features": "otdist.evaluation.feature_functions",
    "NeuralDual": "otdist.critics.dual",
    "MetricResult": "otdist.evaluation.report",
    "OTResult": "otdist.core.result",
    "PairwiseResult": "otdist.all_pairs.matrix",
    "Report": "otdist.evaluation.report",
    "Sinkhorn": "otdist.entropic.sinkhorn",
    "Sliced": "otdist.sliced.sliced",
    "SlicedResult": "otdist.core.result",
    "TestResult": "otdist.inference.permutation",
    "barycenter": "otdist.barycenters.barycenter",
    "barycentric_map": "otdist.transport_map",
    "certify": "otdist.evidence",
    "confidence_interval": "otdist.inference.intervals",
    "DriftMonitor": "otdist.inference.monitor",
    "drift": "otdist.evaluation.drift",
    "energy_distance": "otdist.distances",
    "entropic_cost": "otdist.distances",
    "extend_potential": "otdist.transport_map",
    "evaluate": "otdist.evaluation.evaluate",
    "grid": "otdist.masses",
    "histogram": "otdist.masses",
    "gaussian_wasserstein": "otdist.distances",
    "max_sliced_wasserstein": "otdist.sliced_distances",
    "mixture_wasserstein": "otdist.mixtures",
    "mmd": "otdist.distances",
    "pairwise": "otdist.all_pairs.matrix",
    "partial_wasserstein": "otdist.unbalanced.functions",
    "set_threads": "otdist.core.threads",
    "sinkhorn_divergence": "otdist.distances",
    "sliced_wasserstein": "otdist.sliced_distances",
    "soft_ctransform": "otdist.transport_map",
    "spherical_sliced_wasserstein": "otdist.sliced_distances",
    "transport": "otdist.solve",
    "two_sample_test": "otdist.inference.permutation",
    "unbalanced_wasserstein": "otdist.unbalanced.functions",
    "wasserstein": "otdist.distances",
}
_ROOMS = ("keras", "losses", "metrics", "neural", "problems", "streaming", "wgan")

__all__ = [
    "BarycenterResult",
    "BatchResult",
    "Bracket",
    "ConfidenceInterval",
    "ConvergenceWarning",
    "ConvexDual",
    "ConvexDualResult",
    "DivergenceResult",
    "DriftMonitor",
    "DualResult",
    "Exact",
    "Features",
    "MetricResult",
    "NeuralDual",
    "OTResult",
    "PairwiseResult",
    "Report",
    "Sinkhorn",
    "Sliced",
    "SlicedResult",
    "TestResult",
    "barycenter",
    "barycentric_map",
    "certify",
    "confidence_interval",
    "drift",
    "energy_distance",
    "entropic_cost",
    "evaluate",
    "extend_potential",
    "gaussian_wasserstein",
    "grid",
    "histogram",
    "keras",
    "losses",
    "max_sliced_wasserstein",
    "metrics",
    "mixture_wasserstein",
    "mmd",
    "neural",
    "pairwise",
    "partial_wasserstein",
    "problems",
    "set_threads",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "soft_ctransform",
    "spherical_sliced_wasserstein",
    "streaming",
    "transport",
    "two_sample_test",
    "unbalanced_wasserstein",
    "wasserstein",
    "wgan",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"otdist.{name}")
    if name in _WHERE:
        value = getattr(import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'otdist' has no attribute {name!r}")


def _draw_test(result: TestResult) -> Any:
    return import_module("otdist.drawing.figures").null_distribution(result)


PAINTERS["TestResult"] = _draw_test


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
