"""Colour transfer: the palace of one photograph in the colours of a flower, and the other way
round.

A photograph is a sample of colours, points in [0, 1]³. The exact W_2 plan between two subsamples
says where each colour goes on average (its barycentric map); every other pixel moves as its nearest
sampled colour does.
"""

from pathlib import Path

# --8<-- [start:setup]
import numpy as np
from matplotlib.figure import Figure
from scipy.spatial import cKDTree
from sklearn.datasets import load_sample_images

import otdist


def transfer(image: np.ndarray, sample: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Shift every pixel as the mean of its five nearest sampled colours."""
    pixels = image.reshape(-1, 3)
    nearest = cKDTree(sample).query(pixels, k=5)[1]
    shift = (moved - sample)[nearest].mean(axis=1)
    return (pixels + shift).clip(0, 1).reshape(image.shape)


# --8<-- [end:setup]
def main(folder: Path, short: bool = False) -> None:
    """Transport both ways and draw the four photographs."""
    size, step = (200, 8) if short else (1500, 2)
    # --8<-- [start:step_1]
    china, flower = (image[::step, ::step] / 255 for image in load_sample_images().images)
    rng = np.random.default_rng(0)
    x, y = (image.reshape(-1, 3)[rng.choice(image[..., 0].size, size)] for image in (china, flower))

    result = otdist.wasserstein(x, y, p=2)
    print(f"colours of the two photographs: {result}")
    # --8<-- [end:step_1]

    # --8<-- [start:step_2]
    # Rows of the plan have mass 1/size: the mean of where a colour goes.
    to_y, to_x = size * (result.plan @ y), size * (result.plan.T @ x)
    images = {
        "palace": china,
        "palace, in the flower's colours": transfer(china, x, to_y),
        "flower": flower,
        "flower, in the palace's colours": transfer(flower, y, to_x),
    }
    before = otdist.wasserstein(x, y, p=2).distance
    after = otdist.wasserstein(to_y, y, p=2).distance
    print(f"W_2 of the sampled colours to the flower: {before:.3f} before, {after:.3f} after")
    assert after < 0.2 * before
    # --8<-- [end:step_2]

    # --8<-- [start:picture]
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(2, 2).flat, images.items(), strict=True):
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    # --8<-- [end:picture]
    figure.savefig(folder / "colour-transfer.jpg", dpi=110, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main(Path("docs/assets"))
