"""The circle in closed form, against transport of arc lengths and POT, rotations and gradients."""

import math
from typing import Any

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist import metrics, transport, wasserstein
from otdist.line import cut

RNG = np.random.default_rng(0)


def arcs(x, y, period):
    gap = np.abs(x[:, None] - y) % period
    return np.minimum(gap, period - gap)


def samples(n: int, m: int, weighted: bool = False) -> Any:
    x, y = RNG.uniform(-5, 30, n), RNG.normal(size=m) * 4
    if not weighted:
        return x, y, None, None
    a, b = RNG.random(n) + 0.01, RNG.random(m) + 0.01
    return x, y, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 6), (5, 5), (12, 8), (60, 60), (70, 31)])
def test_it_is_transport_of_arc_lengths(n, m, weighted, p):
    x, y, a, b = samples(n, m, weighted)
    found = wasserstein(x, y, a=a, b=b, p=p, metric=metrics.Periodic(24))
    costs = arcs(x, y, 24) ** p
    truth = transport(costs, a=a, b=b)  # its plan may cost a rounding of the largest cost more
    assert found.solver == "closed form"
    assert found.cost == pytest.approx(truth.cost, rel=1e-12, abs=1e-12 * 24**p)
    assert found.lower <= truth.upper ** (1 / p)
    assert found.upper >= truth.lower ** (1 / p)
    assert found.gap <= 1e-9 * found.distance
    assert found.converged
    f, g = found.potentials
    assert (f[:, None] + g <= costs + 1e-11 * costs.max()).all()
    plan = found.plan.toarray()
    assert plan.sum(1) == pytest.approx(np.full(n, 1 / n) if a is None else a)
    assert plan.sum(0) == pytest.approx(np.full(m, 1 / m) if b is None else b)
    assert (plan * costs).sum() == pytest.approx(found.cost, rel=1e-10, abs=1e-13 * 24**p)


places = st.lists(st.integers(0, 11), min_size=1, max_size=9)


@given(places, places, st.sampled_from([1, 1.5, 2, 4]), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_ties_and_equal_points(x, y, p, random):
    x, y = np.array(x) * 0.5, np.array(y) * 0.5
    a = np.array([random.randint(1, 3) for _ in x], float)
    found = wasserstein(x, y, a=a / a.sum(), p=p, metric=metrics.Periodic(6))
    truth = transport(arcs(x, y, 6) ** p, a=a / a.sum()).cost ** (1 / p)
    assert found.lower <= truth + 1e-12
    assert found.upper >= truth - 1e-12
    # Sums of weights that differ by a rounding leave mass that may go all the way around.
    assert found.gap <= max(1e-6 * max(truth, 1.0), 6 * 1e-15 ** (1 / p))


def test_it_agrees_with_pot():
    x, y, _, _ = samples(300, 200)
    for p in (1, 2):
        theirs: Any = ot.wasserstein_circle((x / 24) % 1, (y / 24) % 1, p=p)
        ours = wasserstein(x, y, p=p, metric=metrics.Periodic(24)).cost / 24**p
        assert ours == pytest.approx(float(theirs[0]), rel=1e-6)


@pytest.mark.parametrize("p", [1, 2, 2.5])
def test_rotations_and_turns_change_nothing(p):
    x, y, a, b = samples(40, 30, True)
    circle = metrics.Periodic(24)
    base = wasserstein(x, y, a=a, b=b, p=p, metric=circle).distance
    for angle in (0.1, 5.0, 23.9):
        moved = wasserstein(x + angle, y + angle + 48, a=a, b=b, p=p, metric=circle).distance
        assert moved == pytest.approx(base, rel=1e-12)
    mirrored = wasserstein(-x, -y, a=a, b=b, p=p, metric=circle).distance
    assert mirrored == pytest.approx(base, rel=1e-12)


def test_equal_samples_and_opposite_points():
    x, circle = RNG.uniform(0, 1, 50), metrics.Periodic(1)
    same = wasserstein(x, RNG.permutation(x) + 3, p=2, metric=circle)
    assert same.lower == 0
    assert same.upper <= 1e-14
    assert same.converged
    opposite = wasserstein([0.25], [0.75], metric=circle)
    assert opposite.distance == 0.5
    assert opposite.lower <= 0.5 <= opposite.upper


@pytest.mark.parametrize("p", [1, 1.5, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_agree_with_differences(p, weighted):
    x, y, a, b = samples(6, 5, weighted)
    x, y = (torch.from_numpy(z).requires_grad_() for z in (x, y))
    a, b = (None if w is None else torch.from_numpy(w) for w in (a, b))

    def cost(x, y):
        return wasserstein(x, y, a=a, b=b, p=p, metric=metrics.Periodic(24)).cost

    assert torch.autograd.gradcheck(cost, (x, y))


def test_gradients_in_the_weights_are_those_of_the_circle():
    x, y, a, b = (torch.from_numpy(z) for z in samples(7, 6, True))
    logits = a.log().requires_grad_()

    def cost(logits):
        return wasserstein(x, y, a=logits.softmax(0), b=b, p=2, metric=metrics.Periodic(24)).cost

    assert torch.autograd.gradcheck(cost, (logits,))


def test_gradients_at_coinciding_and_opposite_points_are_finite():
    x = torch.tensor([0.1, 0.6], dtype=torch.float64, requires_grad=True)
    for y in (x.detach().clone(), torch.tensor([0.6, 0.1], dtype=torch.float64), x.detach() + 0.5):
        (slope,) = torch.autograd.grad(wasserstein(x, y, metric=metrics.Periodic(1)).distance, x)
        assert torch.isfinite(slope).all()


@pytest.mark.filterwarnings("ignore:float64 leaves")
@pytest.mark.parametrize("p", [1, 2, 30, 300])
def test_brackets_at_high_powers_contain_the_distance(p):
    x, y, _, _ = samples(9, 9)
    found = wasserstein(x, y, p=p, metric=metrics.Periodic(24))
    costs = arcs(x, y, 24)
    truth = transport((costs / 12) ** min(p, 100)).cost ** (1 / p) * 12 if p <= 100 else None
    assert found.lower <= found.distance <= found.upper
    if truth is not None:
        assert found.lower <= truth * (1 + 1e-9)
        assert found.upper >= truth * (1 - 1e-9)


def test_other_forms_of_samples():
    x, y, a, _ = samples(9, 8, True)
    circle = metrics.Periodic((24,))
    base = wasserstein(x, y, a=a, metric=circle)
    padded = wasserstein(np.append(x, 3.3), y, a=np.append(a, 0.0), metric=circle)
    assert padded.distance == pytest.approx(base.distance, rel=1e-12)
    assert padded.plan.shape == (10, 8)
    single = wasserstein(torch.tensor(x).float(), torch.tensor(y).float(), metric=circle)
    assert single.distance.dtype == torch.float32
    assert single.lower <= float(single.distance) <= single.upper
    two = np.stack([x, x + 1])[..., None], np.stack([y, y])[..., None]
    batch: Any = otdist.wasserstein(two[0], two[1], metric=circle)
    assert batch.distance[0] == pytest.approx(wasserstein(x, y, metric=circle).distance)


def test_a_cut_splits_no_point():
    x, y = np.sort(RNG.random(40)), np.sort(RNG.random(25))
    for p in (1, 2):
        place = cut.best(x, y, None, None, 1.0, p)
        xs = np.concatenate([x[place.x :], x[: place.x] + 1])
        ys = np.concatenate([y[place.y :], y[: place.y] + 1]) + place.turns
        line = wasserstein(xs, ys, p=p).distance
        assert line == pytest.approx(wasserstein(x, y, p=p, metric=metrics.Periodic(1)).distance)
    assert math.isfinite(line)
