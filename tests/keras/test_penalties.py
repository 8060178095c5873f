"""Penalties and clipping on Keras critics: values, second derivatives, refusals."""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from otdist import wgan

if find_spec("keras") is None:
    pytest.skip("needs keras", allow_module_level=True)

from otdist.keras import clip_weights, compute_gradient_penalty
from otdist.keras.backend import keras

SHAPES = [(3,), (2, 3), (4, 4, 1), (2, 4, 4, 1)]


@pytest.fixture
def double():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def critic_of(shape, *layers):
    first = keras.layers.Flatten(), keras.layers.Dense(5, activation="tanh")
    return keras.Sequential([keras.Input(shape), *first, *layers, keras.layers.Dense(1)])


@pytest.mark.parametrize("mode", ["gp", "lp", "dragan", "r1", "wgan-div"])
def test_values_are_those_of_the_torch_function(mode):
    critic, (real, fake) = critic_of((3,)), torch.randn(2, 6, 3)
    how = {"mode": mode, "lambda_gp": 2.0}
    random = torch.Generator().manual_seed(1)
    theirs = wgan.compute_gradient_penalty(critic, real, fake, generator=random, **how)
    random.manual_seed(1)
    arrays = real.numpy(), fake.numpy()
    ours = compute_gradient_penalty(critic, *arrays, generator=random, **how)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("shape", SHAPES)
def test_second_derivatives_by_finite_differences(shape):
    random = torch.Generator().manual_seed(0)
    keras.utils.set_random_seed(0)
    critic = critic_of(shape)
    real, fake = torch.randn(2, 4, *shape, generator=random, dtype=torch.float64)

    def value():
        random = torch.Generator().manual_seed(1)
        return compute_gradient_penalty(critic, real, fake, generator=random)

    kernel = critic.layers[1].kernel.value
    (slope,) = torch.autograd.grad(value(), kernel)
    direction = torch.randn(kernel.shape, generator=random).to(kernel)
    step = 1e-3  # Keras multiplies in float32
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            kernel.add_(direction, alpha=sign * step)
        ends.append(float(value().detach()))
        with torch.no_grad():
            kernel.sub_(direction, alpha=sign * step)
    found = (ends[0] - ends[1]) / (2 * step)
    assert found == pytest.approx(float((slope * direction).sum()), rel=5e-3, abs=1e-3)


def test_batch_normalisation_in_training_is_refused():
    critic = critic_of((3,), keras.layers.BatchNormalization())
    real, fake = np.ones((4, 3)), np.zeros((4, 3))
    for call in (critic, partial(critic, training=True), lambda x: critic(x)):
        with pytest.raises(ValueError, match="batch normalisation"):
            compute_gradient_penalty(call, real, fake)
    nested = keras.Sequential([keras.Input((3,)), critic])
    with pytest.raises(ValueError, match="batch normalisation"):
        compute_gradient_penalty(nested, real, fake)
    dropped = critic_of((3,), keras.layers.Dropout(0.5))  # has integers among its weights
    assert float(compute_gradient_penalty(partial(dropped, training=True), real, fake)) >= 0
    critic.layers[2].trainable = False  # Keras then takes the moving statistics
    assert float(compute_gradient_penalty(critic, real, fake)) >= 0


def test_samples_are_checked():
    critic = critic_of((3,))
    with pytest.raises(ValueError, match="shapes must be equal"):
        compute_gradient_penalty(critic, np.ones((4, 3)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="must hold samples"):
        compute_gradient_penalty(critic, np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(ValueError, match="lambda_gp"):
        compute_gradient_penalty(critic, np.ones((4, 3)), np.ones((4, 3)), -1.0)


def test_clipping_leaves_statistics_and_frozen_layers():
    critic = critic_of((3,), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5))
    critic.layers[1].trainable = False
    frozen = critic.layers[1].get_weights()
    clip_weights(critic, 0.01)
    assert all(float(w.value.abs().max()) <= 0.01 for w in critic.trainable_variables)
    np.testing.assert_array_equal(critic.layers[2].moving_variance.numpy(), np.ones(5))
    np.testing.assert_array_equal(critic.layers[1].get_weights()[0], frozen[0])
    with pytest.raises(TypeError, match="a Keras model or layer"):
        clip_weights(torch.nn.Linear(2, 1))
    with pytest.raises(ValueError, match="clip_value"):
        clip_weights(critic, 0)
