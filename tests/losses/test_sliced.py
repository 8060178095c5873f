"""SlicedWassersteinLoss: value, gradient, batches, precision and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import otdist.losses
from otdist.losses.sliced import SlicedWassersteinLoss
from otdist.sliced_distances import sliced_wasserstein


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clouds(*batch: int, n: int = 9, m: int = 9, d: int = 3, dtype=torch.float64):
    rng = generator()
    x = torch.randn(*batch, n, d, generator=rng, dtype=dtype, requires_grad=True)
    y = torch.randn(*batch, m, d, generator=rng, dtype=dtype, requires_grad=True)
    return x, y


def unit_rows(count: int, d: int) -> torch.Tensor:
    rows = torch.randn(count, d, generator=generator(7), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=1)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("m", [9, 6])
def test_equals_the_function_with_the_same_directions(p, m):
    x, y = clouds(m=m)
    rows = unit_rows(20, 3)
    loss = SlicedWassersteinLoss(p=p)(x, y, directions=rows)
    expected = sliced_wasserstein(x, y, p=p, directions=rows).cost
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("m,weighted", [(5, False), (4, False), (4, True)])
def test_gradcheck_over_a_batch(p, m, weighted):
    x, y = clouds(2, n=5, m=m)
    inputs = [x, y]
    if weighted:
        rng = generator(1)
        inputs.append(torch.randn(5, generator=rng, dtype=torch.float64, requires_grad=True))
        inputs.append(torch.randn(2, m, generator=rng, dtype=torch.float64, requires_grad=True))
    loss = SlicedWassersteinLoss(p=p, reduction="none")

    def value(x, y, *logits):
        weights = [v.softmax(-1) for v in logits]
        return loss(x, y, *weights, directions=unit_rows(6, 3))

    assert torch.autograd.gradcheck(value, inputs)


def test_plain_sorting_gives_the_same_gradient():
    x, y = clouds(n=50, m=50)
    rows = unit_rows(30, 3)
    SlicedWassersteinLoss()(x, y, directions=rows).backward()
    ours = x.grad
    x.grad = None
    gaps = torch.sort(rows @ x.T, dim=1).values - torch.sort(rows @ y.T, dim=1).values
    (gaps**2).mean().backward()
    torch.testing.assert_close(ours, x.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_leading_dimensions_are_reduced(reduction):
    x, y = clouds(2, 3, m=7)
    rows = unit_rows(11, 3)
    got = SlicedWassersteinLoss(reduction=reduction)(x, y, directions=rows)
    single = SlicedWassersteinLoss()
    each = torch.stack(
        [
            single(p, q, directions=rows)
            for p, q in zip(x.flatten(0, 1), y.flatten(0, 1), strict=True)
        ]
    ).reshape(2, 3)
    expected = {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction]
    torch.testing.assert_close(got, expected)
    (gradient,) = torch.autograd.grad(got.sum(), x)
    (reference,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(gradient, reference)


def test_many_blocks_give_what_one_block_gives(monkeypatch):
    x, y = clouds(3, n=40, m=30)
    rows = unit_rows(17, 3)
    whole = SlicedWassersteinLoss(reduction="none")(x, y, directions=rows)
    (gradient,) = torch.autograd.grad(whole.sum(), x)
    monkeypatch.setattr("otdist.sliced.slices._BLOCK", 100)
    monkeypatch.setattr("otdist.sliced.slices._FEWEST_ROWS", 2)
    monkeypatch.setattr("otdist.sliced.slices._SERIAL", 50)
    parts = SlicedWassersteinLoss(reduction="none")(x, y, directions=rows)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.sum(), x)[0], gradient)


def test_directions_are_fresh_at_each_call_and_follow_the_generator():
    x, y = clouds()
    loss = SlicedWassersteinLoss(n_projections=4, generator=generator(3))
    first, second = loss(x, y), loss(x, y)
    assert first != second
    assert SlicedWassersteinLoss(n_projections=4, generator=generator(3))(x, y) == first
    with torch.random.fork_rng():
        torch.manual_seed(3)
        assert SlicedWassersteinLoss(n_projections=4)(x, y) == first


def test_a_generator_leaves_the_default_one_alone():
    state = torch.get_rng_state()
    SlicedWassersteinLoss(generator=generator())(*clouds())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("n_projections,d", [(2, 5), (5, 5), (12, 5), (3, 1)])
def test_directions_are_orthonormal_in_blocks(n_projections, d):
    loss = SlicedWassersteinLoss(n_projections=n_projections, generator=generator())
    rows = loss._draw(d, torch.zeros(1, dtype=torch.float64))
    assert rows.shape == (n_projections, d)
    for block in rows.split(d):
        torch.testing.assert_close(block @ block.T, torch.eye(len(block)).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_inside(dtype):
    x, y = (t.detach().to(dtype).requires_grad_() for t in clouds(n=50, m=40))
    rows = unit_rows(10, 3)
    loss = SlicedWassersteinLoss()(x, y, directions=rows)
    assert loss.dtype == torch.float32
    exact = SlicedWassersteinLoss()(x.double(), y.double(), directions=rows)
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)
    loss.backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype


def test_autocast_does_not_lower_precision():
    x, y = clouds(n=50, m=50, dtype=torch.float32)
    rows = unit_rows(10, 3)
    plain = SlicedWassersteinLoss()(x, y, directions=rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert SlicedWassersteinLoss()(x, y, directions=rows) == plain


def test_works_in_inference_mode_with_threads():
    x, y = (t.detach() for t in clouds(n=400, m=300))
    rows = unit_rows(200, 3)
    plain = SlicedWassersteinLoss()(x, y, directions=rows)
    with torch.inference_mode():
        assert SlicedWassersteinLoss()(x.clone(), y.clone(), directions=rows) == plain


def test_float32_far_from_the_origin_keeps_its_digits():
    x, y = (t.detach() for t in clouds(n=200, m=200))
    far_x, far_y = (x + 1000).float(), (y + 1000).float()
    rows = unit_rows(50, 3)
    truth = SlicedWassersteinLoss()(far_x.double(), far_y.double(), directions=rows)
    got = SlicedWassersteinLoss()(far_x, far_y, directions=rows)
    assert float(got) == pytest.approx(float(truth), rel=1e-5)


@pytest.mark.parametrize("p", [1, 1.5, 2])
def test_identical_samples_give_zero_with_zero_gradient(p):
    x, _ = clouds(n=30)
    loss = SlicedWassersteinLoss(p=p)(x, x.detach())
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad is not None
    assert bool((x.grad == 0).all())


def test_descent_moves_one_sample_onto_the_other():
    x, y = clouds(n=40, m=40)
    y = y.detach() + 5
    loss = SlicedWassersteinLoss(n_projections=32, generator=generator())
    optimizer = torch.optim.SGD([x], lr=10.0)
    for _ in range(100):
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    # It starts near 5; what stays is the noise of 32 directions a step.
    assert float(sliced_wasserstein(x.detach(), y, p=2).distance) < 0.15


def test_second_derivative_raises():
    x, y = clouds()
    (first,) = torch.autograd.grad(SlicedWassersteinLoss()(x, y), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        (first.sum() + x.sum()).backward()


def test_nan_is_not_hidden():
    x, y = clouds()
    with torch.no_grad():
        x[3, 1] = math.nan
    assert math.isnan(SlicedWassersteinLoss()(x, y).item())


@pytest.mark.parametrize(
    "options,error,text",
    [
        ({"p": 0.5}, ValueError, "p must be finite and at least 1"),
        ({"n_projections": 0}, ValueError, "n_projections must be at least 1"),
        ({"n_projections": 1.5}, ValueError, "n_projections must be an integer"),
        ({"generator": np.random.default_rng(0)}, TypeError, "generator must be a torch.Generator"),
        ({"reduction": "max"}, ValueError, "reduction must be one of mean, sum, none"),
    ],
)
def test_bad_options_are_named(options, error, text):
    with pytest.raises(error, match=text):
        SlicedWassersteinLoss(**options)


def test_numbers_and_arrays_of_numpy_will_do():
    x, y = clouds()
    loss = SlicedWassersteinLoss(n_projections=np.int64(2))
    axes = np.eye(3)
    assert loss(x, y, directions=axes).item() == loss(x, y, directions=torch.eye(3)).item()


def test_bad_samples_are_named():
    x, y = clouds()
    loss = SlicedWassersteinLoss()
    with pytest.raises(TypeError, match="x must be a torch tensor: got ndarray"):
        loss(x.detach().numpy(), y)
    with pytest.raises(TypeError, match="y must be floating point"):
        loss(x, y.long())
    with pytest.raises(ValueError, match="same leading dimensions"):
        loss(x[None], y)
    with pytest.raises(ValueError, match="share dtype"):
        loss(x, y.float())
    with pytest.raises(ValueError, match="x must have shape"):
        loss(x[:0], y)
    with pytest.raises(ValueError, match=r"x must have shape .* without a 0: got \(0, 9, 2\)"):
        loss(torch.zeros(0, 9, 2), torch.zeros(0, 7, 2))
    with pytest.raises(ValueError, match="directions must be unit rows: row 1"):
        loss(x, y, directions=torch.ones(2, 3) / torch.tensor([[3**0.5], [1.0]]))
    with pytest.raises(ValueError, match="directions must be finite"):
        loss(x, y, directions=[[math.nan, 0.0, 1.0]])
    with pytest.raises(ValueError, match="a must sum to 1"):
        loss(x, y, torch.ones(9))
    with pytest.raises(ValueError, match="b must be non-negative"):
        loss(x, y, None, torch.tensor([-1.0, 2.0, *[0.0] * 7]))
    with pytest.raises(ValueError, match=r"a must have shape \(9,\)"):
        loss(x, y, torch.ones(8) / 8)
    with pytest.raises(ValueError, match=r"directions must have shape \(L, 3\)"):
        loss(x, y, directions=torch.eye(2))


def test_the_package_resolves_its_names_lazily():
    assert otdist.losses.SlicedWassersteinLoss is SlicedWassersteinLoss
    assert "SlicedWassersteinLoss" in dir(otdist.losses)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        otdist.losses.Nothing  # noqa: B018
