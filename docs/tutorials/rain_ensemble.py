"""An ensemble of forecasts of rain on a grid: its average, and how far each member is off.

Members of an ensemble put the same storm in different places. Their mean shows a little rain
everywhere; their barycenter is one storm, in the middle. `Sinkhorn` certifies the distances to the
observation on the grid, without a matrix of costs.
"""

from pathlib import Path

# --8<-- [start:data]
import numpy as np
from matplotlib.figure import Figure

import otdist

SPACING = 5.0  # km


def storm(side: int, centre: tuple[float, float], angle: float) -> np.ndarray:
    """A band of rain with a core, on a grid of side by side places, of sum one."""
    place = np.stack(np.meshgrid(*[np.arange(side) / side] * 2, indexing="ij"), -1) - centre
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    along, across = np.moveaxis(place @ turn, -1, 0)
    rain = np.exp(-((along / 0.16) ** 2) - (across / 0.05) ** 2)
    rain += 1.5 * np.exp(-(((along - 0.06) / 0.04) ** 2) - (across / 0.04) ** 2)
    rain[rain < 0.02] = 0
    return rain / rain.sum()


# --8<-- [end:data]


def main(folder: Path, short: bool = False) -> None:
    """Draw the members, their mean and their barycenter."""
    side, members = (24, 3) if short else (96, 6)
    # --8<-- [start:average]
    rng = np.random.default_rng(4)
    ensemble = np.stack([
        storm(side, tuple(0.5 + 0.13 * rng.standard_normal(2)), 0.6 + 0.25 * rng.standard_normal())
        for _ in range(members)
    ])  # fmt: skip
    observed = storm(side, (0.52, 0.47), 0.7)
    average = otdist.barycenter(ensemble, method="entropic", spacing=SPACING)
    mean = ensemble.mean(0)
    # --8<-- [end:average]

    # --8<-- [start:distances]
    def off(forecast: np.ndarray) -> otdist.OTResult:
        """W_2 to the observation in km, with its bracket."""
        (x, a), (y, b) = (otdist.grid(field, spacing=SPACING) for field in (forecast, observed))
        return otdist.wasserstein(x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn())

    named = {f"member {k + 1}": field for k, field in enumerate(ensemble)}
    named |= {"mean": mean, "barycenter": average.image}
    for name, field in named.items():
        result = off(field)
        print(
            f"{name}: W_2 to the observation between {result.lower:.1f} and "
            f"{result.upper:.1f} km, most rain {field.max() / observed.max():.2f} of the observed"
        )
    # --8<-- [end:distances]

    # --8<-- [start:picture]
    shown = {**dict(list(named.items())[:3]), "observed": observed, "mean": mean,
             "barycenter": average.image}  # fmt: skip
    figure = Figure(figsize=(8, 5.2), layout="constrained")
    for axis, (name, field) in zip(figure.subplots(2, 3).ravel(), shown.items(), strict=True):
        axis.imshow(field, cmap="Blues", vmax=observed.max(), extent=(0, SPACING * side) * 2)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    # --8<-- [end:picture]
    figure.savefig(folder / "rain-ensemble.png", dpi=130, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
