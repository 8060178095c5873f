"""Several processes that train one pair of networks, wrapped in `DistributedDataParallel`.

All ranks draw the same random numbers, for the batches of all of them, and each takes its share:
so many ranks do what one process does with their batches joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """Which of so many processes this one is."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of(cls, generator: nn.Module, critic: nn.Module) -> Ranks:
        """Return the ranks that the networks are wrapped for.

        Raises:
            ValueError: only one of them is wrapped.
        """
        wrapped = [isinstance(n, DistributedDataParallel) for n in (generator, critic)]
        if wrapped[0] != wrapped[1]:
            raise ValueError(
                "generator and critic must both be wrapped in DistributedDataParallel, or neither"
            )
        return cls(dist.get_rank(), dist.get_world_size()) if wrapped[0] else cls()

    def share(self, draw: Callable[..., Tensor], shape: tuple[int, ...], **how: object) -> Tensor:
        """Draw random numbers for all ranks; return this one's, of the given shape."""
        rows = shape[0]
        whole = draw((rows * self.world, *shape[1:]), **how)
        return whole[rows * self.rank : rows * (self.rank + 1)]

    def means(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Average each value over the ranks."""
        if self.world == 1 or not values:
            return {name: float(value) for name, value in values.items()}
        stacked = torch.stack([value.float() for value in values.values()])
        dist.all_reduce(stacked)
        return dict(zip(values, (stacked / self.world).tolist(), strict=True))

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            dist.barrier()


def bare(network: nn.Module) -> nn.Module:
    """Return the network itself, without the wrapper that averages its gradients."""
    return network.module if isinstance(network, DistributedDataParallel) else network
