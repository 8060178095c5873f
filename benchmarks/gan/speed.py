"""What a step costs beside the least code that does the same work, in turns in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.records import Row
from otdist import wgan

RATIOS = ("critic step / minimal code", "training / bare steps")


def _networks(width: int) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = wgan.MLPGenerator(64, 2, (width,) * 3, bounded=False)
        return generator, wgan.MLPCritic(2, (width,) * 3)


def minimal(
    generator: nn.Module, critic: nn.Module, optimizer: torch.optim.Optimizer, real: Tensor
) -> None:
    """A critic step of WGAN-GP as one would write it by hand, without a check."""
    with torch.no_grad():
        fake = generator(torch.randn(len(real), 64))
    weight = torch.rand(len(real), 1)
    between = (weight * real + (1 - weight) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = 10 * ((slope.norm(dim=1) - 1) ** 2).mean()
    loss = critic(fake).mean() - critic(real).mean() + penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def run(name: str, width: int, batch: int, rounds: int) -> Row:
    """The ratio of median times: critic step to minimal code, or training to bare steps."""
    data = torch.randn(20 * batch, 2)
    generator, critic = _networks(width)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
    trainer = wgan.WGANTrainer(*_networks(width), 64, batch_size=batch)
    whole = wgan.WGANTrainer(*_networks(width), 64, batch_size=batch)
    parts = list(data.split(batch))[:5]

    def five_by_hand() -> None:
        for real in parts:
            minimal(generator, critic, optimizer, real)

    def five_critic_steps() -> None:
        for real in parts:
            trainer.train_critic_step(real)

    def bare() -> None:
        for _ in range(2):
            trainer.train_step(parts)

    def full() -> None:
        whole.train(data, steps=whole.step + 2)

    pairs = (five_critic_steps, five_by_hand), (full, bare)
    ratio, seconds = _in_turns(*pairs[RATIOS.index(name)], rounds)
    return {"ratio": ratio, "seconds": seconds, "threads": torch.get_num_threads()}


def _in_turns(
    ours: Callable[[], None], theirs: Callable[[], None], rounds: int
) -> tuple[float, float]:
    """The median of paired ratios, and our median time."""
    ratios, times = [], []
    for k in range(rounds + 1):
        spent = []
        for call in (ours, theirs) if k % 2 else (theirs, ours):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
        first, second = spent if k % 2 else spent[::-1]
        if k:  # the first round warms up
            ratios.append(first / second)
            times.append(first)
    return statistics.median(ratios), statistics.median(times)
