"""Transport between Gaussian mixtures: closed forms, another library, gradients, bad input."""

import numpy as np
import pytest
import torch

from otdist import mixture_wasserstein, wasserstein


def mixture(rng, k, d):
    """A random mixture of k components."""
    factors = rng.normal(size=(k, d, d))
    weights = rng.random(k) + 0.1
    return weights / weights.sum(), 3 * rng.normal(size=(k, d)), factors @ factors.mT


def sample(rng, parts, n):
    w, m, c = parts
    which = rng.choice(len(w), n, p=w)
    return np.stack([rng.multivariate_normal(m[k], c[k]) for k in which])


def test_one_component_is_the_distance_of_gaussians():
    one = ([1.0], [[0.0]], [[[1.0]]])
    other = ([1.0], [[2.0]], [[[2.25]]])
    found = mixture_wasserstein(one, other)
    assert found.distance == pytest.approx((2**2 + 0.5**2) ** 0.5, rel=1e-12)
    assert found.lower <= found.distance <= found.upper
    assert found.p == 2


def test_points_are_mixtures_without_spread():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
    none = np.zeros
    found = mixture_wasserstein(
        (np.full(6, 1 / 6), x, none((6, 3, 3))), (np.full(4, 1 / 4), y, none((4, 3, 3)))
    )
    assert found.distance == pytest.approx(wasserstein(x, y, p=2).distance, rel=1e-9)


def test_agrees_with_another_library():
    gmm = pytest.importorskip("ot.gmm")
    rng = np.random.default_rng(1)
    x, y = mixture(rng, 4, 3), mixture(rng, 3, 3)
    theirs = gmm.gmm_ot_loss(x[1], y[1], x[2], y[2], x[0], y[0])
    assert mixture_wasserstein(x, y).cost == pytest.approx(theirs, rel=1e-9)


def test_zero_at_equality_whatever_the_order():
    rng = np.random.default_rng(2)
    w, m, c = mixture(rng, 5, 2)
    order = rng.permutation(5)
    found = mixture_wasserstein((w, m, c), (w[order], m[order], c[order]))
    assert found.lower == 0
    assert found.distance <= 1e-6
    assert found.plan.toarray()[np.arange(5), np.argsort(order)] == pytest.approx(w)


def test_bounds_the_distance_of_large_samples_from_above():
    rng = np.random.default_rng(3)
    x, y = mixture(rng, 3, 2), mixture(rng, 3, 2)
    drawn = wasserstein(sample(rng, x, 1000), sample(rng, y, 1000), p=2).distance
    assert drawn <= mixture_wasserstein(x, y).distance * 1.1


def test_a_fitted_mixture_of_scikit_learn_is_taken():
    sklearn = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(4)
    rows = sample(rng, mixture(rng, 2, 2), 300)
    for kind in ("full", "tied", "diag", "spherical"):
        fitted = sklearn.GaussianMixture(2, covariance_type=kind, random_state=0).fit(rows)
        assert mixture_wasserstein(fitted, fitted).distance <= 1e-6
    with pytest.raises(TypeError, match="fitted mixture: call fit"):
        mixture_wasserstein(sklearn.GaussianMixture(2), fitted)


def test_gradients_agree_with_differences():
    rng = np.random.default_rng(5)
    y = tuple(map(torch.from_numpy, mixture(rng, 2, 2)))
    w, m, c = map(torch.from_numpy, mixture(rng, 3, 2))

    def cost(scores, means, factors):
        covariances = factors @ factors.mT + 0.5 * torch.eye(2, dtype=torch.float64)
        return mixture_wasserstein((scores.softmax(0), means, covariances), y).cost

    inputs = [part.clone().requires_grad_() for part in (w.log(), m, torch.linalg.cholesky(c))]
    assert torch.autograd.gradcheck(cost, inputs, rtol=1e-4)


def test_torch_in_torch_out():
    rng = np.random.default_rng(6)
    x, y = mixture(rng, 2, 2), mixture(rng, 3, 2)
    plain = mixture_wasserstein(x, y)
    single = [tuple(torch.from_numpy(p).float() for p in parts) for parts in (x, y)]
    found = mixture_wasserstein(*single)
    assert found.distance.dtype == torch.float32
    assert float(found.distance) == pytest.approx(plain.distance, rel=1e-5)
    assert isinstance(plain.distance, float)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({0: [0.5, 0.6]}, "sum to 1"),
        ({1: [[0.0, 0.0]]}, "covariances of x must have shape"),
        ({2: np.ones((2, 3, 3))}, "covariances of x must have shape"),
        ({2: [np.eye(2), [[1.0, 2.0], [0.0, 1.0]]]}, "symmetric: component 1"),
        ({2: [np.diag([1.0, -1.0]), np.eye(2)]}, "negative eigenvalues: component 0"),
        ({1: [[0.0, np.nan], [0.0, 0.0]]}, "means of x must be finite: component 0"),
    ],
)
def test_bad_mixtures_are_named(change, text):
    parts = [[0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.eye(2), np.eye(2)]]
    good = tuple(parts)
    for place, value in change.items():
        parts[place] = value
    with pytest.raises(ValueError, match=text):
        mixture_wasserstein(tuple(parts), good)


def test_other_kinds_and_dimensions_are_refused():
    one = ([1.0], [[0.0]], [[[1.0]]])
    with pytest.raises(TypeError, match=r"x must be \(weights, means, covariances\)"):
        mixture_wasserstein(3, one)
    with pytest.raises(ValueError, match="same dimension"):
        mixture_wasserstein(one, ([1.0], [[0.0, 0.0]], [np.eye(2)]))
