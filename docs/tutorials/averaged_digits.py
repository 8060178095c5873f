"""Digits averaged: images as masses, and the image that is nearest to all of them.

The mean of the pixels of several handwritten digits is a blur. Their barycenter moves strokes onto
each other instead of fading them; its objective is compared with that of the mean.
"""

from pathlib import Path

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


def objective(image: np.ndarray, images: np.ndarray) -> float:
    """Mean W_2² to the images, exact."""
    points, weights = otdist.grid(image)
    costs = []
    for other in images:
        targets, masses = otdist.grid(other)
        costs.append(otdist.wasserstein(points, targets, a=weights, b=masses, p=2).cost)
    return float(np.mean(costs))


def main(folder: Path, short: bool = False) -> None:
    """Draw some digits, their mean and their barycenter."""
    count, factor = (3, 2) if short else (6, 4)
    labels = [3] if short else [2, 3, 5, 8]
    figure = Figure(figsize=(7.5, 1.5 * len(labels)), layout="constrained")
    panels = np.reshape(figure.subplots(len(labels), 5), (len(labels), 5))
    for row, label in zip(panels, labels, strict=True):
        images = digits(label, count, factor)
        found = otdist.barycenter(images, method="entropic", eps=0.5)
        shown = [*images[:3], images.mean(0), found.image]
        names = ["one of them", "another", "another", "mean of pixels", "barycenter"]
        for axis, image, name in zip(row, shown, names, strict=True):
            axis.imshow(image, cmap="Greys")
            axis.set_axis_off()
            axis.set_title(name if label == labels[0] else "", fontsize=8)
        print(
            f"{label}: mean W_2² to {count} digits from their mean "
            f"{objective(shown[3], images):.2f}, from the barycenter "
            f"{objective(found.image, images):.2f} pixels²; none has less than {found.lower:.2f}"
        )
    figure.savefig(folder / "averaged-digits.png", dpi=130)


if __name__ == "__main__":
    main(Path("docs/assets"))
