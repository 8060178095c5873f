"""A small trainer in the plane, and data for it."""

import torch

from otdist import wgan
from otdist.wgan.trainer import WGANTrainer

DATA = torch.randn(160, 2, generator=torch.Generator().manual_seed(1)) + 2


def build(**options) -> WGANTrainer:
    defaults = {"latent_dim": 3, "batch_size": 16, "n_critic": 2}
    critic = options.pop("critic", None) or wgan.MLPCritic(2, (16,))
    generator = wgan.MLPGenerator(3, 2, (16,), bounded=False)
    return WGANTrainer(generator, critic, **{**defaults, **options})
