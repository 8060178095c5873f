"""The trainer: what one step does, precision, averaging, sampling, repeats."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from otdist import wgan
from otdist.wgan.descent import follow
from otdist.wgan.trainer import WGANTrainer
from tests.wgan.small import DATA, build


class Spy(nn.Module):
    """A critic that keeps the batches it scores."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = wgan.MLPCritic(2, (8,))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.inner(x)


def real_batches(spy: Spy) -> list[Tensor]:
    return [batch for batch in spy.seen if (batch[:, None] == DATA[None]).all(-1).any()]


def test_each_critic_step_sees_a_fresh_real_batch():
    spy = Spy()
    build(critic=spy, n_critic=5).train(DATA, epochs=1)
    seen = torch.cat(real_batches(spy))
    assert len(seen) == len(DATA)  # two steps of five batches of 16
    assert len(seen.unique(dim=0)) == len(DATA)


def test_train_step_deals_out_the_rows_of_one_tensor():
    spy = Spy()
    build(critic=spy, n_critic=5).train_step(DATA)
    assert torch.equal(torch.cat(real_batches(spy)), DATA)
    with pytest.raises(
        ValueError, match="each of the 2 critic steps needs a batch of its own: got 1"
    ):
        build().train_step([DATA])


def test_critic_step_minimises_fake_minus_real():
    trainer = build(lr=0.01, lambda_gp=0.1)
    gaps = [float(trainer.train_critic_step(DATA)["gap"]) for _ in range(60)]
    assert gaps[-1] > gaps[0] + 1


def test_values_of_a_step_add_up():
    values = build().train_step([DATA, DATA])
    assert set(values) == {
        *("gap", "penalty", "score_real", "score_fake", "critic_loss", "generator_loss")
    }
    assert float(values["gap"]) == pytest.approx(
        float(values["score_real"] - values["score_fake"]), abs=1e-6
    )
    assert float(values["critic_loss"]) == pytest.approx(
        float(values["penalty"] - values["gap"]), abs=1e-6
    )


def test_each_step_leaves_the_other_network_alone():
    trainer = build()
    before = {k: v.clone() for k, v in trainer.generator.state_dict().items()}
    trainer.train_critic_step(DATA)
    assert all(torch.equal(v, before[k]) for k, v in trainer.generator.state_dict().items())
    before = {k: v.clone() for k, v in trainer.critic.state_dict().items()}
    trainer.train_generator_step(8)
    assert all(torch.equal(v, before[k]) for k, v in trainer.critic.state_dict().items())
    assert all(p.requires_grad for p in trainer.critic.parameters())


def test_clipping_bounds_every_weight_and_is_labelled():
    trainer = build(use_gp=False, clip_value=0.02)
    trainer.train(DATA)
    largest = max(float(p.detach().abs().max()) for p in trainer.critic.parameters())
    assert largest <= 0.02 * (1 + 1e-6)
    assert "not W_1" in trainer.settings.gap_means
    assert "not certified" in build().settings.gap_means


def test_certified_critics_need_neither_penalty_nor_clipping():
    critic = wgan.MLPCritic(2, (16,), layers="orthogonal")
    trainer = build(critic=critic, use_gp=False, clip_value=None)
    records = trainer.train(DATA, epochs=2)
    assert "penalty" not in records[-1]
    assert isinstance(trainer.critic_optimizer, torch.optim.Adam)
    wide = wgan.MLPCritic(2, (64, 64))
    nn.init.ones_(next(wide.parameters()))
    with pytest.raises(ValueError, match="1-Lipschitz by construction"):
        build(critic=wide, use_gp=False, clip_value=None)


@pytest.mark.parametrize("mode", ["gp", "lp", "dragan", "r1", "wgan-div"])
def test_every_penalty_trains(mode):
    records = build(mode=mode, lambda_gp=0.1).train(DATA, epochs=2, log_every=1)
    assert all(math.isfinite(value) for value in records[-1].values())


@pytest.mark.parametrize("options", [{}, {"use_gp": False, "clip_value": 0.001}, {"ema": 0.9}])
def test_frozen_layers_stay_as_they_are(options):
    trainer = build(lr=0.01, **options)
    frozen = [trainer.generator.layers[0], trainer.critic.layers[1]]
    before = []
    for layer in frozen:
        layer.requires_grad_(False)
        before += [p.clone() for p in layer.parameters()]
    flags = [p.requires_grad for p in trainer.critic.parameters()]
    moving = trainer.critic.layers[-1].weight.detach().clone()
    trainer.train(DATA, epochs=2)
    after = [p for layer in frozen for p in layer.parameters()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert [p.requires_grad for p in trainer.critic.parameters()] == flags
    assert not torch.equal(moving, trainer.critic.layers[-1].weight)


def test_an_error_in_the_generators_step_leaves_the_critic_trainable():
    class Stops(wgan.MLPCritic):
        def forward(self, x: Tensor) -> Tensor:
            if not next(self.parameters()).requires_grad:
                raise KeyboardInterrupt
            return super().forward(x)

    trainer = build(critic=Stops(2, (8,)))
    with pytest.raises(KeyboardInterrupt):
        trainer.train_step(DATA)
    assert all(p.requires_grad for p in trainer.critic.parameters())


def test_layers_in_evaluation_mode_stay_there():
    critic = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5).eval(), nn.Linear(8, 1))
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8).eval(), nn.Linear(8, 2))
    trainer = WGANTrainer(generator, critic, 3, batch_size=16, n_critic=2)
    trainer.train(DATA, evaluation=wgan.Evaluation(DATA[:8], every=1))
    assert (critic.training, critic[1].training) == (True, False)
    assert (generator.training, generator[1].training) == (True, False)


class Flat(nn.Module):
    """A critic and a generator that do not care for shapes."""

    def __init__(self, *out: int, width: int = 6) -> None:
        super().__init__()
        self.out, self.inner = out, nn.Linear(width, math.prod(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.reshape(len(x), -1)).reshape(len(x), *self.out)


def test_a_critic_that_returns_more_than_scores_is_named():
    class Two(Flat):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), None

    with pytest.raises(TypeError, match="must return a tensor of scores: got a tuple; wrap it"):
        build(critic=Two(1, width=2)).train(DATA)


def test_runs_repeat_and_seeds_differ():
    def run(seed: int) -> Tensor:
        torch.manual_seed(3)
        trainer = build(seed=seed, lr=0.01)
        trainer.train(DATA)
        return trainer.sample(4)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_global_random_state_is_neither_read_nor_changed():
    trainer = build(critic=nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1)))
    before = torch.get_rng_state()
    trainer.train(DATA)
    trainer.sample(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_precision_keeps_the_penalty_in_float32():
    seen: list[tuple[torch.dtype, bool]] = []

    class Typed(wgan.MLPCritic):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            seen.append((out.dtype, x.requires_grad and x.is_leaf))
            return out

    records = build(critic=Typed(2, (16,)), amp=True).train(DATA, log_every=1)
    assert {kind for kind, penalty in seen if penalty} == {torch.float32}
    assert {kind for kind, penalty in seen if not penalty} == {torch.bfloat16}
    assert all(math.isfinite(value) for value in records[-1].values())


def test_double_precision_networks_train_in_double():
    trainer = build()
    double = WGANTrainer(
        trainer.generator.double(), trainer.critic.double(), 3, batch_size=16, n_critic=2
    )
    double.train(DATA)
    assert double.sample(2).dtype == torch.float64


def test_averaged_generator_follows_and_is_sampled():
    trainer = build(ema=0.9, lr=0.05)
    trainer.train(DATA, epochs=4)
    assert trainer.average is not None
    averaged, present = trainer.average.state_dict(), trainer.generator.state_dict()
    key = "layers.0.weight"
    assert not torch.equal(averaged[key], present[key])
    noise = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(trainer.sample(7), trainer.average(noise))
    for _ in range(200):
        follow(trainer.average, trainer.generator, 0.9, trainer.step)
    torch.testing.assert_close(averaged[key], present[key], rtol=1e-3, atol=1e-4)


def test_sampling_is_in_evaluation_mode_and_leaves_the_mode():
    generator = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    trainer = WGANTrainer(generator, wgan.MLPCritic(2, (8,)), latent_dim=3)
    sampled = trainer.sample(4)
    assert generator.training
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampled, generator.eval()(noise))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_a_gpu():
    trainer = build(device="cuda", amp=True, ema=0.9)
    trainer.train(DATA, epochs=2)
    assert trainer.sample(2).device.type == "cuda"


def test_a_second_call_goes_on_with_new_epochs():
    spy = Spy()
    trainer = build(critic=spy, n_critic=5)
    trainer.train(DATA, epochs=1)
    trainer.train(DATA, epochs=2)
    assert trainer.step == 6
    uneven = build(n_critic=3)  # of ten batches one is left over, and used in the next call
    steps = [(uneven.train(DATA), uneven.step)[1] for _ in range(4)]
    assert steps == [3, 6, 10, 13]
    first, *others = torch.cat(real_batches(spy)).chunk(3)
    assert not any(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("kind", ["penalised", "spectral"])
def test_convolutional_networks_train(kind):
    images = torch.rand(12, 3, 32, 32) * 2 - 1
    if kind == "penalised":
        critic, options = wgan.WGANCritic(3, 4), {}
    else:
        critic, options = wgan.SNWGANCritic(3, 4), {"use_gp": False, "clip_value": None}
    trainer = WGANTrainer(
        wgan.WGANGenerator(5, 3, 4), critic, 5, n_critic=2, batch_size=4, **options
    )
    records = trainer.train(images, epochs=2, log_every=1)
    assert trainer.step == 3
    assert all(math.isfinite(value) for value in records[-1].values())
    assert trainer.sample(2).shape == (2, 3, 32, 32)


def test_a_loss_of_ones_own_returns_one_number():
    trainer = build()
    trainer.critic_loss_fn = lambda real, fake: fake - real
    with pytest.raises(TypeError, match=r"critic_loss_fn must return one number: got Tensor of"):
        trainer.train(DATA)


def test_what_the_gap_means_depends_on_the_loss_too():
    trainer = build()
    assert trainer.gap_means == trainer.settings.gap_means
    trainer.critic_loss_fn = wgan.hinge_critic_loss
    assert trainer.gap_means == "difference of mean scores by hinge_critic_loss, not W_1"
    certified = build(
        critic=wgan.MLPCritic(2, (8,), layers="orthogonal"), use_gp=False, clip_value=None
    )
    certified.critic_loss_fn = wgan.hinge_critic_loss  # any 1-Lipschitz function bounds W_1
    assert "lower bound" in certified.gap_means
