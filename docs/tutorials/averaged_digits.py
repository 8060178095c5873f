"""Digits averaged: images as masses, and the image that is nearest to all of them.

The mean of the pixels of several handwritten digits is a blur. Their barycenter moves strokes onto
each other instead of fading them; its objective is compared with that of the mean.
"""

from pathlib import Path

# --8<-- [start:data]
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

import otdist


def digits(label: int, count: int, factor: int) -> np.ndarray:
    """Images of one digit, shape (count, 8 · factor, 8 · factor), each of sum one."""
    data = load_digits()
    images = data.images[data.target == label][:count]
    larger = np.stack([zoom(image, factor, order=1, mode="nearest") for image in images])
    return larger / larger.sum((1, 2), keepdims=True)


# --8<-- [end:data]


# --8<-- [start:objective]
def objective(image: np.ndarray, images: np.ndarray) -> float:
    """Mean W_2² to the images, exact."""
    points, weights = otdist.grid(image)
    costs = []
    for other in images:
        targets, masses = otdist.grid(other)
        costs.append(otdist.wasserstein(points, targets, a=weights, b=masses, p=2).cost)
    return float(np.mean(costs))


# --8<-- [end:objective]


def main(folder: Path, short: bool = False) -> None:
    """Draw some digits, their mean and their barycenter."""
    count, factor = (3, 2) if short else (6, 4)
    labels = [3] if short else [2, 3, 5, 8]
    # --8<-- [start:average]
    rows = {}
    for label in labels:
        images = digits(label, count, factor)
        found = otdist.barycenter(images, method="entropic", eps=0.5)
        mean = images.mean(axis=0)
        rows[label] = [*images[:3], mean, found.image]
        print(
            f"{label}: mean W_2² to {count} digits from their mean {objective(mean, images):.2f}, "
            f"from the barycenter {objective(found.image, images):.2f} pixels²; "
            f"none has less than {found.lower:.2f}"
        )
    # --8<-- [end:average]

    # --8<-- [start:picture]
    figure = Figure(figsize=(7.5, 1.5 * len(labels)), layout="constrained")
    panels = np.reshape(figure.subplots(len(labels), 5), (len(labels), 5))
    names = ["one of them", "another", "another", "mean of pixels", "barycenter"]
    for row, images in zip(panels, rows.values(), strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image, cmap="Greys")
            axis.set_axis_off()
    for axis, name in zip(panels[0], names, strict=True):
        axis.set_title(name, fontsize=8)
    # --8<-- [end:picture]
    figure.savefig(folder / "averaged-digits.png", dpi=130, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
