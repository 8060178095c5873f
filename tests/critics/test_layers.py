"""The layers are 1-Lipschitz whatever their parameters, and bounds hold against dense operators."""

import math

import pytest
import torch
from torch import Tensor, nn

from otdist.critics import layers
from otdist.critics.layers import lipschitz_bound

FLOAT32 = 1e-5  # rounding of a float32 product at these widths
LINEAR = [layers.OrthogonalLinear, layers.BjorckLinear, layers.SpectralLinear]
SHAPES = [(8, 8), (3, 17), (17, 3), (5, 1), (1, 5)]


@pytest.fixture(autouse=True)
def _seed():
    """Layers draw their start from torch's generator; leave it as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def jacobian_norm(module: nn.Module, shape: tuple[int, ...]) -> float:
    """The operator norm of the derivative at a random point, from the dense Jacobian."""
    x = torch.randn(shape, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda z: module(z[None])[0].flatten(), x)
    assert isinstance(jacobian, Tensor)
    return float(torch.linalg.matrix_norm(jacobian.flatten(1), 2))


@pytest.mark.parametrize("cls", LINEAR)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.0, 0.3, 100.0])
def test_linear_layers_never_exceed_one(cls, shape, spread):
    layer = cls(*shape)
    with torch.no_grad():
        layer.raw.add_(spread * torch.randn_like(layer.raw))
    norm = float(torch.linalg.matrix_norm(layer.weight.double(), 2).detach())
    assert norm <= 1 + FLOAT32
    assert norm > 0.97  # and do not waste their constant
    assert norm <= lipschitz_bound(layer) <= norm * (1 + 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_weights_are_orthogonal_for_any_parameter(shape):
    layer = layers.OrthogonalLinear(*shape).double()
    with torch.no_grad():
        layer.raw.add_(torch.randn_like(layer.raw))
    singular = torch.linalg.svdvals(layer.weight)
    torch.testing.assert_close(singular, torch.ones_like(singular), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 1)])
def test_a_single_row_or_column_reaches_every_direction(shape):
    layer = layers.OrthogonalLinear(*shape).double()
    target = torch.zeros(shape[::-1], dtype=torch.float64)
    target[0, 0] = -1.0  # which Cayley's transform reaches at infinity only
    with torch.no_grad():
        layer.raw.copy_(3 * target)
    assert torch.equal(layer.weight, target)
    nn.init.zeros_(layer.raw)
    assert torch.equal(layer.weight, 0 * target)


@pytest.mark.parametrize("iterations", [1, 2, 5, 20])
def test_bjorck_is_one_lipschitz_before_it_converges(iterations):
    layer = layers.BjorckLinear(40, 30, iterations=iterations)
    with torch.no_grad():
        layer.raw.normal_()
    singular = torch.linalg.svdvals(layer.weight.double())
    assert singular.max() <= 1 + FLOAT32
    if iterations == 20:
        assert singular.min() > 0.9


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cls", LINEAR)
def test_weights_of_half_precision_are_computed_in_single(cls, half):
    layer = cls(6, 8).to(half)
    out = layer(torch.randn(3, 6, dtype=half))
    out.float().sum().backward()
    assert (out.dtype, layer.raw.grad.dtype) == (half, half)
    assert 0.97 < lipschitz_bound(layer) < 1.02  # rounded to bfloat16: 2^-8 of each entry


@pytest.mark.parametrize("cls", LINEAR)
def test_gradients_reach_the_free_parameter(cls):
    layer = cls(3, 4).double()
    x = torch.randn(5, 3, dtype=torch.float64)

    def value(raw: Tensor) -> Tensor:
        return (x @ layer._constrain(raw).mT).square()

    raw = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(value, (raw,))


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
def test_gram_bound_is_above_the_norm_and_near_it(scale):
    matrix = torch.randn(30, 20) * scale
    norm = torch.linalg.matrix_norm(matrix.double(), 2)
    bound = layers.gram_bound(matrix).double()
    assert norm * (1 - FLOAT32) <= bound <= norm * 20 ** (1 / 256) * (1 + FLOAT32)


@pytest.mark.parametrize("cls", [layers.BjorckLinear, layers.SpectralLinear])
def test_a_zero_parameter_gives_zero_not_nan(cls):
    layer = cls(3, 2)
    nn.init.zeros_(layer.raw)
    assert torch.equal(layer.weight, torch.zeros(2, 3))


def test_group_sort_is_a_permutation_in_groups():
    x = torch.randn(4, 6, 3, 3)
    out = layers.GroupSort(3)(x)
    assert torch.equal(out[:, :3], x[:, :3].sort(1, descending=True).values)
    assert torch.equal(out[:, 3:], x[:, 3:].sort(1, descending=True).values)
    assert torch.equal(layers.MaxMin()(x), layers.GroupSort(2)(x))
    last = torch.randn(4, 5, 6)
    assert torch.equal(layers.GroupSort(2, dim=-1)(last), layers.GroupSort(2, dim=2)(last))


def test_sorting_keeps_the_norm_of_the_gradient():
    assert jacobian_norm(layers.GroupSort(4), (8,)) == pytest.approx(1.0, abs=1e-12)


def test_group_sort_says_what_it_expected():
    with pytest.raises(ValueError, match=r"multiple of group_size=2: got 3 on axis 1"):
        layers.MaxMin()(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="group_size must be at least 2"):
        layers.GroupSort(1)


@pytest.mark.parametrize(
    "channels, kernel, stride, padding",
    [((1, 4), 3, 1, 1), ((3, 2), 4, 2, 1), ((2, 3), 3, 3, 0), ((2, 2), 5, 2, 2), ((4, 4), 1, 1, 0)],
)
def test_spectral_convolution_bounds_the_operator(channels, kernel, stride, padding):
    layer = layers.SpectralConv2d(*channels, kernel, stride=stride, padding=padding).double()
    nn.init.normal_(layer.raw)
    norm = jacobian_norm(layer, (channels[0], 9, 9))
    assert norm <= 1 + 1e-9
    assert norm <= lipschitz_bound(layer) <= 1.5 * norm + 1e-9


def test_normalising_the_reshaped_kernel_is_not_enough():
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
    nn.init.constant_(conv.weight, 1 / 3)  # as a matrix (1, 9) its norm is one
    assert float(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2)) == pytest.approx(1)
    assert jacobian_norm(conv, (1, 12, 12)) > 2.5
    assert lipschitz_bound(conv) >= 3.0


@pytest.mark.parametrize(
    "conv, shape",
    [
        (nn.Conv2d(2, 3, 3, padding=1), (2, 8, 8)),
        (nn.Conv2d(2, 3, (4, 2), stride=(2, 1), padding=1), (2, 8, 8)),
        (nn.Conv2d(4, 6, 3, groups=2, padding=1), (4, 7, 7)),
        (nn.Conv2d(2, 2, 3, dilation=2, padding=2), (2, 9, 9)),
        (nn.Conv2d(2, 2, 3, dilation=2, stride=2, padding=2), (2, 9, 9)),
        (nn.Conv1d(2, 3, 5, stride=3), (2, 30)),
        (nn.Conv3d(1, 2, 2), (1, 4, 4, 4)),
        (nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), (3, 5, 5)),
        (nn.ConvTranspose1d(4, 4, 3, groups=2), (4, 12)),
    ],
)
def test_convolution_bound_holds_and_is_near(conv, shape):
    norm = jacobian_norm(conv.double(), shape)
    assert norm <= lipschitz_bound(conv) <= 1.6 * norm


@pytest.mark.parametrize(
    "activation",
    [
        *(nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(3.0), nn.ELU(2.0), nn.Tanh(), nn.Sigmoid()),
        *(nn.SiLU(), nn.GELU(), nn.Softplus(), nn.PReLU(init=-1.5), nn.Softsign(), nn.LogSigmoid()),
    ],
)
def test_activation_constants_hold_and_are_attained(activation):
    x = torch.linspace(-12, 12, 20001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(activation.double()(x).sum(), x)
    steepest = float(slope.abs().max())
    assert steepest <= lipschitz_bound(activation) * (1 + 1e-12)
    assert lipschitz_bound(activation) <= steepest * 1.01


@pytest.mark.parametrize(
    "pool, side",
    [(nn.AvgPool2d(2), 6), (nn.AvgPool2d(3, 1), 6), (nn.MaxPool2d(2), 6), (nn.MaxPool2d(3, 2), 7)],
)
def test_pooling(pool, side):
    assert jacobian_norm(pool, (1, side, side)) <= lipschitz_bound(pool) + 1e-12


def test_a_network_is_bounded_by_the_product():
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 1))).double()
    norms = [
        float(torch.linalg.matrix_norm(w.detach(), 2)) for w in net.parameters() if w.dim() == 2
    ]
    assert lipschitz_bound(net) == pytest.approx(math.prod(norms), rel=1e-9)
    x, y = torch.randn(2, 500, 3, dtype=torch.float64)
    slopes = (net(x) - net(y)).norm(dim=1) / (x - y).norm(dim=1)
    assert float(slopes.detach().max()) <= lipschitz_bound(net)


def test_parametrised_layers_are_seen_as_they_are_applied():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6), n_power_iterations=50).eval()
    assert lipschitz_bound(layer) == pytest.approx(1.0, abs=1e-3)


def test_compiled_networks_have_the_bound_of_what_they_compile():
    net = nn.Sequential(layers.OrthogonalLinear(4, 4), nn.ReLU())
    assert lipschitz_bound(torch.compile(net, backend="eager")) == lipschitz_bound(net)  # pyright: ignore[reportArgumentType]


def test_batch_norm_and_dropout_in_evaluation_mode():
    norm = nn.BatchNorm1d(2).eval()
    assert norm.running_var is not None
    norm.running_var.copy_(torch.tensor([0.25, 4.0]))
    assert lipschitz_bound(norm) == pytest.approx(2.0, rel=1e-4)
    assert lipschitz_bound(nn.Dropout(0.5).eval()) == 1.0
    assert lipschitz_bound(nn.Dropout(0.5)) == 2.0


class Doubled(nn.Linear):
    """A subclass that does not do what its base does."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


@pytest.mark.parametrize(
    "module, message",
    [
        (nn.LayerNorm(4), "LayerNorm"),
        (nn.BatchNorm1d(4), "eval"),
        (Doubled(2, 2), "Doubled"),
        (nn.Sequential(nn.ReLU(), nn.LayerNorm(4)), r"Sequential\[1\]"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "circular"),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), "window"),
        (nn.utils.spectral_norm(nn.Linear(2, 2)), "hooks"),
        (nn.Bilinear(2, 2, 1), "Bilinear"),
        (nn.Softplus(threshold=1), "threshold=20 or more: Softplus has 1, where it jumps"),
    ],
)
def test_what_is_not_known_raises(module, message):
    with pytest.raises(TypeError, match=message):
        lipschitz_bound(module)


def test_nan_parameters_give_no_certificate():
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, math.nan)
    assert lipschitz_bound(layer) == math.inf


def test_own_modules_join_by_a_method():
    class Halved(nn.Module):
        def lipschitz(self) -> float:
            return 0.5

    assert lipschitz_bound(nn.Sequential(Halved(), Halved())) == 0.25


def test_a_critic_of_these_layers_is_one_lipschitz_and_learns():
    critic = nn.Sequential(
        layers.OrthogonalLinear(2, 16),
        layers.MaxMin(),
        layers.OrthogonalLinear(16, 16),
        layers.MaxMin(),
        layers.OrthogonalLinear(16, 1),
    )
    x, y = torch.randn(64, 2) + torch.tensor([3.0, 0.0]), torch.randn(64, 2)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    loss = torch.zeros(())
    for _ in range(100):
        loss = critic(y).mean() - critic(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    shift = float((x.mean(0) - y.mean(0)).norm())
    assert lipschitz_bound(critic) <= 1 + FLOAT32
    assert -float(loss.detach()) > 0.95 * shift


def test_pairs_keep_the_norm_of_the_gradient_at_ties():
    x = torch.tensor([[2.0, 2.0, 1.0, 3.0]], requires_grad=True)
    sorted_ = layers.MaxMin()(x)
    assert sorted_.tolist() == [[2.0, 2.0, 3.0, 1.0]]
    (slope,) = torch.autograd.grad(sorted_ @ torch.tensor([5.0, 7.0, 1.0, 4.0]), x)
    assert slope.tolist() == [[5.0, 7.0, 4.0, 1.0]]


@pytest.mark.parametrize(
    ("sizes", "options", "text"),
    [
        ((0, 1, 3), {}, "in_channels must be at least 1: got 0"),
        ((1, 1.5, 3), {}, r"out_channels must be an integer, at least 1: got 1\.5"),
        ((1, 1, "3"), {}, "kernel_size must be an integer"),
        ((1, 1, 3), {"stride": 0}, "stride must be at least 1: got 0"),
        ((1, 1, 3), {"padding": -1}, "padding must be at least 0: got -1"),
        ((1, 1, 3), {"bias": "yes"}, "bias must be True or False"),
    ],
)
def test_a_convolution_names_the_option_that_is_wrong(sizes, options, text):
    with pytest.raises((ValueError, TypeError), match=text):
        layers.SpectralConv2d(*sizes, **options)
