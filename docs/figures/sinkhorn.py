"""The picture and the tables of docs/sinkhorn.md: value, bracket and time against eps; batches.

    python docs/figures/sinkhorn.py [docs/assets/sinkhorn-eps.svg]

W_2 between 2,000 points in the unit cube and 2,000 drawn towards a corner of it, and the time of
batches, solved together and one by one. The tables go between their marks on the page.
"""

from __future__ import annotations

import sys
import timeit
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "otdist"

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from otdist.distances import sinkhorn_divergence, wasserstein  # noqa: E402
from otdist.drawing.style import HOUSE  # noqa: E402
from otdist.entropic.sinkhorn import Sinkhorn  # noqa: E402
from otdist.losses import SinkhornLoss  # noqa: E402

SHARES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
POINTS = 2000
PAGE = Path("docs/sinkhorn.md")
mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=HOUSE)


def put(mark: str, lines: list[str]) -> None:
    """Write lines between two marks of the page."""
    start, end = f"<!-- {mark}: start -->", f"<!-- {mark}: end -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(start)
    text = "\n".join([before + start, "", *lines, "", end + rest.split(end)[1]])
    PAGE.write_text(text, encoding="utf-8")


def batches() -> list[str]:
    """The table of the time of value and gradient of many small pairs."""
    loss = SinkhornLoss(p=2)
    lines = ["| batch | together | one by one |", "|---|---|---|"]
    for pairs, points in ((64, 64), (32, 256)):
        x, y = torch.rand((2, pairs, points, 3), generator=torch.Generator().manual_seed(0))
        x.requires_grad_()

        def together(x: torch.Tensor = x, y: torch.Tensor = y) -> None:
            loss(x, y).backward()

        def one_by_one(x: torch.Tensor = x, y: torch.Tensor = y) -> None:
            for source, target in zip(x, y, strict=True):
                loss(source, target).backward()

        seconds = [min(timeit.repeat(f, number=1, repeat=5)) for f in (together, one_by_one)]
        times = " | ".join(f"{1000 * value:.0f} ms" for value in seconds)
        lines.append(f"| {pairs} pairs of {points} points | {times} |")
    return lines


def main(path: Path) -> None:
    """Draw and write the picture and the tables."""
    rng = np.random.default_rng(0)
    x, y = rng.random((POINTS, 3)), rng.random((POINTS, 3)) ** 2 + 0.2
    mean = float(x.var(0).sum() + y.var(0).sum() + ((x.mean(0) - y.mean(0)) ** 2).sum())
    exact = wasserstein(x, y, p=2).distance
    results = [wasserstein(x, y, p=2, solver=Sinkhorn(eps=s * mean)) for s in SHARES]
    debiased = [sinkhorn_divergence(x, y, p=2, eps=s * mean).distance for s in SHARES]

    root = "\\(S_\\varepsilon^{1/2}\\)"
    lines = [
        f"Exact: {exact:.5f}.",
        "",
        f"| eps / mean cost | lower | upper = distance | gap | {root} | steps | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for share, r, s in zip(SHARES, results, debiased, strict=True):
        lines.append(
            f"| {share:.2%} | {r.lower:.5f} | {r.upper:.5f} | {r.gap / exact:.2%} | {s:.5f} "
            f"| {r.iterations} | {r.seconds:.2f} |"
        )
    put("eps", lines)
    put("batches", batches())

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    lower, upper = [r.lower for r in results], [r.upper for r in results]
    left.fill_between(SHARES, lower, upper, alpha=0.25, label="certified bracket")
    left.semilogx(SHARES, debiased, "o-", ms=3, label="Sinkhorn divergence, root")
    left.axhline(exact, color="black", lw=0.8, label="exact")
    left.set_xlabel("eps / mean cost")
    left.set_ylabel("$W_2$")
    left.legend(frameon=False, fontsize=9)
    right.loglog(SHARES, [r.iterations for r in results], "o-", ms=3)
    right.set_xlabel("eps / mean cost")
    right.set_ylabel("steps")
    right.set_yticks((5, 10, 20, 50, 100), ("5", "10", "20", "50", "100"))
    right.minorticks_off()
    right.grid(alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, transparent=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/sinkhorn-eps.svg"))
