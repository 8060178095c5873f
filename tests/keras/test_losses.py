"""Losses of Keras: values of the torch classes, every reduction, weights, masks, files."""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from otdist import wgan

if find_spec("keras") is None:
    pytest.skip("needs keras", allow_module_level=True)

from otdist.keras import (
    WassersteinDivergence,
    WassersteinGradientPenaltyLoss,
    WassersteinLoss,
    create_wgan_gp_losses,
    create_wgan_losses,
)
from otdist.keras.backend import keras

LABELS = [1, 0, 1, 0, 0, 0]  # unbalanced and mixed
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]


def scores_of(*shape):
    return torch.randn(6, *shape, generator=torch.Generator().manual_seed(0))


def critic_of(*sizes):
    layers = [keras.layers.Dense(k, activation="tanh") for k in sizes[1:]]
    return keras.Sequential([keras.Input((sizes[0],)), *layers, keras.layers.Dense(1)])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("for_critic", [True, False])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_values_are_those_of_the_torch_classes(shape, for_critic, reduction):
    scores = scores_of(*shape)
    means = reduction not in ("sum", "none", None)
    theirs = wgan.WassersteinLoss(for_critic, "sum_over_batch_size" if means else reduction)
    ours = WassersteinLoss(for_critic, reduction)
    for labels in (LABELS, np.array(LABELS)[:, None], torch.tensor(LABELS).bool()):
        found = ours(labels, scores)
        torch.testing.assert_close(found, theirs(LABELS, scores), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "reduction, expected",
    [
        ("sum_over_batch_size", (4 + 3 * 0.5) / 2 - 2 * 2.0),
        ("mean_with_sample_weight", (4 + 3 * 0.5) / 1.5 - 2.0),
        ("sum", 4 + 3 * 0.5 - 2 * 2.0),
        ("none", [-4.0, 4.0, 1.5]),
    ],
)
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_weights_count_within_their_label(reduction, expected, shape):
    weights = np.reshape([2.0, 1.0, 0.5], shape)
    found = WassersteinLoss(reduction=reduction)([1, 0, 0], [2.0, 4.0, 3.0], weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_weight_of_zero_has_no_value_and_no_gradient(reduction):
    scores = torch.tensor([1.0, float("nan"), 2.0], requires_grad=True)
    loss = WassersteinLoss(reduction=reduction)([1, 0, 0], scores, sample_weight=[1, 0, 1])
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    assert bool(torch.isfinite(loss).all())
    assert float(slope[1]) == 0


def test_masked_scores_are_not_there():
    scores = torch.tensor([2.0, 4.0, 100.0])
    keras.src.backend.set_keras_mask(scores, torch.tensor([True, True, False]))
    assert float(WassersteinLoss()([1, 0, 0], scores)) == pytest.approx(2.0)


def test_fit_weighs_samples_as_a_call_does():
    x = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
    weights = np.array([1.0, 2.0, 0.0, 1.0, 3.0, 0.5])
    critic = critic_of(2)
    critic.compile(optimizer=keras.optimizers.SGD(0.0), loss=WassersteinLoss())
    logged = critic.fit(x, np.array(LABELS), sample_weight=weights, batch_size=6, verbose=0)
    expected = WassersteinLoss()(LABELS, critic(x), weights)
    assert logged.history["loss"][0] == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("loss", [WassersteinLoss, WassersteinGradientPenaltyLoss])
def test_compile_builds_without_warnings_and_fits(loss):
    critic = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])  # built by fit
    critic.compile(loss=loss(False))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        logged = critic.fit(np.ones((8, 2)), np.zeros(8), verbose=0)
    assert np.isfinite(logged.history["loss"]).all()


def test_half_precision_is_summed_in_float32():
    scores = torch.full((4096,), 0.1, dtype=torch.bfloat16)
    loss = WassersteinLoss()([0] * 4096, scores)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(scores[0]), rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        WassersteinLoss(False, "sum", "mine", dtype="float64"),
        WassersteinGradientPenaltyLoss(lambda_gp=0.1, reduction=None, mode="lp"),
        WassersteinDivergence(1e-3, "mean", support=np.array([0.0, 1.0, 5.0])),
        WassersteinDivergence(spacing=0.5),
    ],
)
def test_losses_come_back_from_their_files(loss):
    packed = keras.saving.serialize_keras_object(loss)
    found = keras.saving.deserialize_keras_object(packed)
    assert type(found) is type(loss)
    assert found.get_config() == loss.get_config()


def test_a_compiled_critic_is_saved_with_its_loss(tmp_path):
    critic = critic_of(2, 4)
    critic.compile("rmsprop", WassersteinGradientPenaltyLoss(lambda_gp=0))
    critic.fit(np.ones((8, 2)), np.array([0, 1] * 4), verbose=0)
    critic.save(tmp_path / "critic.keras")
    found = keras.saving.load_model(tmp_path / "critic.keras")
    assert found.loss.get_config() == critic.loss.get_config()


def test_the_penalty_is_in_the_loss_and_has_gradients():
    critic, (real, fake) = critic_of(2, 8), torch.randn(2, 6, 2)
    labels, scores = [1] * 6 + [0] * 6, critic(torch.cat((real, fake)))
    samples = {"critic": critic, "real_samples": real, "fake_samples": fake}
    plain = float(WassersteinLoss()(labels, scores))
    for factor, reduction in ((1, "mean"), (6, "sum")):
        loss = WassersteinGradientPenaltyLoss(True, 3.0, reduction, mode="r1")
        base = plain if reduction == "mean" else plain * 6
        penalty = wgan.compute_gradient_penalty(critic, real, fake, 3.0, mode="r1")
        found = loss(labels, scores, **samples)
        assert float(found) == pytest.approx(base + factor * float(penalty), rel=1e-5)
        kernel = critic.layers[0].kernel.value
        assert float(torch.autograd.grad(found, kernel, retain_graph=True)[0].abs().sum()) > 0


def test_a_penalty_that_cannot_be_is_named():
    labels, scores = [1, 0], torch.zeros(2)
    with pytest.warns(UserWarning, match="no penalty without critic"):
        WassersteinGradientPenaltyLoss()(labels, scores)
    with pytest.raises(ValueError, match="all three"):
        WassersteinGradientPenaltyLoss()(labels, scores, critic=critic_of(2))
    samples = {
        "critic": critic_of(2),
        "real_samples": np.ones((2, 2)),
        "fake_samples": np.ones((2, 2)),
    }
    with pytest.raises(ValueError, match="generator's loss has no penalty"):
        WassersteinGradientPenaltyLoss(False)(labels, scores, **samples)
    with pytest.raises(ValueError, match="single scores"):
        WassersteinGradientPenaltyLoss(reduction="none")(labels, scores, **samples)


def test_labels_and_options_are_checked():
    for labels, message in (([1, -1], "found -1"), ([1, 0, 1], "one label per sample")):
        with pytest.raises(ValueError, match=message):
            WassersteinLoss()(labels, torch.zeros(2))
    with pytest.raises(ValueError, match="one weight per sample"):
        WassersteinLoss()([1, 0], torch.zeros(2), sample_weight=[1.0, 1.0, 1.0])
    for kind in (WassersteinLoss, WassersteinGradientPenaltyLoss, WassersteinDivergence):
        with pytest.raises(ValueError, match=r"reduction must be one of .*'average'"):
            kind(reduction="average")
    with pytest.raises(TypeError, match="for_critic must be True or False"):
        WassersteinLoss("yes")
    with pytest.raises(ValueError, match="lambda_gp must be"):
        WassersteinGradientPenaltyLoss(lambda_gp=-1)
    with pytest.warns(UserWarning, match="label generated samples 0"):
        WassersteinLoss(for_critic=False)([1, 1], torch.ones(2))


@pytest.mark.parametrize("options", [{}, {"spacing": 0.5}, {"support": [0.0, 1.0, 5.0, 6.0]}])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_histograms_as_in_torch(options, reduction):
    first, second = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(0))
    theirs = wgan.WassersteinDivergence(reduction=reduction, **options)(first, second)
    ours = WassersteinDivergence(reduction=reduction, **options)
    torch.testing.assert_close(ours(first.numpy(), second), theirs, rtol=1e-6, atol=1e-6)
    weights = [1.0, 0.0, 2.0, 0.0, 0.0]
    rows = WassersteinDivergence(reduction="none", **options)(first, second)
    weighted = WassersteinDivergence(reduction="sum", **options)(first, second, weights)
    assert float(weighted) == pytest.approx(float(rows[0] + 2 * rows[2]), rel=1e-5)


def test_a_model_of_histograms_fits():
    model = keras.Sequential([keras.layers.Dense(4, activation="softmax")])
    model.compile(loss=WassersteinDivergence())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        logged = model.fit(np.ones((8, 3)), np.full((8, 4), 0.25), epochs=2, verbose=0)
    assert logged.history["loss"][1] < logged.history["loss"][0]
    with pytest.raises(ValueError, match="non-negative"):
        WassersteinDivergence()([[-1.0, 2.0]], [[1.0, 0.0]])


def test_pairs_of_losses():
    assert [loss.for_critic for loss in create_wgan_losses()] == [True, False]
    assert [loss.lambda_gp for loss in create_wgan_gp_losses(1.0)] == [1.0, 1.0]
    with pytest.raises(ValueError, match="use create_wgan_gp_losses"):
        create_wgan_losses(lambda_gp=1.0)
