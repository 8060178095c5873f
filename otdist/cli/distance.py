"""`otdist distance A B`: the distance between two files, its bracket, a record and a picture."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import (
    ExitCode,
    FileOptions,
    errors_without_traceback,
    fail,
    read_weights_of,
    show,
    usage,
)
from otdist.core.progress import progress
from otdist.io import Samples, align, read_grid, read_histogram, read_samples


class Solver(enum.StrEnum):
    """Names on the command line."""

    exact = "exact"
    sinkhorn = "sinkhorn"
    sliced = "sliced"
    neural = "neural"


class Penalty(enum.StrEnum):
    """Of mass that is created or destroyed."""

    tv = "tv"
    kl = "kl"


_BELONGS = {
    "eps": (Solver.sinkhorn,),
    "metric": (Solver.exact, Solver.sinkhorn),
    "n_projections": (Solver.sliced,),
    "max": (Solver.sliced,),
    "mass": (Solver.exact,),
    "reach": (Solver.exact,),
    "penalty": (Solver.exact,),
    "rtol": (Solver.exact,),
    "max_seconds": (Solver.exact,),
    "steps": (Solver.neural,),
}
"""The solvers that an option belongs to; given with another one it is a usage error."""


@dataclass(frozen=True)
class Answer:
    """One result in the words that the table and the record use.

    Attributes:
        quantity: What `distance` is: W_p, SW_p, max-SW_p, or a critic's estimate of W_1.
        result: The object that the library returned.
        lower: Certified: W_p is not below it.
        upper: Certified: W_p is not above it.
        figures: Figures that only this solver has.
    """

    quantity: str
    result: Any
    lower: float
    upper: float
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Distance(FileOptions):
    """Wasserstein distance W_p between two files of samples, with a certified bracket."""

    a: Annotated[str, Argument(metavar="A", help="Samples: .npy .npz:key .csv .pt …, or a folder")]
    b: Annotated[str, Argument(metavar="B", help="Samples of the same dimension.")]
    p: Annotated[float, Option("--p", help="Exponent, at least 1; inf: the bottleneck.")] = 1.0
    grid: Annotated[bool, Option("--grid", help="Files are images: pixels are masses.")] = False
    histogram: Annotated[
        bool, Option("--histogram", help="Files have two columns: centres of bins, and counts.")
    ] = False
    weights_a: Annotated[str | None, Option(help="File of A's weights, one a row.")] = None
    weights_b: Annotated[str | None, Option(help="File of B's weights, one a row.")] = None
    solver: Annotated[Solver, Option(help="How to compute.")] = Solver.exact
    metric: Annotated[
        str | None,
        Option(help="Ground distance: cityblock, cosine, haversine …; Euclidean if none."),
    ] = None
    mass: Annotated[float | None, Option(help="Exact: move this share of the mass only.")] = None
    reach: Annotated[
        float | None, Option(help="Exact: mass may be created or destroyed, at reach^p a unit.")
    ] = None
    penalty: Annotated[
        Penalty | None, Option(help="Of --reach: total variation (if none) or Kullback–Leibler.")
    ] = None
    eps: Annotated[float | None, Option(help="Sinkhorn: strength, in cost units.")] = None
    n_projections: Annotated[int | None, Option(min=1, help="Sliced: directions.")] = None
    max: Annotated[bool, Option("--max", help="Sliced: the direction of most distance.")] = False
    rtol: Annotated[float | None, Option(min=0, help="Exact: accuracy that suffices.")] = None
    max_seconds: Annotated[float | None, Option(help="Exact: stop with what is proved.")] = None
    steps: Annotated[int | None, Option(min=1, help="Neural: steps, each critic.")] = None
    seed: Annotated[
        int, Option(min=0, help="Of directions, critics, and points left out of plots.")
    ] = 0
    fail_above: Annotated[float | None, Option(help="Exit with 1 above this distance.")] = None
    plot: Annotated[Path | None, Option(help="Draw the transport: .png .svg .pdf")] = None

    def run(self) -> None:
        """Solve, print the distance, exit with the code of the gate."""
        options = self._solver_options()
        if not self.p >= 1:
            raise usage("--p", f"must be at least 1: got {self.p:g}")
        if self.p == math.inf and (self.solver is not Solver.exact or options.keys() - {"metric"}):
            refused = " ".join(f"--{name.replace('_', '-')}" for name in options)
            solver = f"--solver {self.solver}" if self.solver is not Solver.exact else refused
            raise usage("--p", f"must be finite with {solver}")
        if self.fail_above is not None and math.isnan(self.fail_above):
            raise usage("--fail-above", "must be a number: nothing is above NaN")
        _common.check_target("--plot", self.plot, _common.PICTURES)
        _common.check_target("--output", self.output)
        with errors_without_traceback():
            x, y, a, b = self._inputs()
            _common.say_notes([*x.notes, *y.notes], self.quiet)
            try:
                answer = self._solve(x, y, options, {"a": a, "b": b, "p": self.p})
            except ValueError as error:
                raise ValueError(f"{error} (x: {self.a}, y: {self.b})") from None
            content = self._record(answer, x, y)
            if self.plot is not None:
                self._draw(self.plot, answer, x, y, {"a": a, "b": b})
        title = f"{Path(self.a).name} → {Path(self.b).name}"
        self.publish(content, lambda: show(title, _rows(content)))
        self._leave(content)

    def _inputs(self) -> tuple[Samples, Samples, Any, Any]:
        """Both files as points with weights, None for equal ones."""
        if self.grid or self.histogram:
            reader = read_grid if self.grid else read_histogram
            (x, a), (y, b) = self.read(reader, (self.a, self.b))
            return *align(x, y), a, b
        x, y = align(*self.read(read_samples, (self.a, self.b)))
        return x, y, *read_weights_of(x, y, self.weights_a, self.weights_b)

    def _solver_options(self) -> dict[str, Any]:
        """The options of the solver that were given.

        Raises:
            BadParameter: an option that belongs to another solver.
        """
        values = {name: getattr(self, name) for name in _BELONGS}
        given = {name: v for name, v in values.items() if v is not None and v is not False}
        for name in given:
            if self.solver not in _BELONGS[name]:
                whose = " or ".join(_BELONGS[name])
                option = f"--{name.replace('_', '-')}"
                raise usage(option, f"belongs to --solver {whose}, not to {self.solver}")
        if "max" in given and "n_projections" in given:
            raise usage("--n-projections", "does not apply with --max, which climbs from its own")
        if "penalty" in given and "reach" not in given:
            raise usage("--penalty", "belongs to --reach")
        for name in given.keys() & {"mass", "reach"}:
            if not 0 < given[name] < math.inf:
                raise usage(f"--{name}", f"must be positive and finite: got {given[name]:g}")
        if self.grid and self.histogram:
            raise usage("--histogram", "does not apply with --grid: a file is one or the other")
        if (self.grid or self.histogram) and (self.weights_a or self.weights_b):
            raise usage("--weights-a", "does not apply where files hold masses")
        if "mass" in given and "reach" in given:
            raise usage("--reach", "does not apply with --mass: either says how much may stay")
        if self.solver is Solver.neural:
            if self.p != 1:
                raise usage("--p", f"must be 1 with --solver neural: got {self.p:g}")
            if self.plot is not None:
                raise usage("--plot", "draws a plan, and --solver neural has none")
        return given

    def _solve(
        self, x: Samples, y: Samples, options: dict[str, Any], call: dict[str, Any]
    ) -> Answer:
        """Run the solver; `call` are the arguments that all of them take."""
        import otdist

        if self.solver is Solver.sliced:
            solve = otdist.sliced_wasserstein
            if options.pop("max", False):
                solve = otdist.max_sliced_wasserstein
            with progress(f"{self.solver}, W_{self.p:g}", quiet=self.quiet) as say:
                result = solve(x.points, y.points, seed=self.seed, **options, **call)
                say("bracket")
                bracket = result.bracket
            stderr = None if self.max else result.stderr  # one direction, chosen: no average
            figures = {"stderr": stderr, "n_projections": len(result.directions)}
            name = f"{'max-' if self.max else ''}SW_{self.p:g}"
            return Answer(name, result, bracket.lower, bracket.upper, figures)
        if self.solver is Solver.neural:
            return self._critics(x, y, options, call)
        apart = ("rtol", "metric", "mass", "reach", "penalty")
        accuracy = {name: options.pop(name) for name in apart if name in options}
        try:
            otdist.metrics.named(self.metric or "euclidean")
            if self.solver is Solver.exact:
                plain = otdist.Exact(progress=not self.quiet, **options)
                chosen = plain if self.p < math.inf else None
            else:
                chosen = otdist.Sinkhorn(**options)
        except ValueError as error:
            raise fail(error, ExitCode.USAGE) from None
        # Exact shows its rounds itself.
        hidden = self.quiet or self.solver is Solver.exact
        with progress(f"{self.solver}, W_{self.p:g}", quiet=hidden):
            solve = {"mass": otdist.partial_wasserstein, "reach": otdist.unbalanced_wasserstein}
            function = next((solve[name] for name in solve if name in accuracy), otdist.wasserstein)
            result = function(x.points, y.points, solver=chosen, **accuracy, **call)
        return Answer(self._name, result, result.lower, result.upper, result.details)

    @property
    def _name(self) -> str:
        """What exact and entropic solvers find."""
        if self.mass is not None:
            return f"W_{self.p:g} of mass {self.mass:g}"
        return f"W_{self.p:g}" + ("" if self.reach is None else f" with reach {self.reach:g}")

    def _critics(
        self, x: Samples, y: Samples, options: dict[str, Any], call: dict[str, Any]
    ) -> Answer:
        """The best critic of the portfolio, and exact transport where it is affordable."""
        import otdist

        dual = otdist.NeuralDual(seed=self.seed, progress=not self.quiet, **options)
        result = dual.fit(x.points, y.points, call["a"], call["b"])
        with progress("bracket", quiet=self.quiet):
            bracket = result.bracket
        figures = {
            "critic": result.name,
            "confidence_lower": result.lower,
            "lipschitz_bound": result.lipschitz_bound,
            "exact": bracket.upper if result.upper_is_exact else None,
        }
        return Answer("W_1, held out", result, bracket.lower, bracket.upper, figures)

    def _record(self, answer: Answer, x: Samples, y: Samples) -> dict[str, Any]:
        result = answer.result
        return _common.record(
            "distance",
            (x, y),
            quantity=answer.quantity,
            p=self.p,
            distance=float(result),
            cost=float(getattr(result, "cost", result)),  # a critic's p is 1
            lower=answer.lower,
            upper=answer.upper,
            converged=getattr(result, "converged", True),
            message=getattr(result, "message", ""),
            solver=getattr(result, "solver", self.solver.value),
            iterations=getattr(result, "iterations", 0),
            seconds=result.seconds,
            seed=self.seed,
            **answer.figures,
        )

    def _draw(
        self, path: Path, answer: Answer, x: Samples, y: Samples, weights: dict[str, Any]
    ) -> None:
        """The plan; for slices, which have none, both samples along the farthest direction."""
        import numpy as np

        from otdist.drawing import plot_transport

        points, plan, columns = (x.points, y.points), None, x.columns
        if self.solver is Solver.sliced:
            direction = answer.result.directions[int(np.argmax(answer.result.slices))]
            points = (x.points @ direction, y.points @ direction)
            columns = ("coordinate along the direction of the largest distance",)
        elif x.d > 1 or self.mass is not None or self.reach is not None:
            plan = answer.result.plan
        title = (
            f"{answer.quantity} = {float(answer.result.distance):.5g},  "
            f"{self._name} certified within [{answer.lower:.5g}, {answer.upper:.5g}]"
        )
        names = (Path(x.path).name, Path(y.path).name)
        figure = plot_transport(
            *points, plan, **weights, names=names, columns=columns, title=title, seed=self.seed
        )
        figure.savefig(path, dpi=150)

    def _leave(self, content: dict[str, Any]) -> None:
        """The exit code: not converged comes before the gate, as such a figure decides nothing."""
        if not content["converged"]:
            raise fail(content["message"], ExitCode.NOT_CONVERGED)
        if self.fail_above is not None and content["distance"] > self.fail_above:
            what = f"{content['quantity']} = {content['distance']:.6g} is above"
            raise fail(f"{what} {self.fail_above:g}", ExitCode.GATE_FAILED)


_LABELS = {
    "stderr": "standard error",
    "n_projections": "directions",
    "price": "price of a unit that stays",
    "eps": "eps",
    "iterations": "iterations",
    "marginal_error": "marginal error",
    "exact": "exact W_1",
    "confidence_lower": "population W_1 ≥ (95%)",
}
_ALSO_ZERO = ("exact", "confidence_lower", "stderr", "marginal_error")
"""What is told when it is 0; of other figures a 0 says that they do not apply."""


def _solver(content: dict[str, Any]) -> str:
    """Its name, and which critic of the portfolio was the best."""
    return content["solver"] + (f" ({content['critic']})" if "critic" in content else "")


def _rows(content: dict[str, Any]) -> list[tuple[str, str]]:
    """The table: the number first, then what proves it, then how it was found."""
    quantity = content["quantity"]
    exact = content["solver"] in ("exact", "scaling")
    proved = quantity if exact else f"W_{content['p']:g}"
    rows = [
        (quantity, f"{content['distance']:.10g}"),
        (f"{proved} certified within", f"[{content['lower']:.10g}, {content['upper']:.10g}]"),
        ("solver", f"{_solver(content)}, {content['seconds']:.2f} s"),
    ]
    for key, label in _LABELS.items():
        value = content.get(key)
        if value or (value is not None and key in _ALSO_ZERO):
            rows.append((label, f"{value:.6g}"))
    for name, side in zip("AB", content["inputs"], strict=True):
        rows.append((name, f"{side['n']} × {side['d']} {side['dtype']}, {side['path']}"))
    if content["message"]:
        rows.append(("status", content["message"]))
    return rows
