"""Divergences of measures whose mass may stay: definitions, limits, order, gradients, bad input."""

import math

import numpy as np
import pytest
import torch

from otdist import entropic_cost, sinkhorn_divergence
from otdist.losses import SinkhornLoss


def problem(seed=0, n=9, m=7, shift=0.5):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + shift
    return x, y, rng.uniform(0.2, 1, n), rng.uniform(0.1, 0.6, m)


def entropic(x, y, a, b, p, eps, rho):
    """OT_{eps,ρ} by plain scaling, and the objective of its plan: both ends of the duality."""
    cost = np.linalg.norm(x[:, None] - y, axis=2) ** p
    f, g, damp = np.zeros(len(a)), np.zeros(len(b)), rho / (rho + eps)
    for _ in range(20_000):
        f = -eps * damp * np.log((np.exp((g - cost) / eps) * b).sum(1))
        g = -eps * damp * np.log((np.exp((f[:, None] - cost) / eps) * a[:, None]).sum(0))
    plan = a[:, None] * b * np.exp((f[:, None] + g - cost) / eps)

    def kl(q, w):
        return float((q * np.log(q / w) - q + w).sum())

    penalties = rho * (kl(plan.sum(1), a) + kl(plan.sum(0), b))
    value = float((plan * cost).sum()) + penalties + eps * kl(plan, a[:, None] * b)
    dual = rho * float(a @ (1 - np.exp(-f / rho)) + b @ (1 - np.exp(-g / rho)))
    assert value == pytest.approx(dual - eps * (plan.sum() - a.sum() * b.sum()), rel=1e-10)
    return value


@pytest.mark.parametrize("p, eps, reach", [(1, 0.1, 0.5), (2, 0.2, 1.0), (1.5, 1.0, 3.0)])
def test_values_are_those_of_plain_scaling(p, eps, reach):
    x, y, a, b = problem()
    rho = reach**p
    truth = entropic(x, y, a, b, p, eps, rho)
    found = entropic_cost(x, y, a=a, b=b, p=p, eps=eps, reach=reach)
    assert found.cost == pytest.approx(truth, rel=1e-10)
    own = entropic(x, x, a, a, p, eps, rho) / 2 + entropic(y, y, b, b, p, eps, rho) / 2
    truth += eps / 2 * (a.sum() - b.sum()) ** 2 - own
    found = sinkhorn_divergence(x, y, a=a, b=b, p=p, eps=eps, reach=reach)
    assert found.cost == pytest.approx(truth, rel=1e-9)
    assert found.distance == pytest.approx(truth ** (1 / p), rel=1e-9)
    back = sinkhorn_divergence(y, x, a=b, b=a, p=p, eps=eps, reach=reach)
    assert back.cost == pytest.approx(found.cost, rel=1e-9)


def test_diracs():
    eps, rho, a, b = 0.3, 4.0, 0.7, 1.9  # of one point each the fixed point has a closed form

    # (1 + 2ρ/ε) log P = log(ab)·(1 + ρ/ε) ... with P = ab e^((f+g−c)/ε) = a e^(−f/ρ) = b e^(−g/ρ)
    def plan(u, v, cost):
        logs = (1 + rho / eps) * math.log(u * v) - cost / eps
        return math.exp(logs / (1 + 2 * rho / eps))

    def value(u, v, cost):
        moved = plan(u, v, cost)
        return rho * (u + v) - (2 * rho + eps) * moved + eps * u * v

    found = entropic_cost([0.0], [1.5], a=[a], b=[b], p=2, eps=eps, reach=2.0)
    assert found.cost == pytest.approx(value(a, b, 2.25), rel=1e-11)
    truth = value(a, b, 2.25) - value(a, a, 0) / 2 - value(b, b, 0) / 2 + eps / 2 * (a - b) ** 2
    found = sinkhorn_divergence([0.0], [1.5], a=[a], b=[b], p=2, eps=eps, reach=2.0)
    assert found.cost == pytest.approx(truth, rel=1e-10)


def soft(g, mean, var, mass, eps, damp):
    """λ T(g) for a Gaussian measure on the line; potentials are ε (k + w x − u x²/2)."""
    (u, w, k), c = g, 2 / eps
    s, h = u + c + 1 / var, w + mean / var
    level = math.log(mass) - math.log(var * s) / 2 + h**2 / (2 * s) - mean**2 / (2 * var)
    return -damp * (c - c**2 / s), -damp * h * c / s, -damp * (level + k)


@pytest.mark.parametrize("eps, rho", [(0.6, 1.5), (0.2, 4.0), (2.0, 0.7)])
def test_gaussian_measures(eps, rho):
    """Of Gaussian measures potentials are quadratic and the plan is Gaussian: the closed form of
    Janati, Muzellec, Peyré and Cuturi (2020) is the fixed point of three numbers.
    """
    (m, v, s), (n, w, t) = (0.0, 1.0, 1.1), (1.3, 0.5, 0.8)  # means, variances, masses
    f = g = (0.0, 0.0, 0.0)
    for _ in range(500):
        f = soft(g, n, w, t, eps, rho / (rho + eps))
        g = soft(f, m, v, s, eps, rho / (rho + eps))
    r = eps / rho
    bend, slope = 1 / w - r * g[0], n / w - r * g[1]
    moved = t / math.sqrt(w * bend) * math.exp(slope**2 / (2 * bend) - n**2 / (2 * w) - r * g[2])
    truth = rho * (s + t) + eps * s * t - (2 * rho + eps) * moved
    nodes = np.linspace(-8, 8, 161)
    weights = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
    x, y = m + nodes * v**0.5, n + nodes * w**0.5
    options = {"a": s * weights, "b": t * weights, "p": 2, "eps": eps, "reach": rho**0.5}
    assert entropic_cost(x, y, **options).cost == pytest.approx(truth, rel=1e-9)


def test_values_of_other_libraries():
    """GeomLoss 0.3.1 `SamplesLoss("sinkhorn", scaling=0.999)` and the objective of the plan of POT
    0.9.7.post1 `unbalanced.sinkhorn_unbalanced(reg_type="kl", stopThr=1e-14)` for these samples.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)).round(3), rng.normal(size=(10, 2)).round(3) + 0.5
    a, b = rng.uniform(0.5, 1.5, 12).round(3), rng.uniform(0.5, 1.5, 10).round(3) / 2
    found = entropic_cost(x, y, a=a, b=b, p=2, eps=0.5, reach=1.5)
    assert found.cost == pytest.approx(29.383389572935414, rel=1e-12)
    options = {"p": 2, "eps": 2 * 0.4**2, "reach": math.sqrt(2) * 1.2}  # blur 0.4, reach 1.2
    found = sinkhorn_divergence(x, y, a=a, b=b, **options)
    assert found.cost / 2 == pytest.approx(5.707817931534645, rel=1e-6)
    found = sinkhorn_divergence(x, y, a=a, b=b, p=1, eps=0.4, reach=1.2)
    assert found.cost == pytest.approx(6.594149029504054, rel=1e-4)


def test_zero_for_equal_measures_only():
    x, _, a, _ = problem()
    for reach in (0.01, 1.0, 100.0):
        assert sinkhorn_divergence(x, x, a=a, b=a, reach=reach).cost == 0
        order = np.random.default_rng(1).permutation(len(x))
        again = sinkhorn_divergence(x, x[order], a=a, b=a[order], eps=0.1, reach=reach)
        assert again.cost == pytest.approx(0, abs=1e-12)
        other = sinkhorn_divergence(x, x, a=a, b=1.1 * a, eps=0.1, reach=reach)
        assert other.cost > 1e-6 * min(reach, 1)


def test_not_negative_and_tends_to_the_balanced_divergence():
    for seed in range(8):
        x, y, a, b = problem(seed, shift=1e-3)
        a[2] = 0
        found = [
            sinkhorn_divergence(x, y, a=a, b=b, p=p, eps=e, reach=r)
            for p, e, r in ((1, 0.05, 0.3), (2, None, 1.0), (1, None, 30.0))
        ]
        assert all(r.cost > 0 and r.converged for r in found)
    x, y, a, b = problem()
    a, b = a / a.sum(), b / b.sum()
    for p in (1, 2):
        balanced = sinkhorn_divergence(x, y, a=a, b=b, p=p, eps=0.2)
        found = sinkhorn_divergence(x, y, a=a, b=b, p=p, eps=0.2, reach=1e4)
        assert found.cost == pytest.approx(balanced.cost, rel=1e-4)


def test_larger_problems_are_as_good_as_their_tolerance():
    rng, n = np.random.default_rng(3), 300
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n + 50, 3)) + 0.3
    a = rng.uniform(0.5, 2, n) / n
    for reach in (0.3, 5.0):
        options = {"a": a, "p": 2, "eps": 0.1, "reach": reach}
        rough = sinkhorn_divergence(x, y, **options)
        fine = sinkhorn_divergence(x, y, tol=1e-6, **options)
        assert fine.converged
        assert rough.cost == pytest.approx(fine.cost, rel=1e-4)


def test_points_without_mass_change_nothing_and_have_a_derivative():
    x, y, a, b = problem()
    plain = sinkhorn_divergence(x, y, a=a, b=b, p=2, reach=1.0)
    far = [[1e7, 0.0]]
    padded = sinkhorn_divergence(
        np.concatenate([x, far]), np.concatenate([far, y]), a=[*a, 0.0], b=[0.0, *b], p=2, reach=1.0
    )
    assert padded.cost == pytest.approx(plain.cost, rel=1e-12)
    assert padded.potentials[0][:-1] == pytest.approx(plain.potentials[0], rel=1e-9)
    masses = torch.tensor([*a, 0.0], requires_grad=True)
    both = torch.tensor(np.concatenate([x, x[:1]]))
    sinkhorn_divergence(both, torch.tensor(y), a=masses, b=b, p=2, reach=1.0).cost.backward()
    assert masses.grad is not None
    assert float(masses.grad[-1]) == pytest.approx(float(masses.grad[0]), rel=1e-6)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("debias", [True, False])
def test_gradients_of_points_and_masses(p, debias):
    values = [torch.tensor(v, requires_grad=True) for v in problem(n=3, m=4)]
    function = sinkhorn_divergence if debias else entropic_cost

    def cost(x, y, a, b):
        return function(x, y, a=a, b=b, p=p, eps=0.5, reach=1.3, tol=1e-11).cost

    assert torch.autograd.gradcheck(cost, values)
    found = function(*values[:2], a=values[2], b=values[3], p=p, eps=0.5, reach=1.3)
    if debias:
        found.cost.backward()
        for w, h in zip(values[2:], found.potentials, strict=True):
            assert w.grad is not None
            torch.testing.assert_close(w.grad, h.detach())


def test_the_potentials_give_the_plan():
    x, y, a, b = problem()
    found = entropic_cost(x, y, a=a, b=b, p=2, eps=0.3, reach=1.5)
    f, g = found.potentials
    cost = ((x[:, None] - y) ** 2).sum(2)
    plan = a[:, None] * b * np.exp((f[:, None] + g - cost) / 0.3)
    assert plan.sum(1) == pytest.approx(a * np.exp(-f / 1.5**2), rel=1e-9)
    assert plan.sum(0) == pytest.approx(b * np.exp(-g / 1.5**2), rel=1e-9)


@pytest.mark.parametrize("reach", [1e-3, 1e-1, 10.0, 1e6, 1e150])
@pytest.mark.parametrize("eps", [None, 1e-3, 1e3])
def test_any_proportion_of_eps_and_reach_converges(eps, reach):
    x, y, a, b = problem(n=20, m=30)
    found = sinkhorn_divergence(x, y, a=a, b=b, p=2, eps=eps, reach=reach, max_iter=5000)
    assert found.converged
    assert 0 < found.cost < math.inf


def test_outliers_cost_what_giving_them_up_costs():
    x, y, _, _ = problem(n=40, m=40)
    x[0] = 1e6
    found = sinkhorn_divergence(x, y, p=2, reach=0.5)
    clean = sinkhorn_divergence(x[1:], y, a=np.full(39, 1 / 40), p=2, eps=found.eps, reach=0.5)
    assert found.converged
    assert found.cost == pytest.approx(clean.cost + 0.25 / 40, rel=0.05)


def test_batches_are_single_calls():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(3, 8, 2)), rng.normal(size=(3, 6, 2))
    a = rng.uniform(0.2, 1, size=(3, 8))
    found = sinkhorn_divergence(x, y, a=a, p=2, eps=0.2, reach=0.7)
    for k in range(3):
        single = sinkhorn_divergence(x[k], y[k], a=a[k], p=2, eps=0.2, reach=0.7)
        assert found.cost[k] == single.cost


@pytest.mark.parametrize("debias", [True, False])
def test_the_loss_is_the_function(debias):
    rng = np.random.default_rng(6)
    x, y = (torch.tensor(rng.normal(size=(2, 2, k, 2))) for k in (8, 6))
    a = torch.tensor(rng.uniform(0.2, 1, size=(2, 2, 8)))
    loss = SinkhornLoss(eps=0.3, reach=0.8, debias=debias, reduction="none", tol=1e-9)
    costs = loss(x, y, a)
    function = sinkhorn_divergence if debias else entropic_cost
    for i in range(2):
        for j in range(2):
            single = function(x[i, j], y[i, j], a=a[i, j], p=2, eps=0.3, reach=0.8)
            torch.testing.assert_close(costs[i, j], single.cost, rtol=1e-8, atol=1e-10)
    assert "reach=0.8" in repr(loss)
    masses = a[0, 0].clone().requires_grad_()
    points = x[0].clone().requires_grad_()
    fine = SinkhornLoss(eps=0.5, reach=0.8, tol=1e-11, debias=debias)
    assert torch.autograd.gradcheck(lambda p, w: fine(p, y[0], w), (points[:, :3], masses[:3]))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("debias", [True, False])
def test_a_batch_is_solved_together_as_alone(p, debias):
    rng = np.random.default_rng(7)
    x, y = (torch.tensor(rng.normal(size=(3, k, 2))) for k in (9, 7))
    x[1] = 100 * x[1]
    a, b = (torch.tensor(rng.uniform(0.2, 2, size=(3, k))) for k in (9, 7))
    inputs = [z.requires_grad_() for z in (x, y, a, b)]
    for eps, reach in ((0.5, 2.0), (None, 0.3), (0.5, 1e4)):
        loss = SinkhornLoss(p=p, eps=eps, reach=reach, debias=debias, reduction="none", tol=1e-9)
        together = loss(*inputs)
        alone = torch.stack([loss(*(z[k] for z in inputs)) for k in range(3)])
        torch.testing.assert_close(together, alone, rtol=1e-7, atol=1e-9)
        weights = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
        slopes = [torch.autograd.grad(v @ weights, inputs) for v in (together, alone)]
        for one, other in zip(*slopes, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    same = loss(x, x.detach(), a, a.detach())
    assert (float(same.detach().abs().max()) == 0) is debias
    with pytest.raises(ValueError, match="reach must have a p-th power"):
        SinkhornLoss(reach=1e-300)(x, y, a, b)


def test_half_precision_and_equal_samples():
    x = torch.randn(3, 10, 2, generator=torch.Generator().manual_seed(0)).half().requires_grad_()
    loss = SinkhornLoss(reach=1.0)(x, x.detach())
    loss.backward()
    assert float(loss.detach()) == 0
    assert loss.dtype == torch.float32
    assert x.grad is not None
    assert not x.grad.any()


@pytest.mark.parametrize(
    "options, text",
    [
        ({"reach": 0.0}, "reach must be positive"),
        ({"reach": 1e200, "p": 2}, "reach must have a p-th power"),
        ({"reach": 1.0, "a": [0.0]}, "a must have a positive and finite sum"),
        ({"reach": 1.0, "a": [-1.0]}, "a must be non-negative"),
        ({"a": [2.0]}, "a must sum to 1"),
    ],
)
def test_wrong_options(options, text):
    for function in (sinkhorn_divergence, entropic_cost):
        with pytest.raises(ValueError, match=text):
            function([0.0], [1.0], **options)
