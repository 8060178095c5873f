"""Critic against exact transport, where the truth is known.

Both estimate W_1 between two laws from n points of each, and both err, in opposite directions.
Exact transport of the samples is too large on average: samples differ although laws may not, and in
high dimension that excess goes away slowly. A 1-Lipschitz critic that is scored on fresh points is
too small on average: no function climbs higher than the best one. Its 95% limit is below W_1 in all
but one run of twenty. Ray-monotone pairs (Korotin, Kolesov, Burnaev 2022) know their W_1.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import otdist
from otdist.problems import RayMonotone

LAW = RayMonotone(d=8, n_funnels=8)


def estimates(n: int, steps: int, seed: int) -> dict[str, float]:
    """What n points of each law tell."""
    x, y = LAW.draw(n, seed=10 + seed)[0], LAW.draw(n, seed=20 + seed)[1]
    critic = otdist.NeuralDual(critic="peaks", steps=steps, seed=seed).fit(x, y)
    exact = otdist.wasserstein(x, y)
    assert exact.distance in critic.bracket  # the critic's c-transform certifies these samples
    return {
        "exact between samples": float(exact.distance),
        "critic on fresh points": float(critic.estimate),
        "critic, 95% limit": float(critic.lower),
    }


LOOKS = {
    "exact between samples": ("#d9662b", "o-"),
    "critic on fresh points": ("#2f6db3", "o-"),
    "critic, 95% limit": ("#2f6db3", "o:"),
}


def write_table(sizes: list[int], means: dict[str, list[float]], truth: float) -> None:
    """Put the means between two marks of the page."""
    lines = ["| points of each | " + " | ".join(means) + " |", "|---:|" + "---:|" * len(means)]
    for n, *row in zip(sizes, *means.values(), strict=True):
        lines.append(f"| {n:,} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    lines.append(f"| laws | {truth:.3f} | {truth:.3f} | |")
    page = Path(__file__).with_suffix(".md")
    start, end = "<!-- table: start -->", "<!-- table: end -->"
    before, rest = page.read_text(encoding="utf-8").split(start)
    after = rest.split(end)[1]
    text = "\n".join([before + start, "", *lines, "", end + after])
    page.write_text(text, encoding="utf-8")


def main(folder: Path, short: bool = False) -> None:
    """Both, for growing samples."""
    sizes = [200, 400] if short else [250, 500, 1000, 2000, 4000]
    seeds, steps = (1, 30) if short else (3, 400)
    truth, error = LAW.w1()
    print(f"W_1 of the laws: {truth:.3f} ± {error:.3f}")
    print("     n   exact   critic   95% limit")
    means: dict[str, list[float]] = {name: [] for name in LOOKS}
    for n in sizes:
        runs = [estimates(n, steps, seed) for seed in range(seeds)]
        for name in LOOKS:
            means[name].append(float(np.mean([run[name] for run in runs])))
        exact, critic, limit = (means[name][-1] for name in LOOKS)
        print(f"{n:6d}   {exact:5.3f}   {critic:6.3f}   {limit:9.3f}")
        assert limit < truth + 3 * error
        assert limit < critic

    over, under = exact / truth - 1, 1 - critic / truth
    print(f"from {n:,} points exact is {over:.0%} too large, the critic {under:.1%} too small")
    if not short:
        write_table(sizes, means, truth)

    figure = Figure(figsize=(6.6, 3.9), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.axhline(truth, color="black", linewidth=1, label="$W_1$ of the laws")
    for name, (colour, style) in LOOKS.items():
        axes.plot(sizes, means[name], style, color=colour, markersize=4, label=name)
    axes.set(xscale="log", xlabel="points of each sample", ylabel="$W_1$", xticks=sizes)
    axes.set_xticks(sizes, labels=[f"{n:,}" for n in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "critic-against-exact.png", dpi=120)


if __name__ == "__main__":
    main(Path("docs/assets"), short="--short" in sys.argv)
