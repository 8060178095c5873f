r"""Critics that are exactly 1-Lipschitz: funnels, extended potentials, sorting networks.

A *funnel* is ‖x − a‖ up to sign and height; its slope is one everywhere. The maximum, or the
minimum, of 1-Lipschitz functions is 1-Lipschitz again, so

.. math::  \max_k\, (b_k - \|x - a_k\|) \qquad\text{and}\qquad \min_k\, (\|x - a_k\| + b_k)

are critics for any centres and heights, with gradients of norm one almost everywhere, which is
what the optimal critic has along every transport ray. They hold all that discrete transport knows:
McShane's extension of exact potentials f of sources x_i, φ(z) = max_i f_i − ‖z − x_i‖, is the left
one with the x_i as centres.

Reference: McShane (1934), Extension of Range of Functions; Anil, Lucas, Grosse (2019), Sorting Out
    Lipschitz Function Approximation, for `sorting_network`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.critics.layers import MaxMin, OrthogonalLinear
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.randomness import seeded
from otdist.critics.samples import Frame
from otdist.critics.softened import soft_highest
from otdist.distances import wasserstein

LLOYD = 10
"""Rounds of k-means, whose centres are a start and no answer."""


class Funnels(nn.Module):
    r"""A maximum of peaks, b_k − ‖x − a_k‖, or a minimum of valleys, ‖x − a_k‖ + b_k.

    The funnel that attains the extremum is found by a matrix product without a graph; its value is
    then taken by direct differences, so forward and backward cost O(n d) beyond that product. A
    point at its own centre has the subgradient 0.

    Args:
        centres: The a_k, shape (K, d); learned, starting here.
        heights: The b_k, shape (K,); learned; zero when None.
        peaks: The maximum of peaks; otherwise the minimum of valleys.

    Attributes:
        temperature: Above 0 the extremum is a soft one in training mode, as `softened` defines it.

    Raises:
        ValueError: shapes that do not fit.

    Gradients: input, centres, heights.
    Cost: O(n K d).

    >>> critic = Funnels(torch.tensor([[0.0, 0.0], [10.0, 0.0]]))
    >>> critic(torch.tensor([[3.0, 4.0], [10.0, 1.0]])).tolist()
    [-5.0, -1.0]
    """

    def __init__(
        self, centres: Tensor, heights: Tensor | None = None, *, peaks: bool = True
    ) -> None:
        super().__init__()
        self.peaks = checks.flag("peaks", peaks)
        if centres.ndim != 2 or 0 in centres.shape:
            raise ValueError(f"centres must have shape (K, d): got {tuple(centres.shape)}")
        start = centres.new_zeros(len(centres)) if heights is None else heights
        if start.shape != (len(centres),):
            raise ValueError(
                f"heights must have shape ({len(centres)},), one per centre: "
                f"got {tuple(start.shape)}"
            )
        self.temperature = 0.0
        self.centres = nn.Parameter(centres.detach().clone())
        self.heights = nn.Parameter(start.detach().clone().to(centres.dtype))

    @property
    def _sign(self) -> float:
        """Valleys are peaks upside down: min(‖x − a‖ + b) = −max(−b − ‖x − a‖)."""
        return 1.0 if self.peaks else -1.0

    def forward(self, x: Tensor) -> Tensor:
        """Scores of x (n, d), shape (n,)."""
        if self.training and self.temperature > 0:
            raised = self._sign * self.heights
            return self._sign * soft_highest(x, self.centres, raised, self.temperature)
        with torch.no_grad():
            own = self._highest(x)
        away = x - self.centres[own]
        squared = away.square().sum(1)
        distance = torch.where(squared > 0, squared, 1.0).sqrt().where(squared > 0, 0.0)
        return self._sign * (self._sign * self.heights[own] - distance)

    def _highest(self, x: Tensor) -> Tensor:
        """Index of the funnel that attains the extremum, shape (n,); in blocks of rows."""
        block = max(1, 2**22 // len(self.centres))
        raised = self._sign * self.heights
        parts = [_argmax(raised - torch.cdist(part, self.centres)) for part in x.split(block)]
        return torch.cat(parts) if parts else x.new_zeros(0, dtype=torch.int64)

    @torch.no_grad()
    def lead(self, x: Tensor) -> float:
        """How far the funnel that attains the extremum is from the next one, mean over x (n, d)."""
        if len(self.centres) == 1:
            return 0.0
        first, second = (self._sign * self.heights - torch.cdist(x, self.centres)).topk(2).values.T
        return float((first - second).mean())

    def lipschitz(self) -> float:
        """The Lipschitz constant: 1."""
        return 1.0

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return f"{len(self.centres)}, {self.centres.shape[1]}, peaks={self.peaks}"


def _argmax(rows: Tensor) -> Tensor:
    """Index of the largest entry of each row; on a CPU through numpy.

    512 rows of 256 float32 numbers take 0.03 ms, torch 0.37: a third of a step of funnels.
    """
    if rows.device.type == "cpu":
        return torch.from_numpy(rows.numpy().argmax(1))
    return rows.argmax(1)


def mcshane(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    peaks: bool = True,
) -> Funnels:
    """McShane's extension of exact potentials between two samples: the optimal critic on them.

    Its gap between these samples is their exact W_1. Beyond them it is 1-Lipschitz too, and tight
    as far as the samples fill the space. Also the start from which funnels are trained further.

    Args:
        x: Sample that scores high, shape (n, d); the centres of peaks.
        y: Sample that scores low, shape (m, d); the centres of valleys.
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,).
        peaks: The lowest extension, by peaks on x; otherwise the highest, by valleys on y.

    Cost: that of `otdist.wasserstein`.

    >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    >>> critic = mcshane(x, y)
    >>> round((critic(x).mean() - critic(y).mean()).item(), 6)
    3.5
    """
    checks.flag("peaks", peaks)
    x, y = x.detach(), y.detach()
    f, g = (torch.as_tensor(h) for h in wasserstein(x, y, a=a, b=b).potentials)
    level = f.mean()  # potentials are free up to a constant
    return Funnels(x, f - level) if peaks else Funnels(y, -g - level, peaks=False)


def around_means(points: Tensor, size: int, *, peaks: bool = True, seed: int = 0) -> Funnels:
    """Funnels of height 0 at the centres of clusters, a start that few of them generalise from.

    Args:
        points: Sample that scores high (peaks) or low (valleys), shape (n, d).
        size: How many; at most n.
        peaks: Kind of the funnels.
        seed: Of the clusters.

    Cost: O(n d size), by Lloyd's k-means.

    >>> around_means(torch.tensor([[0.0], [0.2], [5.0]]), 2).centres.shape
    torch.Size([2, 1])
    """
    points = points.detach()
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    centres = points[order[: checks.whole("size", size)].to(points.device)]
    for _ in range(LLOYD):
        own = torch.cdist(points, centres).argmin(1)
        count = torch.bincount(own, minlength=len(centres))[:, None]
        total = torch.zeros_like(centres).index_add_(0, own, points)
        centres = torch.where(count > 0, total / count.clamp_min(1), centres)
    return Funnels(centres, peaks=peaks)


def mean_difference(x: Tensor, y: Tensor) -> nn.Linear:
    """The linear critic of unit slope along the difference of means: its gap is their distance.

    Args:
        x: Sample that scores high, shape (n, d).
        y: Sample that scores low, shape (m, d).

    >>> mean_difference(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)).weight.tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    move = (x.double().mean(0) - y.double().mean(0)).detach()
    length = move.norm()
    along = move / length if length > 0 else torch.eye(len(move), dtype=move.dtype)[0].to(move)
    critic = nn.Linear(len(move), 1, bias=False)
    critic.weight = nn.Parameter(along[None].to(x.dtype))
    return critic


def sorting_network(
    d: int, widths: tuple[int, ...] = (128, 128, 128), *, seed: int | None = 0
) -> nn.Sequential:
    """Orthogonal layers with MaxMin between them: gradients of norm one, 1-Lipschitz throughout.

    Args:
        d: Dimension of the points.
        widths: Of the hidden layers, even numbers.
        seed: Of the first weights; torch's global generator is left as it was.

    >>> sorting_network(2, (8, 8))(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """
    widths = checks.wholes("widths", widths)
    if any(width % 2 for width in widths):
        raise ValueError(f"widths must be even numbers, at least one: got {widths}")
    return _network(d, widths, seed, OrthogonalLinear, MaxMin)


def relu_network(
    d: int, widths: tuple[int, ...] = (128, 128, 128), *, seed: int | None = 0
) -> nn.Sequential:
    """The usual critic, linear layers with ReLU between them: of no particular slope.

    For comparison, with a gradient penalty, clipping or spectral normalisation. The arguments are
    those of `sorting_network`; widths may be odd.

    >>> relu_network(2, (8,))(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """
    widths = checks.wholes("widths", widths)
    return _network(d, widths, seed, nn.Linear, nn.ReLU)


def _network(
    d: int,
    widths: tuple[int, ...],
    seed: int | None,
    linear: Callable[[int, int], nn.Module],
    activation: Callable[[], nn.Module],
) -> nn.Sequential:
    with seeded(seed):
        return nn.Sequential(*stacked((checks.whole("d", d), *widths, 1), linear, activation)[:-1])


def stacked(
    sizes: Sequence[int],
    layer: Callable[[int, int], nn.Module],
    activation: Callable[[], nn.Module],
) -> list[nn.Module]:
    """Layers between so many features, each followed by an activation."""
    pairs = itertools.pairwise(sizes)
    return [part for before, after in pairs for part in (layer(before, after), activation())]


OWN = "yours"
"""Name of a critic that the user gave."""


class Unframed(nn.Module):
    """A module that sees points in the user's units, as a critic on points of a frame.

    Args:
        module: Maps points to scores.
        frame: Of the points that come in.
    """

    def __init__(self, module: nn.Module, frame: Frame) -> None:
        super().__init__()
        self.module, self._frame = module, frame

    def forward(self, z: Tensor) -> Tensor:
        """Scores over the frame's scale, shape (n,)."""
        return self.module(self._frame.leave(z)).reshape(len(z)) / self._frame.scale

    def lipschitz(self) -> float:
        """The constant of the module: the two changes of units cancel."""
        return lipschitz_bound(self.module)


def rebuilt(name: str, state: dict[str, Tensor]) -> nn.Module:
    """A built-in critic with the shapes of stored parameters, which are loaded next."""
    if name in ("peaks", "valleys", "mcshane"):
        return Funnels(state["centres"], state["heights"], peaks=name != "valleys")
    if name == "linear":
        return nn.Linear(state["weight"].shape[1], 1, bias=False)
    key, build = {"sorting": ("raw", sorting_network), "relu": ("weight", relu_network)}[name]
    shapes = [value.shape for at, value in state.items() if at.endswith(key)]
    return build(shapes[0][1], tuple(shape[0] for shape in shapes[:-1]))
