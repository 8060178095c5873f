"""One object per distance, and the one table that names them for tests, intervals and reports."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from otdist.core import checks
from otdist.discrepancy.base import Discrepancy
from otdist.discrepancy.clipped import Clipped
from otdist.discrepancy.energy import Energy
from otdist.discrepancy.function import OfFunction
from otdist.discrepancy.fuse import MmdFuse
from otdist.discrepancy.gaussian import Fid, FrechetDistance, FrechetInfinity, Gaussian
from otdist.discrepancy.max_sliced import MaxSliced
from otdist.discrepancy.mmd import Kid, Mmd
from otdist.discrepancy.neighbours import Classifier, PrecisionRecall
from otdist.discrepancy.sinkhorn import SinkhornDivergence
from otdist.discrepancy.sliced import Mind, SlicedDistance
from otdist.discrepancy.spherical import Spherical
from otdist.discrepancy.training import Authenticity, Copying
from otdist.discrepancy.vendi import Vendi
from otdist.discrepancy.wasserstein import Wasserstein

DISCREPANCIES: dict[str, Callable[..., Discrepancy]] = {
    "wasserstein": Wasserstein,
    "w1": partial(Wasserstein, p=1),
    "w2": partial(Wasserstein, p=2),
    "sliced": SlicedDistance,
    "sliced_w2": partial(SlicedDistance, p=2),
    "mind": Mind,
    "max_sliced": MaxSliced,
    "max_sliced_w2": partial(MaxSliced, p=2),
    "spherical": Spherical,
    "sinkhorn": SinkhornDivergence,
    "energy": Energy,
    "mmd": Mmd,
    "mmd_fuse": MmdFuse,
    "gaussian": Gaussian,
    "frechet": FrechetDistance,
    "fid": Fid,
    "frechet_infinity": FrechetInfinity,
    "kid": Kid,
    "precision": partial(PrecisionRecall, output="precision"),
    "recall": partial(PrecisionRecall, output="recall"),
    "density": partial(PrecisionRecall, output="density"),
    "coverage": partial(PrecisionRecall, output="coverage"),
    "clipped_density": partial(Clipped, output="clipped_density"),
    "clipped_coverage": partial(Clipped, output="clipped_coverage"),
    "vendi": Vendi,
    "classifier": Classifier,
    "authenticity": Authenticity,
    "copying": Copying,
}
UNASKED = (
    "wasserstein", "sliced", "max_sliced", "gaussian", "mind", "fid",
    "clipped_density", "clipped_coverage", "vendi", "mmd_fuse", "spherical",
)  # fmt: skip
"""Names that a report leaves out unless it is asked: others show the same, up to a convention, or
more of it, or rows must be unit vectors."""


def named(name: Any, given: dict[str, Any], door: str) -> Discrepancy:
    """The discrepancy that a caller names, with its options.

    Args:
        name: Of the table; a function of two samples, for tests; or a discrepancy.
        given: The caller's options.
        door: Where it is asked: "test", "interval" or "report".

    Raises:
        ValueError: an unknown name, or an option that the discrepancy does not have.
        TypeError: not a name, nor what else the door takes.
    """
    own = door == "test" and callable(name) and not isinstance(name, type)
    if isinstance(name, Discrepancy) or own:
        if given:
            raise ValueError(f"a callable takes no options: got {sorted(given)}")
        return name if isinstance(name, Discrepancy) else OfFunction(name)
    checks.instance("statistic", name, str, "a name" + (" or a callable" if door == "test" else ""))
    maker = DISCREPANCIES[checks.choice("statistic", name, DISCREPANCIES)]
    fixed: dict[str, Any] = {}
    kind: Any = maker
    if isinstance(maker, partial):
        kind, fixed = maker.func, maker.keywords
    known = set(kind.options(door)) - set(fixed)
    if not set(given) <= known:
        wrong = ", ".join(sorted(set(given) - known))
        allowed = ", ".join(sorted(known)) or "none"
        raise ValueError(f"statistic {name!r} has no option {wrong}: it has {allowed}")
    defaults = {"test": kind.in_tests, "interval": kind.in_intervals}.get(door, {})
    unset = [option for option, value in given.items() if value is None and option in defaults]
    if unset:
        raise TypeError(f"{unset[0]} must not be None: leave it out for {defaults[unset[0]]}")
    return kind(**{**defaults, **fixed, **given})
