"""`train_wgan_gp`: the one call of torch pages, on the trainer of this package."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from otdist.core import checks
from otdist.wgan.settings import TrainerOptions
from otdist.wgan.trainer import WGANTrainer

_RUN = [name for name in signature(WGANTrainer.train).parameters if name not in ("self", "dataset")]
_FIXED = {"generator", "critic", "use_gp", "clip_value", "options", "device"}
_TRAINER = [
    name
    for name in (*signature(WGANTrainer).parameters, *TrainerOptions.__annotations__)
    if name not in _FIXED
]


def train_wgan_gp(
    G: nn.Module,
    D: nn.Module,
    loader: Any,
    config: Mapping[str, Any],
    device: str | None = None,
) -> list[dict[str, Any]]:
    """Train a generator against a critic with a gradient penalty, in place.

    Args:
        G: Maps noise (n, latent_dim) to samples (n, …).
        D: The critic; no batch normalisation.
        loader: Batches of real samples, or anything that `WGANTrainer.train` takes.
        config: Options by their names in `WGANTrainer` (latent_dim, lambda_gp, n_critic, lr,
            betas, …) and in its `train` (epochs, steps, out, evaluation, …); {} for defaults.
        device: Where to compute; by default where the generator is.

    Returns:
        The records of the log, as `WGANTrainer.train` does.

    Raises:
        ValueError: an unknown entry of config; else as `WGANTrainer`.
        TrainingDiverged: a loss or weight is NaN or infinite.

    >>> import torch
    >>> from otdist import wgan
    >>> networks = wgan.MLPGenerator(2, 2, (8,)), wgan.MLPCritic(2, (8,))
    >>> records = train_wgan_gp(*networks, torch.rand(640, 2), {"latent_dim": 2, "lr": 1e-3})
    >>> [record["step"] for record in records]
    [2]
    """
    checks.instance("config", config, Mapping, "a dictionary of options")
    checks.names("config", list(config) or ["epochs"], (*_TRAINER, *_RUN))
    options = {name: value for name, value in config.items() if name in _TRAINER}
    run = {name: value for name, value in config.items() if name in _RUN}
    return WGANTrainer(G, D, device=device, **options).train(loader, **run)
