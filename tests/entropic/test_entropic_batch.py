"""A batch of small entropic problems gives what each gives alone: values, gradients, limits."""

import pytest
import torch

from otdist import metrics
from otdist.core.result import ConvergenceWarning
from otdist.entropic import entropic_batch
from otdist.losses import SinkhornLoss


def batch(seed: int = 0, entries: int = 5, n: int = 20, m: int = 30, d: int = 3):
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    x, y = torch.randn(entries, n, d, **options), 1.5 * torch.randn(entries, m, d, **options)
    x = x * torch.logspace(-1, 1, entries, dtype=torch.float64)[:, None, None]
    a, b = torch.rand(entries, n, **options) + 0.1, torch.rand(entries, m, **options) + 0.1
    return x, y, a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)


def solved(loss: SinkhornLoss, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    leaves = [z.clone().requires_grad_() for z in inputs]
    values = loss(*leaves)
    factors = torch.arange(1.0, len(values) + 1, dtype=values.dtype)
    return values.detach(), *torch.autograd.grad((values * factors).sum(), leaves)


@pytest.mark.parametrize("p", [1, 1.5, 2])
@pytest.mark.parametrize("eps", [None, 0.3])
@pytest.mark.parametrize("debias", [True, False])
def test_equals_each_alone(p, eps, debias, monkeypatch):
    loss = SinkhornLoss(p, eps, debias=debias, reduction="none", tol=1e-9)
    together = solved(loss, *batch())
    monkeypatch.setattr(entropic_batch, "LARGEST", 0)
    for ours, alone in zip(together, solved(loss, *batch()), strict=True):
        torch.testing.assert_close(ours, alone, rtol=1e-6, atol=1e-6 * float(alone.abs().max()))


def test_equal_entries_cost_nothing_and_pull_nothing():
    x, *_ = batch()
    values, grad_x, grad_y = solved(SinkhornLoss(reduction="none"), x, x)
    assert not values.any()
    assert not grad_x.any()
    assert not grad_y.any()


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_do_not_matter(unit):
    x, y, *_ = (z.float() for z in batch())
    loss = SinkhornLoss(reduction="none")
    torch.testing.assert_close(loss(x * unit, y * unit) / unit**2, loss(x, y), rtol=1e-3, atol=0)


def test_pieces_of_a_large_batch_are_put_together(monkeypatch):
    loss, (x, y, *_) = SinkhornLoss(reduction="none", tol=1e-9), batch(entries=7)
    whole = loss(x, y)
    monkeypatch.setattr(entropic_batch, "ENTRIES", 2 * 30 * 30)
    torch.testing.assert_close(loss(x, y), whole, rtol=1e-9, atol=0)


def test_leading_dimensions_and_shared_weights():
    x, y, a, _ = batch(entries=6)
    loss = SinkhornLoss(reduction="none", tol=1e-9)
    folded = loss(x.view(2, 3, 20, 3), y.view(2, 3, 30, 3), a[0])
    torch.testing.assert_close(folded.view(-1), loss(x, y, a[:1].expand(6, -1)), rtol=1e-9, atol=0)


def test_a_small_eps_raises_the_precision():
    x, y, *_ = (z.float() for z in batch())
    loss, fine = SinkhornLoss(eps=1e-3, reduction="none"), SinkhornLoss(eps=1e-3, reduction="none")
    torch.testing.assert_close(
        loss(x, y), fine(x.double(), y.double()).float(), rtol=1e-5, atol=1e-6
    )


def test_weights_of_zero_are_left_to_the_single_path():
    x, y, a, b = batch()
    a = a.clone()
    a[0, 0] = 0.0
    a = a / a.sum(-1, keepdim=True)
    loss = SinkhornLoss(reduction="none", tol=1e-9)
    values = loss(x, y, a, b)
    torch.testing.assert_close(values[0], loss(x[0, 1:], y[0], a[0, 1:], b[0]), rtol=1e-6, atol=0)


def test_not_converged_warns():
    x, y, *_ = batch()
    with pytest.warns(ConvergenceWarning, match="raise eps, max_iter or tol"):
        SinkhornLoss(max_iter=1)(x, y)


def test_points_that_are_not_finite_are_named():
    x, y, *_ = batch()
    x[1, 3, 0] = torch.nan
    with pytest.raises(ValueError, match="x must be finite"):
        SinkhornLoss()(x, y)


def test_an_eps_out_of_reach_is_refused():
    x, y, *_ = batch()
    with pytest.raises(ValueError, match="eps must be within reach of the costs"):
        SinkhornLoss(eps=1e-14)(x, y)


def test_a_batch_of_few_points_converges_where_steps_alone_do_not():
    """Some of these normal samples have clusters that exchange mass too slowly."""
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(100, k, 2, generator=generator, dtype=torch.float64) for k in (6, 5))
    values = SinkhornLoss(reduction="none", debias=False)(x, y)
    for k in range(0, 100, 10):
        alone = SinkhornLoss(debias=False)(x[k], y[k])
        torch.testing.assert_close(values[k], alone, rtol=1e-3, atol=0)


METRICS = [
    "cityblock",
    "chebyshev",
    "cosine",
    "angular",
    metrics.Mahalanobis([[2.0, 0.5], [0.5, 1.0]]),
    metrics.Haversine(radius=6371.0),
    metrics.Periodic(3.0),
    metrics.Custom(lambda x, y: (x[:, None] - y).abs().sum(2), negative_type=1.0),
]


def of_metric(metric) -> SinkhornLoss:
    debias = not isinstance(metric, metrics.Periodic)
    return SinkhornLoss(1, metric=metric, debias=debias, reduction="none", tol=1e-9)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: getattr(m, "name", m))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_any_metric_equals_each_alone(metric, dtype, monkeypatch):
    loss = of_metric(metric)
    x, y, a, b = batch(entries=4, n=12, m=9, d=2)
    inputs = x.to(dtype), y.to(dtype), a, b
    together = solved(loss, *inputs)
    monkeypatch.setattr(entropic_batch, "LARGEST", 0)
    alone = solved(loss, *inputs)
    fine = dtype == torch.float64
    torch.testing.assert_close(together[0], alone[0], rtol=1e-12 if fine else 1e-6, atol=0)
    for ours, theirs in zip(together[1:], alone[1:], strict=True):
        atol = (1e-8 if fine else 1e-4) * float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=1e-6 if fine else 1e-4, atol=atol)


@pytest.mark.parametrize("metric", ["cityblock", "angular", METRICS[4]])
def test_gradients_of_a_metric_are_those_of_differences(metric):
    x, y, a, b = (z.requires_grad_() for z in batch(entries=2, n=4, m=3, d=2))
    loss = SinkhornLoss(1, 0.5, metric=metric, reduction="none", tol=1e-11)

    def of(x, y, a, b):
        return loss(x, y, a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True))

    assert torch.autograd.gradcheck(of, (x, y, a, b), atol=1e-6)


@pytest.mark.parametrize("metric", ["cityblock", "angular"])
def test_points_of_weight_zero_pad_without_a_trace(metric):
    x, y, a, b = batch(entries=3)
    loss = SinkhornLoss(1, metric=metric, reduction="none", tol=1e-9)
    padded = torch.cat([x, torch.zeros(3, 4, 3, dtype=x.dtype)], 1)
    weights = torch.cat([a, torch.zeros(3, 4, dtype=a.dtype)], 1)
    torch.testing.assert_close(loss(padded, y, weights, b), loss(x, y, a, b), rtol=1e-12, atol=0)


def test_masses_may_stay_for_a_metric_too(monkeypatch):
    loss = SinkhornLoss(1, 0.3, metric="cityblock", reach=0.7, reduction="none", tol=1e-9)
    x, y, a, b = batch(n=12, m=9)
    together = solved(loss, x, y, 2 * a, b)
    monkeypatch.setattr(entropic_batch, "LARGEST", 0)
    for ours, alone in zip(together, solved(loss, x, y, 2 * a, b), strict=True):
        torch.testing.assert_close(ours, alone, rtol=1e-6, atol=1e-6 * float(alone.abs().max()))


def test_what_a_metric_refuses_is_named():
    x, y, *_ = batch()
    with pytest.raises(ValueError, match="negative type"):
        SinkhornLoss(2, metric="angular")(x, y)
    x[2, 3] = 0
    with pytest.raises(ValueError, match=r"x must not hold the zero vector.*row 3"):
        SinkhornLoss(1, metric="angular")(x, y)


def test_a_gradient_that_is_not_asked_for_is_not_computed(monkeypatch):
    x, y, *_ = batch()
    x.requires_grad_()
    sides = []
    pull = entropic_batch.Ground.pull
    monkeypatch.setattr(
        entropic_batch.Ground, "pull", lambda *given: sides.append(given[3:]) or pull(*given)
    )
    SinkhornLoss(1, metric="cityblock")(x, y).backward()
    assert sides == [(0, 1), (0, 0)]
