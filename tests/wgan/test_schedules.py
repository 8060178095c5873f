"""Schedulers step with the generator, survive a break, and belong to their optimizers."""

from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
    ReduceLROnPlateau,
)

from otdist import wgan

DATA = torch.rand(96, 2, generator=torch.Generator().manual_seed(1))
KINDS = {
    "exponential": partial(ExponentialLR, gamma=0.5),
    "steps": partial(MultiStepLR, milestones=[2, 4]),
    "cosine": partial(CosineAnnealingLR, T_max=10),
    "lambda": partial(LambdaLR, lr_lambda=lambda step: 1 / (1 + step)),
}


def build(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = wgan.MLPGenerator(2, 2, (8,)), wgan.MLPCritic(2, (8,))
        how = {"latent_dim": 2, "batch_size": 16, "n_critic": 2, "lr": 0.1}
        return wgan.WGANTrainer(*networks, **(how | options))


def rates(trainer):
    optimizers = trainer.gen_optimizer, trainer.critic_optimizer
    return [optimizer.param_groups[0]["lr"] for optimizer in optimizers]


def test_a_step_of_the_generator_is_a_step_of_the_schedules():
    trainer = build(schedulers=(KINDS["exponential"], KINDS["steps"]))
    trainer.train(DATA, steps=3)
    assert rates(trainer) == pytest.approx([0.1 / 8, 0.01])


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_run_ends_where_an_unbroken_one_ends(kind, tmp_path):
    both = (KINDS[kind], KINDS[kind])
    whole = build(schedulers=both, grad_clip=0.5)
    whole.train(DATA, steps=6)
    build(schedulers=both, grad_clip=0.5).train(DATA, steps=3, out=tmp_path)
    broken = build(schedulers=both, grad_clip=0.5)
    broken.train(DATA, steps=6, out=tmp_path, resume=True)
    assert rates(broken) == rates(whole)
    for a, b in zip(whole.generator.parameters(), broken.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_another_schedule_does_not_resume(tmp_path):
    build(schedulers=(KINDS["steps"],) * 2).train(DATA, steps=1, out=tmp_path)
    for other in (None, (KINDS["cosine"],) * 2):
        with pytest.raises(ValueError, match="generator_scheduler was MultiStepLR"):
            build(schedulers=other).train(DATA, steps=2, out=tmp_path, resume=True)


def test_schedulers_that_cannot_be_used_are_refused():
    networks = wgan.MLPGenerator(2, 2, (8,)), wgan.MLPCritic(2, (8,))
    optimizers = Adam(networks[0].parameters(), 0.1), Adam(networks[1].parameters(), 0.1)
    made = ExponentialLR(optimizers[0], 0.5), ExponentialLR(optimizers[1], 0.5)
    trainer = wgan.WGANTrainer(*networks, 2, optimizers=optimizers, schedulers=made)
    assert tuple(trainer.schedulers.values()) == made
    with pytest.raises(ValueError, match="scheduler of the generator must have"):
        wgan.WGANTrainer(*networks, 2, optimizers=optimizers, schedulers=(made[1], made[0]))
    with pytest.raises(ValueError, match="schedulers must be two"):
        build(schedulers=KINDS["steps"])
    with pytest.raises(TypeError, match="each of schedulers must be a scheduler of torch"):
        build(schedulers=(1, 2))
    with pytest.raises(TypeError, match="ReduceLROnPlateau in a Callback"):
        build(schedulers=(ReduceLROnPlateau, ReduceLROnPlateau))


def test_gradients_are_shortened_for_each_network():
    moved = {}
    for longest in (None, 1e-3):
        makes = (partial(SGD, lr=1.0), partial(SGD, lr=1.0))
        trainer = build(lr=None, optimizers=makes, grad_clip=longest)
        networks = trainer.critic, trainer.generator
        before = [torch.nn.utils.parameters_to_vector(n.parameters()).detach() for n in networks]
        trainer.train_critic_step(DATA[:16])
        trainer.train_generator_step(16)
        after = [torch.nn.utils.parameters_to_vector(n.parameters()).detach() for n in networks]
        moved[longest] = [float((a - b).norm()) for a, b in zip(after, before, strict=True)]
    assert min(moved[None]) > 1e-3
    assert moved[1e-3] == pytest.approx([1e-3, 1e-3], rel=1e-2)


def test_given_generated_samples_take_the_place_of_new_ones():
    trainer, other = build(), build()
    fake = other.generator(other.noise(16)).requires_grad_()
    trainer.noise(16)
    ours, theirs = trainer.train_critic_step(DATA[:16], fake), build().train_critic_step(DATA[:16])
    assert float(ours["score_fake"]) == float(theirs["score_fake"])
    assert float(ours["critic_loss"]) == float(theirs["critic_loss"])
    assert all(p.grad is None for p in other.generator.parameters())
    with pytest.raises(ValueError, match="samples must have one shape"):
        trainer.train_critic_step(DATA[:16], fake[:, :1])


def test_names_of_guides_and_a_readable_repr():
    trainer = build()
    assert trainer.gen_optimizer is trainer.generator_optimizer
    assert float(trainer.critic_loss_fn(torch.ones(2), torch.zeros(2))) == -1
    trainer.train(DATA, steps=1)
    text = "WGANTrainer(MLPGenerator against MLPCritic, gp penalty 10, n_critic=2, step 1)"
    assert repr(trainer) == text
    assert "weights within 0.01" in repr(build(lr=None, use_gp=False))
