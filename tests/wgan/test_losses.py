"""Losses of labelled scores: one mean per label, reductions, histograms in units, and errors."""

import pickle

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from otdist.critics.penalties import compute_gradient_penalty
from otdist.wgan import functional
from otdist.wgan.histogram import WassersteinDivergence
from otdist.wgan.losses import (
    WassersteinGANLoss,
    WassersteinGradientPenaltyLoss,
    WassersteinLoss,
    create_wgan_gp_losses,
    create_wgan_losses,
)

SHAPES = [(), (1,), (1, 3, 3)]


def scores_of(shape: tuple[int, ...], n: int = 6) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_critic_loss_has_one_mean_per_label(shape):
    scores = scores_of(shape)
    labels = torch.tensor([1, 0, 1, 0, 0, 0])  # unbalanced and mixed
    real, fake = scores[labels == 1], scores[labels == 0]
    expected = fake.mean() - real.mean()
    for y_true in (labels, labels.float()[:, None], labels.bool(), labels.tolist()):
        torch.testing.assert_close(WassersteinLoss()(y_true, scores), expected)
    torch.testing.assert_close(functional.critic_loss(real, fake), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_separate_calls_add_up_to_the_loss_of_both(shape):
    real, fake = scores_of(shape), scores_of(shape, 4) + 1
    loss = WassersteinLoss()
    both = loss([1] * 6 + [0] * 4, torch.cat((real, fake)))
    torch.testing.assert_close(loss([1] * 6, real) + loss([0] * 4, fake), both)


def test_labels_per_score_are_taken_as_they_are():
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    labels = torch.tensor([[1, 0], [0, 0]])
    assert float(WassersteinLoss()(labels, scores)) == 3.0 - 1.0


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_generator_loss_ignores_real_samples(reduction):
    scores = scores_of((1,)).requires_grad_()
    labels = torch.tensor([1, 0, 1, 0, 0, 1])
    loss = WassersteinLoss(for_critic=False, reduction=reduction)(labels, scores)
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert torch.equal(gradient[labels == 1], torch.zeros(3, 1, dtype=torch.float64))
    weight = 1 / 3 if reduction == "sum_over_batch_size" else 1.0
    assert torch.allclose(gradient[labels == 0], torch.full((3, 1), -weight).double())


def test_generator_loss_without_generated_samples_says_so():
    with pytest.warns(UserWarning, match="label generated samples 0"):
        assert float(WassersteinLoss(for_critic=False)([1, 1], torch.ones(2))) == 0.0


def test_reductions_of_the_critic_loss():
    scores, labels = torch.tensor([2.0, 3.0, 5.0]), [1, 0, 0]
    for reduction in ("sum_over_batch_size", "mean"):
        assert float(WassersteinLoss(reduction=reduction)(labels, scores)) == 2.0
    assert float(WassersteinLoss(reduction="sum")(labels, scores)) == 6.0
    for reduction in ("none", None):
        terms = WassersteinLoss(reduction=reduction)(labels, scores)
        assert terms.tolist() == [-2.0, 3.0, 5.0]


def test_half_precision_scores_are_averaged_in_float32():
    scores = torch.full((4096,), 0.1, dtype=torch.bfloat16)
    exact = float(scores[0])
    assert float(-functional.generator_loss(scores)) == pytest.approx(exact, rel=1e-5)
    assert WassersteinLoss()([1] * 4096, scores).dtype == torch.float32


@pytest.mark.parametrize(
    "labels, scores, message",
    [
        ([1, -1], torch.zeros(2), "found -1"),
        ([1, 0, 1], torch.zeros(2), r"one label per sample.*\(2,\).*\(3,\)"),
        ([1], torch.zeros(()), r"first axis: got shape \(\)"),
        ([], torch.zeros(0), r"first axis: got shape \(0,\)"),
        ([], [], r"first axis: got shape \(0,\)"),
    ],
)
def test_labels_are_checked(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        WassersteinLoss()(labels, scores)


def test_lists_of_tensors_with_gradients_are_named_instead_of_detached():
    listed = [torch.tensor(1.0, requires_grad=True)] * 2
    with pytest.raises(TypeError, match=r"y_pred must be one tensor, as of torch\.stack"):
        WassersteinLoss()([1, 0], listed)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"y_true must be one tensor, as of torch\.stack"):
        WassersteinLoss()(listed, torch.zeros(2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="real must be a tensor of features: got list"):
        functional.cramer_critic_loss([1.0, 2.0], torch.zeros(2))  # pyright: ignore[reportArgumentType]


def test_unknown_reduction_names_the_known_ones():
    with pytest.raises(ValueError, match=r"sum_over_batch_size.*average"):
        WassersteinLoss(reduction="average")  # pyright: ignore[reportArgumentType]


def test_functional_losses_refuse_empty_batches():
    with pytest.raises(ValueError, match="real must hold at least one score"):
        functional.critic_loss(torch.zeros(0), torch.zeros(2))
    with pytest.raises(TypeError, match="tensor"):
        functional.generator_loss([1.0])  # pyright: ignore[reportArgumentType]


def test_hinge_is_flat_beyond_the_margin():
    real = torch.tensor([2.0, 0.5], requires_grad=True)
    fake = torch.tensor([-2.0, 0.5], requires_grad=True)
    functional.hinge_critic_loss(real, fake).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.tolist() == [0.0, -0.5]
    assert fake.grad.tolist() == [0.0, 0.5]


def test_cramer_loss_is_minus_twice_the_cramer_distance_on_the_line():
    generator = torch.Generator().manual_seed(0)
    r, f = torch.randn(2, 300, generator=generator, dtype=torch.float64)
    n = 300
    biased = scipy.stats.energy_distance(r.numpy(), f.numpy()) ** 2
    spread = [float((v[:, None] - v).abs().sum()) for v in (r, f)]
    unbiased = biased - sum(s / (n * (n - 1)) - s / n**2 for s in spread)
    assert float(functional.cramer_generator_loss(r, f)) == pytest.approx(unbiased, rel=1e-9)


def test_cramer_loss_is_unbiased_and_differentiable_at_coinciding_features():
    generator = torch.Generator().manual_seed(0)
    values = [
        float(functional.cramer_generator_loss(*torch.randn(2, 8, 3, generator=generator)))
        for _ in range(400)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    real = torch.zeros(3, 2, requires_grad=True)
    functional.cramer_critic_loss(real, torch.zeros(3, 2)).backward()
    assert real.grad is not None
    assert torch.equal(real.grad, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="as many features: got 2 and 3"):
        functional.cramer_critic_loss(torch.zeros(3, 2), torch.zeros(3, 3))


def test_divergence_is_scipys_distance_in_units_of_the_support():
    rng = np.random.default_rng(0)
    support = np.sort(rng.normal(size=7))
    p, q = rng.random((2, 5, 7))
    expected = [scipy.stats.wasserstein_distance(support, support, *pair) for pair in zip(p, q)]  # noqa: B905
    tensors = torch.from_numpy(p), torch.from_numpy(q)
    each = WassersteinDivergence(reduction=None, support=support.tolist())(*tensors)
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-12)
    mean = WassersteinDivergence(support=support.tolist())(*tensors)
    assert float(mean) == pytest.approx(np.mean(expected), rel=1e-12)
    total = WassersteinDivergence(reduction="sum", support=support.tolist())(*tensors)
    assert float(total) == pytest.approx(np.sum(expected), rel=1e-12)


def test_divergence_spacing_scales():
    p, q = torch.eye(6, dtype=torch.float64)[[0, 5]]
    assert float(WassersteinDivergence()(p, q)) == 5.0
    assert float(WassersteinDivergence(spacing=0.5)(3 * p, 7 * q)) == 2.5
    assert float(WassersteinDivergence()(p, p)) == 0.0


def test_divergence_gradient():
    p = torch.rand(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    q = torch.rand(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    loss = WassersteinDivergence(reduction="sum", spacing=2.0)
    assert torch.autograd.gradcheck(loss, (p.requires_grad_(), q.requires_grad_()))


@pytest.mark.parametrize(
    "p, q, message",
    [
        (torch.zeros(3), torch.ones(3), "y_true must hold finite histograms of mass above 1e-07"),
        (torch.ones(3), torch.tensor([1.0, -1.0, 1.0]), "y_pred must hold non-negative"),
        (torch.ones(3), torch.ones(4), "one shape"),
        (torch.ones(3), torch.tensor([1.0, float("nan"), 1.0]), "non-negative"),
    ],
)
def test_divergence_checks_histograms(p, q, message):
    with pytest.raises(ValueError, match=message):
        WassersteinDivergence()(p, q)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"support": [0.0, 1.0], "spacing": 1.0}, "not both"),
        ({"support": [1.0, 0.0]}, "increasing"),
        ({"spacing": 0.0}, "spacing must be positive"),
        ({"smooth_eps": -1.0}, "smooth_eps"),
    ],
)
def test_divergence_checks_options(options, message):
    with pytest.raises(ValueError, match=message):
        WassersteinDivergence(**options)
    with pytest.raises(ValueError, match="support has 2 bins, the histograms 3"):
        WassersteinDivergence(support=[0.0, 1.0])(torch.ones(3), torch.ones(3))


class TestGradientPenaltyLoss:
    """The class contains the penalty that its name announces."""

    critic = nn.Linear(2, 1)
    real = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    fake = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    labels = (1,) * 8 + (0,) * 8

    def scores(self) -> torch.Tensor:
        return self.critic(torch.cat((self.real, self.fake)))

    @pytest.mark.parametrize("reduction, count", [("sum_over_batch_size", 1), ("sum", 8)])
    def test_is_loss_plus_penalty(self, reduction, count):
        loss = WassersteinGradientPenaltyLoss(reduction=reduction, lambda_gp=3.0)
        value = loss(self.labels, self.scores(), self.critic, self.real, self.fake)
        plain = WassersteinLoss(reduction=reduction)(self.labels, self.scores())
        norm = self.critic.weight.norm()  # the gradient of a linear critic, everywhere
        torch.testing.assert_close(value, plain + 3 * count * (norm - 1) ** 2)

    def test_without_samples_it_warns(self):
        with pytest.warns(UserWarning, match="no penalty without critic"):
            WassersteinGradientPenaltyLoss()(self.labels, self.scores())

    def test_what_cannot_apply_raises(self):
        with pytest.raises(ValueError, match="all three"):
            WassersteinGradientPenaltyLoss()(self.labels, self.scores(), self.critic)
        with pytest.raises(ValueError, match="no penalty"):
            WassersteinGradientPenaltyLoss(for_critic=False)(
                self.labels, self.scores(), self.critic
            )
        with pytest.raises(ValueError, match="single scores"):
            WassersteinGradientPenaltyLoss(reduction=None)(
                self.labels, self.scores(), self.critic, self.real, self.fake
            )
        with pytest.raises(ValueError, match="mode must be one of"):
            WassersteinGradientPenaltyLoss(mode="two-sided")  # pyright: ignore[reportArgumentType]


def test_factories():
    critic, generator = create_wgan_losses()
    assert critic.for_critic
    assert not generator.for_critic
    with pytest.raises(ValueError, match="create_wgan_gp_losses"):
        create_wgan_losses(lambda_gp=1.0)
    critic, generator = create_wgan_gp_losses(5.0, mode="lp")
    assert (critic.for_critic, critic.lambda_gp, critic.mode) == (True, 5.0, "lp")
    assert not generator.for_critic


def test_torch_style_loss_reports_its_parts():
    critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    real = torch.randn(16, 2)
    fake = torch.randn(16, 2, requires_grad=True)
    loss, parts = WassersteinGANLoss(lambda_gp=2).critic_loss(critic, real, fake, "cpu")
    assert set(parts) == {"wasserstein", "gp", "d_real", "d_fake"}
    assert parts["wasserstein"] == pytest.approx(parts["d_real"] - parts["d_fake"], abs=1e-6)
    assert float(loss.detach()) == pytest.approx(parts["gp"] - parts["wasserstein"], abs=1e-6)
    loss.backward()
    assert fake.grad is None  # the critic's step leaves the generator alone
    assert all(p.grad is not None for p in critic.parameters())
    assert float(WassersteinGANLoss().generator_loss(torch.tensor([1.0, 3.0]))) == -2.0


def test_a_critic_that_minimises_its_loss_raises_real_above_fake():
    critic = nn.Linear(1, 1)
    nn.init.constant_(critic.weight, 0.1)
    real, fake = torch.full((8, 1), 2.0), torch.zeros(8, 1)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.05)
    for _ in range(300):
        loss = functional.critic_loss(critic(real), critic(fake))
        loss = loss + compute_gradient_penalty(critic, real, fake)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gap = -float(functional.critic_loss(critic(real), critic(fake)).detach())
    # W_1 = 2; minimising −2w + 10 (w − 1)² leaves w = 1.1: the bias of a finite penalty
    assert gap == pytest.approx(2 * 1.1, rel=1e-3)


@pytest.mark.parametrize("loss", [WassersteinLoss(name="critic"), WassersteinDivergence(spacing=2)])
def test_losses_pickle_and_keep_their_name(loss):
    again = pickle.loads(pickle.dumps(loss))
    assert again.name == loss.name
    assert repr(again) == repr(loss)


def test_relativistic_losses_compare_pairs():
    real, fake = scores_of((2,)), scores_of((2,)) + torch.linspace(-3, 3, 6)[:, None].double()
    critic, generator = (
        loss(real, fake)
        for loss in (functional.relativistic_critic_loss, functional.relativistic_generator_loss)
    )
    gap = (real - fake).numpy()
    assert float(critic) == pytest.approx(np.log1p(np.exp(-gap)).mean(), rel=1e-12)
    assert float(generator) == pytest.approx(np.log1p(np.exp(gap)).mean(), rel=1e-12)
    far = torch.tensor([1e4], requires_grad=True)
    loss = functional.relativistic_critic_loss(torch.tensor([0.0]), far)
    assert float(loss.detach()) == 1e4
    assert torch.autograd.grad(loss, far)[0].item() == 1.0
    with pytest.raises(ValueError, match=r"in pairs.*\(6, 2\) and \(5, 2\)"):
        functional.relativistic_critic_loss(real, fake[:5])
    with pytest.raises(TypeError, match="real must be a tensor of scores"):
        functional.relativistic_critic_loss([1.0], fake)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="at least one score"):
        functional.relativistic_critic_loss(torch.zeros(0), torch.zeros(0))
