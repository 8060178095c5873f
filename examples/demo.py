"""Is my generator good, and did my data drift? Two reports on data that come with scikit-learn.

The digits of scikit-learn (1,797 images of 8 × 8 pixels, scaled to [0, 1]) are split at random.
Three generators learn from one half: a normal law, a mixture of 30 normal laws, and every pixel
drawn by itself. Their images are compared with the other half by distances with certified brackets,
each beside the distance of two real samples, and by permutation tests.

Then the breast-cancer table is split at random, and one half is altered as a laboratory may do it:
one instrument reads 10% too high, and one column loses every twelfth cell.

Run by `make demo`; prints tables and verdicts, and writes report.html, drift.html and out/demo.png.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.mixture import GaussianMixture

import otdist

METRICS = ["w1", "w2", "sliced_w2", "energy", "frechet", "kid", "precision", "coverage"]


def samples(n: int = 899, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Held-out digits, shape (n, 64), and as many of each generator."""
    rng = np.random.default_rng(seed)
    digits = rng.permutation(np.asarray(load_digits(return_X_y=True)[0]) / 16)
    train, held_out = digits[:898], digits[-n:]
    normal = rng.multivariate_normal(train.mean(axis=0), np.cov(train.T), size=n)
    mixture = GaussianMixture(30, reg_covar=1e-3, random_state=seed).fit(train).sample(n)[0]
    return held_out, {
        "normal law": normal.clip(0, 1),
        "mixture": rng.permutation(mixture).clip(0, 1),
        "shuffled pixels": np.stack([rng.choice(pixel, n) for pixel in train.T], axis=1),
    }


def brackets(report: otdist.Report) -> None:
    """Exact distances, their proofs, and those at half the size beside two real halves."""
    print(
        "Exact W_1 and W_2 with certified brackets, and at half the size beside two real halves:\n"
    )
    head = ("estimate", "lower", "upper", "at half", "floor")
    print(f"{'':24}" + "".join(f"{word:>11}" for word in head))
    for key in ("w1", "w2"):
        for name in report.ranking:
            found = report.samples[name][key]
            figures = (found.estimate, found.lower, found.upper, found.at_floor, found.floor)
            cells = "".join(f"{figure:>11.5f}" for figure in figures if figure is not None)
            print(f"{key.upper():4}{name:20}{cells}")
    print()


def tables(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two random halves of the breast-cancer table, the second one altered."""
    data: Any = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(data.data))
    columns = dict(zip(data.feature_names[:8], data.data.T, strict=False))
    columns["diagnosis"] = data.target_names[data.target]
    old, new = (
        {str(name): column[half] for name, column in columns.items()}
        for half in np.array_split(order, 2)
    )
    new["mean smoothness"] = 1.1 * new["mean smoothness"]
    new["mean texture"][::12] = np.nan
    return old, new


def main(folder: Path = Path(), n: int = 899) -> None:
    """Generate, evaluate, compare tables; print, draw."""
    held_out, generated = samples(n)
    report = otdist.evaluate(held_out, generated, metrics=METRICS, n_permutations=199)
    brackets(report)
    print(report)
    page, picture = folder / "report.html", folder / "out" / "demo.png"
    picture.parent.mkdir(exist_ok=True)
    report.plot("worst", shape=(8, 8)).savefig(picture, dpi=150)
    report.to_html(page, shape=(8, 8))
    drift, drift_page = otdist.drift(*tables()), folder / "drift.html"
    drift.to_html(drift_page)
    print(f"\nIs my generator good? ({page}; worst matched digits: {picture})\n{report.verdict}")
    print(f"\nDid my data drift? ({drift_page})\n{drift.verdict}")


if __name__ == "__main__":
    main()
