"""Every critic is 1-Lipschitz, and the extension of exact potentials attains exact W_1."""

import pytest
import torch

from otdist import wasserstein
from otdist.critics import Funnels, lipschitz_bound, mcshane, sorting_network
from otdist.critics.critics import relu_network
from otdist.problems import catalogue

ROUNDING = 1e-12  # float64, points of order one


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=generator(seed))


CRITICS = {
    "peaks": lambda d: Funnels(points(20, d, 1), points(20, 1, 2)[:, 0]),
    "valleys": lambda d: Funnels(points(20, d, 1), points(20, 1, 2)[:, 0], peaks=False),
    "mcshane": lambda d: mcshane(points(30, d, 1), points(40, d, 2) + 1),
    "mcshane valleys": lambda d: mcshane(points(30, d, 1), points(40, d, 2) + 1, peaks=False),
    "sorting": lambda d: sorting_network(d, (16, 16)).double(),
}


@pytest.mark.parametrize("d", [1, 2, 9, 40])
@pytest.mark.parametrize("name", CRITICS)
def test_slopes_never_exceed_one(name, d):
    critic = CRITICS[name](d)
    x, y = points(400, d, 3), points(400, d, 4)
    near = x + 1e-6 * y  # slopes across funnels, and along them
    for other in (y, near):
        rise = (critic(x).reshape(-1) - critic(other).reshape(-1)).abs()
        assert bool((rise <= (x - other).norm(dim=1) * (1 + 1e-9) + ROUNDING).all())
    assert lipschitz_bound(critic) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("peaks", [True, False])
@pytest.mark.parametrize("d", [1, 3, 50])
def test_funnels_are_the_extremum_over_all_of_them(peaks, d):
    centres, heights, x = points(30, d, 1), points(30, 1, 2)[:, 0], points(100, d, 3)
    distance = (x[:, None] - centres).norm(dim=2)
    best = (heights - distance).amax(1) if peaks else (heights + distance).amin(1)
    assert torch.allclose(Funnels(centres, heights, peaks=peaks)(x), best, rtol=0, atol=1e-9)


def test_gradients_are_those_of_finite_differences():
    critic = Funnels(points(5, 3, 1), points(5, 1, 2)[:, 0])
    x = points(6, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(critic, (x,))

    def of_parameters(centres, heights):
        values = {"centres": centres, "heights": heights}
        return torch.func.functional_call(critic, values, (x.detach(),))

    parameters = tuple(p.detach().clone().requires_grad_() for p in critic.parameters())
    assert torch.autograd.gradcheck(of_parameters, parameters)


def test_the_gradient_at_a_centre_is_zero_and_not_nan():
    critic = Funnels(torch.zeros(1, 2))
    x = torch.zeros(1, 2, requires_grad=True)
    critic(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0]]
    assert critic.centres.grad is not None
    assert bool(critic.centres.grad.isfinite().all())


def test_funnels_of_float32_work_in_blocks(monkeypatch):
    critic = Funnels(points(50, 2, 1).float())
    x = points(1000, 2, 3).float()
    whole = critic(x)
    monkeypatch.setattr(Funnels, "_highest", lambda self, z: torch.cat(
        [(self.heights - torch.cdist(part, self.centres)).argmax(1) for part in z.split(7)]
    ))  # fmt: skip
    assert torch.equal(whole, critic(x))
    assert critic(x[:0]).shape == (0,)


@pytest.mark.parametrize("peaks", [True, False])
@pytest.mark.parametrize("problem", catalogue(), ids=str)
def test_extended_potentials_attain_exact_transport(problem, peaks):
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    a, b = (None if w is None else torch.from_numpy(w) for w in (problem.a, problem.b))
    critic = mcshane(x, y, a, b, peaks=peaks)
    mean_x = critic(x).mean() if a is None else a @ critic(x)
    mean_y = critic(y).mean() if b is None else b @ critic(y)
    exact = wasserstein(x, y, a=a, b=b).distance
    assert float((mean_x - mean_y).detach()) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


def test_networks_leave_the_global_generator_alone_and_follow_their_seed():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (sorting_network(3, (8,), seed=seed) for seed in (1, 1, 2))
    fresh = [relu_network(3, (8,), seed=None) for _ in range(2)]
    assert torch.equal(before, torch.random.get_rng_state())
    x = torch.randn(4, 3, generator=generator())
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))
    assert not torch.equal(fresh[0](x), fresh[1](x))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Funnels(torch.zeros(3)), r"centres must have shape \(K, d\): got \(3,\)"),
        (lambda: Funnels(torch.zeros(3, 2), torch.zeros(2)), r"heights must have shape \(3,\)"),
        (lambda: sorting_network(2, (7,)), "even"),
        (lambda: sorting_network(2, ()), "at least one"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
