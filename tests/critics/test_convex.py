"""W_2 and its map where both are known; conjugates against closed forms; limits and brackets."""

import numpy as np
import pytest
import torch

from otdist import ConvexDual, ConvexDualResult, wasserstein
from otdist.critics.conjugate import conjugate
from otdist.critics.convex import ALPHA, ConvexPotential, normal_map
from otdist.critics.convex_dual import FINAL, dual_potentials
from otdist.problems import bures, convex_gradient

EXACT = 1e-9


def cloud(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def points(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(cloud(n, d, seed))


def potential(d: int, seed: int = 0) -> ConvexPotential:
    made = ConvexPotential(d, (16, 16), seed=seed).double()
    with torch.no_grad():
        for weight in made.passed:
            weight.mul_(3)
    return made


@pytest.mark.parametrize("power", [4, 1.5])
def test_conjugates_of_powers(power):
    """ψ = Σ |x|^p/p + |x|²/2·10⁻³ has ψ* = Σ |y|^q/q up to the small term."""
    y = points(40, 3, 0) * 2
    q = power / (power - 1)

    def psi(x):
        return (x.abs() ** power / power + 5e-7 * x.square()).sum(1)

    eye = torch.eye(3, dtype=torch.float64)
    found = conjugate(psi, y, 0 * y + 0.1, eye, tolerance=1e-9, iterations=300)
    assert found.residuals.max() < 1e-6
    assert torch.allclose(found.values, (y.abs() ** q / q).sum(1), rtol=1e-4)


def test_conjugates_of_quadratics_need_one_step_from_the_inverse():
    y = points(5, 2, 0)
    matrix = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    inverse = torch.linalg.inv(matrix)
    psi = lambda x: 0.5 * (x @ matrix * x).sum(1)  # noqa: E731
    found = conjugate(psi, y, 0 * y, inverse, tolerance=1e-12, iterations=1)
    assert torch.allclose(found.points, y @ inverse, atol=1e-12)
    assert torch.allclose(found.values, 0.5 * (y @ inverse * y).sum(1), atol=1e-12)


def test_the_charged_error_covers_what_few_iterations_leave():
    psi, y = potential(3), points(50, 3, 1) * 3
    true = psi.conjugates(y, *FINAL)
    assert true.residuals.max() < 1e-6
    for iterations in (0, 1, 3):
        rough = psi.conjugates(y, 1e-9, iterations)
        assert (rough.values <= true.values + 1e-12).all()
        assert (rough.at_most(ALPHA) >= true.values - 1e-12).all()
    assert rough.residuals.max() > 1e-3  # the test saw unfinished iterations


@pytest.mark.parametrize("seed", range(3))
def test_potentials_are_strongly_convex_whatever_their_parameters(seed):
    psi = ConvexPotential(4, (8, 8), seed=seed).double()
    with torch.no_grad():
        for parameter in psi.parameters():
            parameter.copy_(torch.from_numpy(cloud(parameter.numel(), 1, seed)).view_as(parameter))
    x, y = points(200, 4, seed + 1) * 3, points(200, 4, seed + 2)
    middle = (psi(x) + psi(y)) / 2 - psi((x + y) / 2)
    assert (middle >= ALPHA / 8 * (x - y).square().sum(1) * (1 - 1e-9)).all()


def test_dual_potentials_are_feasible():
    psi, x, y = potential(3), points(40, 3, 1), points(30, 3, 2) + 1
    for iterations in (0, 2, 200):
        f, g, _ = dual_potentials(psi, x, y, 1e-9, iterations)
        assert (f[:, None] + g <= torch.cdist(x, y).square() + 1e-12).all()


def test_the_start_is_the_map_between_normal_laws():
    x, y = points(3000, 3, 0), points(3000, 3, 1) * torch.tensor([0.5, 1.0, 2.0]) + 1
    hessian, shift = normal_map(x, y)
    moved = x @ hessian + shift
    assert torch.allclose(moved.mean(0), y.mean(0), atol=1e-9)
    assert torch.allclose(torch.cov(moved.mT), torch.cov(y.mT), atol=0.02)


def test_translations_and_normal_laws_are_found():
    x, y = cloud(3000, 4, 0), cloud(3000, 4, 1)
    moved = ConvexDual(steps=20).fit(x, y + 3)
    assert moved.estimate == pytest.approx(6, rel=0.02)
    assert np.abs(moved.transport(x) - x - 3).mean() < 0.15
    scales = np.array([0.5, 1.0, 2.0, 3.0])
    truth = bures(np.zeros(4), np.eye(4), np.ones(4), np.diag(scales**2))
    scaled = ConvexDual(steps=20).fit(x, y * scales + 1)
    assert scaled.lower is not None
    assert 0.9 * truth < scaled.lower < truth
    assert scaled.estimate == pytest.approx(truth, rel=0.05)


def test_the_gradient_of_a_convex_function_is_learnt():
    """A law against its image by ∇ψ: the normal map alone leaves 3% of the variance."""
    known = convex_gradient(6000, 2)
    assert known.pairing is not None
    x, truth = known.x, known.sample(2)
    target = known.y[known.pairing]
    result = ConvexDual((32, 32), steps=250).fit(x, known.y)
    unexplained = np.square(result.transport(x) - target).sum(1).mean() / target.var(0).sum()
    assert unexplained < 0.012
    assert truth is not None
    assert result.estimate == pytest.approx(truth, rel=0.05)
    back = result.inverse(result.transport(x[:100]))
    assert np.abs(back - x[:100]).max() < 1e-5


@pytest.mark.parametrize("weighted", [False, True])
def test_the_bracket_contains_exact_transport(weighted):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, y = cloud(40, 3, seed) * 10.0 ** rng.uniform(-3, 3), cloud(30, 3, seed + 50)
        a = rng.dirichlet(np.ones(40)) if weighted else None
        result = ConvexDual((8,), steps=3).fit(x, y, a)
        exact = wasserstein(x, y, a=a, p=2).distance
        assert result.bracket.lower <= exact * (1 + EXACT)
        assert exact <= result.bracket.upper * (1 + EXACT)
        assert result.bracket.lower > 0.6 * exact  # so few points say something
        assert (result.lower is None) == weighted


def test_samplers_the_line_and_files(tmp_path):
    result = ConvexDual((8,), steps=5).fit(
        lambda n, seed: cloud(n, 1, seed % 2**32)[:, 0],
        lambda n, seed: cloud(n, 1, seed % 2**32)[:, 0] * 2 + 1,
    )
    assert result.estimate == pytest.approx(2**0.5, rel=0.05)
    assert result.transport([0.0, 1.0]).shape == (2,)
    with pytest.raises(ValueError, match="samplers"):
        _ = result.bracket
    result.save(tmp_path / "psi.pt")
    again = ConvexDualResult.load(tmp_path / "psi.pt")
    assert repr(again) == repr(result)
    assert again.transport([0.0, 1.0]).tolist() == result.transport([0.0, 1.0]).tolist()
    (tmp_path / "other.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not a saved ConvexDualResult"):
        ConvexDualResult.load(tmp_path / "other.pt")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"widths": ()}, "widths must be integers, at least one"),
        ({"splits": (0.5, 0.5, 0.5)}, "splits must be"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"seconds": 0.0}, "seconds must be positive"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ConvexDual(**options)


def test_points_of_another_dimension():
    result = ConvexDual((8,), steps=1).fit(cloud(20, 2, 0), cloud(20, 2, 1))
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        result.transport([[1.0]])
