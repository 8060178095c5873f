"""ImageSinkhornLoss: sinkhorn_divergence between pixels, and its gradient in masses."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import otdist
from otdist.losses import ImageSinkhornLoss

RNG = torch.Generator().manual_seed(0)


def images(*shape, empty=0.3):
    """Random images of sum one, some pixels without mass."""
    masses = torch.rand(*shape, generator=RNG, dtype=torch.float64)
    masses = masses * (torch.rand(*shape, generator=RNG) > empty)
    return masses / masses.sum((-2, -1), keepdim=True)


def on_points(x, y, spacing=1.0, **options):
    (u, a), (v, b) = (
        otdist.grid(x.numpy(), spacing=spacing),
        otdist.grid(y.numpy(), spacing=spacing),
    )
    return otdist.sinkhorn_divergence(u, v, a=a, b=b, **options).cost


@pytest.mark.parametrize(("p", "metric"), [(2, "euclidean"), (1, "cityblock")])
@pytest.mark.parametrize("spacing", [1.0, (0.5, 2.0)])
def test_is_the_divergence_between_pixels(p, metric, spacing):
    x, y = images(2, 9, 12), images(2, 9, 12)
    eps = 0.7
    found = ImageSinkhornLoss(p, eps, spacing=spacing, reduction="none")(x, y)
    wanted = [
        on_points(*pair, spacing, p=p, eps=eps, metric=metric, tol=1e-9)
        for pair in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=2e-3)
    close = ImageSinkhornLoss(p, eps, spacing=spacing, reduction="none", tol=1e-6)(x, y)
    np.testing.assert_allclose(close, wanted, rtol=1e-8)


MASSES = arrays(np.float64, (2, 3, 4), elements=st.sampled_from([0.0, 1e-6, 0.25, 1.0, 3.0]))


@settings(max_examples=40, deadline=None)
@given(MASSES.filter(lambda z: (z.sum((1, 2)) > 0).all()), st.sampled_from([0.2, 1.0, 20.0]))
def test_small_grids_against_exact_transport_of_their_points(masses, eps):
    """W_2² ≤ the entropic cost ≤ W_2² + eps · the least entropy; equal to the one of points."""
    x, y = torch.from_numpy(masses / masses.sum((1, 2), keepdims=True))
    (u, a), (v, b) = otdist.grid(x.numpy()), otdist.grid(y.numpy())
    exact = otdist.wasserstein(u, v, a=a, b=b, p=2).cost
    found = float(ImageSinkhornLoss(2, eps, False, tol=1e-7)(x, y))
    room = eps * min(-float((w[w > 0] * np.log(w[w > 0])).sum()) for w in (a, b))
    assert exact - 1e-6 <= found <= exact + room + 1e-6
    debiased = float(ImageSinkhornLoss(2, eps, tol=1e-7)(x, y))
    wanted = on_points(x, y, p=2, eps=eps, tol=1e-9)
    assert math.isclose(debiased, wanted, rel_tol=1e-5, abs_tol=1e-6)


def test_without_debiasing():
    x, y = images(7, 8), images(7, 8)
    found = ImageSinkhornLoss(2, 1.5, False, tol=1e-7)(x, y)
    (u, a), (v, b) = otdist.grid(x), otdist.grid(y)
    wanted = otdist.entropic_cost(u, v, a=a, b=b, p=2, eps=1.5, tol=1e-9).cost
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=0)


def test_volumes_and_lines_of_images():
    x, y = (z.unsqueeze(0) for z in (images(5, 6), images(5, 6)))
    flat = ImageSinkhornLoss()(x, y)
    torch.testing.assert_close(ImageSinkhornLoss(dims=3)(x, y), flat)
    line = ImageSinkhornLoss(dims=1, eps=0.5)(x.sum(-1), y.sum(-1))
    points = torch.arange(5).double()
    wanted = otdist.sinkhorn_divergence(
        points, points, a=x[0].sum(-1), b=y[0].sum(-1), p=2, eps=0.5, tol=1e-9
    ).cost
    torch.testing.assert_close(line, wanted, rtol=1e-4, atol=0)


def test_closed_forms():
    """Diracs, and an image that is moved: S_eps at p = 2 is the squared length of the way."""
    x, y = torch.zeros(2, 40, 30)
    x[3, 4] = y[30, 8] = 1
    assert float(ImageSinkhornLoss()(x, y)) == pytest.approx(27**2 + 4**2, rel=1e-6)
    x, y = torch.zeros(2, 40, 40, dtype=torch.float64)
    x[5:15, 5:15] = images(10, 10)
    y[17:27, 21:31] = x[5:15, 5:15]
    assert float(ImageSinkhornLoss(tol=1e-6)(x, y)) == pytest.approx(12**2 + 16**2, rel=1e-9)


def test_gaussians_on_a_lattice():
    """Sampled and cut off, they keep the divergence of Janati et al. (2020) to many digits."""
    grid = torch.arange(40).double()

    def normal(mean, var):
        line = torch.exp(-((grid - mean) ** 2) / (2 * var))
        return line / line.sum()

    x, y = (
        torch.outer(normal(14, 5.0), normal(20, 4.0)),
        torch.outer(normal(22, 8.0), normal(18, 4.0)),
    )
    eps = 2.0

    def entropic(s, t):  # between centred normals of variances s and t, at KL to the product
        root = (16 * s * t + eps**2) ** 0.5
        return s + t - (root - eps) / 2 + eps / 2 * np.log((root + eps) / (2 * eps))

    def divergence(s, t):
        return entropic(s, t) - (entropic(s, s) + entropic(t, t)) / 2

    wanted = 8**2 + 2**2 + divergence(5.0, 8.0) + divergence(4.0, 4.0)
    assert float(ImageSinkhornLoss(2, eps, tol=1e-5)(x, y)) == pytest.approx(wanted, rel=1e-6)


def test_gradient_in_the_masses():
    weights = torch.randn(2, 2, 3, generator=RNG, dtype=torch.float64).requires_grad_()
    loss = ImageSinkhornLoss(eps=4.0, tol=1e-8)

    def of_logits(logits):
        return loss(*logits.flatten(1).softmax(-1).view_as(logits))

    assert torch.autograd.gradcheck(of_logits, (weights,))
    (slope,) = torch.autograd.grad(of_logits(weights), weights, create_graph=True)
    with pytest.raises(RuntimeError, match="once only"):
        slope.square().sum().backward()


def test_equal_images_have_no_divergence_and_no_gradient():
    x = images(3, 8, 8).requires_grad_()
    value = ImageSinkhornLoss(reduction="none")(x, x.detach().clone())
    value.sum().backward()
    assert value.tolist() == [0, 0, 0]
    assert not x.grad.any()


@pytest.mark.parametrize("noise", [0.1, 0.003])
def test_nearly_equal_images_keep_their_digits(noise):
    x = images(12, 12, empty=0)
    y = x * (1 + noise * torch.randn(12, 12, generator=RNG))
    y = y / y.sum()
    wanted = on_points(x, y, p=2, eps=1.0, tol=1e-9)
    assert float(ImageSinkhornLoss()(x, y)) == pytest.approx(wanted, rel=0.02)


def test_single_and_half_precision():
    x, y = images(2, 8, 8), images(2, 8, 8)
    wanted = ImageSinkhornLoss()(x, y)
    found = ImageSinkhornLoss()(x.float(), y.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=0)
    half = ImageSinkhornLoss()(x.bfloat16(), x.bfloat16())
    assert half.dtype == torch.float32
    assert float(half) == 0


def test_reductions_and_spacing():
    x, y = images(2, 3, 6, 6), images(2, 3, 6, 6)
    values = ImageSinkhornLoss(reduction="none")(x, y)
    assert values.shape == (2, 3)
    torch.testing.assert_close(ImageSinkhornLoss()(x, y), values.mean())
    torch.testing.assert_close(ImageSinkhornLoss(reduction="sum")(x, y), values.sum())
    far = ImageSinkhornLoss(spacing=1e100, reduction="none")(x, y)
    torch.testing.assert_close(far, values * 1e200)


def test_one_pixel_and_thin_images():
    one = torch.ones(1, 1)
    assert float(ImageSinkhornLoss()(one, one)) == 0
    x, y = torch.zeros(2, 1, 9)
    x[0, 0] = y[0, 5] = 1
    assert float(ImageSinkhornLoss()(x, y)) == pytest.approx(25)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(4, 4), r"x must sum to 1 within 1e-06: got 16; pass x / x.sum\(\(-2, -1\)"),
        (-torch.ones(4, 4), "x must be non-negative: got -1"),
        (torch.full((4, 4), torch.nan), "x must sum to 1"),
        (torch.ones(4), r"x must have shape \(..., H, W\) without a 0: got \(4,\)"),
        (torch.ones(4, 0), "without a 0"),
        (torch.ones(4, 5) / 20, "x and y must share shape, dtype and device"),
        (torch.ones(4, 4, dtype=torch.float64) / 16, "x is .*float64 on cpu"),
    ],
)
def test_wrong_images(x, message):
    with pytest.raises(ValueError, match=message):
        ImageSinkhornLoss()(x, torch.ones(4, 4) / 16)


def test_wrong_types():
    with pytest.raises(TypeError, match="x must be a torch tensor"):
        ImageSinkhornLoss()(np.ones((4, 4)) / 16, torch.ones(4, 4))
    with pytest.raises(TypeError, match="floating point"):
        ImageSinkhornLoss()(torch.ones(4, 4, dtype=torch.int64), torch.ones(4, 4))
    with pytest.raises(ValueError, match="p must be at most 2 for a debiased loss"):
        ImageSinkhornLoss(p=3)
    assert "eps=one pixel" in repr(ImageSinkhornLoss())


def test_too_few_steps_are_said():
    x, y = images(8, 8), images(8, 8)
    with pytest.warns(otdist.ConvergenceWarning, match="max_iter=1 "):
        ImageSinkhornLoss(eps=0.01, tol=1e-9, max_iter=1)(x, y)


def test_value_of_geomloss():
    """Frozen: twice `SamplesLoss("sinkhorn", p=2, blur=1 / 16, scaling=0.999)` of pixels.

    Its `sinkhorn_divergence` of images tends to the same from below: 0.1300 at scaling 0.5, 0.1429
    at 0.95.
    """
    grid = torch.arange(16).double() / 16

    def blob(u, v, s, t):
        lines = [torch.exp(-((grid - m) ** 2) / (2 * w * w)) for m, w in ((u, s), (v, t))]
        return torch.outer(*lines)

    x = blob(0.3, 0.35, 0.08, 0.12) + 0.5 * blob(0.6, 0.2, 0.05, 0.05)
    y = blob(0.6, 0.6, 0.1, 0.07) + 0.3 * blob(0.3, 0.8, 0.06, 0.1)
    loss = ImageSinkhornLoss(2, 2 / 16**2, spacing=1 / 16)
    assert float(loss(x / x.sum(), y / y.sum())) == pytest.approx(0.1429220839197692, rel=1e-5)
