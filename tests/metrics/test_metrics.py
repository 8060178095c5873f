"""Ground metrics against SciPy's matrices of distances and POT, invariances, gradients, errors."""

import math
from typing import Any

import numpy as np
import ot
import pytest
import torch
from scipy.spatial.distance import cdist

import otdist
from otdist import metrics, wasserstein
from otdist.exact.limits import Sizes

RNG = np.random.default_rng(0)
MATRIX = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
SOLVED = 1e-9  # relative to the largest distance: what POT and SciPy's matrices agree to


def arcs(x, y):
    """By both half chords: the arc cosine of almost 1 keeps half of the digits."""
    u, v = (z / np.linalg.norm(z, axis=1)[:, None] for z in (x, y))
    return 2 * np.arctan2(cdist(u, v), cdist(u, -v))


def haversine(x, y):
    x, y = np.radians(x), np.radians(y)
    lat, lon = (x[:, None, k] - y[None, :, k] for k in range(2))
    inner = np.sin(lat / 2) ** 2 + np.cos(x[:, None, 0]) * np.cos(y[:, 0]) * np.sin(lon / 2) ** 2
    return 2 * np.arcsin(np.sqrt(inner))


def torus(x, y, period=1.3):
    gap = np.abs(x[:, None] - y) % period
    return np.sqrt((np.minimum(gap, period - gap) ** 2).sum(2))


CASES = {
    "cityblock": ("cityblock", lambda x, y: cdist(x, y, "cityblock")),
    "chebyshev": ("chebyshev", lambda x, y: cdist(x, y, "chebyshev")),
    "cosine": ("cosine", lambda x, y: cdist(x, y, "cosine")),
    "angular": ("angular", arcs),
    "periodic": (metrics.Periodic(1.3), torus),
    "mahalanobis": (
        metrics.Mahalanobis(MATRIX),
        lambda x, y: cdist(x, y, "mahalanobis", VI=MATRIX),
    ),
    "torch function": (
        lambda x, y: (x[:, None] - y).abs().sum(2),
        lambda x, y: cdist(x, y, "cityblock"),
    ),
    "numpy function": (
        lambda x, y: cdist(x, y, "canberra"),
        lambda x, y: cdist(x, y, "canberra"),
    ),
}

TORCH_CASES = [case for case in CASES if case != "numpy function"]


def samples(n=24, m=17, d=3):
    a = RNG.random(n)
    return RNG.normal(size=(n, d)), RNG.normal(size=(m, d)) + 0.3, a / a.sum()


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_exact_transport_agrees_with_the_matrix_of_distances(case, p):
    metric, matrix = CASES[case]
    x, y, a = samples()
    costs = matrix(x, y)
    truth = ot.emd2(a, np.full(len(y), 1 / len(y)), costs**p) ** (1 / p)
    found = wasserstein(x, y, a=a, p=p, metric=metric)
    assert found.distance == pytest.approx(truth, abs=SOLVED * costs.max())
    assert found.lower <= found.distance <= found.upper
    assert found.converged
    f, g = found.potentials
    assert (f[:, None] + g <= costs**p + SOLVED).all()
    assert (found.plan.toarray() * costs**p).sum() == pytest.approx(found.cost, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_bracket_of_sinkhorn_contains_the_exact_distance(case):
    metric, _ = CASES[case]
    x, y, a = samples()
    exact = wasserstein(x, y, a=a, p=2, metric=metric).distance
    rough = wasserstein(x, y, a=a, p=2, metric=metric, solver=otdist.Sinkhorn(eps=0.05))
    assert rough.lower <= exact * (1 + 1e-12)
    assert rough.upper >= exact * (1 - 1e-12)


@pytest.mark.parametrize("metric", ["cityblock", "angular", metrics.Periodic(1.3)], ids=str)
def test_column_generation_agrees_with_the_matrix(metric):
    x, y, _ = samples(300, 260)
    by_matrix = wasserstein(x, y, metric=metric)
    by_columns = wasserstein(x, y, metric=metric, solver=otdist.Exact(_sizes=Sizes(matrix_pairs=0)))
    assert by_columns.distance == pytest.approx(by_matrix.distance, rel=1e-9)
    assert by_columns.lower <= by_matrix.distance <= by_columns.upper


def test_column_generation_ends_at_the_optimum_where_many_plans_tie():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 3))
    solver = otdist.Exact(_sizes=Sizes(matrix_pairs=0))
    found = wasserstein(x, 1.2 * y + 0.5, metric="cityblock", solver=solver)
    assert found.message == "exact: no pair violates the dual"
    assert found.gap <= 1e-11 * found.distance


@pytest.mark.parametrize("d", [1, 3, 10, 70])
@pytest.mark.parametrize("case", ["cityblock", "chebyshev", "angular", "cosine"])
def test_blocks_in_either_precision_are_the_distances(case, d):
    x, y = RNG.normal(size=(7, d)), RNG.normal(size=(5, d))
    x[0], x[1] = y[0], -y[1] * (1 + 1e-7)
    metric, matrix = CASES[case]
    ground, costs = metrics.named(metric), matrix(x, y)
    assert ground is not None
    points = [ground.enter(torch.from_numpy(z), "x") for z in (x, y)]
    for kind in (torch.float64, torch.float32):
        a, b = (z.to(kind) for z in points)
        error = ground.slack(a, b) + torch.finfo(kind).eps * 4 * (d + 4) * costs.max()
        error += 3e-8 if case == "angular" else 0.0  # of the matrix, whose arccos loses digits
        assert ground.block(a, b).double().numpy() == pytest.approx(costs, abs=error)


def test_great_circles_in_kilometres():
    x = np.column_stack([RNG.uniform(-90, 90, 30), RNG.uniform(-180, 180, 30)])
    y = np.column_stack([RNG.uniform(-90, 90, 20), RNG.uniform(-180, 180, 20)])
    earth = metrics.Haversine(radius=6371.0088)
    truth: Any = ot.emd2([], [], haversine(x, y))
    assert wasserstein(x, y, metric="haversine").distance == pytest.approx(truth, rel=1e-9)
    turned = y + np.array([0, 360])
    assert wasserstein(x, turned, metric=earth).distance == pytest.approx(
        6371.0088 * truth, rel=1e-9
    )
    quarter = wasserstein([[0.0, 0.0]], [[0.0, 90.0]], metric=earth)
    assert quarter.distance == pytest.approx(6371.0088 * math.pi / 2)


@pytest.mark.parametrize("case", TORCH_CASES)
@pytest.mark.parametrize("p", [1, 2])
def test_gradients_agree_with_differences(case, p):
    metric, _ = CASES[case]
    x, y, _ = samples(6, 5)
    x, y = (torch.from_numpy(z).requires_grad_() for z in (x, y))

    def cost(x, y):
        return wasserstein(x, y, p=p, metric=metric).cost

    assert torch.autograd.gradcheck(cost, (x, y))


@pytest.mark.parametrize("case", TORCH_CASES)
def test_gradients_at_coinciding_and_opposite_points_are_finite(case):
    metric, _ = CASES[case]
    x = torch.tensor([[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]], dtype=torch.float64, requires_grad=True)
    for y in (x.detach().clone(), -x.detach()):
        (slope,) = torch.autograd.grad(wasserstein(x, y, metric=metric).distance, x)
        assert torch.isfinite(slope).all()


def test_rotations_turns_and_lengths_change_nothing():
    x, y, _ = samples()
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    for metric in ("cosine", "angular"):
        base = wasserstein(x, y, metric=metric).distance
        assert wasserstein(x @ turn, 7 * y @ turn, metric=metric).distance == pytest.approx(base)
    hours = metrics.Periodic((1.0, None, 2.0))
    base = wasserstein(x, y, metric=hours).distance
    shift, other = np.array([3.25, 0, 0.5]), np.array([-0.75, 0, -3.5])
    moved = wasserstein(x + shift, y + other, metric=hours).distance
    assert moved == pytest.approx(base)


@pytest.mark.parametrize("case", [c for c in TORCH_CASES if c != "torch function"])
def test_a_sample_is_at_distance_zero_of_itself_in_any_order(case):
    metric, _ = CASES[case]
    x, _, _ = samples()
    found = wasserstein(x, x[RNG.permutation(len(x))], metric=metric)
    assert found.lower == 0
    assert found.upper <= 1e-12
    assert found.converged


def test_opposite_points_keep_their_digits():
    x = np.array([[1.0, 0.0]])
    for off in (1e-3, 1e-6, 1e-9):
        y = np.array([[-math.cos(off), math.sin(off)]])
        found = wasserstein(x, y, metric="angular")
        assert found.lower <= math.pi - off <= found.upper
        assert found.upper - found.lower <= 1e-13


def test_on_the_line_norms_share_the_closed_form():
    x, y = RNG.normal(size=9), RNG.normal(size=7)
    plain = wasserstein(x, y)
    for metric in ("cityblock", "chebyshev"):
        assert wasserstein(x, y, metric=metric).distance == plain.distance


def test_points_without_weight_do_not_exist():
    x, y, a = samples()
    padded, weights = np.concatenate([x, [[1e6, -1e6, 1.0]]]), np.append(a, 0.0)
    for metric, _ in CASES.values():
        base = wasserstein(x, y, a=a, metric=metric).distance
        assert wasserstein(padded, y, a=weights, metric=metric).distance == pytest.approx(
            base, rel=1e-9
        )


def test_torch_agrees_with_numpy():
    x, y, a = samples()
    for metric, _ in CASES.values():
        base = wasserstein(x, y, a=a, metric=metric).distance
        tensors = [torch.from_numpy(z) for z in (x, y, a)]
        found = wasserstein(tensors[0], tensors[1], a=tensors[2], metric=metric)
        assert float(found.distance) == pytest.approx(base, rel=1e-12)


@pytest.mark.parametrize(
    ("x", "metric", "text"),
    [
        ([[0.0, 0.0], [1.0, 0.0]], "cosine", "zero vector for metric 'cosine'.*row 0"),
        ([[91.0, 0.0]], "haversine", "latitudes from -90 to 90.*got 91 at row 0"),
        ([[0.0, 0.0, 0.0]], "haversine", r"shape \(n, 2\)"),
        ([[0.0, 1.0]], metrics.Mahalanobis(np.eye(3)), "x must have 3 coordinates"),
        ([[0.0, 1.0]], metrics.Periodic((1.0, 2.0, 3.0)), "x must have 3 coordinates"),
        ([[0.0, 1.0]], lambda x, y: x.sum() * torch.ones(3, 3), "metric must return distances"),
        ([[0.0, 1.0]], lambda x, y: x @ y, "metric failed for blocks of shapes"),
        ([[0.0, 1.0]], lambda x, y: -torch.ones(len(x), len(y)), "at least 0: got -1"),
        ([[0.0, 1.0]], lambda x, y: torch.full((len(x), len(y)), math.nan), "got nan"),
        ([[0.0, 1.0]], lambda x, y: torch.full((len(x), len(y)), math.inf), "got inf"),
        ([[0.0, 1.0]], "manhattan", "metric must be one of euclidean, cityblock"),
    ],
)
def test_bad_points_and_metrics_are_named(x, metric, text):
    with pytest.raises(ValueError, match=text):
        wasserstein(x, x, metric=metric)


def test_a_wrong_value_of_a_function_is_named_by_its_rows_and_points():
    def function(x, y):  # 2,000 × 3 coordinates are several blocks for the cache
        wrong = (x[:, None, 0] == 50.0) & (y[:, 0] == 7.0)
        return torch.where(wrong, torch.nan, torch.cdist(x, y))

    x, y = np.arange(200.0)[:, None] * np.ones(3), np.arange(2000.0)[:, None] * np.ones(3)
    text = r"got nan between row 50 of the first block, \[50\.0.*, and row 7 of the second, \[7\.0"
    for call in (wasserstein, otdist.entropic_cost, otdist.energy_distance):
        with pytest.raises(ValueError, match=text):
            call(x, y, metric=metrics.Custom(function, negative_type=1))


@pytest.mark.parametrize("d", [2, 3, 12, 13, 40])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_slack_of_angles_covers_their_error_near_opposite_and_equal_points(d, dtype):
    angular, x = metrics.Angular(), RNG.normal(size=(90, d))
    noise = RNG.normal(size=x.shape) * np.repeat([1e-3, 0.1, 1e-7], 30)[:, None]
    given = (x, np.repeat([-1, -1, 1], 30)[:, None] * x + noise)
    u, v = (angular.enter(torch.from_numpy(z), "x").to(dtype) for z in given)
    left, right = (z.numpy().astype(np.longdouble) for z in (u[:, None], v))
    chords = [np.sqrt(np.square(z).sum(2)) for z in (left - right, left + right)]
    error = np.abs(angular.block(u, v).numpy() - 2 * np.arctan2(*chords)).max()
    assert 0 < error <= angular.slack(u, v)


def test_bad_options_of_metrics_are_named():
    with pytest.raises(ValueError, match="least eigenvalue is -1"):
        metrics.Mahalanobis([[1.0, 0.0], [0.0, -1.0]])
    with pytest.raises(ValueError, match="symmetric"):
        metrics.Mahalanobis([[1.0, 1.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="period must be positive"):
        metrics.Periodic(0)
    with pytest.raises(ValueError, match="radius must be positive"):
        metrics.Haversine(radius=-1)
    with pytest.raises(TypeError, match="metric must be a name"):
        wasserstein([0.0], [1.0], metric=3)
    with pytest.raises(ValueError, match="Sliced projects onto lines"):
        wasserstein(np.eye(3), np.eye(3), metric="cosine", solver=otdist.Sliced())


def test_a_function_is_called_on_blocks_that_stay_in_the_cache():
    x, y = RNG.normal(size=(60, 3)), RNG.normal(size=(3000, 3))
    seen = []

    def function(x, y):
        seen.append(len(x) * y.numel())
        return torch.cdist(x, y)

    block = metrics.Custom(function).block(*map(torch.from_numpy, (x, y)))
    assert block.numpy() == pytest.approx(cdist(x, y))
    assert 1 < len(seen) < 60
    assert max(seen) <= 2**18


def test_a_numpy_function_has_no_gradient_and_says_so():
    x = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    found = wasserstein(x, x.detach() + 1, metric=lambda x, y: cdist(x, y))
    with pytest.raises(RuntimeError, match="write its function with torch"):
        found.distance.backward()


@pytest.mark.parametrize("case", CASES)
def test_evidence_of_any_origin_is_proved(case):
    metric, matrix = CASES[case]
    x, y, a = samples()
    b = np.full(len(y), 1 / len(y))
    plan, log = ot.emd(a, b, matrix(x, y), log=True)
    found = otdist.certify(x, y, plan=plan, potentials=(log["u"], log["v"]), a=a, metric=metric)
    exact = wasserstein(x, y, a=a, metric=metric).distance
    assert found.lower <= exact * (1 + 1e-12)
    assert found.upper >= exact * (1 - 1e-12)
    assert found.gap <= 1e-8 * exact


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("p", [1, 2])
def test_potentials_extend_to_new_points(case, p):
    metric, matrix = CASES[case]
    x, y, a = samples()
    result = wasserstein(x, y, a=a, p=p, metric=metric)
    z = RNG.normal(size=(5, 3))
    wanted = (matrix(z, y) ** p - result.potentials[1]).min(1)
    assert otdist.extend_potential(result, z, y, metric=metric) == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize("case", TORCH_CASES)
def test_the_exact_loss_is_the_cost(case):
    metric, _ = CASES[case]
    x, y = (torch.from_numpy(RNG.normal(size=(2, n, 3))).requires_grad_() for n in (6, 5))
    loss = otdist.losses.ExactLoss(p=1, metric=metric, reduction="none")
    values = loss(x, y)
    for k in range(2):
        found = wasserstein(x[k], y[k], metric=metric)
        assert torch.allclose(values[k], found.cost, rtol=1e-12)
        (slope,) = torch.autograd.grad(found.cost, x)
        (own,) = torch.autograd.grad(values[k], x, retain_graph=True)
        assert torch.allclose(slope, own)


def test_a_loss_shows_its_metric():
    assert "metric='cosine'" in repr(otdist.losses.ExactLoss(metric="cosine"))
    assert "metric" not in repr(otdist.losses.ExactLoss())


def test_all_pairs_of_samples(tmp_path):
    x, y, _ = samples()
    options = {"metric": metrics.Angular(), "cache": tmp_path}
    found = otdist.pairwise([x, y], **options)
    assert found[0, 1] == wasserstein(x, y, metric="angular").distance
    assert otdist.pairwise([x, y], **options).reused == 1
    assert otdist.pairwise([x, y], metric="cosine", cache=tmp_path).reused == 0
    with pytest.raises(TypeError, match="metric is not an option"):
        otdist.pairwise([x, y], metric="cosine", distance=otdist.sliced_wasserstein)
    with pytest.raises(ValueError, match="metric must be one of"):
        otdist.pairwise([x, y], metric="manhattan")


def test_a_permutation_test_sees_directions_only():
    x = np.random.default_rng(3).normal(size=(12, 3)) + 1
    same = otdist.two_sample_test(x, 5 * x, "wasserstein", metric="cosine", n_permutations=49)
    other = otdist.two_sample_test(x, -x, "wasserstein", metric="cosine", n_permutations=49)
    assert same.statistic == pytest.approx(0, abs=1e-12)
    assert same.pvalue == 1
    assert other.pvalue <= 0.04
    assert other.statistic == pytest.approx(wasserstein(x, -x, metric="cosine").distance)
