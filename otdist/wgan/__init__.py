"""Wasserstein GANs under the names that guides use, with the guides' errors corrected."""

from otdist.critics.penalties import clip_weights, compute_gradient_penalty
from otdist.wgan.architectures import (
    LipschitzCritic,
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
    relativistic_critic_loss,
    relativistic_generator_loss,
)
from otdist.wgan.heldout import Evaluation
from otdist.wgan.histogram import WassersteinDivergence
from otdist.wgan.loggers import TensorBoardLogger, WandbLogger
from otdist.wgan.losses import (
    WassersteinGANLoss,
    WassersteinGradientPenaltyLoss,
    WassersteinLoss,
    create_wgan_gp_losses,
    create_wgan_losses,
    gradient_penalty,
)
from otdist.wgan.plots import plot_log, plot_samples
from otdist.wgan.recipes import train_wgan_gp
from otdist.wgan.run import Callback, TrainingDiverged
from otdist.wgan.trainer import WGANTrainer

__all__ = [
    "Callback",
    "Evaluation",
    "LipschitzCritic",
    "MLPCritic",
    "MLPGenerator",
    "SNWGANCritic",
    "TensorBoardLogger",
    "TrainingDiverged",
    "WGANCritic",
    "WGANGenerator",
    "WGANTrainer",
    "WandbLogger",
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
    "plot_log",
    "plot_samples",
    "relativistic_critic_loss",
    "relativistic_generator_loss",
    "train_wgan_gp",
]
