"""Convolutions of norm at most one for every parameter, stride and group; residual blocks."""

import pytest
import torch
from torch import nn

from otdist.critics.convolutions import LipschitzConv2d, LipschitzConvTranspose2d, Residual
from otdist.critics.lipschitz import convolution_norm, lipschitz_bound

LAYERS = [
    LipschitzConv2d(2, 4, bias=False),
    LipschitzConv2d(4, 2, 5, bias=False),
    LipschitzConv2d(4, 6, groups=2, bias=False),
    LipschitzConv2d(3, 4, stride=2, bias=False),
    LipschitzConv2d(2, 8, 1, stride=2, groups=2, bias=False),
    LipschitzConvTranspose2d(4, 3, stride=2, bias=False),
    LipschitzConvTranspose2d(4, 2, 5, groups=2, stride=2, bias=False),
]


def dense(layer: nn.Module, channels: int, side: int = 8) -> torch.Tensor:
    """The layer as a matrix, from images to images."""
    images = torch.eye(channels * side**2).reshape(-1, channels, side, side)
    return layer(images).detach().flatten(1).double()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_norm_is_at_most_one_for_any_parameters(layer, scale):
    generator = torch.Generator().manual_seed(0)
    raw = scale * torch.randn(layer.raw.shape, generator=generator)
    start = layer.raw.detach().clone()
    try:
        layer.raw.data.copy_(raw)
        norm = float(torch.linalg.matrix_norm(dense(layer, layer.in_channels), 2))
        assert 0.2 < norm <= layer.lipschitz() <= 1.0
    finally:
        layer.raw.data.copy_(start)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_fresh_layer_is_orthogonal(layer):
    singular = torch.linalg.svdvals(dense(layer, layer.in_channels))
    torch.testing.assert_close(singular[0], torch.ones(()).double(), rtol=0, atol=3e-5)
    middle = singular[: min(layer._channels()) * (8 // layer.stride) ** 2 // 2]
    torch.testing.assert_close(middle, torch.ones_like(middle), rtol=0, atol=3e-5)
    assert layer.lipschitz() == pytest.approx(1.0, abs=3e-5)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_kernels_are_scaled_in_single(half):
    layer = LipschitzConv2d(32, 64)  # so large that scaling in bfloat16 would change its sign
    single = layer.weight
    assert layer.to(half).weight.dtype == half
    torch.testing.assert_close(layer.weight.float(), single, rtol=0, atol=1e-2)
    assert layer.lipschitz() == pytest.approx(1.0, abs=3e-2)


def test_residual_block_under_autocast():
    block, x = Residual([LipschitzConv2d(4, 4)]), torch.randn(2, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        y = block(x)
    torch.testing.assert_close(y, block(x), rtol=0, atol=5e-2)


def test_zero_kernel_stays_zero_and_has_gradients():
    layer = LipschitzConv2d(2, 2)
    layer.raw.data.zero_()
    out = layer(torch.ones(1, 2, 4, 4))
    out.sum().backward()
    assert float(out.detach().abs().max()) == 0.0
    assert bool(torch.isfinite(layer.raw.grad).all())
    assert lipschitz_bound(layer) == 0.0


def test_gradients_of_kernel_and_image():
    layer = LipschitzConv2d(2, 2, groups=2, stride=2).double()
    layer.raw.data.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(2)).double()
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(image, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), image)

    given = (x.requires_grad_(), *(v.detach().clone().requires_grad_() for v in values))
    assert torch.autograd.gradcheck(call, given)


def test_transposed_is_the_adjoint_of_strided():
    down = LipschitzConv2d(3, 4, stride=2, bias=False)
    up = LipschitzConvTranspose2d(4, 3, stride=2, bias=False)
    kernel = torch.randn(4, 12, 3, 3, generator=torch.Generator().manual_seed(0))
    down.raw.data.copy_(kernel)
    up.raw.data.copy_(kernel.transpose(0, 1).flip(2, 3))
    torch.testing.assert_close(dense(up, 4, 4), dense(down, 3, 8).mT, rtol=0, atol=1e-6)


def test_residual_block_mixes_input_and_layers():
    layers = [LipschitzConv2d(2, 2), nn.ReLU()]
    block = Residual(layers, share=0.25)
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = 0.75 * x + 0.25 * nn.Sequential(*layers)(x)
    torch.testing.assert_close(block(x), expected)
    assert block.lipschitz() == pytest.approx(1.0, abs=3e-5)
    with pytest.raises(ValueError, match=r"keep the shape of its input: got \(3, 4, 4, 4\)"):
        Residual([LipschitzConv2d(2, 4)])(x)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LipschitzConv2d(2, 2, 4), "kernel_size must be odd"),
        (lambda: LipschitzConv2d(3, 4, groups=2), "groups must divide the channels"),
        (lambda: LipschitzConv2d(0, 4), "in_channels"),
        (lambda: LipschitzConv2d(2, 4)(torch.zeros(5, 2)), r"\(batch, 2, .*: got \(5, 2\)"),
        (lambda: LipschitzConv2d(2, 4)(torch.zeros(1, 3, 4, 4)), r"got \(1, 3, 4, 4\)"),
        (lambda: LipschitzConv2d(2, 4, stride=2)(torch.zeros(1, 2, 4, 7)), "multiples of 2: got"),
        (lambda: LipschitzConvTranspose2d(2, 4)(torch.zeros(1, 3, 4, 4)), "images must be"),
        (lambda: Residual([nn.ReLU()], share=1.0), "share"),
        (lambda: Residual([len]), "layers must be a list of modules"),
    ],
)
def test_errors(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_bound_by_the_gram_operator_is_the_least_for_orthogonal_kernels():
    kernel = torch.zeros(4, 4, 3, 3)
    kernel[:, :, 0, 2] = torch.linalg.qr(torch.randn(4, 4)).Q
    assert 1.0 - 1e-6 < convolution_norm(kernel, (1, 1)) < 1.0 + 1e-6
