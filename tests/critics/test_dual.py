"""The bracket contains exact W_1, the limit stays below it, and critics follow transport rays."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from otdist import DualResult, NeuralDual, wasserstein
from otdist.critics import fitted
from otdist.critics.layers import MaxMin, OrthogonalLinear
from otdist.problems import RayMonotone, catalogue

EXACT = 1e-9  # relative, of brackets whose evidence is computed in float64


def quick(critic: Any = "peaks", **options) -> NeuralDual:
    return NeuralDual(critic, **{"steps": 30, "batch_size": 32, **options})


def cloud(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def contains(bracket, exact: float) -> bool:
    return bracket.lower <= exact * (1 + EXACT) and exact <= bracket.upper * (1 + EXACT)


@pytest.mark.parametrize("critic", ["mcshane", "peaks", "valleys", "sorting"])
@pytest.mark.parametrize("problem", [p for p in catalogue() if len(p.x) > 4 < len(p.y)], ids=str)
def test_the_bracket_contains_the_known_distance(critic, problem):
    result = quick(critic, steps=5).fit(problem.x, problem.y, problem.a, problem.b)
    exact = wasserstein(problem.x, problem.y, a=problem.a, b=problem.b).distance
    assert contains(result.bracket, exact)
    assert result.certified


@pytest.mark.parametrize("seed", range(60))
def test_the_bracket_contains_exact_transport_on_random_problems(seed):
    rng = np.random.default_rng(seed)
    n, m, d = (int(k) for k in rng.integers([5, 5, 1], [40, 40, 6]))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * rng.uniform(0.1, 3) + rng.normal()
    a, b = (rng.dirichlet(np.ones(k)) if seed % 3 == 0 else None for k in (n, m))
    critic = ("peaks", "valleys", "relu")[seed % 3]
    handling = "gp" if critic == "relu" else "certified"
    result = quick(critic, steps=3, lipschitz=handling, seed=seed).fit(x, y, a, b)
    exact = wasserstein(x, y, a=a, b=b).distance
    assert contains(result.bracket, exact)
    assert result.bracket.upper <= exact * (1 + EXACT)


def test_the_lower_end_is_the_critics_and_large_problems_get_a_plan(monkeypatch):
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 0.5)
    exact = wasserstein(x, y).distance
    rough = quick(steps=1).fit(x, y).bracket
    assert rough.lower < exact * 0.999
    monkeypatch.setattr(fitted, "EXACT_PAIRS", 10)
    loose = quick(steps=1).fit(x, y).bracket
    assert loose.lower == rough.lower
    assert loose.upper > exact * 1.001


def test_points_far_from_the_origin_and_of_any_size_have_their_bracket():
    x, y = cloud(40, 2, 0), cloud(40, 2, 1, 0.5)
    here = quick().fit(x, y)
    for factor, shift in ((2.0**490, 0.0), (2.0**-490, 0.0), (1.0, 1e9)):
        result = quick().fit(x * factor + shift, y * factor + shift)
        exact = wasserstein(x * factor + shift, y * factor + shift).distance
        assert contains(result.bracket, exact)
        if shift == 0:  # rounding by the shift moves the training
            assert result.estimate == pytest.approx(here.estimate * factor, rel=1e-9, abs=0)


def cosine(result: DualResult, law: RayMonotone) -> float:
    x, _ = law.draw(2000, seed=9)
    x = x[np.linalg.norm(x[:, None] - law.centres, axis=2).min(1) > 0.01]  # there no rays are seen
    slope = result.gradient(x)
    length = np.linalg.norm(slope, axis=1)
    assert length.max() <= 1 + 1e-9
    return float((slope * law.critic_gradient(x)).sum(1).mean())


@pytest.mark.parametrize("d", [2, 8])
def test_funnels_find_the_rays_of_ray_monotone_pairs(d):
    law = RayMonotone(d, 4)
    x, y = law.draw(6000, seed=1)[0], law.draw(6000, seed=2)[1]
    result = NeuralDual("peaks", steps=700).fit(x, y)
    truth, _ = law.w1()
    assert cosine(result, law) > 0.95
    assert result.lower is not None
    assert 0.9 * truth < result.lower < truth


def test_the_limit_is_below_the_true_distance_as_often_as_it_says():
    """N(0, 1) and N(1, 1): W_1 = 1, attained, so that the error rate is 5% and not less."""
    x, y = cloud(4000, 1, 0), cloud(4000, 1, 1, 1.0)
    fitted = quick().fit(x, y)
    above = 0
    for seed in range(200):
        again = DualResult(**{**vars(fitted), **fresh_test(fitted, seed)})
        assert again.lower is not None
        above += again.lower > 1.0
    assert above <= 20  # binomial, 200 at 5%: above 20 has probability 0.2%
    assert fitted.lower is not None
    assert fitted.lower > 0.85


def fresh_test(fitted: DualResult, seed: int) -> dict:
    """The estimate and limit of the same critic on new test points."""
    from otdist.critics.limits import limit

    x, y = cloud(500, 1, 2 * seed + 10), cloud(500, 1, 2 * seed + 11, 1.0)
    values = (torch.from_numpy(fitted.potential(points)) for points in (x, y))
    estimate, lower = limit(*values)
    return {"estimate": estimate, "lower": lower}


def test_a_certified_gap_never_exceeds_exact_transport():
    for critic in ("mcshane", "peaks", "sorting"):
        result = quick(critic).fit(cloud(200, 3, 0), cloud(150, 3, 1, 1.0))
        told = result.compare_exact(max_n=35)
        assert (told.n, told.m) == (35, 30)
        assert 0.3 < told.ratio <= 1 + EXACT
        assert told.estimate <= told.exact * (1 + EXACT)


def test_the_gap_on_all_held_out_points_is_the_estimate():
    result = quick().fit(cloud(100, 2, 0), cloud(100, 2, 1, 1.0))
    assert result.compare_exact().estimate == pytest.approx(result.estimate, rel=1e-12)


def test_potential_and_gradient_agree_and_are_of_slope_one():
    for critic in ("mcshane", "valleys", "sorting"):
        result = quick(critic).fit(cloud(80, 3, 0) * 5, cloud(80, 3, 1, 1.0) * 5)
        at, step = cloud(20, 3, 5), 1e-5
        slope = result.gradient(at)
        move = cloud(20, 3, 6)
        rise = result.potential(at + step * move) - result.potential(at - step * move)
        along = (slope * move).sum(1)
        assert np.median(np.abs(rise / (2 * step) - along)) < 1e-6
        assert np.linalg.norm(slope, axis=1).max() <= 1 + 1e-6


def test_numpy_and_torch_agree_and_kinds_return():
    x, y = cloud(60, 2, 0), cloud(60, 2, 1, 1.0)
    one, other = quick().fit(x, y), quick().fit(torch.from_numpy(x), torch.from_numpy(y))
    assert one.estimate == other.estimate
    assert isinstance(one.potential(x), np.ndarray)
    single = other.potential(torch.from_numpy(x).float())
    assert single.dtype == torch.float32
    line = quick().fit(x[:, 0], y[:, 0])
    assert line.gradient(x[:, 0]).shape == (60,)
    assert line.gradient([0.0, 1.0]).shape == (2,)
    assert line.gradient([[0.0], [1.0]]).shape == (2, 1)


def numpy_state() -> str:
    return repr(np.random.get_state(legacy=False))  # noqa: NPY002


def test_seeds_decide_everything_and_global_generators_stay():
    x, y = cloud(60, 2, 0), cloud(60, 2, 1, 1.0)
    net = nn.Sequential(OrthogonalLinear(2, 8), MaxMin(), nn.Dropout(0.0), OrthogonalLinear(8, 1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    states = torch.random.get_rng_state(), numpy_state(), random.getstate()
    for critic in ("sorting", "peaks", net):
        first, same, other = (quick(critic, seed=seed).fit(x, y) for seed in (0, 0, 1))
        torch.manual_seed(3)
        assert first.estimate == same.estimate
        assert first.history == same.history
        assert first.estimate != other.estimate
        assert quick(critic, seed=None).fit(x, y).estimate != first.estimate
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert states[1] == numpy_state()
    assert states[2] == random.getstate()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_weights_count_and_leave_no_limit():
    x, y = cloud(200, 1, 0), cloud(200, 1, 1, 1.0)
    heavy = np.where(x[:, 0] < 0, 1.0, 0.0)
    weighted = quick().fit(x, y, heavy / heavy.sum())
    assert weighted.lower is None
    assert weighted.certified
    assert "weight" in weighted.message
    assert weighted.estimate > quick().fit(x, y).estimate + 0.4


@pytest.mark.parametrize("handling", ["gp", "lp", "clip", "spectral"])
def test_other_handlings_are_labelled_and_bracketed(handling):
    x, y = cloud(300, 2, 0), cloud(300, 2, 1, 2.0)
    result = NeuralDual("relu", lipschitz=handling, steps=300, batch_size=64).fit(x, y)
    assert not result.certified
    assert result.lower is None
    assert handling in result.message
    assert 0 < result.lipschitz_bound < np.inf
    assert result.estimate / result.lipschitz_bound <= wasserstein(x, y).distance * 1.3
    assert contains(result.bracket, wasserstein(x, y).distance)
    if handling in ("gp", "lp"):
        assert result.estimate == pytest.approx(8**0.5, rel=0.2)
        assert np.linalg.norm(result.gradient(x), axis=1).mean() < 1.4
    if handling == "clip":
        largest = max(p.abs().max().item() for p in result.critic.parameters())
        assert largest <= 0.01 + 1e-9
    if handling == "spectral":
        assert result.lipschitz_bound < 1.5


class Returns(nn.Module):
    """A module of a function, with a parameter that it has no use for."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.idle = function, nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.function(x)


class Slopes(nn.Module):
    """A critic in the user's units, of known constant."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.tensor([slope, 0.0]))

    def forward(self, x):
        return x @ self.direction

    def lipschitz(self) -> float:
        return float(self.direction.norm())


def test_a_module_of_ones_own_sees_the_users_units_and_its_bound_divides():
    x, y = cloud(200, 2, 0) * 7 + 100, cloud(200, 2, 1) * 7 + 90
    result = quick(Slopes(0.5), steps=200, patience=50, learning_rate=0.02).fit(x, y)
    assert result.name == "yours"
    assert result.lipschitz_bound > 1.01
    assert np.linalg.norm(result.gradient(x), axis=1).max() <= 1 + 1e-9
    assert 8 < result.estimate < 16
    inside = result.compare_exact()
    assert inside.estimate <= inside.exact
    with pytest.raises(ValueError, match="Lipschitz bound is 2, above 1"):
        quick(Slopes(2.0)).fit(x, y)


def test_samplers_are_drawn_afresh():
    law = RayMonotone(2, 4)
    seen: list[int] = []

    def first(n: int, seed: int) -> np.ndarray:
        seen.append(seed)
        return law.draw(n, seed)[0]

    result = NeuralDual("peaks", steps=200, batch_size=256).fit(
        first, lambda n, s: law.draw(n, s)[1]
    )
    truth, _ = law.w1()
    assert result.lower is not None
    assert 0.85 * truth < result.lower < truth
    assert len(set(seen)) == len(seen) > 20
    assert result.compare_exact(300).exact > 0
    with pytest.raises(ValueError, match="samplers"):
        _ = result.bracket


def test_a_critic_that_is_frozen_is_scored_as_it_is():
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    fixed = Slopes(-1.0).requires_grad_(False)
    result = quick(fixed).fit(x, y)
    assert len(result.history) == 1
    assert result.certified
    assert result.gradient(x) == pytest.approx(np.tile([-1.0, 0.0], (60, 1)), abs=1e-12)

    for handling in ("gp", "clip", "spectral"):
        net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)).requires_grad_(False)
        result = quick(net, lipschitz=handling).fit(x, y)
        assert result.potential(x) == pytest.approx(net.double()(torch.tensor(x)).numpy()[:, 0])


def test_integers_of_numpy_are_integers():
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    one = quick(steps=np.int64(5), seed=np.int64(3)).fit(x, y)
    assert one.estimate == quick(steps=5, seed=3).fit(x, y).estimate


POINTS = cloud(20, 2, 0)


def law(n, seed):
    return cloud(n, 1, seed)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps must be at least 1: got 0"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"splits": (0.5, 0.5, 0.5)}, "splits must be three positive shares of sum 1"),
        ({"splits": (1.0, 0.0, 0.0)}, "splits"),
        ({"splits": (0.6, 0.4)}, "splits"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"seconds": 0.0}, "seconds must be positive"),
        ({"seed": -1}, r"seed must be None or an integer from 0 to 2\*\*63 - 1: got -1"),
        ({"seed": 0.5}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"lipschitz": "magic"}, "lipschitz must be one of certified, gp"),
        ({"critic": "magic"}, "critic must be one of auto, linear, mcshane"),
        ({"critic": "relu"}, "choose gp, lp, clip or spectral"),
        ({"critic": "peaks", "lipschitz": "gp"}, "1-Lipschitz by construction"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        NeuralDual(**options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"splits": 0.5}, "splits must be three positive shares of sum 1: got 0.5"),
        ({"splits": (0.5, "a", 0.5)}, "each of splits must be a number"),
        ({"learning_rate": "high"}, "learning_rate must be a number, positive and finite: got 'h"),
        ({"seconds": True}, "seconds must be a number, positive and finite: got True"),
    ],
)
def test_options_of_the_wrong_type(options, message):
    with pytest.raises(TypeError, match=message):
        NeuralDual(**options)


@pytest.mark.parametrize(
    "fit, error, message",
    [
        (lambda: quick().fit(POINTS[:4], POINTS), ValueError, "x must hold at least 5 points"),
        (lambda: quick().fit(POINTS, POINTS[:, :1]), ValueError, "same dimension"),
        (lambda: quick().fit(POINTS, POINTS * np.nan), ValueError, "y must be finite"),
        (lambda: quick().fit(POINTS, POINTS, np.ones(20)), ValueError, "sum to 1"),
        (lambda: quick().fit(POINTS, lambda n, s: POINTS), TypeError, "both samplers"),
        (
            lambda: quick().fit(law, law, POINTS[:, 0]),
            ValueError,
            "samplers take no weights",
        ),
        (lambda: quick().fit(*[lambda n, s: POINTS] * 2), ValueError, "must return 8192 points"),
        (
            lambda: quick().fit(*[torch.zeros(9, 2, requires_grad=True)] * 2),
            ValueError,
            "carries no graph",
        ),
        (
            lambda: quick(nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 1))).fit(POINTS, POINTS),
            TypeError,
            "LayerNorm",
        ),
        (lambda: quick().fit(POINTS, POINTS).potential([[1.0]]), ValueError, r"shape \(n, 2\)"),
        (
            lambda: quick().fit(POINTS, POINTS).gradient([[0.0, np.nan]]),
            ValueError,
            "points must be finite: found NaN or infinity, first at row 0",
        ),
        (lambda: quick().fit(POINTS, POINTS).compare_exact(0), ValueError, "max_n"),
        (
            lambda: quick().fit(POINTS, POINTS).compare_exact(2.5),
            ValueError,
            "max_n must be an integer, at least 1: got 2.5",
        ),
        (
            lambda: quick().fit(POINTS, POINTS, b=np.eye(20)[0]),
            ValueError,
            "y must hold at least 5 points, .*: got 1 points",
        ),
        (
            lambda: quick().fit(lambda n, s: None, law),
            TypeError,
            "sampler x must return points: got NoneType",
        ),
        (
            lambda: quick(nn.Linear(2, 3), lipschitz="gp").fit(POINTS, POINTS),
            ValueError,
            r"critic must return a tensor of scores \(n,\) or \(n, 1\): got \(2, 3\) for 2 points",
        ),
        (
            lambda: quick(Returns(lambda x: (x[:, 0], x)), lipschitz="gp").fit(POINTS, POINTS),
            ValueError,
            "critic must return a tensor of scores .*: got tuple for 2 points",
        ),
        (lambda: quick(np.zeros(3)), TypeError, "critic must be one of auto, "),
        (
            lambda: quick(nn.Linear(3, 1), lipschitz="gp").fit(POINTS, POINTS),
            ValueError,
            r"critic must take points \(n, 2\)",
        ),
    ],
)
def test_bad_input(fit, error, message):
    with pytest.raises(error, match=message):
        fit()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("critic", ["auto", "relu"])
def test_on_cuda(critic):
    x, y = (torch.from_numpy(cloud(300, 2, s, s)).cuda() for s in (0, 1))
    handling = "gp" if critic == "relu" else "certified"
    result = quick(critic, lipschitz=handling).fit(x, y)
    assert result.potential(x).device.type == "cuda"
    assert contains(result.bracket, float(wasserstein(x.cpu(), y.cpu()).distance))
