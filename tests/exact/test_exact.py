"""Between few and many pairs: a few rounds of column generation, then the full matrix."""

import numpy as np
import ot
import pytest
import torch

import otdist
from otdist.exact import exact

COST_RTOL = 1e-9  # the simplex works in float64, on costs less potentials


def truth(x, y, a, b, p):
    return float(ot.emd2(a, b, np.linalg.norm(x[:, None] - y[None], axis=2) ** p))


def samples(n, m, clusters):
    rng = np.random.default_rng(7)
    centres = 100.0 * clusters * rng.integers(0, 3, (n + m, 1))
    points = rng.normal(size=(n + m, 4)) + centres
    a, b = (w / w.sum() for w in (rng.random(n) ** 4, rng.random(m)))
    return points[:n], points[n:], a, b


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("clusters", [False, True])
def test_the_middle_is_exact(p, clusters):
    x, y, a, b = samples(330, 300, clusters)
    assert exact.TRIED_PAIRS < len(x) * len(y) <= exact.DENSE_PAIRS
    result = otdist.wasserstein(x, y, a=a, b=b, p=p)
    assert result.cost == pytest.approx(truth(x, y, a, b, p), rel=COST_RTOL)
    assert result.gap <= COST_RTOL * result.distance
    assert (result.iterations == 0) == clusters  # where mass is lost, the matrix took over


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_the_matrix_takes_over_from_any_state(p, monkeypatch):
    monkeypatch.setattr(exact, "TRIED_PAIRS", 0)
    monkeypatch.setattr(exact, "_TRIED_LOSS", -1.0)
    monkeypatch.setattr(exact.column_generation, "_NEAREST", 1)
    x, y, a, b = samples(60, 50, clusters=False)
    x[:4], a[5] = x[4], 0.0  # coincident points, and one without mass
    a = a / a.sum()
    result = otdist.wasserstein(x, y, a=a, b=b, p=p)
    assert result.iterations == 0
    assert result.cost == pytest.approx(truth(x, y, a, b, p), rel=COST_RTOL)
    assert result.lower <= result.distance <= result.upper


def test_a_gradient_survives_the_change():
    x, y, a, b = samples(330, 300, clusters=True)
    found = []
    for pairs in (exact.TRIED_PAIRS, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "TRIED_PAIRS", pairs)
            points = torch.tensor(x, requires_grad=True)
            otdist.wasserstein(points, torch.tensor(y), a=a, b=b, p=2).cost.backward()
            found.append(points.grad)
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)
