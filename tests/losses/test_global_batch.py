"""The loss over the union of two processes' samples has the gradient of one process."""

from __future__ import annotations

import subprocess
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from otdist.losses.sliced import SlicedWassersteinLoss

SIZES = ((5, 3), (4, 7))
"""Points of x and of y on ranks 0 and 1: uneven."""


def data():
    rng = torch.Generator().manual_seed(0)
    total_x, total_y = (sum(size) for size in SIZES)
    latent = torch.randn(2, total_x, 4, generator=rng, dtype=torch.float64)
    target = torch.randn(2, total_y, 3, generator=rng, dtype=torch.float64)
    a = torch.rand(total_x, generator=rng, dtype=torch.float64)
    return latent, target, a / a.sum()


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def train_step(net: nn.Module, latent, target, a, group=None) -> tuple[float, torch.Tensor]:
    # Rank 1 draws from another seed: what it uses must be the directions of rank 0.
    seed = 5 + (0 if group is None else dist.get_rank(group))
    loss_of = SlicedWassersteinLoss(
        n_projections=7, generator=torch.Generator().manual_seed(seed), process_group=group
    )
    loss = loss_of(net(latent), target, a)
    loss.backward()
    gradients = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
    return loss.item(), torch.cat(gradients)


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    latent, target, a = data()
    (n0, n1), (m0, m1) = SIZES
    rows, cols = ((slice(n0), slice(m0)), (slice(n0, n0 + n1), slice(m0, m0 + m1)))[rank]
    results = []
    for weights in (None, a[rows]):
        net = DistributedDataParallel(model())
        results.append(train_step(net, latent[:, rows], target[:, cols], weights, dist.group.WORLD))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_uneven_ranks_get_the_gradient_of_one_process(tmp_path):
    command = [sys.executable, __file__, str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]
    latent, target, a = data()
    for case, weights in enumerate((None, a)):
        value, gradient = train_step(model(), latent, target, weights)
        for rank in range(2):
            their_value, their_gradient = torch.load(tmp_path / f"{rank}.pt")[case]
            assert abs(their_value - value) < 1e-12 * value
            torch.testing.assert_close(their_gradient, gradient, rtol=1e-10, atol=1e-14)


if __name__ == "__main__":  # one rank, in a process of its own
    worker(int(sys.argv[2]), sys.argv[1])
