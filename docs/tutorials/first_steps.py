"""Distance between samples: how much do malignant and benign tumours differ?

The breast cancer data of scikit-learn hold 30 measurements of 569 tumours. First one measurement,
then all.
"""

from pathlib import Path

# --8<-- [start:imports]
import numpy as np
from sklearn.datasets import load_breast_cancer

import otdist
from otdist.drawing import plot_transport

# --8<-- [end:imports]


def main(folder: Path, short: bool = False) -> None:
    """Compute two distances and draw both transports."""
    # --8<-- [start:data]
    data = load_breast_cancer()
    names = [str(name) for name in data.feature_names]
    malignant, benign = data.data[data.target == 0], data.data[data.target == 1]

    # --8<-- [end:data]
    # --8<-- [start:radius]
    # One measurement: the mean radius, in its own units.
    column = names.index("mean radius")
    radius = otdist.wasserstein(malignant[:, column], benign[:, column])
    print(f"mean radius: {radius}")
    # --8<-- [end:radius]

    # --8<-- [start:all]
    # All 30, in standard deviations, so that no unit decides.
    scale = data.data.std(axis=0)
    result = otdist.wasserstein(malignant / scale, benign / scale, p=2)
    print(f"30 features: {result}")
    # --8<-- [end:all]

    # --8<-- [start:shares]
    # Which measurement contributes most? Those of the plan, coordinate by coordinate.
    plan = result.plan.tocoo()
    moved = (malignant[plan.row] - benign[plan.col]) / scale
    share = (plan.data[:, None] * moved**2).sum(axis=0) / result.cost
    for index in np.argsort(-share)[:3]:
        print(f"  {share[index]:.0%} of the cost: {names[index]}")
    # --8<-- [end:shares]

    # --8<-- [start:pictures]
    labels = ("malignant", "benign")
    line = plot_transport(
        malignant[:, column],
        benign[:, column],
        names=labels,
        columns=["mean radius"],
        title=f"$W_1$ = {radius.distance:.3f}",
    )
    cloud = plot_transport(
        malignant / scale,
        benign / scale,
        result.plan,
        names=labels,
        title=f"$W_2$ = {result.distance:.3f} in 30 dimensions",
    )
    # --8<-- [end:pictures]
    line.savefig(folder / "first-steps-radius.png", dpi=110, transparent=True)
    cloud.savefig(folder / "first-steps-plan.png", dpi=110, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
