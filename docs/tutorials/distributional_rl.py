"""Distributional reinforcement learning: learned quantiles of the return, measured by W_1.

On a chain of five states a step pays 1 with probability 0.3 + 0.1·state, moves right with
probability 0.7, and ends beyond the last state; later rewards are discounted by 0.9 a step.
Quantile regression (Dabney et al. 2018) learns N quantiles of the return by temporal differences;
dynamic programming computes its distribution, exact but for a fine grid. Dabney et al. prove that
the W_1 between them contracts; here it is measured.
"""

from pathlib import Path

# --8<-- [start:exact]
import numpy as np
from matplotlib.figure import Figure

import otdist

STATES, MOVE, GAMMA, CAP = 5, 0.7, 0.9, 60


def pay(state: int) -> float:
    """Probability of a reward of 1."""
    return 0.3 + 0.1 * state


def exact_laws(grid: np.ndarray) -> np.ndarray:
    """Probabilities of the return on a grid, by iterating the distributional Bellman operator.

    The return r + γ G lands between grid points and is split so that its mean is kept.
    """
    laws = np.zeros((STATES + 1, len(grid)))
    laws[:, 0] = 1.0
    step = grid[1] - grid[0]
    for _ in range(CAP):
        new = np.zeros_like(laws)
        new[STATES, 0] = 1.0
        for state in range(STATES):
            following = MOVE * laws[state + 1] + (1 - MOVE) * laws[state]
            for reward, chance in ((0, 1 - pay(state)), (1, pay(state))):
                place = (reward + GAMMA * grid) / step
                low = np.floor(place).astype(int).clip(0, len(grid) - 2)
                upper = (place - low).clip(0, 1)
                np.add.at(new[state], low, chance * following * (1 - upper))
                np.add.at(new[state], low + 1, chance * following * upper)
        laws = new
    return laws


# --8<-- [end:exact]


def main(folder: Path, short: bool = False) -> None:
    """Learn, measure, draw."""
    n_quantiles, steps = (16, 20_000) if short else (64, 400_000)
    places = 401 if short else 2001
    # --8<-- [start:learn]
    grid = np.linspace(0, 10, places)
    laws = exact_laws(grid)
    levels = (np.arange(n_quantiles) + 0.5) / n_quantiles
    theta = np.zeros((STATES + 1, n_quantiles))
    rng = np.random.default_rng(0)
    state, curve = 0, []
    for step in range(steps):
        if step % (steps // 40) == 0:
            curve.append((step, otdist.wasserstein(theta[0], grid, b=laws[0]).distance))
        reward = float(rng.random() < pay(state))
        following = state + (rng.random() < MOVE)
        target = reward + GAMMA * theta[following, rng.integers(n_quantiles)]
        rate = 0.3 / (1 + 20 * step / steps)
        theta[state] += rate * (levels - (target < theta[state]))
        state = 0 if following == STATES else following
    # --8<-- [end:learn]

    # --8<-- [start:measure]
    learned = otdist.wasserstein(theta[0], grid, b=laws[0])
    cumulative = np.cumsum(laws[0])
    best = grid[np.searchsorted(cumulative, levels * cumulative[-1])]
    floor = otdist.wasserstein(best, grid, b=laws[0])
    print(
        f"W_1 to the exact distribution: learned {learned.distance:.4f}, "
        f"best possible {floor.distance:.4f}"
    )
    assert learned.distance < (0.5 if short else 0.15)
    # --8<-- [end:measure]

    # --8<-- [start:picture]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(grid, cumulative, color="#d9662b", linewidth=2.5, label="exact distribution")
    left.step(np.sort(theta[0]), levels, where="mid", color="#2f6db3", label="learned quantiles")
    left.set(xlabel="return from the first state", ylabel="probability below", xlim=(0, 8))
    left.legend(frameon=False, fontsize=9)
    right.plot(*zip(*curve, strict=True), color="#2f6db3")
    right.axhline(
        floor.distance, color="#7a7a7a", linestyle=":", label=f"best {n_quantiles} quantiles"
    )
    right.set(xlabel="step", ylabel="$W_1$ to the exact distribution", yscale="log")
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    # --8<-- [end:picture]
    figure.savefig(folder / "distributional-rl.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
