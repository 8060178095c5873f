"""Evaluating a generator of digits: how far, beside which floor, and more than noise?

Three generators learn from 597 of scikit-learn's 1,797 digits and are judged on 600 others: a
normal law, a mixture of normal laws, and every pixel drawn by itself. A fourth sample, the last 600
real digits, shows what a perfect generator would get: not 0.
"""

import sys
from pathlib import Path

# --8<-- [start:imports]
import numpy as np
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

import otdist

# --8<-- [end:imports]


# --8<-- [start:generators]
def generators(seed: int = 0, n: int = 600) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Held-out digits, shape (n, 64), and as many of each generator."""
    rng = np.random.default_rng(seed)
    digits = rng.permutation(load_digits(return_X_y=True)[0] / 16)
    train, held_out, more = digits[: len(digits) - 2 * n], digits[-n:], digits[-2 * n : -n]
    mixture = GaussianMixture(30, reg_covar=1e-3, random_state=seed).fit(train)
    normal = rng.multivariate_normal(train.mean(axis=0), np.cov(train.T), size=n)
    return held_out, {
        "more real digits": more,
        "mixture": rng.permutation(mixture.sample(n)[0]).clip(0, 1),
        "normal law": normal.clip(0, 1),
        "single pixels": np.stack([rng.choice(pixel, n) for pixel in train.T], axis=1),
    }


# --8<-- [end:generators]


def main(folder: Path, short: bool = False) -> None:
    """Evaluate, read the report, draw it."""
    n, labellings = (200, 99) if short else (600, 499)
    # --8<-- [start:report]
    real, fakes = generators(n=n)
    metrics = ["w1", "sliced_w2", "energy", "frechet", "precision", "coverage"]
    report = otdist.evaluate(
        real, fakes, metrics=metrics, n_permutations=labellings, progress=False
    )
    print(report.ranking)
    # --8<-- [end:report]
    assert report.ranking[-1] == "single pixels"

    # --8<-- [start:floor]
    # Real against real is not 0. What counts is how a sample compares with the floor at half size.
    for name in report.ranking:
        w1 = report.samples[name]["w1"]
        print(
            f"{name:17} W_1 = {w1.estimate:.3f}, certified in [{w1.lower:.3f}, {w1.upper:.3f}];  "
            f"at half size {w1.at_floor:.3f}, floor {w1.floor:.3f}"
        )
    # --8<-- [end:floor]
    assert all(
        found["w1"].lower <= found["w1"].estimate <= found["w1"].upper * (1 + 1e-9)
        for found in report.samples.values()
    )
    more, pixels = (report.samples[name]["w1"] for name in ("more real digits", "single pixels"))
    assert abs(more.at_floor / more.floor - 1) < 0.05
    assert pixels.at_floor > 1.3 * pixels.floor

    # --8<-- [start:test]
    # Is it more than noise? A permutation test answers at every size and dimension.
    for name in report.ranking:
        print(f"{name:17} energy distance: p = {report.samples[name]['energy'].pvalue:.3f}")
    # --8<-- [end:test]
    assert report.samples["more real digits"]["energy"].pvalue > 0.05
    assert report.samples["normal law"]["energy"].pvalue <= 0.01
    assert report.samples["single pixels"]["energy"].pvalue <= 0.01

    print(report.verdict)
    report.plot("samples").savefig(folder / "evaluating-digits.png", dpi=110, transparent=True)
    report.plot("growth").savefig(
        folder / "evaluating-digits-growth.png", dpi=110, transparent=True
    )
    worst = report.plot("worst", shape=(8, 8))
    worst.savefig(folder / "evaluating-digits-worst.png", dpi=110)
    report.to_html(folder / "report.html" if short else "report.html", shape=(8, 8))


if __name__ == "__main__":
    main(Path("docs/assets"), short="--short" in sys.argv)
