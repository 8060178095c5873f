"""Critics: neural networks whose estimate of a Wasserstein distance is certified."""

from otdist.neural.convex import ConvexPotential
from otdist.neural.convex_dual import ConvexDual
from otdist.neural.convex_result import ConvexDualResult
from otdist.neural.critics import Funnels, mcshane, relu_network, sorting_network
from otdist.neural.dual import NeuralDual
from otdist.neural.lipschitz import lipschitz_bound
from otdist.neural.result import Comparison, DualResult

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
