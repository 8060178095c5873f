"""`WGAN`: it learns, resumes bit for bit, takes fresh batches; the callback logs exact W_1."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

import otdist
from otdist import wgan

if find_spec("keras") is None:
    pytest.skip("needs keras", allow_module_level=True)

from otdist.keras import WGAN, Evaluation
from otdist.keras.backend import keras

DATA = np.random.default_rng(0).normal(2.0, 0.5, size=(640, 2)).astype("float32")


def network(*sizes, norm=False):
    layers = []
    for width in sizes[1:-1]:
        layers += [
            keras.layers.Dense(width),
            *([keras.layers.BatchNormalization()] if norm else []),
        ]
        layers += [keras.layers.LeakyReLU(negative_slope=0.2)]
    return keras.Sequential([keras.Input((sizes[0],)), *layers, keras.layers.Dense(sizes[-1])])


def gan_of(norm=False, rate=1e-3, **options):
    keras.utils.set_random_seed(0)
    generator, critic = network(2, 16, 2, norm=norm), network(2, 16, 1)
    gan = WGAN(generator, critic, **({"latent_dim": 2, "lambda_gp": 0.1} | options))
    gan.compile(*(keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.9) for _ in range(2)))
    return gan


def test_fit_comes_near_to_held_out_data_and_logs_exact_distances():
    gan, held_out = gan_of(norm=True, rate=5e-3), DATA[:160]
    before = otdist.wasserstein(gan.sample(80).numpy(), held_out[:80]).distance
    watch = Evaluation(held_out, every=4, size=80)
    logs = gan.fit(DATA[160:], batch_size=16, epochs=10, verbose=0, callbacks=[watch]).history
    assert len(logs["w1"]) == 3  # at epochs 4 and 8, and at the last
    assert logs["w1"][-1] < before / 3
    exact = otdist.wasserstein(gan.sample(80).numpy(), held_out[:80]).distance
    assert logs["w1"][-1] == pytest.approx(exact, rel=1e-6)
    floor = otdist.wasserstein(held_out[:80], held_out[80:]).distance
    assert logs["w1_floor"][-1] == pytest.approx(floor, rel=1e-6)
    assert {"sliced", "sliced_floor", "gap_held_out"} <= set(logs)


def test_batch_normalisation_of_the_generator_learns_its_statistics():
    gan = gan_of(norm=True)
    gan.fit(DATA, batch_size=64, verbose=0)
    assert float(abs(gan.generator.layers[1].moving_mean.numpy()).max()) > 0


def test_the_floor_may_come_from_the_data_of_the_training():
    gan = gan_of()
    watch = Evaluation(DATA[:100], real=DATA[100:], size=100)
    logs = gan.fit(DATA[100:], verbose=0, callbacks=[watch]).history
    assert 0 < logs["w1_floor"][0] < logs["w1"][0]


def test_every_critic_step_sees_a_batch_of_its_own():
    gan, seen = gan_of(n_critic=3), []
    step = gan.train_critic_step
    gan.train_critic_step = lambda real: (seen.append(real.clone()), step(real))[1]
    gan.fit(DATA, batch_size=64, shuffle=False, verbose=0)
    assert torch.equal(torch.cat(seen), torch.from_numpy(DATA))
    assert int(gan.critic_optimizer.iterations) == 10
    assert int(gan.generator_optimizer.iterations) == 3


def test_losses_are_those_of_the_torch_functions():
    gan = gan_of(lambda_gp=3.0, mode="r1")
    gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    real, state = torch.from_numpy(DATA[:32]), gan.random.state.numpy()
    loss = gan.train_critic_step(real)
    gan.random.state.assign(state)
    fake = gan.generator(gan.noise(32)).detach()
    penalty = wgan.compute_gradient_penalty(gan.critic, real, None, 3.0, mode="r1")
    expected = wgan.critic_loss(gan.critic(real), gan.critic(fake)) + penalty
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-6)


def slopes(network):
    return [w.copy() for w in network.get_weights()]


def test_a_step_moves_its_own_network_only():
    gan = gan_of()
    generator, critic = slopes(gan.generator), slopes(gan.critic)
    gan.train_critic_step(DATA[:32])
    assert all(map(np.array_equal, slopes(gan.generator), generator))
    assert not all(map(np.array_equal, slopes(gan.critic), critic))
    critic = slopes(gan.critic)
    gan.train_generator_step(32)
    assert all(map(np.array_equal, slopes(gan.critic), critic))
    assert not all(map(np.array_equal, slopes(gan.generator), generator))


@pytest.mark.parametrize("options", [{}, {"use_gp": False}, {"mode": "lp", "n_critic": 3}])
def test_a_loaded_model_goes_on_bit_for_bit(options, tmp_path):
    keras.utils.set_random_seed(0)
    gan = WGAN(network(2, 8, 2, norm=True), network(2, 8, 1), latent_dim=2, **options)
    gan.compile()
    gan.fit(DATA, batch_size=64, shuffle=False, verbose=0)
    gan.save(tmp_path / "gan.keras")
    found = keras.saving.load_model(tmp_path / "gan.keras")
    assert found.settings == gan.settings
    for model in (gan, found):
        model.fit(DATA, batch_size=64, shuffle=False, verbose=0)
        model.evaluate(DATA, verbose=0)  # leaves the training alone
        model.fit(DATA, batch_size=64, shuffle=False, verbose=0)
    assert all(map(np.array_equal, gan.get_weights(), found.get_weights()))
    assert torch.equal(gan.sample(5), found.sample(5))


def test_losses_of_ones_own_are_saved_too(tmp_path):
    gan = WGAN(network(2, 8, 2), network(2, 8, 1), latent_dim=2, use_gp=False, clip_value=0.02)
    gan.compile("rmsprop", "rmsprop", critic_loss_fn=hinge)
    gan.fit(DATA, verbose=0)
    assert max(float(abs(w).max()) for w in gan.critic.get_weights()) <= 0.02
    gan.save(tmp_path / "gan.keras")
    found = keras.saving.load_model(tmp_path / "gan.keras")
    assert found.critic_loss_fn is hinge
    assert found.settings.clip_value == 0.02


@keras.saving.register_keras_serializable(package="tests")
def hinge(real, fake):
    return wgan.hinge_critic_loss(real, fake)


def test_labels_are_left_aside_and_batches_of_one_work():
    gan = gan_of()
    logs = gan.fit(DATA[:65], np.zeros(65), batch_size=64, verbose=0).history
    assert sorted(logs) == ["critic_loss", "gap", "generator_loss", "penalty"]
    assert gan.predict(np.zeros((3, 2)), verbose=0).shape == (3, 2)


def test_single_batches_may_be_arrays():
    gan, same = gan_of(n_critic=1), gan_of(n_critic=1)
    same.set_weights(gan.get_weights())
    logs = gan.train_on_batch(DATA[:16], return_dict=True)
    assert logs == same.train_on_batch(torch.from_numpy(DATA[:16]), return_dict=True)
    assert gan.test_on_batch(DATA[:16]) == same.test_on_batch(torch.from_numpy(DATA[:16]))
    with pytest.raises(ValueError, match="floating-point samples"):
        gan.train_on_batch(np.zeros((4, 2), dtype=np.uint8))


def test_sampling_repeats_itself_and_evaluation_is_a_gap():
    gan = gan_of()
    assert torch.equal(gan.sample(2000)[:3], gan.sample(2000)[:3])
    assert not torch.equal(gan.sample(3), gan.sample(3, seed=1))
    found = gan.evaluate(DATA[:64], batch_size=64, verbose=0, return_dict=True)
    with torch.no_grad():
        gap = gan.critic(DATA[:64]).mean() - gan.critic(gan.sample(64)).mean()
    assert found["gap"] == pytest.approx(float(gap), abs=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_critic": 0}, "n_critic must be at least 1"),
        ({"use_gp": False, "lambda_gp": 1.0}, "lambda_gp has no effect"),
        ({"clip_value": 0.5}, "clip_value has no effect"),
        ({"mode": "gp2"}, "mode must be one of"),
        ({"latent_dim": 2.5}, "latent_dim must be an integer"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        WGAN(network(2, 2), network(2, 1), **options)


def test_networks_and_data_are_checked():
    with pytest.raises(TypeError, match="critic must be a Keras model"):
        WGAN(network(2, 2), torch.nn.Linear(2, 1))
    with pytest.raises(ValueError, match="batch normalisation"):
        WGAN(network(2, 2), network(2, 8, 1, norm=True))
    gan = gan_of()
    with pytest.raises(ValueError, match="no sample_weight"):
        gan.fit(DATA, np.zeros(640), sample_weight=np.ones(640), verbose=0)
    with pytest.raises(ValueError, match="samples must have one shape"):
        gan.fit(DATA[:, :1], verbose=0)
    with pytest.raises(ValueError, match="NaN or inf"):
        gan.fit(DATA * np.nan, verbose=0)
    one = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="an optimizer each"):
        gan.compile(one, one)
    other = network(2, 1)
    other.compile(loss="mse")
    with pytest.raises(TypeError, match=r"an otdist\.keras\.WGAN"):
        other.fit(DATA, DATA[:, :1], verbose=0, callbacks=[Evaluation(DATA)])
