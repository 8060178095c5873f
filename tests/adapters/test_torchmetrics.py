"""Accumulators behave as metrics of torchmetrics, in collections too."""

import pickle

import numpy as np
import pytest
import torch

import otdist
from otdist.streaming import KID, Frechet, Line, Slices

torchmetrics = pytest.importorskip("torchmetrics")
from otdist.adapters.torchmetrics import StreamingMetric  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 2)), RNG.normal(0.5, size=(60, 2))
MAKE = {"frechet": Frechet, "sliced": lambda: Slices(2, n_projections=20), "kid": lambda: KID(20)}


@pytest.mark.parametrize("name", MAKE)
def test_batches_give_what_the_accumulator_gives(name):
    metric, direct = StreamingMetric(MAKE[name]()), MAKE[name]()
    for k in range(0, 60, 20):
        metric.update(torch.from_numpy(X[k : k + 20]), torch.from_numpy(Y[k : k + 20]))
        direct.update(X[k : k + 20], Y[k : k + 20])
    assert float(metric.compute()) == float(direct.compute())
    metric.reset()
    with pytest.raises(ValueError, match="points"):
        metric.compute()
    metric.update(X, Y)
    assert float(metric.compute()) == pytest.approx(float(MAKE[name]().update(X, Y).compute()))


def test_a_collection_holds_several():
    found = torchmetrics.MetricCollection({k: StreamingMetric(make()) for k, make in MAKE.items()})
    found.update(X, Y)
    found.update(X[:30], Y[:30])
    assert found.compute()["frechet"] != found.compute()["sliced"]
    found.reset()
    found.update(X, Y)
    expected = float(otdist.gaussian_wasserstein(X, Y))
    assert float(found.compute()["frechet"]) == pytest.approx(expected)
    assert set(found.clone(prefix="test/").compute()) == {f"test/{name}" for name in MAKE}


def test_forward_returns_the_batch_and_keeps_the_whole():
    metric = StreamingMetric(Line())
    assert float(metric([0.0], [3.0])) == 3
    assert float(metric([0.0], [1.0])) == 1
    assert float(metric.compute()) == pytest.approx(2)


def test_one_side_at_a_time_and_pickles():
    metric = StreamingMetric(Line())
    metric.update(x=[0.0, 1.0])
    metric.update(y=[2.0])
    assert float(pickle.loads(pickle.dumps(metric)).compute()) == 1.5


def test_the_given_accumulator_is_left_alone():
    line = Line().update([0.0], [1.0])
    metric = StreamingMetric(line)
    metric.update([0.0], [5.0])
    assert (float(line.compute()), float(metric.compute())) == (1, 5)
    with pytest.raises(TypeError, match="accumulator must be"):
        StreamingMetric("line")
