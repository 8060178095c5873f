"""The potentials that column generation begins with."""

import numpy as np
import torch

import otdist
from otdist.core.certificate import lower_from_potentials
from otdist.core.point_cost import PointCost
from otdist.exact import start


def test_clusters_keep_their_mass_among_landmarks():
    """Equal shares of a subsample of the clusters would send mass from one to another."""
    rng = np.random.default_rng(0)
    centre, label = 20 * rng.normal(size=(12, 2)), rng.integers(12, size=1200)
    x = centre[label] + rng.normal(size=(1200, 2))
    y = centre[label] + rng.normal(size=(1200, 2)) + 2.0
    cost, a = PointCost(*map(torch.from_numpy, (x, y)), 2), torch.full((1200,), 1 / 1200).double()
    g = start.entropic_start(cost, a, a, 256)
    truth = otdist.wasserstein(x, y, p=2).cost
    found = lower_from_potentials(cost, a, a, g=g).cost
    assert 0.9 * truth <= found <= truth
