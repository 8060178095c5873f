"""Barycentres on the line: the average of distributions is the average of their quantiles.

The law that minimises Σ_k λ_k W_2²(·, μ_k) on the line has the quantile function Σ_k λ_k F_k⁻¹.
Averaging densities instead gives a mixture that is as wide as all laws together; the barycentre
lies between them and keeps their shape.
"""

from pathlib import Path

# --8<-- [start:setup]
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_wine

import otdist


def quantiles(sample: np.ndarray, n: int) -> np.ndarray:
    """The quantiles at (k + ½)/n: n equally weighted points."""
    return np.quantile(sample, (np.arange(n) + 0.5) / n)


def objective(law: np.ndarray, laws: list[np.ndarray]) -> float:
    """Mean W_2² to the laws."""
    return float(np.mean([otdist.wasserstein(law, other, p=2).cost for other in laws]))


# --8<-- [end:setup]
def main(folder: Path, short: bool = False) -> None:
    """Average three cultivars of wine, and check that nothing nearby does better."""
    n = 50 if short else 500
    # --8<-- [start:step_1]
    data = load_wine()
    column = list(data.feature_names).index("proline")
    laws = [quantiles(data.data[data.target == k, column], n) for k in range(3)]
    barycentre = np.mean(laws, axis=0)
    mixture = np.sort(np.concatenate(laws))

    best = objective(barycentre, laws)
    mixed = objective(mixture, laws)
    print(f"mean W_2² to the three laws: barycentre {best:.0f}, mixture {mixed:.0f}")
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert objective(barycentre + 5 * rng.standard_normal(n), laws) > best
    # --8<-- [end:step_1]

    # --8<-- [start:step_2]
    # For normal laws the barycentre is known: means and deviations are averaged.
    normal = [
        mean + std * quantiles(rng.standard_normal(200 * n), n) for mean, std in ((0, 1), (4, 3))
    ]
    middle = np.mean(normal, axis=0)
    print(f"N(0, 1) and N(4, 3²): mean {middle.mean():.2f}, deviation {middle.std():.2f}")
    assert abs(middle.mean() - 2) < 0.1
    assert abs(middle.std() - 2) < 0.1
    # --8<-- [end:step_2]

    # --8<-- [start:picture]
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(200, 1700, 40)
    for k, (law, colour) in enumerate(zip(laws, ("#2f6db3", "#d9662b", "#4d9e64"), strict=True)):
        axes.hist(law, edges, density=True, alpha=0.35, color=colour, label=f"cultivar {k + 1}")
    for law, style, name in ((barycentre, "-", "$W_2$ barycentre"), (mixture, ":", "mixture")):
        axes.hist(
            law, edges, density=True, histtype="step", color="black", ls=style, lw=1.8, label=name
        )
    axes.set(xlabel="proline", yticks=[])
    axes.legend(frameon=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    # --8<-- [end:picture]
    figure.savefig(folder / "barycentre.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
