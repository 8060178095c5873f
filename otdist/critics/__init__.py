"""Critics: neural networks whose estimate of a Wasserstein distance is certified."""

from otdist.critics.convex import ConvexPotential
from otdist.critics.convex_dual import ConvexDual
from otdist.critics.convex_result import ConvexDualResult
from otdist.critics.critics import Funnels, mcshane, relu_network, sorting_network
from otdist.critics.dual import NeuralDual
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.result import Comparison, DualResult

__all__ = [
    "Comparison",
    "ConvexDual",
    "ConvexDualResult",
    "ConvexPotential",
    "DualResult",
    "Funnels",
    "NeuralDual",
    "lipschitz_bound",
    "mcshane",
    "relu_network",
    "sorting_network",
]
