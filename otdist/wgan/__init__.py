"""Wasserstein GANs under the names that guides use, with the guides' errors corrected."""

from otdist.wgan.architectures import (
    MLPCritic,
    MLPGenerator,
    SNWGANCritic,
    WGANCritic,
    WGANGenerator,
)
from otdist.wgan.functional import (
    cramer_critic_loss,
    cramer_generator_loss,
    critic_loss,
    generator_loss,
    hinge_critic_loss,
)
from otdist.wgan.histogram import WassersteinDivergence
from otdist.wgan.losses import (
    WassersteinGANLoss,
    WassersteinGradientPenaltyLoss,
    WassersteinLoss,
    create_wgan_gp_losses,
    create_wgan_losses,
)
from otdist.wgan.penalties import clip_weights, compute_gradient_penalty, gradient_penalty

__all__ = [
    "MLPCritic",
    "MLPGenerator",
    "SNWGANCritic",
    "WGANCritic",
    "WGANGenerator",
    "WassersteinDivergence",
    "WassersteinGANLoss",
    "WassersteinGradientPenaltyLoss",
    "WassersteinLoss",
    "clip_weights",
    "compute_gradient_penalty",
    "cramer_critic_loss",
    "cramer_generator_loss",
    "create_wgan_gp_losses",
    "create_wgan_losses",
    "critic_loss",
    "generator_loss",
    "gradient_penalty",
    "hinge_critic_loss",
]
