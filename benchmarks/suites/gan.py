"""Generators of points in the plane: time to train, and exact W_1 to held-out points.

All train the same networks on the same data for as many steps, five critic steps each. "plain
torch" is WGAN-GP as one writes it by hand, without log, checks or an average of the weights; weight
clipping is the recipe of the first Wasserstein GANs. The truth is the floor, what real points reach
among themselves, so that the error is the excess over it. `python -m benchmarks gan` has the
comparisons over seeds, on digits too.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from benchmarks.case import OURS, Call, Case, Inputs, Outcome
from benchmarks.gan.toys import RECIPES, ROWS, draw, networks, run

CLIPPING: dict[str, Any] = {"use_gp": False, "clip_value": 0.01, "lr": 2e-4}
LENGTHS = {"ring": (100, 1000), "grid": (1000,), "swiss": (1000,)}
"""Generator steps of the cases."""


def cases() -> list[Case]:
    """Every distribution, and a short run."""
    return [
        Case(
            name=name,
            quantity="W_1 of a generator",
            n=ROWS,
            m=ROWS,
            d=2,
            p=1,
            make=partial(_inputs, name, steps),
            competitors={
                OURS: _trainer,
                "otdist, clipping": partial(_trainer, **CLIPPING),
                "plain torch": _by_hand,
            },
            truth=_floor,
            parameters={"steps": steps},
            quick=steps == 100,
        )
        for name, lengths in LENGTHS.items()
        for steps in lengths
    ]


def _inputs(name: str, steps: int, seed: int) -> Inputs:
    return {"name": name, "steps": steps, "seed": seed, "p": 1}


def _floor(inputs: Inputs) -> float:
    from otdist import wasserstein

    name, seed = inputs["name"], inputs["seed"]
    return wasserstein(draw(name, ROWS, 3000 + seed), draw(name, ROWS, 2000 + seed)).distance


def _trainer(inputs: Inputs, **options: Any) -> Call:
    _on_cpu(inputs)

    def call() -> Outcome:
        row = run(inputs["name"], inputs["seed"], inputs["steps"], **options)
        return Outcome(row["w1"])

    return call


def _by_hand(inputs: Inputs) -> Call:
    from otdist import wasserstein

    _on_cpu(inputs)
    name, seed = inputs["name"], inputs["seed"]
    data = torch.from_numpy(draw(name, 50_000, 1000 + seed)).float()
    held_out = draw(name, ROWS, 2000 + seed)

    def call() -> Outcome:
        generator, critic = networks(seed)
        random = torch.Generator().manual_seed(seed)
        _train(generator, critic, data, inputs["steps"], random)
        with torch.no_grad():
            samples = generator(torch.randn(ROWS, 2, generator=random)).double().numpy()
        return Outcome(float(wasserstein(samples, held_out).distance))

    return call


def _train(
    generator: torch.nn.Module,
    critic: torch.nn.Module,
    data: torch.Tensor,
    steps: int,
    random: torch.Generator,
) -> None:
    """WGAN-GP by hand."""
    adam = partial(torch.optim.Adam, lr=RECIPES["gp"]["lr"], betas=(0.0, 0.9))
    for_critic, for_generator = adam(critic.parameters()), adam(generator.parameters())

    def noise() -> torch.Tensor:
        return torch.randn(256, 2, generator=random)

    for _ in range(steps):
        for _ in range(5):
            real = data[torch.randint(len(data), (256,), generator=random)]
            with torch.no_grad():
                fake = generator(noise())
            weight = torch.rand(256, 1, generator=random)
            between = (weight * real + (1 - weight) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = RECIPES["gp"]["lambda_gp"] * (slope.norm(dim=1) - 1).square().mean()
            loss = critic(fake).mean() - critic(real).mean() + penalty
            for_critic.zero_grad()
            loss.backward()
            for_critic.step()
        loss = -critic(generator(noise())).mean()
        for_generator.zero_grad()
        loss.backward()
        for_generator.step()


def _on_cpu(inputs: Inputs) -> None:
    if inputs["device"] != "cpu":
        raise RuntimeError("networks of this size train on the CPU")
