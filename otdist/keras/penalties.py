"""The gradient penalty and weight clipping of `otdist.wgan`, on Keras critics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from otdist.core import checks
from otdist.critics import penalties
from otdist.critics.penalties import Mode
from otdist.keras.backend import keras


def compute_gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real_samples: Any,
    fake_samples: Any,
    lambda_gp: float = 10.0,
    *,
    mode: Mode = "gp",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return lambda_gp times the mean penalty on the norm of a Keras critic's gradient per sample.

    `otdist.wgan.compute_gradient_penalty` for arrays and tensors of Keras; one weight per sample,
    for inputs of any rank. The critic is called as `critic(x)`: with dropout, pass
    `functools.partial(critic, training=True)`.

    Args:
        critic: A Keras model or a function from samples (n, …) to scores (n, …), each from its
            own sample only: no batch normalisation in training mode.
        real_samples: Shape (n, …).
        fake_samples: The same shape; None in the modes r1 and dragan.
        lambda_gp: Weight of the penalty.
        mode: "gp", "lp", "dragan", "r1" or "wgan-div".
        generator: Random numbers; torch's default, which `keras.utils.set_random_seed` sets,
            without one.

    Returns:
        0-d tensor, at least 0.

    Raises:
        ValueError: as `otdist.wgan.compute_gradient_penalty`.

    Gradients: the critic's weights. The samples are detached.
    Cost: one forward and two backward passes.

    >>> critic = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> critic.layers[0].kernel.assign([[3.0], [4.0]]).shape
    torch.Size([2, 1])
    >>> float(compute_gradient_penalty(critic, [[1.0, 2.0]], [[0.0, 5.0]]))  # 10 (5 − 1)²
    160.0
    """
    real_samples, fake_samples = (
        value if value is None else keras.ops.convert_to_tensor(value)
        for value in (real_samples, fake_samples)
    )
    how: dict[str, Any] = {"mode": mode, "generator": generator}
    return penalties.compute_gradient_penalty(critic, real_samples, fake_samples, lambda_gp, **how)


def clip_weights(model: Any, clip_value: float = 0.01) -> None:
    """Clamp every trainable weight of a Keras model to [−clip_value, clip_value], in place.

    Moving statistics of normalisation and frozen layers stay as they are. This bounds the Lipschitz
    constant by an unknown K: the gap of a clipped critic is a score, not W_1.

    Args:
        model: The critic.
        clip_value: Largest absolute value that stays.

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    >>> clip_weights(model)
    >>> max(float(abs(w).max()) for w in model.get_weights()) <= 0.01
    True
    """
    checks.instance("model", model, keras.layers.Layer, "a Keras model or layer")
    checks.positive("clip_value", clip_value)
    penalties.clamp([variable.value for variable in model.trainable_variables], clip_value)
