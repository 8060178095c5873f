"""The code of Keras guides on Wasserstein losses, typed anew in Keras 3: each block runs."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

if find_spec("keras") is None:
    pytest.skip("needs keras", allow_module_level=True)

from otdist.keras import (
    WGAN,
    WassersteinDivergence,
    clip_weights,
    compute_gradient_penalty,
    create_wgan_gp_losses,
    create_wgan_losses,
)
from otdist.keras.backend import keras

DATA = np.random.default_rng(0).uniform(-1, 1, size=(96, 8, 8, 1)).astype("float32")
LATENT = 16


def generator_of():
    dense = keras.layers.Dense(64, activation="tanh")
    norm = keras.layers.BatchNormalization()
    shape = keras.layers.Reshape((8, 8, 1))
    hidden = keras.layers.Dense(32, activation="relu")
    return keras.Sequential([keras.Input((LATENT,)), hidden, norm, dense, shape])


def critic_of():
    convolution = keras.layers.Conv2D(8, 4, strides=2, padding="same")
    leaky = keras.layers.LeakyReLU(negative_slope=0.2)
    last = keras.layers.Flatten(), keras.layers.Dropout(0.3), keras.layers.Dense(1)
    return keras.Sequential([keras.Input((8, 8, 1)), convolution, leaky, *last])


def test_compile_and_fit_on_labelled_samples():
    critic_loss, _ = create_wgan_losses()
    critic = critic_of()
    critic.compile(optimizer=keras.optimizers.RMSprop(5e-5), loss=critic_loss)
    images = np.concatenate((DATA, -np.ones_like(DATA)))
    labels = np.concatenate((np.ones(len(DATA)), np.zeros(len(DATA))))
    before = critic.evaluate(images, labels, verbose=0)  # without dropout, whose noise is larger
    history = critic.fit(images, labels, batch_size=32, epochs=2, verbose=0).history
    assert len(history["loss"]) == 2
    assert critic.evaluate(images, labels, verbose=0) < before


def test_train_on_batch_of_critic_and_generator():
    generator, critic = generator_of(), critic_of()
    critic_loss, generator_loss = create_wgan_losses()
    critic.compile(optimizer=keras.optimizers.RMSprop(5e-5), loss=critic_loss)
    critic.trainable = False
    gan = keras.Sequential([keras.Input((LATENT,)), generator, critic])
    gan.compile(optimizer=keras.optimizers.RMSprop(5e-5), loss=generator_loss)
    for start in (0, 32, 64):
        real = DATA[start : start + 32]
        noise = np.random.default_rng(start).normal(size=(32, LATENT)).astype("float32")
        fake = generator.predict(noise, verbose=0)
        critic.trainable = True
        losses = [critic.train_on_batch(real, np.ones((32, 1)))]
        losses += [critic.train_on_batch(fake, np.zeros((32, 1)))]
        clip_weights(critic, 0.01)
        critic.trainable = False
        losses += [gan.train_on_batch(noise, np.zeros((32, 1)))]
        assert np.isfinite(losses).all()


class Loop:
    """The guides' trainer: `train(dataset, epochs)` and its two steps."""

    def __init__(self, generator, critic, latent_dim=LATENT, use_gp=True):
        self.generator, self.critic = generator, critic
        self.latent_dim, self.use_gp = latent_dim, use_gp
        makes = create_wgan_gp_losses if use_gp else create_wgan_losses
        self.critic_loss, self.generator_loss = makes()
        self.critic_optimizer = keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)
        self.generator_optimizer = keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)

    def noise(self, count):
        return keras.random.normal((count, self.latent_dim))

    def step(self, network, optimizer, loss):
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            slopes = [weight.value.grad for weight in network.trainable_weights]
            optimizer.apply(slopes, network.trainable_weights)
        return float(loss.detach())

    def train_critic_step(self, real):
        fake = self.generator(self.noise(len(real)), training=True).detach()
        scores = self.critic(keras.ops.concatenate([real, fake]), training=True)
        labels = keras.ops.concatenate([keras.ops.ones(len(real)), keras.ops.zeros(len(fake))])
        extra = {}
        if self.use_gp:
            extra = {"critic": self.critic, "real_samples": real, "fake_samples": fake}
        loss = self.critic_loss(labels, scores, **extra)
        found = self.step(self.critic, self.critic_optimizer, loss)
        if not self.use_gp:
            clip_weights(self.critic)
        return found

    def train_generator_step(self, count):
        scores = self.critic(self.generator(self.noise(count), training=True), training=True)
        loss = self.generator_loss(keras.ops.zeros(count), scores)
        return self.step(self.generator, self.generator_optimizer, loss)

    def train(self, dataset, epochs):
        found = []
        for _ in range(epochs):
            for k, real in enumerate(dataset, 1):
                found.append(self.train_critic_step(real))
                if k % 2 == 0:
                    found.append(self.train_generator_step(len(real)))
        return found


@pytest.mark.parametrize("use_gp", [True, False])
def test_train_of_a_dataset_for_epochs(use_gp):
    dataset = torch.from_numpy(DATA).split(32)
    losses = Loop(generator_of(), critic_of(), use_gp=use_gp).train(dataset, epochs=2)
    assert len(losses) == 8
    assert np.isfinite(losses).all()


def test_a_loop_that_adds_the_penalty_itself():
    critic, fake = critic_of(), np.zeros_like(DATA)
    critic_loss, _ = create_wgan_losses()
    scores = critic(np.concatenate((DATA, fake)))
    labels = np.concatenate((np.ones(96), np.zeros(96)))
    loss = critic_loss(labels, scores) + compute_gradient_penalty(
        critic, DATA, fake, lambda_gp=10.0
    )
    critic.zero_grad()
    loss.backward()
    slopes = [weight.value.grad for weight in critic.trainable_weights]
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes[:-1])


def test_a_model_of_both_networks():
    gan = WGAN(generator_of(), critic_of(), latent_dim=LATENT, n_critic=2)
    adam = {"learning_rate": 1e-4, "beta_1": 0.5, "beta_2": 0.9}
    gan.compile(
        critic_optimizer=keras.optimizers.Adam(**adam),
        generator_optimizer=keras.optimizers.Adam(**adam),
        critic_loss_fn=lambda real, fake: keras.ops.mean(fake) - keras.ops.mean(real),
        generator_loss_fn=lambda fake: -keras.ops.mean(fake),
    )
    history = gan.fit(DATA, batch_size=32, epochs=2, verbose=0).history
    assert np.isfinite(history["critic_loss"]).all()
    assert gan.sample(4).shape == (4, 8, 8, 1)


def test_histograms_as_a_loss_of_a_classifier():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss=WassersteinDivergence(smooth_eps=1e-7))
    target = np.eye(10)[np.arange(96) % 10]
    history = model.fit(DATA, target, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
