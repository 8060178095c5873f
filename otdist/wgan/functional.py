r"""Critic and generator losses as functions of scores; all are minimised.

The dual of Kantorovich and Rubinstein reads $W_1(P, Q) = \max_{\varphi\ 1\text{-Lipschitz}} E_P
\varphi - E_Q \varphi$. A critic that maximises it *minimises* E_fake − E_real; the generator,
which only sees the fake term, minimises −E_fake.

Scores may have any shape with the batch first (a critic of patches has several per sample); means
are taken over all of them, in float32 or better.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from otdist.critics.penalties import safe_norm


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E_fake − E_real, each label with a mean of its own; minus this is the critic's gap.

    The gap estimates W_1 only as far as the critic is 1-Lipschitz.

    Args:
        real: Scores of real samples, shape (n, …).
        fake: Scores of generated samples, shape (m, …).

    Returns:
        0-d tensor, in units of the scores.

    >>> critic_loss(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0, 2.0]))
    tensor(-1.)
    """
    return _mean(fake, "fake") - _mean(real, "real")


def generator_loss(fake: Tensor) -> Tensor:
    """−E_fake: for critics trained with `critic_loss` and with `hinge_critic_loss`.

    Args:
        fake: Scores of generated samples, shape (m, …).

    >>> generator_loss(torch.tensor([1.0, 2.0]))
    tensor(-1.5000)
    """
    return -_mean(fake, "fake")


def hinge_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 − real) + E max(0, 1 + fake): scores beyond the margin push no further.

    Not an estimate of W_1. Reference: Lim and Ye (2017), Geometric GAN.

    Args:
        real: Scores of real samples, shape (n, …).
        fake: Scores of generated samples, shape (m, …).

    >>> hinge_critic_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0]))
    tensor(0.5000)
    """
    return _mean(relu(1 - real), "real") + _mean(relu(1 + fake), "fake")


def relativistic_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 + exp(fake − real)) over pairs: each real score must exceed that of its pair.

    Not an estimate of W_1. Add half the squared slope at real samples and at generated ones
    (R1 + R2): `compute_gradient_penalty(critic, real, fake, lambda_gp, mode="r1-r2")`.

    Args:
        real: Scores of real samples, shape (n, …).
        fake: Scores of as many generated samples; the order decides the pairs.

    Returns:
        0-d tensor, positive.

    Gradients: real, fake.
    Reference: Huang et al. (2025), The GAN is dead; long live the GAN! (R3GAN);
        Jolicoeur-Martineau (2019).

    >>> relativistic_critic_loss(torch.tensor([3.0, 1.0]), torch.tensor([3.0, 1.0]))
    tensor(0.6931)
    """
    if isinstance(real, Tensor) and isinstance(fake, Tensor) and real.shape != fake.shape:
        raise ValueError(
            "real and fake are compared in pairs, so their shapes must be equal: "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    for name, scores in (("real", real), ("fake", fake)):
        _mean(scores, name)
    wide = torch.promote_types(real.dtype, torch.float32)
    return softplus(fake.to(wide) - real.to(wide)).mean()


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 + exp(real − fake)): the loss of `relativistic_critic_loss` for the generator.

    Unlike others it needs scores of real samples, too.

    >>> relativistic_generator_loss(torch.tensor([3.0]), torch.tensor([3.0]))
    tensor(0.6931)
    """
    return relativistic_critic_loss(fake, real)


def cramer_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    r"""Minus the energy distance between the critic's *features* of real and of generated samples.

    $-(2 E\|r - f\| - E\|r - r'\| - E\|f - f'\|)$ over distinct pairs, so that its gradients are
    unbiased at any batch size: the point of the Cramér GAN.

    Args:
        real: Features of real samples, shape (n, k), n at least 2; (n,) is read as k = 1.
        fake: Features of generated samples, shape (m, k), m at least 2.

    Returns:
        0-d tensor. Unbiased, hence also above 0 for samples of equal law.

    Gradients: real, fake; 0 from pairs that coincide.
    Reference: Bellemare et al. (2017), The Cramer Distance as a Solution to Biased Wasserstein
        Gradients.

    >>> cramer_critic_loss(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 3.0]))
    tensor(-6.)
    """
    real, fake = _features(real, "real"), _features(fake, "fake")
    if real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"real and fake must have as many features: got {real.shape[1]} and {fake.shape[1]}"
        )
    within = _mean_within(real) + _mean_within(fake)
    return within - 2 * _distances(real, fake).mean()


def cramer_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The energy distance of `cramer_critic_loss` with its sign for the generator.

    >>> cramer_generator_loss(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 3.0]))
    tensor(6.)
    """
    return -cramer_critic_loss(real, fake)


def _mean(scores: Tensor, name: str) -> Tensor:
    if not isinstance(scores, Tensor):
        raise TypeError(f"{name} must be a tensor of scores: got {type(scores).__name__}")
    if scores.numel() == 0:
        raise ValueError(f"{name} must hold at least one score: got shape {tuple(scores.shape)}")
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.mean(dtype=wide)


def _features(x: Tensor, name: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor of features: got {type(x).__name__}")
    x = x[:, None] if x.dim() == 1 else x
    if x.dim() != 2 or x.shape[0] < 2:
        raise ValueError(
            f"{name} must be features of shape (n, k) with n at least 2: got {tuple(x.shape)}"
        )
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return safe_norm(x[:, None] - y[None])


def _mean_within(x: Tensor) -> Tensor:
    n = len(x)
    return _distances(x, x).sum() / (n * (n - 1))
