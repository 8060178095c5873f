"""SinkhornLoss: batches, weights, gradients, precision, global batch, errors."""

from __future__ import annotations

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from otdist.core.result import ConvergenceWarning
from otdist.distances import entropic_cost, sinkhorn_divergence
from otdist.entropic import entropic_batch
from otdist.losses.sinkhorn import SinkhornLoss


def sample(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    raw = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return raw / raw.sum(-1, keepdim=True)


@pytest.mark.parametrize("debias", [True, False])
def test_equals_the_function_for_each_batch_entry(debias: bool) -> None:
    x, y, a = sample(2, 3, 20, 2), sample(2, 3, 15, 2, seed=1) + 1, weights(2, 3, 20)
    function = sinkhorn_divergence if debias else entropic_cost
    costs = SinkhornLoss(p=2, eps=0.5, debias=debias, reduction="none", tol=1e-9)(x, y, a)
    assert costs.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            expected = function(x[i, j], y[i, j], a=a[i, j], p=2, eps=0.5, tol=1e-9).cost
            torch.testing.assert_close(costs[i, j], expected, rtol=1e-8, atol=0)


def test_reductions_and_shared_weights() -> None:
    x, y, b = sample(4, 10, 2), sample(4, 8, 2, seed=1), weights(8)
    loss = {
        r: SinkhornLoss(p=1.5, reduction=r)(x, y, None, b) for r in ("none", "mean", "sum")
    }  # fmt: skip
    torch.testing.assert_close(loss["mean"], loss["none"].mean())
    torch.testing.assert_close(loss["sum"], loss["none"].sum())
    assert SinkhornLoss()(x[0], y[0]).shape == ()


@pytest.mark.parametrize("p", [1, 2])
def test_gradients_reach_samples_and_weights(p: int) -> None:
    inputs = [z.requires_grad_() for z in (sample(2, 5, 2), sample(2, 4, 2, seed=1), weights(2, 5))]
    loss = SinkhornLoss(p=p, eps=0.5, tol=1e-11, reduction="sum")
    assert torch.autograd.gradcheck(lambda x, y, a: loss(x, y, a / a.sum(-1, keepdim=True)), inputs)


def test_descent_moves_one_cloud_onto_the_other() -> None:
    x, y = sample(40, 2).requires_grad_(), sample(40, 2, seed=1) + 3
    loss = SinkhornLoss(eps=0.1)
    first = float(loss(x, y).detach())
    for _ in range(10):
        (grad,) = torch.autograd.grad(loss(x, y), x)
        x = (x - 0.4 * len(x) * grad).detach().requires_grad_()
    assert float(loss(x, y).detach()) < 0.01 * first


def test_equal_samples_give_zero_and_no_gradient() -> None:
    x = sample(3, 10, 2).requires_grad_()
    loss = SinkhornLoss()(x, x.detach().clone())
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(dtype: torch.dtype) -> None:
    x, y = sample(20, 2).to(dtype).requires_grad_(), sample(20, 2, seed=1).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = SinkhornLoss(eps=0.2)(x, y)
    loss.backward()
    assert loss.dtype == torch.float32
    assert x.grad.dtype == dtype
    exact = SinkhornLoss(eps=0.2)(x.detach().double(), y.double())
    assert float(loss.detach()) == pytest.approx(float(exact), rel=1e-3)


def test_problems_solved_alone_keep_their_graph_and_warn_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entropic_batch, "LARGEST", 0)  # as if there were more points
    pairs = torch.stack([sample(12, 3, seed=s) for s in range(8)]).view(2, 4, 12, 3)
    x, y = pairs[0].clone().requires_grad_(), pairs[1]
    loss = SinkhornLoss(p=1, eps=0.3, metric="cityblock", reduction="none")
    values = loss(x, y)
    values.sum().backward()
    for k in range(4):
        part = x[k].detach().requires_grad_()
        single = loss(part, y[k])
        single.backward()
        torch.testing.assert_close(values[k], single)
        torch.testing.assert_close(x.grad[k], part.grad)
    short = SinkhornLoss(p=1, eps=1e-4, metric="cityblock", max_iter=1)
    for largest in (0, 2**18):  # alone from the start, or finished alone
        monkeypatch.setattr(entropic_batch, "LARGEST", largest)
        with pytest.warns(ConvergenceWarning, match=r"4 of 4 entries, the first is \[0\]") as told:
            short(x, y)
        assert len(told) == 1


def test_errors_and_warnings() -> None:
    with pytest.raises(ValueError, match="p must be at most 2"):
        SinkhornLoss(p=3)
    with pytest.raises(ValueError, match="eps must be positive"):
        SinkhornLoss(eps=-1.0)
    with pytest.raises(ValueError, match="reduction"):
        SinkhornLoss(reduction="median")
    for bad in (torch.nan, torch.inf):
        x = sample(5, 2)
        x[3, 1] = bad
        with pytest.raises(ValueError, match=r"x must be finite: found 1 .*, first at row 3$"):
            SinkhornLoss()(x, sample(5, 2))
    with pytest.warns(ConvergenceWarning, match="max_iter=1 "):
        SinkhornLoss(eps=1e-4, max_iter=1)(sample(30, 2), sample(30, 2, seed=1))


def _rank(rank: int, port: int, out: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    x, y = sample(12, 2), sample(10, 2, seed=1)
    part = slice(0, 7) if rank == 0 else slice(7, 12)
    mine = x[part].clone().requires_grad_()
    loss = SinkhornLoss(eps=0.5, tol=1e-10, process_group=dist.group.WORLD)
    value = loss(mine, y[5 * rank : 5 * rank + 5])
    value.backward()
    stays = SinkhornLoss(eps=0.5, reach=1.2, tol=1e-10, process_group=dist.group.WORLD)
    masses = (3 * weights(12)[part]).requires_grad_()
    other = stays(mine.detach(), y[5 * rank : 5 * rank + 5], masses)
    other.backward()
    torch.save((value.detach(), mine.grad, other.detach(), masses.grad), f"{out}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_compute_the_loss_of_their_union(tmp_path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_rank, args=(port, str(tmp_path)), nprocs=2)
    x = sample(12, 2).requires_grad_()
    value = SinkhornLoss(eps=0.5, tol=1e-10)(x, sample(10, 2, seed=1))
    value.backward()
    masses = (3 * weights(12)).requires_grad_()
    other = SinkhornLoss(eps=0.5, reach=1.2, tol=1e-10)(x.detach(), sample(10, 2, seed=1), masses)
    other.backward()
    (first, left, *apart), (second, right, *rest) = (
        torch.load(tmp_path / f"{r}.pt") for r in (0, 1)
    )
    torch.testing.assert_close(apart[0], other.detach())
    torch.testing.assert_close(rest[0], other.detach())
    torch.testing.assert_close(torch.cat([apart[1], rest[1]]) / 2, masses.grad)
    torch.testing.assert_close(first, value.detach())
    torch.testing.assert_close(second, value.detach())
    torch.testing.assert_close(torch.cat([left, right]) / 2, x.grad)


def test_padding_is_solved_with_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, a = sample(3, 12, 2).requires_grad_(), sample(3, 9, 2, seed=1), torch.ones(3, 12)
    a[0, 5:], a[1, 9:] = 0, 0
    a = a / a.sum(-1, keepdim=True)
    loss = SinkhornLoss(eps=0.5, tol=1e-9, reduction="none")
    single = []
    for k, n in enumerate((5, 9, 12)):
        part = x.detach()[k, :n].clone().requires_grad_()
        value = loss(part, y[k])
        value.backward()
        single.append((value.detach(), part.grad))
    monkeypatch.setattr(SinkhornLoss, "_one", None)
    found = loss(x, y, a)
    found.sum().backward()
    assert x.grad is not None
    for k, (value, grad) in enumerate(single):
        torch.testing.assert_close(found[k].detach(), value, rtol=1e-9, atol=0)
        assert grad is not None
        torch.testing.assert_close(x.grad[k, : len(grad)], grad, rtol=1e-6, atol=1e-8)
        assert (x.grad[k, len(grad) :] == 0).all()
