"""Domain adaptation: a classifier of upright digits is tested on rotated ones.

The source has labels: half of scikit-learn's digits. The target has none: the other half, rotated
by thirty degrees. A classifier that is trained on the source alone recognises less than half of
them. A sliced Wasserstein loss between the *features* of both domains raises that without one
target label (Shen et al. 2018 use a critic instead). Exact W_1 between the features measures how
far apart they remain.
"""

import sys
from pathlib import Path

# --8<-- [start:data]
import torch
from matplotlib.figure import Figure
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor, nn

import otdist
from otdist.losses import SlicedWassersteinLoss

ANGLE = 30.0


def domains() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Source images and labels; target images and labels, the latter only to score."""
    digits = load_digits()
    rotated = ndimage.rotate(digits.images, ANGLE, axes=(2, 1), reshape=False, order=1)
    x, z = (
        torch.tensor(images.reshape(-1, 64) / 16, dtype=torch.float32)
        for images in (digits.images, rotated)
    )
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    source, target = order[:898], order[898:]
    return x[source], y[source], z[target], y[target]


# --8<-- [end:data]


# --8<-- [start:train]
def train(weight: float, steps: int) -> tuple[float, float, float]:
    """Accuracy on source and target, and W_1 between features over their spread.

    Args:
        weight: Of the sliced loss.
        steps: Of training.
    """
    x, y, other, other_labels = domains()
    torch.manual_seed(0)
    features = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 16))
    classifier = nn.Sequential(nn.ReLU(), nn.Linear(16, 10))
    align = SlicedWassersteinLoss(p=2, n_projections=64)
    parameters = [*features.parameters(), *classifier.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    for _ in range(steps):
        rows, others = torch.randint(len(x), (128,)), torch.randint(len(other), (128,))
        code, other_code = features(x[rows]), features(other[others])
        loss = nn.functional.cross_entropy(classifier(code), y[rows])
        loss = loss + weight * align(code, other_code)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        code, other_code = features(x), features(other)
        on_source, on_target = (
            float((classifier(c).argmax(1) == labels).float().mean())
            for c, labels in ((code, y), (other_code, other_labels))
        )
    apart = otdist.wasserstein(code[:400], other_code[:400]).distance
    return on_source, on_target, float(apart / code.std())


# --8<-- [end:train]


def main(folder: Path, short: bool = False) -> None:
    """Train with several weights of the sliced loss."""
    weights = (0.0, 10.0) if short else (0.0, 0.1, 1.0, 10.0, 100.0)
    steps = 150 if short else 600
    # --8<-- [start:sweep]
    print("weight   source   target   W_1 of features / spread")
    rows = []
    for weight in weights:
        row = train(weight, steps)
        rows.append(row)
        print(f"{weight:6g}   {row[0]:6.3f}   {row[1]:6.3f}   {row[2]:10.2f}")
    alone, aligned = rows[0], rows[weights.index(10.0)]
    assert aligned[1] > alone[1] + 0.2, "alignment should lift the accuracy on the target"
    assert aligned[2] < alone[2]
    # --8<-- [end:sweep]

    # --8<-- [start:picture]
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    ticks = range(len(weights))
    for k, (name, colour) in enumerate((("source", "#7a7a7a"), ("target", "#d9662b"))):
        axes.plot(ticks, [row[k] for row in rows], "o-", color=colour, label=f"accuracy, {name}")
    axes.set_xticks(ticks, [f"{weight:g}" for weight in weights])
    axes.set(xlabel="weight of the sliced loss between features", ylim=(0, 1.05))
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    # --8<-- [end:picture]
    figure.savefig(folder / "domain-adaptation.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"), short="--short" in sys.argv)
