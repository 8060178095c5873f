"""The losses of guides on Wasserstein GANs as `keras.losses.Loss`: for compile, fit and loops.

Labels are 1 real and 0 generated. Arithmetic is that of `otdist.wgan`; Keras adds dtypes,
`sample_weight`, masks, names of reductions and saving.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from otdist.core import checks
from otdist.critics.penalties import Mode, check_penalty
from otdist.keras.backend import keras
from otdist.keras.penalties import compute_gradient_penalty
from otdist.wgan import histogram
from otdist.wgan.labels import as_scores, labelled_loss, per_score, real_labels, refuse_penalty

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")


@keras.saving.register_keras_serializable(package="otdist")
class WassersteinLoss(keras.losses.Loss):
    """The critic's or the generator's Wasserstein loss from labelled scores, for Keras.

    One mean per label: Keras averages label-weighted scores over a mixed batch, which halves the
    loss of a balanced batch. The generator's loss ignores real-labelled samples. A label that a
    batch lacks contributes 0, so `train_on_batch` on real and on generated samples apart adds up.

    Compile the *critic* with it, or a model whose output is the critic's score. A generator
    compiled with it alone would be trained on its pixels as if they were scores: use `WGAN`.

    Args:
        for_critic: The critic's loss E_fake − E_real; otherwise the generator's, −E_fake.
        reduction: "sum_over_batch_size" or "mean": as above, weighted terms over the number of
            scores of their label; "mean_with_sample_weight": over the sum of their weights; "sum"
            adds up; "none" or None keeps one term per score, in the shape of the scores.
        name: Of the loss in logs; that of the class, in snake case, when None.
        dtype: Of the loss; Keras's floatx when None. Half precision is summed in float32.

    Raises:
        ValueError: an unknown reduction; when called, labels other than 0 and 1 or shapes that
            do not fit.

    Gradients: the scores.
    Source: Arjovsky et al. (2017), with the corrections of docs/wgan.md.

    >>> loss = WassersteinLoss()
    >>> float(loss([1, 1, 0, 0], [3.0, 1.0, 0.0, 2.0]))
    -1.0
    >>> float(loss([1, 1, 0, 0], [3.0, 1.0, 0.0, 2.0], sample_weight=[1, 0, 1, 1]))
    -0.5
    """

    def __init__(
        self,
        for_critic: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, _reduction(reduction), dtype)
        self.for_critic = checks.flag("for_critic", for_critic)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The loss of scores y_pred (n, …) with labels y_true, one per sample or per score.

        Args:
            y_true: 1 real, 0 generated; shape (n,), (n, 1) or that of the scores.
            y_pred: Scores, shape (n, …).
            sample_weight: Of the same shapes as labels; weights of 0 leave a sample without effect.
        """
        mask = getattr(y_pred, "_keras_mask", None)
        scores = as_scores(keras.ops.convert_to_tensor(y_pred, dtype=self.dtype))
        real = real_labels(keras.ops.convert_to_tensor(y_true), scores)
        if not (scores.is_meta or self.for_critic) and bool(real.all()):
            warnings.warn(
                "the generator's loss sees no generated sample: label generated samples 0",
                stacklevel=2,
            )
        if sample_weight is not None:
            sample_weight = keras.ops.convert_to_tensor(sample_weight, dtype=scores.dtype)
            sample_weight = per_score(sample_weight, scores, "sample_weight", "weight")
        if mask is not None:
            mask = per_score(mask, scores, "the mask", "entry")
        how = (self.for_critic, self.reduction, sample_weight, mask)
        return keras.ops.cast(labelled_loss(scores, real, *how), self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """One term per score, before weights and reduction."""
        scores = as_scores(y_pred)
        return labelled_loss(scores, real_labels(y_true, scores), self.for_critic, "none")

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        kept = {"dtype": keras.saving.serialize_keras_object(self._dtype_policy)}
        return super().get_config() | kept | {"for_critic": self.for_critic}


@keras.saving.register_keras_serializable(package="otdist")
class WassersteinGradientPenaltyLoss(WassersteinLoss):
    """`WassersteinLoss` plus a gradient penalty, which guides announce in this class and leave out.

    Keras hands labels and scores to a loss, which is not enough for a penalty. In a loop of your
    own, pass critic and samples as well. Within `compile`, the critic's loss warns and is the plain
    one; set `lambda_gp=0` to say that you know, or use `WGAN`, which adds the penalty.

    Args:
        for_critic: As in `WassersteinLoss`. The generator's loss has no penalty.
        lambda_gp: Weight of the penalty.
        reduction: As in `WassersteinLoss`; the penalty is added to means and sums, and cannot be
            added to "none".
        name: As in `WassersteinLoss`, as is `dtype`.
        mode: The penalty, as in `otdist.wgan.compute_gradient_penalty`.

    >>> critic = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> real, fake = keras.random.normal((8, 2)), keras.random.normal((8, 2))
    >>> scores, labels = critic(keras.ops.concatenate([real, fake])), [1] * 8 + [0] * 8
    >>> samples = {"critic": critic, "real_samples": real, "fake_samples": fake}
    >>> WassersteinGradientPenaltyLoss()(labels, scores, **samples).shape
    torch.Size([])
    """

    def __init__(
        self,
        for_critic: bool = True,
        lambda_gp: float = 10.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        *,
        mode: Mode = "gp",
        dtype: Any = None,
    ) -> None:
        super().__init__(for_critic, reduction, name, dtype=dtype)
        check_penalty(mode, lambda_gp)
        self.lambda_gp = float(lambda_gp)
        self.mode: Mode = mode

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        critic: Callable[[Tensor], Tensor] | None = None,
        real_samples: Any = None,
        fake_samples: Any = None,
    ) -> Tensor:
        """The loss of labelled scores, plus the penalty when critic and samples are given."""
        loss = super().__call__(y_true, y_pred, sample_weight)
        given = [value is not None for value in (critic, real_samples, fake_samples)]
        if not self.for_critic and any(given):
            raise ValueError("the generator's loss has no penalty: pass labels and scores")
        if any(given) and not all(given):
            raise ValueError("the penalty needs critic, real_samples and fake_samples: all three")
        if critic is None:
            if self.for_critic and self.lambda_gp and not loss.is_meta:
                warnings.warn(
                    "no penalty without critic, real_samples and fake_samples: pass them, train "
                    "with otdist.keras.WGAN, or set lambda_gp=0 and add compute_gradient_penalty "
                    "yourself",
                    stacklevel=2,
                )
            return loss
        if self.reduction in ("none", None):
            raise ValueError('a penalty cannot be added to single scores: use reduction="sum"')
        penalty = compute_gradient_penalty(
            critic, real_samples, fake_samples, self.lambda_gp, mode=self.mode
        )
        return loss + penalty * (len(real_samples) if self.reduction == "sum" else 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"lambda_gp": self.lambda_gp, "mode": self.mode}


@keras.saving.register_keras_serializable(package="otdist")
class WassersteinDivergence(keras.losses.Loss):
    """W_1 between histograms over an ordered support, in its units, for Keras.

    Guides take the *mean* of |F − G|, which is W_1 only up to a factor and only on an evenly spaced
    support.

    Args:
        smooth_eps: The smallest total mass that is normalised; less raises.
        reduction: Any of Keras, over the histograms of a batch.
        name: Of the loss in logs; that of the class, in snake case, when None.
        support: Increasing positions of the bins, shape (k,).
        spacing: Distance between neighbouring bins, instead of a support; 1 when neither is given.
        dtype: Of the loss; Keras's floatx when None.

    Raises:
        ValueError: both support and spacing; when called, negative masses or shapes that differ.

    Gradients: both arguments.

    >>> float(WassersteinDivergence(support=[0.0, 1.0, 5.0])([[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]))
    5.0
    """

    def __init__(
        self,
        smooth_eps: float = 1e-7,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        *,
        support: Sequence[float] | None = None,
        spacing: float | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, _reduction(reduction), dtype)
        if support is not None:
            support = keras.ops.convert_to_numpy(support).tolist()
        self.smooth_eps, self.support, self.spacing = smooth_eps, support, spacing
        self._distance = histogram.WassersteinDivergence(
            smooth_eps, "none", support=support, spacing=spacing
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """W_1 between histograms of shape (…, k), weighted and reduced."""
        tensor = keras.ops.convert_to_tensor  # Keras itself would map over the entries of lists
        return super().__call__(tensor(y_true), tensor(y_pred), sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """W_1 between histograms of shape (…, k), shape (…)."""
        return self._distance(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "dtype": keras.saving.serialize_keras_object(self._dtype_policy),
            "smooth_eps": self.smooth_eps,
            "support": self.support,
            "spacing": self.spacing,
        }


def create_wgan_losses(lambda_gp: float = 10.0) -> tuple[WassersteinLoss, WassersteinLoss]:
    """(critic loss, generator loss) of the plain WGAN, for Keras.

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


def _reduction(reduction: Any) -> str | None:
    return checks.optional(checks.choice, "reduction", reduction, allowed=_REDUCTIONS)
