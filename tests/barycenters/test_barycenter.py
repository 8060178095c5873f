"""Barycenters: closed forms, another library, the bracket on the objective, and bad input."""

import numpy as np
import pytest
import torch

from otdist import ConvergenceWarning, barycenter, wasserstein

RNG = np.random.default_rng(0)
POWERS = (1, 1.5, 2, 3, 7.5)


def objective(points, weights, samples, shares, p):
    return sum(
        share * wasserstein(points, y, a=weights, p=p).cost
        for share, y in zip(shares, samples, strict=True)
    )


@pytest.mark.parametrize("p", POWERS)
def test_on_the_line_no_other_distribution_is_better(p):
    samples = [RNG.normal(k, 1 + k, 20 + 3 * k) for k in range(3)]
    shares = [0.2, 0.5, 0.3]
    found = barycenter(samples, weights=shares, p=p)
    best = objective(found.points, found.weights, samples, shares, p)
    assert found.cost == pytest.approx(best, rel=1e-12)
    assert found.lower <= best <= found.upper
    for size in (1e-3, 0.1, 1):
        other = found.points + size * RNG.normal(size=found.points.shape)
        assert objective(other, found.weights, samples, shares, p) >= best * (1 - 1e-12)


def test_translates_on_the_line_average_their_shifts():
    x = RNG.normal(size=30)
    found = barycenter([x, x + 3, x + 9], weights=[0.5, 0.25, 0.25])
    assert found.points == pytest.approx(np.sort(x + 3))
    assert found.gap <= 1e-12 * found.cost  # at p = 2 the bound is attained on the line


def test_medians_on_the_line_at_p_one():
    found = barycenter([[0.0], [1.0], [10.0]], p=1)
    assert found.points.tolist() == [1.0]
    assert found.cost == pytest.approx(10 / 3)


@pytest.mark.parametrize("p", POWERS)
def test_free_support_falls_to_the_minimum_of_single_points(p):
    """With one point a sample, the objective is convex: Σ |x_i − z|^p."""
    samples = [RNG.normal(size=(1, 3)) for _ in range(4)]
    found = barycenter(samples, p=p, max_iter=500, tol=1e-12)
    around = found.points + 1e-3 * RNG.normal(size=(200, 3))
    rows = np.concatenate(samples)
    costs = (np.linalg.norm(around[:, None] - rows, axis=2) ** p).mean(1)
    assert found.cost <= costs.min() * (1 + 1e-7)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_the_objective_never_rises_and_lies_in_its_bracket(p):
    samples = [RNG.normal(size=(20 + k, 2)) + k for k in range(3)]
    found = barycenter(samples, p=p, max_iter=300)
    assert np.all(np.diff(found.history) <= 0)
    assert found.history[-1] < found.history[0]
    assert found.lower <= found.cost <= found.upper
    assert found.cost == pytest.approx(found.history[-1], rel=1e-9)


def test_translated_clouds_average_exactly():
    x = RNG.normal(size=(25, 2))
    shifts = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 8.0], [4.0, 8.0]])
    found = barycenter([x + shift for shift in shifts])
    centred = found.points - shifts.mean(0)
    assert wasserstein(centred, x, p=2).distance <= 1e-9
    assert found.cost == pytest.approx(20, rel=1e-9)
    assert found.lower == pytest.approx(20, rel=1e-9)


def test_agrees_with_another_library_from_the_same_support():
    lp = pytest.importorskip("ot.lp")
    samples = [RNG.normal(size=(30, 2)) + k for k in range(3)]
    first = RNG.normal(size=(12, 2))
    uniform = [np.full(30, 1 / 30)] * 3
    theirs = lp.free_support_barycenter(samples, uniform, first, numItermax=100, stopThr=1e-12)
    ours = barycenter(samples, support=first, tol=0, max_iter=100)
    assert ours.points == pytest.approx(theirs, abs=1e-6)


def test_gaussian_barycenter_on_the_line_averages_deviations():
    samples = [RNG.normal(k, 1 + k, 50) for k in range(3)]
    found = barycenter(samples, method="gaussian")
    assert found.mean[0] == pytest.approx(np.mean([s.mean() for s in samples]))
    assert found.covariance[0, 0] ** 0.5 == pytest.approx(np.mean([s.std() for s in samples]))
    assert np.average(found.points, weights=found.weights) == pytest.approx(found.mean[0])


def test_samples_moved_onto_the_gaussian_have_its_covariance():
    samples = [RNG.normal(size=(40, 3)) @ RNG.normal(size=(3, 3)) + k for k in range(3)]
    found = barycenter(samples, method="gaussian")
    around = found.points - found.mean
    covariance = (around * found.weights[:, None]).T @ around
    assert covariance == pytest.approx(found.covariance, abs=1e-9)
    assert found.lower <= found.upper


def test_weights_of_points_count_as_repetitions():
    x, y = RNG.normal(size=(6, 2)), RNG.normal(size=(8, 2))
    a = np.array([1, 1, 2, 2, 1, 1]) / 8
    first = RNG.normal(size=(5, 2))
    weighted = barycenter([(x, a), y], support=first)
    repeated = barycenter([np.repeat(x, [1, 1, 2, 2, 1, 1], axis=0), y], support=first)
    assert weighted.cost == pytest.approx(repeated.cost, rel=1e-9)


def test_torch_samples_give_tensors():
    samples = [torch.randn(12, 2) + k for k in range(2)]
    found = barycenter(samples)
    assert found.points.dtype == torch.float32
    assert found.weights.shape == (12,)
    assert float(found.distances[0]) > 0


def test_steps_that_do_not_suffice_are_told():
    samples = [RNG.normal(size=(30, 2)) for _ in range(3)]
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        found = barycenter(samples, max_iter=1, tol=0)
    assert not found.converged


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    for samples in ([RNG.normal(size=(9, 2))] * 2, [RNG.normal(size=9)] * 2):
        barycenter(samples).plot().savefig(tmp_path / "picture.png")


@pytest.mark.parametrize(
    ("samples", "options", "text"),
    [
        ([np.ones((3, 2)), np.ones((3, 3))], {}, "same dimension"),
        ([np.ones((3, 2)), [[0.0, np.nan]]], {}, r"samples\[1\] must be finite"),
        ([(np.ones((2, 2)), [0.5, 0.6])], {}, r"weights of samples\[0\] must sum to 1"),
        ([np.ones((3, 2))], {"weights": [0.5, 0.5]}, "weights must hold one weight per point"),
        ([np.ones((3, 2))], {"p": 0.5}, "p must be"),
        ([np.ones((3, 2))], {"support": np.ones((2, 3))}, r"support must have shape \(k, 2\)"),
        ([np.ones((3, 2))], {"support": np.ones((2, 2)), "n_support": 2}, "n_support must be None"),
        ([np.ones(3)], {"n_support": 2}, "n_support must be None for samples on the line"),
        ([np.ones((3, 2))], {"method": "gaussian", "p": 1}, "p must be 2"),
        ([np.ones((3, 2))], {"method": "magic"}, "method must be one of exact, gaussian"),
    ],
)
def test_bad_input_is_named(samples, options, text):
    with pytest.raises(ValueError, match=text):
        barycenter(samples, **options)


def test_wrong_kinds_are_refused():
    with pytest.raises(TypeError, match="samples must be a sequence"):
        barycenter(3)
    with pytest.raises(TypeError, match="requires a gradient"):
        barycenter([torch.ones(3, 2, requires_grad=True)])
