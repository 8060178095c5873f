r"""Two parallel segments at distance θ: W_1 has gradient sign(θ) where Jensen–Shannon has none.

Arjovsky, Chintala, Bottou (2017), example 1: P is the law of (0, Z), Q_θ of (θ, Z), Z uniform.
W_1 = |θ|; JS = log 2 for every θ ≠ 0. The gradients below are those that a generator receives
through exact transport and through a 1-Lipschitz critic trained at θ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.records import Row
from otdist import wasserstein, wgan

ROWS = 256


def cases(
    thetas: int = 9, steps: int = 150, seed: int = 0
) -> Iterator[tuple[float, Callable[[], Row]]]:
    """Every θ, and what measures it: exact W_1, its gradient, the critic's gap and gradient, JS."""
    for theta in torch.linspace(-1, 1, thetas).tolist():
        yield theta, partial(_at, theta, steps, seed)


def _at(theta: float, steps: int, seed: int) -> Row:
    z = torch.rand(ROWS, generator=torch.Generator().manual_seed(seed))
    real = torch.stack((torch.zeros(ROWS), z), dim=1)
    place = torch.tensor(theta, requires_grad=True)
    exact = wasserstein(real, _moved(place, z)).distance
    (slope,) = torch.autograd.grad(exact, place)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic = wgan.MLPCritic(2, (32, 32), layers="orthogonal")
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    for _ in range(steps):
        loss = wgan.critic_loss(critic(real), critic(_moved(place.detach(), z)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = critic(_moved(place, z))
    (critic_slope,) = torch.autograd.grad(wgan.generator_loss(scores), place)
    return {
        "theta": theta,
        "w1": float(exact.detach()),
        "w1_gradient": float(slope),
        "critic_gap": -float(wgan.critic_loss(critic(real), scores).detach()),
        "critic_gradient": float(critic_slope),
        "js": math.log(2) if abs(theta) > 1e-6 else 0.0,
    }


def _moved(theta: Tensor, z: Tensor) -> Tensor:
    return torch.stack((theta.expand(len(z)), z), dim=1)


def picture(rows: list[Row], path: Path) -> None:
    """Draw the distances and the gradients over θ."""
    from otdist.drawing.style import BLUE, GREEN, ORANGE, bare, panels

    figure, (left, right) = panels(2, 4.2, 3.3)
    thetas = [row["theta"] for row in rows]
    left.plot(thetas, [row["w1"] for row in rows], color=BLUE, label="exact $W_1$")
    left.plot(thetas, [row["critic_gap"] for row in rows], "x", color=ORANGE, label="critic's gap")
    left.plot(thetas, [row["js"] for row in rows], "o", color=GREEN, ms=4, label="Jensen–Shannon")
    exact = [row["w1_gradient"] for row in rows]
    right.plot(thetas, exact, "_", color=BLUE, ms=14, mew=2, label="of exact $W_1$")
    loss = [row["critic_gradient"] for row in rows]
    right.plot(thetas, loss, "x", color=ORANGE, label="of the generator's loss")
    apart = [theta for theta in thetas if abs(theta) > 1e-6]
    right.plot(apart, [0.0] * len(apart), "o", color=GREEN, ms=4, label="of Jensen–Shannon")
    for axes, title in ((left, "distance"), (right, "gradient in θ")):
        axes.set_xlabel("θ")
        axes.set_title(title, fontsize=10)
        bare(axes)
    left.set_ylim(-0.05, 1.45)
    left.legend(frameon=False, fontsize=8, loc="upper center", ncols=2)
    right.legend(frameon=False, fontsize=8, loc="upper left")
    figure.savefig(path, dpi=120, transparent=True)
