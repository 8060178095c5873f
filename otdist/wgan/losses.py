"""The loss classes that guides on Wasserstein GANs describe, called as `loss(y_true, y_pred)`.

The first argument holds labels, 1 real and 0 generated; the second the critic's scores, of any
shape with the batch first. docs/wgan.md lists what differs from the code that people copy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.critics.penalties import Mode, check_penalty, check_scores, compute_gradient_penalty
from otdist.wgan import functional
from otdist.wgan.histogram import Reduction, check_name, check_reduction
from otdist.wgan.labels import as_scores, labelled_loss, real_labels, refuse_penalty


def gradient_penalty(
    D: Callable[[Tensor], Tensor],
    real_data: Tensor,
    fake_data: Tensor,
    device: torch.device | str | None = None,
    lambda_gp: float = 10,
    *,
    mode: Mode = "gp",
    generator: torch.Generator | None = None,
) -> Tensor:
    """`compute_gradient_penalty` under the name and with the arguments of torch guides.

    Args:
        D: The critic.
        real_data: Real samples, shape (n, …).
        fake_data: Generated samples of the same shape.
        device: Where to compute; by default where `real_data` is.
        lambda_gp: Weight of the penalty.
        mode: As in `compute_gradient_penalty`, as is `generator`.

    >>> gradient_penalty(nn.Flatten(), torch.zeros(3, 1), torch.zeros(3, 1), "cpu")
    tensor(0.)
    """
    checks.function("D", D)
    if device is not None:
        device = checks.device(device)
        real_data, fake_data = real_data.to(device), fake_data.to(device)
    return compute_gradient_penalty(
        D, real_data, fake_data, lambda_gp, mode=mode, generator=generator
    )


class WassersteinLoss(nn.Module):
    """The critic's or the generator's Wasserstein loss from labelled scores.

    One mean per label: averaging label-weighted scores over a mixed batch, as guides do, halves
    the loss of a balanced batch and weighs the labels by how often they occur in any other. The
    generator's loss ignores real-labelled samples. A label that a batch lacks contributes 0, so
    separate calls on a real and on a generated batch add up to the loss of both.

    Args:
        for_critic: The critic's loss E_fake − E_real; otherwise the generator's, −E_fake.
        reduction: "sum_over_batch_size", or "mean" as torch calls it, as above; "sum" adds up
            instead of averaging; "none" or None keeps one term per score (for the critic + fake,
            − real; for the generator − fake, 0 for real), in the shape of the scores.
        name: Kept as an attribute.

    >>> scores = torch.tensor([3.0, 1.0, 0.0, 2.0])
    >>> WassersteinLoss()(torch.tensor([1, 1, 0, 0]), scores)
    tensor(-1.)
    >>> WassersteinLoss(for_critic=False)(torch.tensor([1, 1, 0, 0]), scores)
    tensor(-1.)
    """

    def __init__(
        self,
        for_critic: bool = True,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.for_critic = checks.flag("for_critic", for_critic)
        self.reduction, self.name = check_reduction(reduction), check_name(name, self)

    def forward(self, y_true: Tensor | Sequence[float], y_pred: Tensor) -> Tensor:
        """The loss of scores y_pred (n, …) with labels y_true: one per sample or one per score."""
        scores = as_scores(y_pred)
        real = real_labels(y_true, scores)
        if not self.for_critic and bool(real.all()):
            warnings.warn(
                "the generator's loss sees no generated sample: label generated samples 0",
                stacklevel=2,
            )
        return labelled_loss(scores, real, self.for_critic, self.reduction)

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return f"for_critic={self.for_critic}, reduction={self.reduction!r}"


class WassersteinGradientPenaltyLoss(WassersteinLoss):
    """`WassersteinLoss` plus a gradient penalty, which guides announce in this class and leave out.

    The penalty needs the critic and the samples themselves; given them, the loss contains it.
    Without them the critic's loss warns and is the plain one: for those who add
    `compute_gradient_penalty` themselves (set `lambda_gp=0` to say so).

    Args:
        for_critic: As in `WassersteinLoss`. The generator's loss has no penalty.
        lambda_gp: Weight of the penalty.
        reduction: As in `WassersteinLoss`; the penalty is added to means and sums, and cannot be
            added to "none".
        name: Kept as an attribute.
        mode: The penalty, as in `compute_gradient_penalty`.

    >>> critic = nn.Linear(2, 1)
    >>> real, fake = torch.randn(2, 8, 2)
    >>> scores = critic(torch.cat((real, fake)))
    >>> labels = torch.tensor([1] * 8 + [0] * 8)
    >>> WassersteinGradientPenaltyLoss()(labels, scores, critic, real, fake).shape
    torch.Size([])
    """

    def __init__(
        self,
        for_critic: bool = True,
        lambda_gp: float = 10.0,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        *,
        mode: Mode = "gp",
    ) -> None:
        super().__init__(for_critic, reduction, name)
        check_penalty(mode, lambda_gp)
        self.lambda_gp = lambda_gp
        self.mode: Mode = mode

    def forward(
        self,
        y_true: Tensor | Sequence[float],
        y_pred: Tensor,
        critic: Callable[[Tensor], Tensor] | None = None,
        real_samples: Tensor | None = None,
        fake_samples: Tensor | None = None,
    ) -> Tensor:
        """The loss of labelled scores, plus the penalty when critic and samples are given."""
        loss = super().forward(y_true, y_pred)
        given = [value is not None for value in (critic, real_samples, fake_samples)]
        if not self.for_critic and any(given):
            raise ValueError("the generator's loss has no penalty: pass labels and scores")
        if any(given) and not all(given):
            raise ValueError("the penalty needs critic, real_samples and fake_samples: all three")
        if critic is None or real_samples is None:
            if self.for_critic and self.lambda_gp:
                warnings.warn(
                    "no penalty without critic, real_samples and fake_samples: pass them, or set "
                    "lambda_gp=0 and add compute_gradient_penalty yourself",
                    stacklevel=2,
                )
            return loss
        if self.reduction in ("none", None):
            raise ValueError('a penalty cannot be added to single scores: use reduction="sum"')
        penalty = compute_gradient_penalty(
            critic, real_samples, fake_samples, self.lambda_gp, mode=self.mode
        )
        return loss + penalty * (len(real_samples) if self.reduction == "sum" else 1)


class WassersteinGANLoss(nn.Module):
    """Critic and generator losses of WGAN-GP in one object, as torch guides write them.

    Args:
        lambda_gp: Weight of the gradient penalty.
        mode: The penalty, as in `compute_gradient_penalty`.

    >>> loss, parts = WassersteinGANLoss().critic_loss(nn.Linear(2, 1), *torch.randn(2, 8, 2))
    >>> sorted(parts)
    ['d_fake', 'd_real', 'gp', 'wasserstein']
    """

    def __init__(self, lambda_gp: float = 10, *, mode: Mode = "gp") -> None:
        super().__init__()
        check_penalty(mode, lambda_gp)
        self.lambda_gp = lambda_gp
        self.mode: Mode = mode

    def critic_loss(
        self,
        D: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss to minimise, and what to log: loss = −wasserstein + gp.

        Args:
            D: The critic.
            real: Real samples, shape (n, …).
            fake: Generated samples of the same shape; detached, since this is the critic's step.
            device: Where to compute; by default where `real` is.

        Returns:
            The loss; and floats: wasserstein, E_real − E_fake; gp, the weighted penalty; d_real
            and d_fake, the mean scores.
        """
        device = real.device if device is None else checks.device(device)
        real, fake = real.to(device), fake.detach().to(device)
        d_real, d_fake = D(real), D(fake)
        for scores, samples in ((d_real, real), (d_fake, fake)):
            check_scores(scores, len(samples))
        gap = -functional.critic_loss(d_real, d_fake)
        penalty = gradient_penalty(D, real, fake, device, self.lambda_gp, mode=self.mode)
        parts = {
            "wasserstein": gap,
            "gp": penalty,
            "d_real": d_real.mean(),
            "d_fake": d_fake.mean(),
        }
        return penalty - gap, {key: float(value.detach()) for key, value in parts.items()}

    def generator_loss(self, d_fake: Tensor) -> Tensor:
        """−E_fake from the scores of generated samples."""
        return functional.generator_loss(d_fake)


def create_wgan_losses(lambda_gp: float = 10.0) -> tuple[WassersteinLoss, WassersteinLoss]:
    """(critic loss, generator loss) of the plain WGAN.

    Args:
        lambda_gp: There for the sake of copied calls; these losses have no penalty, so any value
            but the default raises.

    >>> critic, generator = create_wgan_losses()
    >>> critic.for_critic, generator.for_critic
    (True, False)
    """
    refuse_penalty(lambda_gp)
    return WassersteinLoss(), WassersteinLoss(for_critic=False)


def create_wgan_gp_losses(
    lambda_gp: float = 10.0, *, mode: Mode = "gp"
) -> tuple[WassersteinGradientPenaltyLoss, WassersteinGradientPenaltyLoss]:
    """(critic loss, generator loss) of WGAN-GP; the critic's takes critic and samples too.

    >>> critic, generator = create_wgan_gp_losses(lambda_gp=1.0)
    >>> critic.lambda_gp
    1.0
    """
    critic, generator = (
        WassersteinGradientPenaltyLoss(for_critic, lambda_gp, mode=mode)
        for for_critic in (True, False)
    )
    return critic, generator
