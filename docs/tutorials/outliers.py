"""Outliers: what a few bad points do to W_2, and how much of the mass to trust.

A cloud and its copy moved by v have W_2 = ‖v‖ exactly. Then 5% of the copy are replaced by points
far away. Balanced transport must send mass there, and its square makes that the whole distance;
partial transport moves a given mass, unbalanced transport pays for what it leaves.

Which mass? Its cost is a convex function of the mass, with twice the price of `details` as slope,
so that exact costs at a few masses prove the curve in between: it lies above all tangents and below
all chords. Where good points end and outliers begin the price jumps: the elbow.
"""

from pathlib import Path

# --8<-- [start:data]
import numpy as np
from matplotlib.figure import Figure

import otdist

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9662b", "#4d9e64", "#7a7a7a"
SHARE = 0.05  # of outliers
SHIFT = np.array([1.5, 0.5])


def clouds(n: int) -> tuple[np.ndarray, np.ndarray, int]:
    """A cloud, its moved copy with outliers at the end, and how many those are."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    y = x + SHIFT
    bad = round(SHARE * n)
    angles = rng.uniform(0, 2 * np.pi, bad)
    radii = rng.uniform(20, 30, bad)
    y[n - bad :] = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
    return x, y, bad


# --8<-- [end:data]


# --8<-- [start:curve]
def cost_curve(x: np.ndarray, y: np.ndarray, rtol: float) -> np.ndarray:
    """Masses, exact costs and slopes, (k, 3), that prove every cost in between to `rtol`.

    The tangents of neighbours meet at the point where the curve is known least: the next mass.
    """

    def at(mass: float) -> tuple[float, float, float]:
        found = otdist.partial_wasserstein(x, y, mass=mass, p=2, rtol=1e-4)
        return mass, found.cost, 2 * found.details["price"]

    known = [at(0.1), at(1.0)]
    k = 0
    while k < len(known) - 1:
        (s, cost_s, slope_s), (t, cost_t, slope_t) = known[k : k + 2]
        rise = slope_t - slope_s
        middle = (cost_s - slope_s * s - cost_t + slope_t * t) / rise if rise > 0 else s
        middle = float(np.clip(middle, s, t))
        tangent = cost_s + slope_s * (middle - s)
        chord = cost_s + (cost_t - cost_s) * (middle - s) / (t - s)
        if chord - tangent <= rtol * cost_t or min(middle - s, t - middle) < 1e-9:
            k += 1
        else:
            known.insert(k + 1, at(middle))
    return np.array(known)


def elbow(curve: np.ndarray) -> float:
    """The mass at which the price jumps most, as a ratio: where the tangents there meet."""
    s, cost, slope = curve[:, 0], curve[:, 1], curve[:, 2]
    k = int(np.argmax(slope[1:] / slope[:-1]))
    line = cost - slope * s
    return float((line[k] - line[k + 1]) / (slope[k + 1] - slope[k]))


# --8<-- [end:curve]


# --8<-- [start:plan]
def draw_plan(axes, x, y, plan, title: str) -> None:
    """Both clouds and the arcs of a plan; points that stay are hollow."""
    arcs = plan.tocoo()
    for i, j in zip(arcs.row, arcs.col, strict=True):
        axes.plot(*np.stack([x[i], y[j]], 1), color=GREY, lw=0.5, alpha=0.6, zorder=1)
    for points, moved, colour in ((x, arcs.sum(1), BLUE), (y, arcs.sum(0), ORANGE)):
        stays = np.asarray(moved).ravel() < 0.5 / len(points)
        axes.scatter(*points[~stays].T, s=9, color=colour, zorder=3)
        axes.scatter(*points[stays].T, s=14, facecolors="none", edgecolors=colour, zorder=3)
    axes.set_title(title, fontsize=10)
    axes.set(aspect="equal", xticks=[], yticks=[])


# --8<-- [end:plan]


def main(folder: Path, short: bool = False) -> None:
    """Ruin W_2, repair it, and find the mass that repairs it."""
    n = 100 if short else 400
    # --8<-- [start:distances]
    x, y, bad = clouds(n)
    truth = float(np.linalg.norm(SHIFT))
    clean = otdist.wasserstein(x, x + SHIFT, p=2).distance
    balanced = otdist.wasserstein(x, y, p=2)
    partial = otdist.partial_wasserstein(x, y, mass=1 - SHARE, p=2)
    priced = otdist.unbalanced_wasserstein(x, y, reach=4.0, p=2)
    kept = (priced.plan.multiply(((x[:, None] - y) ** 2).sum(2))).sum() / priced.plan.sum()
    print(f"moved by {truth:.3f}: W_2 of the clean copy {clean:.3f}")
    print(f"{bad} of {n} points replaced: W_2 {balanced.distance:.3f}")
    print(f"mass {1 - SHARE:g}: {partial.distance:.3f}, proved to {partial.gap:.0e}")
    print(f"reach 4: moves {priced.moved_y.sum():.3f} of the mass by {kept**0.5:.3f}")
    assert abs(clean - truth) < 1e-9
    assert balanced.distance > 3 * truth
    assert abs(partial.distance - truth) < 0.1
    assert abs(kept**0.5 - truth) < 0.1
    assert priced.moved_y[n - bad :].max() == partial.moved_y[n - bad :].max() == 0
    # --8<-- [end:distances]

    # --8<-- [start:elbow]
    curve = cost_curve(x, y, rtol=0.01)
    found = elbow(curve)
    print(f"{len(curve)} exact solutions prove all costs from mass 0.1 on to 1%")
    print(f"elbow at mass {found:.3f}")
    assert abs(found - (1 - SHARE)) < 0.02
    # --8<-- [end:elbow]

    # --8<-- [start:picture]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_plan(left, x, y, balanced.plan, f"balanced: $W_2$ = {balanced.distance:.2f}")
    draw_plan(middle, x, y, partial.plan, f"mass 0.95, near the cloud: {partial.distance:.2f}")
    middle.set(xlim=(-4.5, 5.5), ylim=(-4.5, 5.5))
    mass, cost, slope = curve.T
    right.plot(mass, cost, ".-", color=BLUE, label="least cost of the mass")
    right.axvline(found, color=GREEN, lw=1, ls="--")
    right.text(found - 0.01, 0.2 * cost[-1], f"elbow {found:.3f}", color=GREEN, ha="right")
    right.set(xlabel="mass that is moved", ylabel="cost")
    price = right.twinx()
    price.step(mass, slope / 2, where="mid", color=ORANGE, label="price of the last unit")
    price.set(yscale="log", ylabel="price", ylim=(None, 3 * slope[-1]))
    lines = [*right.get_lines()[:1], *price.get_lines()]
    right.legend(lines, [str(line.get_label()) for line in lines], frameon=False, fontsize=8)
    right.spines["top"].set_visible(False)
    price.spines["top"].set_visible(False)
    # --8<-- [end:picture]
    figure.savefig(folder / "outliers.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
