"""Energy distances, kernels and entropic objectives of ground metrics, against their sums."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

import otdist
from otdist import metrics
from tests.metrics.test_metrics import arcs, torus

RNG = np.random.default_rng(1)
MATRIX = np.array([[2.0, 0.5], [0.5, 1.0]])
CASES = {
    "cityblock": ("cityblock", lambda x, y: cdist(x, y, "cityblock")),
    "chebyshev": ("chebyshev", lambda x, y: cdist(x, y, "chebyshev")),
    "cosine": ("cosine", lambda x, y: cdist(x, y, "cosine")),
    "angular": ("angular", arcs),
    "mahalanobis": (
        metrics.Mahalanobis(MATRIX),
        lambda x, y: cdist(x, y, "mahalanobis", VI=MATRIX),
    ),
    "function": (
        metrics.Custom(lambda x, y: (x[:, None] - y).abs().sum(2), negative_type=1),
        lambda x, y: cdist(x, y, "cityblock"),
    ),
    "degrees": (
        metrics.Haversine(radius=2.0),
        lambda x, y: 2 * arcs(in_space(x), in_space(y)),
    ),
}


def in_space(points):
    latitude, longitude = np.radians(points).T
    flat = np.cos(latitude)
    return np.column_stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)])


def samples(n=14, m=11, d=2):
    a = RNG.random(n)
    return RNG.normal(size=(n, d)), RNG.normal(size=(m, d)) + 0.3, a / a.sum()


def means(matrix, x, y, a, of=lambda distances: distances):
    b = np.full(len(y), 1 / len(y))
    return (
        a @ of(matrix(x, y)) @ b,
        a @ of(matrix(x, x)) @ a,
        b @ of(matrix(y, y)) @ b,
    )


@pytest.mark.parametrize("case", CASES)
def test_the_energy_distance_is_that_of_its_means(case):
    metric, matrix = CASES[case]
    x, y, a = samples()
    between, of_x, of_y = means(matrix, x, y, a)
    found = otdist.energy_distance(x, y, a=a, metric=metric)
    assert found == pytest.approx((2 * between - of_x - of_y) ** 0.5, rel=1e-9)
    assert otdist.energy_distance(x, x[::-1], metric=metric) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_laplacian_kernel_is_of_the_metric(case):
    metric, matrix = CASES[case]
    x, y, a = samples()
    between, of_x, of_y = means(matrix, x, y, a, lambda d: np.exp(-d / 0.7))
    options = {"kernel": "laplacian", "bandwidth": 0.7, "metric": metric}
    found = otdist.mmd(x, y, a=a, **options)
    assert found == pytest.approx((of_x + of_y - 2 * between) ** 0.5, rel=1e-7)
    default = otdist.mmd(x, y, kernel="laplacian", metric=metric)
    pool = np.concatenate([x, y])
    apart = matrix(pool, pool)[np.triu_indices(len(pool), 1)]
    options["bandwidth"] = float(np.median(apart))
    assert default == pytest.approx(otdist.mmd(x, y, **options), rel=1e-6)


def test_the_gaussian_kernel_of_mahalanobis():
    metric, matrix = CASES["mahalanobis"]
    x, y, a = samples()
    between, of_x, of_y = means(matrix, x, y, a, lambda d: np.exp(-(d**2) / 2))
    found = otdist.mmd(x, y, a=a, bandwidth=1.0, metric=metric)
    assert found == pytest.approx((of_x + of_y - 2 * between) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_entropic_values_are_those_of_the_kernel(case):
    metric, matrix = CASES[case]
    x, y, a = samples()
    b, eps = np.full(len(y), 1 / len(y)), 0.3
    costs = matrix(x, y)
    found = otdist.entropic_cost(x, y, a=a, eps=eps, tol=1e-9, metric=metric)
    f, g = found.potentials
    plan = a[:, None] * b * np.exp((f[:, None] + g - costs) / eps)
    assert plan.sum(1) == pytest.approx(a, abs=1e-7)
    assert plan.sum(0) == pytest.approx(b, abs=1e-7)
    assert found.cost == pytest.approx(a @ f + b @ g, rel=1e-9)
    f_again = otdist.soft_ctransform(x, y, g, eps=eps, metric=metric)
    assert f_again == pytest.approx(f, abs=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_divergences_are_not_negative_and_zero_for_equal_samples(case):
    metric, _ = CASES[case]
    x, y, a = samples()
    options = {"eps": 0.3, "tol": 1e-9, "metric": metric}
    apart = otdist.sinkhorn_divergence(x, y, a=a, **options).cost
    parts = [
        otdist.entropic_cost(x, y, a=a, **options).cost,
        otdist.entropic_cost(x, x, a=a, b=a, **options).cost,
        otdist.entropic_cost(y, y, **options).cost,
    ]
    assert apart == pytest.approx(parts[0] - parts[1] / 2 - parts[2] / 2, rel=1e-6)
    assert apart > 0
    assert otdist.sinkhorn_divergence(x, x[::-1], **options).cost == pytest.approx(0, abs=1e-9)


def functions(metric):
    kernel = {"kernel": "laplacian", "bandwidth": 0.8, "metric": metric}
    entropic = {"eps": 0.4, "tol": 1e-11, "metric": metric}
    return {
        "energy": lambda x, y: otdist.energy_distance(x, y, metric=metric),
        "laplacian": lambda x, y: otdist.mmd(x, y, **kernel),
        "entropic": lambda x, y: otdist.entropic_cost(x, y, **entropic).cost,
        "divergence": lambda x, y: otdist.sinkhorn_divergence(x, y, **entropic).cost,
        "loss": lambda x, y: otdist.losses.SinkhornLoss(
            1, metric=metric, eps=0.4, tol=1e-11, reduction="sum"
        )(torch.stack([x, x + 0.1]), torch.stack([y, y])),
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", functions(None))
def test_gradients_agree_with_differences(case, name):
    function = functions(CASES[case][0])[name]
    x, y, _ = samples(5, 4)
    x, y = (torch.from_numpy(z).requires_grad_() for z in (x, y))
    assert torch.autograd.gradcheck(function, (x, y), atol=2e-5)


def test_a_loss_is_the_mean_of_divergences():
    x, y = (torch.from_numpy(RNG.normal(size=(3, n, 2))) for n in (6, 5))
    loss = otdist.losses.SinkhornLoss(1, eps=0.2, metric="angular", tol=1e-9)
    options = {"eps": 0.2, "tol": 1e-9, "metric": "angular"}
    values = [otdist.sinkhorn_divergence(s, t, **options).cost for s, t in zip(x, y, strict=True)]
    assert float(loss(x, y)) == pytest.approx(float(sum(values)) / 3, rel=1e-8)
    assert "metric='angular'" in repr(loss)


@pytest.mark.parametrize("statistic", ["energy", "sinkhorn", "mmd"])
def test_tests_see_directions_only(statistic):
    x = np.random.default_rng(3).normal(size=(12, 3)) + 1
    options = {"metric": "angular", "n_permutations": 49}
    options |= {"sinkhorn": {"p": 1}, "mmd": {"kernel": "laplacian"}}.get(statistic, {})
    same = otdist.two_sample_test(x, 5 * x, statistic, **options)
    other = otdist.two_sample_test(x, -x, statistic, **options)
    assert same.statistic == pytest.approx(0, abs=1e-6)
    assert same.pvalue > 0.5
    assert other.pvalue <= 0.04


def test_the_circle_is_of_negative_type():
    hours, x, y = metrics.Periodic(24), RNG.uniform(0, 24, 9), RNG.uniform(0, 24, 7)
    around = [torus(s[:, None], t[:, None], 24).mean() for s, t in ((x, y), (x, x), (y, y))]
    found = otdist.energy_distance(x, y, metric=hours)
    assert found == pytest.approx((2 * around[0] - around[1] - around[2]) ** 0.5)


@pytest.mark.parametrize(
    ("metric", "d", "text"),
    [
        ("chebyshev", 3, "'chebyshev' in 3 coordinates are not known to be so to any power"),
        (metrics.Periodic(1.0), 2, "'periodic' in 2 coordinates are not known"),
        (lambda x, y: torch.cdist(x, y), 2, "'custom' in 2 coordinates are not known"),
    ],
)
def test_what_could_be_negative_is_refused(metric, d, text):
    x = RNG.normal(size=(5, d))
    for call in (
        lambda: otdist.energy_distance(x, x + 1, metric=metric),
        lambda: otdist.mmd(x, x + 1, kernel="laplacian", metric=metric),
        lambda: otdist.sinkhorn_divergence(x, x + 1, metric=metric),
        lambda: otdist.losses.SinkhornLoss(1, metric=metric)(*torch.rand(2, 4, d)),
        lambda: otdist.two_sample_test(x, x + 1, "energy", metric=metric),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_powers_that_could_be_negative_are_refused():
    x = RNG.normal(size=(5, 2))
    for call in (
        lambda: otdist.mmd(x, x + 1, metric="cosine"),
        lambda: otdist.sinkhorn_divergence(x, x + 1, p=2, metric="cosine"),
        lambda: otdist.losses.SinkhornLoss(metric="cosine")(*torch.rand(2, 4, 2)),
    ):
        with pytest.raises(ValueError, match=r"power 2 is of negative type.*are so up to 1"):
            call()
    with pytest.raises(ValueError, match="metric applies to the gaussian and the laplacian"):
        otdist.mmd(x, x + 1, kernel="polynomial", metric="cosine")
    with pytest.raises(ValueError, match="negative_type must be"):
        metrics.Custom(torch.cdist, negative_type=-1)
