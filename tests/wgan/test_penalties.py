"""Penalties against closed forms for linear critics, in every mode, rank and precision."""

import math
import os

import pytest
import torch
from torch import Tensor, nn

from otdist.critics.penalties import clip_weights, compute_gradient_penalty
from otdist.wgan.losses import (
    WassersteinGANLoss,
    WassersteinGradientPenaltyLoss,
    create_wgan_gp_losses,
    gradient_penalty,
)

NORM = 2.5
SHAPES = [(3,), (7, 2), (1, 4, 4), (2, 3, 2, 2)]
CLOSED_FORM = {
    "gp": (NORM - 1) ** 2,
    "lp": (NORM - 1) ** 2,
    "dragan": (NORM - 1) ** 2,
    "r1": NORM**2 / 2,
    "r1-r2": NORM**2,
    "wgan-div": NORM**6,
}


def linear(shape: tuple[int, ...], norm: float = NORM) -> nn.Module:
    """A linear critic whose gradient has the given norm everywhere."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1)).double()
    with torch.no_grad():
        weight = critic[1].weight
        weight.mul_(norm / weight.norm())
    return critic


def samples(shape: tuple[int, ...], n: int = 5) -> tuple[Tensor, Tensor]:
    real, fake = torch.randn(2, n, *shape, generator=torch.Generator().manual_seed(0)).double()
    return real, fake + 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", CLOSED_FORM)
def test_closed_form_for_linear_critics(shape, mode):
    value = compute_gradient_penalty(linear(shape), *samples(shape), 10.0, mode=mode)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(10 * CLOSED_FORM[mode], rel=1e-12)


def test_one_sided_penalty_forgives_small_gradients():
    critic, (real, fake) = linear((3,), 0.4), samples((3,))
    assert float(compute_gradient_penalty(critic, real, fake, mode="lp").detach()) == 0.0
    two_sided = compute_gradient_penalty(critic, real, fake)
    assert float(two_sided.detach()) == pytest.approx(10 * 0.36, rel=1e-12)


@pytest.mark.parametrize("mode", CLOSED_FORM)
def test_gradient_in_the_parameters(mode):
    critic, (real, fake) = linear((3,)), samples((3,))
    critic = nn.Sequential(critic, nn.Tanh())  # a gradient that depends on the place
    generator = torch.Generator()

    def value(weight: Tensor) -> Tensor:
        generator.manual_seed(1)
        call = lambda x: torch.func.functional_call(critic, {"0.1.weight": weight}, (x,))  # noqa: E731
        return compute_gradient_penalty(
            call, 0.1 * real, 0.1 * fake, mode=mode, generator=generator
        )

    assert torch.autograd.gradcheck(value, (0.3 * torch.ones(1, 3).double().requires_grad_(),))


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("mode", CLOSED_FORM)
@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (1, 2, 2), (1, 2, 2, 2)], ids=str)
def test_second_derivatives_by_finite_differences(shape, mode, n):
    """The penalty's gradient in the parameters, for samples of every rank and a batch of one."""
    real, fake = (0.3 * part for part in samples(shape, n))
    generator = torch.Generator()

    def value(weight: Tensor, bias: Tensor) -> Tensor:
        generator.manual_seed(1)
        return compute_gradient_penalty(
            lambda x: (x.reshape(len(x), -1) @ weight + bias).tanh(), real, fake, mode=mode,
            generator=generator,
        )  # fmt: skip

    parameters = torch.linspace(0.2, 0.6, math.prod(shape)).double(), torch.tensor(0.1).double()
    assert torch.autograd.gradcheck(value, tuple(p.requires_grad_() for p in parameters))


class Recorder(nn.Module):
    """A critic that keeps the points it is asked about."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach()
        return x.flatten(1).sum(1)


@pytest.mark.parametrize("mode", ["gp", "lp", "wgan-div"])
@pytest.mark.parametrize("shape", SHAPES)
def test_points_lie_on_the_segments_with_one_weight_per_sample(mode, shape):
    critic, (real, fake) = Recorder(), samples(shape)
    compute_gradient_penalty(critic, real, fake, mode=mode)
    weights = ((critic.seen - real) / (fake - real)).flatten(1)
    torch.testing.assert_close(weights, weights[:, :1].expand_as(weights))
    assert ((weights > 0) & (weights < 1)).all()
    assert len(weights[:, 0].unique()) == len(real)


def test_points_of_the_other_modes():
    critic, (real, fake) = Recorder(), samples((4,))
    compute_gradient_penalty(critic, real, None, mode="r1")
    assert torch.equal(critic.seen, real)
    compute_gradient_penalty(critic, real, fake, mode="dragan")
    moved = (critic.seen - real) / real.std(correction=0)
    assert ((moved > 0) & (moved < 0.5)).all()


def test_norm_is_per_sample_not_over_the_batch():
    critic = nn.Sequential(nn.Flatten(), Square())
    real = torch.tensor([[1.0], [2.0]])
    # ∇ = 2x: norms 2 and 4, penalties 1 and 9
    assert compute_gradient_penalty(critic, real, real, 1.0).item() == pytest.approx(5.0)


class Square(nn.Module):
    """The sum of squares of each row."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(1, keepdim=True)


def test_zero_gradient_gives_no_nan():
    critic = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    nn.init.zeros_(critic[0].weight)
    value = compute_gradient_penalty(critic, torch.randn(4, 2), torch.randn(4, 2))
    assert float(value.detach()) == pytest.approx(10.0)
    value.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in critic.parameters())


def test_critics_of_patches_use_the_mean_score():
    real = torch.zeros(3, 2)
    wide = nn.Linear(2, 4, bias=False)
    mean = nn.Linear(2, 1, bias=False)
    mean.weight.data = wide.weight.data.mean(0, keepdim=True)
    left = compute_gradient_penalty(wide, real, real)
    torch.testing.assert_close(left, compute_gradient_penalty(mean, real, real))


def test_float32_under_autocast():
    critic = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    real, fake = torch.randn(2, 16, 64)
    plain = compute_gradient_penalty(critic, real, fake, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = compute_gradient_penalty(
            critic, real, fake, generator=torch.Generator().manual_seed(0)
        )
        half = compute_gradient_penalty(critic, real.bfloat16(), fake.bfloat16())
    assert torch.equal(plain, mixed)
    assert half.dtype == torch.float32


def test_works_under_no_grad_and_leaves_samples_alone():
    critic, (real, fake) = linear((3,)), samples((3,))
    fake.requires_grad_()
    with torch.no_grad():
        value = compute_gradient_penalty(critic, real, fake)
    value.backward()
    assert fake.grad is None
    assert not real.requires_grad


def test_seeded_generator_repeats():
    critic, (real, fake) = nn.Sequential(linear((3,)), nn.Tanh()), samples((3,))
    values = [
        compute_gradient_penalty(critic, real, fake, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    ]
    assert torch.equal(*values)


def test_torch_style_name_is_the_same_function():
    critic, (real, fake) = linear((2,)), samples((2,))
    value = gradient_penalty(critic, real, fake, "cpu", 3)
    assert float(value.detach()) == pytest.approx(3 * CLOSED_FORM["gp"])
    assert float(gradient_penalty(critic, real, fake).detach()) == pytest.approx(
        10 * CLOSED_FORM["gp"]
    )


@pytest.mark.parametrize("mode", CLOSED_FORM)
def test_samples_may_be_numbers_on_the_line(mode):
    real, fake = torch.randn(2, 7, generator=torch.Generator().manual_seed(0)).double()
    value = compute_gradient_penalty(lambda x: NORM * x, real, fake, 10.0, mode=mode)
    assert float(value) == pytest.approx(10 * CLOSED_FORM[mode], rel=1e-12)


NORMALISED = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).double()


class BatchNormalization(nn.Module):
    """Keras' layer by name: with the torch backend it is a module too."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


@pytest.mark.parametrize(
    "critic",
    [
        NORMALISED,
        lambda x: NORMALISED(x),
        NORMALISED.forward,
        nn.Sequential(nn.Linear(3, 1).double(), BatchNormalization()),
        nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False).eval(), nn.Linear(3, 1)),
    ],
)
def test_batch_normalisation_is_refused_instead_of_a_constant(critic):
    NORMALISED.train()
    with pytest.raises(ValueError, match=r"no gradient of its own per sample \(Batch"):
        compute_gradient_penalty(critic, *samples((3,)))


def test_batch_normalisation_in_evaluation_mode_has_a_gradient_per_sample():
    NORMALISED.eval()
    first, second = NORMALISED[0].weight, NORMALISED[2].weight
    norm = float((second / (1 + 1e-5) ** 0.5 @ first).detach().norm())
    value = compute_gradient_penalty(NORMALISED, *samples((3,)), 1.0)
    assert float(value.detach()) == pytest.approx((norm - 1) ** 2, rel=1e-12)


@torch.no_grad()
def blind(x: Tensor) -> Tensor:
    return 3 * x.sum(1)


@pytest.mark.parametrize(
    "critic", [blind, lambda x: linear((3,))(x.detach()), lambda x: linear((3,))(x).detach()]
)
def test_scores_without_a_graph_to_the_samples_are_refused(critic):
    with pytest.raises(ValueError, match=r"no gradient in its samples.*no_grad"):
        compute_gradient_penalty(critic, *samples((3,)))


def test_samples_of_inference_mode_are_taken():
    critic = linear((3,))
    with torch.inference_mode():
        pair = samples((3,))
        values = [compute_gradient_penalty(critic, *pair, mode=m) for m in ("gp", "r1")]
    assert [float(v.detach()) for v in values] == pytest.approx([22.5, 31.25], rel=1e-12)


@pytest.mark.parametrize("kinds", ["real", "fake", "critic", "none"])
def test_half_precision_beside_float32(kinds):
    critic, (real, fake) = linear((4,)).float(), (s.float() for s in samples((4,)))
    real, fake = (s.bfloat16() if k in kinds else s for k, s in (("real", real), ("fake", fake)))
    critic = critic.bfloat16() if kinds == "critic" else critic
    for mixed in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            value = compute_gradient_penalty(critic, real, fake)
        assert value.dtype == torch.float32
        assert float(value.detach()) == pytest.approx(22.5, rel=0.02)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda c, x: compute_gradient_penalty(c, x.numpy(), x), "real_samples .*: got ndarray"),
        (lambda c, x: compute_gradient_penalty(c, list(x), x), "real_samples .*: got list"),
        (lambda c, x: compute_gradient_penalty(c, (x, x), x), "real_samples .*: got tuple"),
        (lambda c, x: compute_gradient_penalty(c, x, {"x": x}), "fake_samples .*: got dict"),
        (lambda c, x: compute_gradient_penalty(c, x, x.tolist()), "fake_samples .*: got list"),
        (lambda c, x: compute_gradient_penalty(c, x, x, mode=["gp"]), "mode must be one of"),
        (lambda c, x: compute_gradient_penalty(lambda z: (c(z), 0), x, x), "got a tuple; wrap"),
        (lambda c, x: WassersteinGANLoss().critic_loss(lambda z: (c(z), 0), x, x), "got a tuple"),
    ],
)
def test_what_is_no_tensor_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call(linear((2,)), samples((2,))[0])


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, "10", None, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda weight: WassersteinGradientPenaltyLoss(lambda_gp=weight),
        lambda weight: WassersteinGANLoss(weight),
        lambda weight: create_wgan_gp_losses(weight),
        lambda weight: compute_gradient_penalty(linear((2,)), *samples((2,)), weight),
        lambda weight: gradient_penalty(linear((2,)), *samples((2,)), "cpu", weight),
    ],
)
def test_weights_are_checked_at_construction(make, weight):
    with pytest.raises((TypeError, ValueError), match=r"lambda_gp must be .*at least 0: got"):
        make(weight)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda c, x: compute_gradient_penalty(c, x, x[:3]), r"\(5, 2\) and \(3, 2\)"),
        (lambda c, x: compute_gradient_penalty(c, x, None), "None"),
        (lambda c, x: compute_gradient_penalty(c, x[:0], x[:0]), r"hold samples: got .*\(0, 2\)"),
        (lambda c, x: compute_gradient_penalty(c, x.sum(), x), "hold samples"),
        (
            lambda c, x: compute_gradient_penalty(c, x, x, mode="GP"),
            "gp, lp, dragan, r1, r1-r2, wgan-div",
        ),
        (lambda c, x: compute_gradient_penalty(c, x, x, -1.0), "lambda_gp"),
        (lambda c, x: compute_gradient_penalty(lambda z: c(z).sum(), x, x), "one score per sample"),
        (lambda c, x: clip_weights(c, 0.0), "clip_value must be positive"),
    ],
)
def test_errors_say_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call(linear((2,)), samples((2,))[0])


def test_clip_weights_clamps_every_parameter_in_place():
    model = nn.Linear(3, 3)
    before = model.weight.detach().clone()
    clip_weights(model, 0.05)
    assert torch.equal(model.weight, before.clamp(-0.05, 0.05))
    assert float(model.bias.detach().abs().max()) <= 0.05 * (1 + 1e-7)


def _ddp_worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/sync", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    critic = nn.parallel.DistributedDataParallel(_small_critic())
    real, fake = _shared_samples()
    half = slice(4 * rank, 4 * rank + 4)
    _critic_loss(critic, real[half], fake[half]).backward()
    if rank == 0:
        torch.save([p.grad for p in critic.parameters()], f"{folder}/gradients.pt")
    torch.distributed.barrier()  # a rank that leaves early may take the other down
    torch.distributed.destroy_process_group()


def _small_critic() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1)).double()


def _shared_samples() -> tuple[Tensor, Tensor]:
    real, fake = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(5)).double()
    return real, fake


def _critic_loss(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    loss = critic(fake).mean() - critic(real).mean()
    return loss + compute_gradient_penalty(critic, real, fake, mode="r1")  # the same points on both


@pytest.mark.slow
def test_distributed_gradients_are_those_of_the_whole_batch(tmp_path):
    if not torch.distributed.is_available():
        pytest.skip("torch without torch.distributed")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(_ddp_worker, (str(tmp_path),), nprocs=2)  # pyright: ignore[reportPrivateImportUsage]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = _small_critic()
    _critic_loss(critic, *_shared_samples()).backward()
    distributed = torch.load(tmp_path / "gradients.pt")
    for parameter, gradient in zip(critic.parameters(), distributed, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
