"""`WGAN`: a Keras model of generator and critic that compiles, fits, saves and resumes.

Steps follow `otdist.wgan.WGANTrainer`; what is Keras's stays Keras's: data, optimisers, callbacks,
logs, files, and random numbers, which are saved with the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.critics import penalties
from otdist.critics.penalties import Mode, check_scores
from otdist.keras.backend import keras
from otdist.wgan import functional
from otdist.wgan.batch import check_real, check_shapes
from otdist.wgan.settings import CLIP_VALUE, LAMBDA_GP, Settings


@keras.saving.register_keras_serializable(package="otdist")
class WGAN(keras.Model):
    """Trains a Keras generator against a Keras critic, with a penalty or with clipped weights.

    `fit(data)` takes samples (n, …), arrays or anything that Keras reads; of a batch (x, y) the
    labels are left aside. Every batch is one critic step, so that each sees fresh data, and every
    n_critic-th batch is followed by a generator step. Layers run in training mode, so batch
    normalisation of the generator works. `evaluate` gives the gap on other data; calling the
    model, or `predict`, maps noise (n, latent_dim) to samples.

    Logged, as means over the epoch: critic_loss, generator_loss, gap (E_real − E_fake: an estimate
    of W_1 with a penalty, a score in arbitrary units with clipping) and penalty.

    Args:
        generator: Keras model from noise (n, latent_dim) to samples (n, …).
        critic: Keras model from samples to scores (n, …), without batch normalisation when there
            is a penalty, and without sigmoid.
        latent_dim: Length of a noise vector, standard normal.
        use_gp: Add a gradient penalty; otherwise weights are clipped.
        lambda_gp: Weight of the penalty: 10 suits images, 0.1 points in the plane.
        n_critic: Critic steps per generator step.
        clip_value: Largest absolute weight when clipping; 0.01 when left out.
        mode: The penalty, as in `otdist.wgan.compute_gradient_penalty`.
        seed: Of noise and penalty; None: fresh.
        **options: Of `keras.Model`, such as name.

    Raises:
        ValueError: an option out of range or without effect beside the others, a critic with batch
            normalisation and a penalty; in `fit`, sample weights, or samples that do not fit.

    >>> def network(*sizes):
    ...     dense = [keras.layers.Dense(k, activation="tanh") for k in sizes[1:-1]]
    ...     last = keras.layers.Dense(sizes[-1])
    ...     return keras.Sequential([keras.Input((sizes[0],)), *dense, last])
    >>> gan = WGAN(network(2, 8, 2), network(2, 8, 1), latent_dim=2, lambda_gp=0.1)
    >>> gan.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    >>> history = gan.fit(keras.random.normal((320, 2), seed=0), batch_size=32, verbose=0)
    >>> sorted(history.history), gan.sample(3).shape
    (['critic_loss', 'gap', 'generator_loss', 'penalty'], torch.Size([3, 2]))
    """

    def __init__(
        self,
        generator: Any,
        critic: Any,
        latent_dim: int = 100,
        use_gp: bool = True,
        *,
        lambda_gp: float = LAMBDA_GP,
        n_critic: int = 5,
        clip_value: float = CLIP_VALUE,
        mode: Mode = "gp",
        seed: int | None = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        how: dict[str, Any] = {"clip_value": clip_value, "mode": mode, "seed": seed}
        self.settings = Settings(latent_dim, use_gp, lambda_gp, n_critic, **how)
        for name, network in (("generator", generator), ("critic", critic)):
            checks.instance(name, network, keras.Model, "a Keras model")
        self.generator, self.critic = generator, critic
        if use_gp:
            penalties.check_unmixed(critic)
        self.random = keras.random.SeedGenerator(seed)
        names = ("critic_loss", "generator_loss", "gap", *(["penalty"] if use_gp else []))
        self.means = {name: keras.metrics.Mean(name) for name in names}
        self.critic_optimizer: Any = None
        self.generator_optimizer: Any = None
        self.built = True

    def compile(
        self,
        critic_optimizer: Any = None,
        generator_optimizer: Any = None,
        critic_loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
        generator_loss_fn: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Choose optimisers and losses.

        Args:
            critic_optimizer: A Keras optimiser or its name; None: Adam of 1e-4 with betas 0 and
                0.9, or RMSprop of 5e-5 with clipping, as for the generator.
            generator_optimizer: One of its own.
            critic_loss_fn: Of scores of real and of generated samples, in this order; None:
                `otdist.wgan.critic_loss`. The penalty is added to it.
            generator_loss_fn: Of scores of generated samples; None: `otdist.wgan.generator_loss`.
                A model is saved only with functions that are registered with Keras.
        """
        super().compile(optimizer=None, jit_compile=False)
        both = [keras.optimizers.get(o) for o in (critic_optimizer, generator_optimizer)]
        if both[0] is not None and both[0] is both[1]:
            raise ValueError("critic and generator need an optimizer each: got one for both")
        self.critic_optimizer, self.generator_optimizer = (
            _recipe(self.settings.clips) if one is None else one for one in both
        )
        self.critic_loss_fn, self.generator_loss_fn = critic_loss_fn, generator_loss_fn
        for name in ("critic_loss_fn", "generator_loss_fn"):
            checks.optional(checks.function, name, getattr(self, name))

    @property
    def metrics(self) -> list[Any]:
        """Means that Keras resets for every epoch."""
        return list(self.means.values())

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Samples (n, …) from noise (n, latent_dim)."""
        return self.generator(inputs, training=training)

    def noise(self, count: int) -> Tensor:
        """Noise (count, latent_dim), from the model's own random numbers."""
        return keras.random.normal((count, self.settings.latent_dim), seed=self.random)

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """Generated samples (count, …), without a graph.

        Args:
            count: How many.
            seed: Decides the noise; training is not affected.
        """
        shape = (checks.whole("count", count), self.settings.latent_dim)
        noise = keras.random.normal(shape, seed=checks.seed(seed, none=False))
        with torch.no_grad():
            return torch.cat([self.generator(part, training=False) for part in noise.split(1024)])

    def train_step(self, data: Any) -> dict[str, Any]:
        """A critic step on a batch; after every n_critic of them a generator step."""
        real = _samples(data)
        self.train_critic_step(real)
        if int(self.critic_optimizer.iterations) % self.settings.n_critic == 0:
            self.train_generator_step(len(real))
        return self.get_metrics_result()

    def train_critic_step(self, real_samples: Any) -> Tensor:
        """One step of the critic on real samples (n, …) and as many generated ones; its loss."""
        real = keras.ops.convert_to_tensor(real_samples)
        check_real(real, "data")
        with torch.no_grad():
            fake = self.generator(self.noise(len(real)), training=True)
        check_shapes(data=real, generated=fake)
        scores = self._scores(real), self._scores(fake)
        loss = (self.critic_loss_fn or functional.critic_loss)(*scores)
        self._note("gap", -functional.critic_loss(*scores))
        if self.settings.use_gp:
            critic = partial(self.critic, training=True)
            weight, mode = self.settings.lambda_gp, self.settings.mode
            penalty = penalties.penalty(critic, real, fake, weight, mode, self._uniform)
            self._note("penalty", penalty)
            loss = loss + penalty
        self._note("critic_loss", loss)
        _descend(loss, self.critic, self.critic_optimizer)
        if self.settings.clips and self.settings.clip_value is not None:
            weights = [variable.value for variable in self.critic.trainable_variables]
            penalties.clamp(weights, self.settings.clip_value)
        return loss.detach()

    def train_generator_step(self, batch_size: int) -> Tensor:
        """One step of the generator on so many samples; its loss."""
        scores = self._scores(self.generator(self.noise(batch_size), training=True))
        loss = (self.generator_loss_fn or functional.generator_loss)(scores)
        self._note("generator_loss", loss)
        _descend(loss, self.generator, self.generator_optimizer)
        return loss.detach()

    def test_step(self, data: Any) -> dict[str, Any]:
        """The gap on a batch of other data, from noise of its own, layers in inference mode."""
        real = _samples(data)
        fake = self.sample(len(real))
        check_shapes(data=real, generated=fake)
        scores = self._scores(real, training=False), self._scores(fake, training=False)
        self.means["gap"].update_state(-functional.critic_loss(*scores), sample_weight=len(real))
        return {"gap": self.means["gap"].result()}

    def get_config(self) -> dict[str, Any]:
        """Networks and options, for saving."""
        kept = self.settings
        effect = {"lambda_gp": kept.lambda_gp, "mode": kept.mode}
        return super().get_config() | {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "critic": keras.saving.serialize_keras_object(self.critic),
            "latent_dim": kept.latent_dim,
            "use_gp": kept.use_gp,
            "n_critic": kept.n_critic,
            "seed": kept.seed,
            **(effect if kept.use_gp else {"clip_value": kept.clip_value}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> WGAN:
        """The model of a config."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("generator", "critic")
        }
        return cls(**(config | networks))

    def get_compile_config(self) -> dict[str, Any]:
        """Optimisers and losses, for saving."""
        if not self.compiled:
            return {}
        names = "critic_optimizer", "generator_optimizer", "critic_loss_fn", "generator_loss_fn"
        pack = keras.saving.serialize_keras_object
        return {name: pack(getattr(self, name)) for name in names}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a saved model was; states of optimisers are loaded afterwards."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.critic_optimizer.build(self.critic.trainable_variables)
        self.generator_optimizer.build(self.generator.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        """Write the state of the random numbers, which Keras would leave out."""
        store["random"] = keras.ops.convert_to_numpy(self.random.state)

    def load_own_variables(self, store: Any) -> None:
        """Take it over, so that a loaded model goes on as the saved one would have done."""
        self.random.state.assign(store["random"])

    def _scores(self, samples: Tensor, *, training: bool = True) -> Tensor:
        scores = self.critic(samples, training=training)
        check_scores(scores, len(samples))
        return scores

    def _uniform(self, shape: Any, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return keras.random.uniform(tuple(shape), seed=self.random).to(device, dtype)

    def _note(self, name: str, value: Tensor) -> None:
        self.means[name].update_state(value.detach())


def _samples(data: Any) -> Tensor:
    """The samples of a batch of `fit` or `evaluate`, or of `train_on_batch`, which keeps arrays."""
    samples, _, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("WGAN takes no sample_weight: draw samples as often as they shall count")
    if isinstance(samples, np.ndarray):
        samples = keras.ops.convert_to_tensor(samples)
    check_real(samples, "data")
    return samples


def _descend(loss: Tensor, network: Any, optimizer: Any) -> None:
    """One step of an optimiser on the trainable weights of a network."""
    variables = network.trainable_variables
    slopes = torch.autograd.grad(
        loss, [variable.value for variable in variables], allow_unused=True
    )
    with torch.no_grad():
        pairs = [(g, v) for g, v in zip(slopes, variables, strict=True) if g is not None]
        optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])


def _recipe(clips: bool) -> Any:
    if clips:
        return keras.optimizers.RMSprop(5e-5)
    return keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)
