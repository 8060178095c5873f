"""Sliced barycenters: free support along many lines."""

import numpy as np
import pytest

import otdist

RNG = np.random.default_rng(0)


def test_translated_samples_meet_in_the_middle():
    x = RNG.normal(size=(60, 3))
    shifts = np.array([[0.0, 0, 0], [6, 0, 2], [0, 9, 4]])
    found = otdist.barycenter(
        [x + s for s in shifts], weights=[0.5, 0.25, 0.25], method="sliced", tol=1e-10, max_iter=200
    )
    middle = x + np.array([0.5, 0.25, 0.25]) @ shifts
    assert otdist.wasserstein(found.points, middle, p=2).distance < 0.02
    assert found.converged
    assert found.method == "sliced"
    assert (np.diff(found.history) <= 0).all()
    assert found.lower <= found.upper


def test_first_objective_is_that_of_sliced_distances():
    samples = [RNG.normal(size=(n, 2)) for n in (40, 25)]
    weights = [RNG.dirichlet(np.ones(len(x))) for x in samples]
    start = RNG.normal(size=(30, 2))
    found = otdist.barycenter(
        list(zip(samples, weights, strict=True)), method="sliced", support=start, n_projections=16,
        weights=[0.3, 0.7], max_iter=30, tol=1.0,
    )  # fmt: skip
    from otdist.sliced import directions

    rows = directions.draw("orthogonal", 16, 2, np.random.default_rng(0)).rows
    wanted = sum(
        share * otdist.sliced_wasserstein(start, x, b=w, p=2, directions=rows).cost
        for share, x, w in zip((0.3, 0.7), samples, weights, strict=True)
    )
    assert found.history[0] == pytest.approx(wanted, rel=1e-9)


def test_on_the_line_it_is_the_average_of_quantiles():
    samples = [RNG.normal(size=50), 3 + 2 * RNG.normal(size=50)]
    found = otdist.barycenter(samples, method="sliced", tol=0)
    wanted = (np.sort(samples[0]) + np.sort(samples[1])) / 2
    np.testing.assert_allclose(np.sort(found.points), wanted, atol=1e-12)


def test_many_points_in_many_dimensions():
    samples = [RNG.normal(size=(300, 200)) + k for k in range(2)]
    found = otdist.barycenter(samples, method="sliced", max_iter=3, tol=0.5)
    assert found.points.shape == (300, 200)
    with pytest.raises(ValueError, match="n_projections must be at least 200"):
        otdist.barycenter(samples, method="sliced", n_projections=20)


def test_options():
    samples = [RNG.normal(size=(9, 2)), RNG.normal(size=(9, 2))]
    with pytest.raises(ValueError, match='p must be 2 for method "sliced"'):
        otdist.barycenter(samples, method="sliced", p=1)
    with pytest.raises(ValueError, match='n_projections must be None for method "exact"'):
        otdist.barycenter(samples, n_projections=3)
    with pytest.raises(ValueError, match='eps must be None for method "sliced"'):
        otdist.barycenter(samples, method="sliced", eps=3)
    with pytest.warns(otdist.ConvergenceWarning, match="still fell after 1 steps"):
        otdist.barycenter(samples, method="sliced", max_iter=1, tol=0)
