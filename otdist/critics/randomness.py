"""Randomness that layers take from torch's global generators, without a trace left there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from otdist.core import checks


@contextmanager
def seeded(seed: int | None, device: torch.device | None = None) -> Iterator[None]:
    """Within: the global generators start at `seed`. Afterwards: as they were.

    Args:
        seed: None: a fresh one.
        device: A CUDA device whose generator is treated likewise.
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    seed = checks.seed(seed)
    start = torch.Generator().seed() % 2**63 if seed is None else seed
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(start)
        for place in cuda:
            torch.cuda.default_generators[place.index or 0].manual_seed(start)
        yield
