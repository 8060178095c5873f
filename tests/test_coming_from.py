"""Both sides of the lines of docs/coming_from.md agree, where the other library is installed."""

import numpy as np
import ot
import pytest
import scipy.optimize
import scipy.stats
import torch

import otdist

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), RNG.normal(0.5, 1, size=(50, 3))
U, V = RNG.normal(size=40), RNG.normal(1, 1, size=30)
M = RNG.random((60, 60))
A, B = np.full(60, 1 / 60), RNG.dirichlet(np.ones(60))
THETA = RNG.normal(size=(3, 20))
THETA /= np.linalg.norm(THETA, axis=0)
TIGHT = {"tol": 1e-9, "max_iter": 100_000}
EPS, BLUR = 0.5, 0.3


def bregman(reg_type):
    return float(ot.solve_sample(X, Y, reg=EPS, reg_type=reg_type, tol=1e-12).value)


def barycentric():
    mapped = ot.da.EMDTransport().fit(Xs=X, Xt=Y).transform(Xs=X)
    return mapped, otdist.barycentric_map(otdist.wasserstein(X, Y, p=2), Y)


def duals():
    theirs = ot.emd(A, B, M, log=True)[1]["u"]
    ours = otdist.transport(M, a=A, b=B).potentials[0]
    return theirs - theirs.mean(), ours - ours.mean()


def entropic(**options):
    return otdist.entropic_cost(X, Y, p=2, eps=EPS, **TIGHT, **options).cost


LINES = {
    "line": lambda: (
        scipy.stats.wasserstein_distance(U, V), otdist.wasserstein(U, V).distance
    ),
    "weights": lambda: (
        scipy.stats.wasserstein_distance(U, U, np.arange(40), np.arange(40)[::-1]),
        otdist.wasserstein(
            U, U, a=np.arange(40) / np.arange(40).sum(), b=np.arange(40)[::-1] / np.arange(40).sum()
        ).distance,
    ),
    "several dimensions": lambda: (
        scipy.stats.wasserstein_distance_nd(X[:20], Y[:15]),
        otdist.wasserstein(X[:20], Y[:15]).distance,
    ),
    "energy": lambda: (scipy.stats.energy_distance(U, V), otdist.energy_distance(U, V)),
    "assignment": lambda: (
        M[scipy.optimize.linear_sum_assignment(M)].mean(), otdist.transport(M).cost
    ),
    "emd2 of points": lambda: (
        ot.emd2([], [], ot.dist(X, Y)), otdist.wasserstein(X, Y, p=2).cost
    ),
    "emd2": lambda: (ot.emd2(A, B, M), otdist.transport(M, a=A, b=B).cost),
    "plan": lambda: (ot.emd(A, B, M), otdist.transport(M, a=A, b=B).plan.toarray()),
    "duals": duals,
    "wasserstein_1d": lambda: (
        ot.wasserstein_1d(U, V, p=2), otdist.wasserstein(U, V, p=2).cost
    ),
    "sliced": lambda: (
        ot.sliced_wasserstein_distance(X, Y, projections=THETA),
        otdist.sliced_wasserstein(X, Y, p=2, directions=THETA.T).distance,
    ),
    "Gaussian": lambda: (
        ot.gaussian.empirical_bures_wasserstein_distance(X, Y, reg=0),
        otdist.gaussian_wasserstein(X, Y),
    ),
    "map": barycentric,
    "KL": lambda: (bregman("KL"), entropic()),
    "entropy": lambda: (
        bregman("entropy") + EPS * (np.log(60) + np.log(50)), entropic()
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_scipy_and_pot(line):
    theirs, ours = LINES[line]()
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-6, atol=1e-9)


def test_geomloss():
    geomloss = pytest.importorskip("geomloss")
    x, y = torch.from_numpy(X), torch.from_numpy(Y)

    def theirs(name, **options):
        return geomloss.SamplesLoss(name, **options)(x, y).item()

    def ours(p, eps):
        return otdist.losses.SinkhornLoss(p=p, eps=eps, **TIGHT)(x, y).item()

    # Annealing with `scaling` stops a few thousandths short of convergence.
    rough = {"rel": 5e-3}
    for p, eps, factor in ((2, 2 * BLUR**2, 0.5), (1, BLUR, 1)):
        found = theirs("sinkhorn", p=p, blur=BLUR, scaling=0.95)
        assert factor * ours(p, eps) == pytest.approx(found, **rough)
    a, b = (torch.linspace(0.5, 2, len(z), dtype=torch.float64) / len(z) for z in (X, Y))
    for p, eps, reach, factor in ((2, 2 * BLUR**2, 2**0.5 * 1.2, 0.5), (1, BLUR, 1.2, 1)):
        options = {"p": p, "blur": BLUR, "reach": 1.2, "scaling": 0.95}
        found = geomloss.SamplesLoss("sinkhorn", **options)(a, x, b, y).item()
        loss = otdist.losses.SinkhornLoss(p=p, eps=eps, reach=reach, **TIGHT)
        assert factor * loss(x, y, a, b).item() == pytest.approx(found, **rough)
    energy, kernel = otdist.energy_distance(X, Y), otdist.mmd(X, Y, bandwidth=BLUR)
    assert energy**2 / 2 == pytest.approx(theirs("energy"), rel=1e-4)
    assert kernel**2 / 2 == pytest.approx(theirs("gaussian", blur=BLUR), rel=1e-6)


def test_ott():
    pytest.importorskip("ott")
    from ott.geometry.pointcloud import PointCloud
    from ott.solvers import linear
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    x, y = X.astype(np.float32), Y.astype(np.float32)
    found = linear.solve(PointCloud(x, y, epsilon=EPS), threshold=1e-5)
    assert entropic() == pytest.approx(float(found.reg_ot_cost), rel=1e-4)
    solver = otdist.Sinkhorn(eps=EPS, **TIGHT)
    ours = otdist.wasserstein(X, Y, p=2, solver=solver).cost
    assert ours == pytest.approx(float(found.primal_cost), rel=1e-4)
    value, *_ = sinkhorn_divergence(PointCloud, x, y, epsilon=EPS, solve_kwargs={"threshold": 1e-5})
    ours = otdist.sinkhorn_divergence(X, Y, p=2, eps=EPS, **TIGHT).cost
    assert ours == pytest.approx(float(value), rel=1e-4)
