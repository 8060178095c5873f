"""What makes a distance of W_p for every ground metric, on drawn samples with ties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otdist import metrics, wasserstein

METRICS = {
    "cityblock": "cityblock",
    "chebyshev": "chebyshev",
    "angular": "angular",
    "haversine": "haversine",
    "torus": metrics.Periodic(1.3),
    "mahalanobis": metrics.Mahalanobis([[2.0, 0.5], [0.5, 1.0]]),
}
ROUNDED = 1e-9  # of the largest distance of these samples

POINT = st.tuples(*[st.integers(-20, 20).map(lambda k: k / 8)] * 2).filter(any)
SAMPLE = st.lists(POINT, min_size=1, max_size=5).map(np.array)
EXPONENT = st.sampled_from([1, 1.5, 2, math.inf])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.filterwarnings("ignore:costs at p")
@settings(max_examples=15, deadline=None)
@given(x=SAMPLE, y=SAMPLE, z=SAMPLE, p=EXPONENT)
def test_axioms_of_a_metric(name, x, y, z, p):
    def distance(x, y):
        found = wasserstein(x, y, p=p, metric=METRICS[name])
        assert found.lower <= found.distance <= found.upper
        return found.distance

    there, back, on, through = distance(x, y), distance(y, x), distance(y, z), distance(x, z)
    largest = max(there, on, through, 1e-6)
    assert there == pytest.approx(back, abs=ROUNDED * largest)
    assert through <= there + on + ROUNDED * largest
    assert distance(x, x[::-1].copy()) <= 1e-6
