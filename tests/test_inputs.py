"""Every function of samples meets other forms of the same samples: the same value, or an error that
names the argument.

A form says what is changed and how near the value must come; a function says where it may refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import otdist
from otdist import losses, streaming
from tests.outcomes import Refused, outcome

# Eighths: exact in every floating type, so that all forms are of the same points.
RNG = np.random.default_rng(0)
X, Y = (RNG.integers(-16, 17, size=(n, 2)) / 8 for n in (9, 7))
A, B = (np.arange(1.0, n + 1) for n in (9, 7))
A, B = A / A.sum(), B / B.sum()
DOUBLE, SINGLE, HALF = 1e-9, 2e-5, 5e-3
"""Relative tolerances: of float64 sums in another order, of float32 sums, of float16 results."""

Pair = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """One function of two samples.

    Attributes:
        name: As it is called.
        value: (x, y, a, b) → a number; a and b are left out where they are None.
        weights: Whether it takes weights.
        blurred: Relative tolerance of its own, where it stops early or draws by position.
        torch: Whether it takes tensors only.
        repeats: Whether it is the same for every row twice; not where a row is left out against
            itself, nor where optimal plans share copies out in several ways.
    """

    name: str
    value: Callable[..., Any]
    weights: bool = True
    blurred: float = 0.0
    torch: bool = False
    repeats: bool = True

    @property
    def batched(self) -> bool:
        """Whether it takes leading dimensions."""
        return self.torch or self.name.split(",")[0] in BATCHED


def _number(found: Any) -> float:
    """The figure of whatever a function returns."""
    for name in ("cost", "estimate", "statistic"):
        if hasattr(found, name) and not callable(getattr(found, name)):
            found = getattr(found, name)
    return float(found.reshape(()) if getattr(found, "ndim", 0) else found)  # a batch of one


def _plain(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda x, y, **weights: _number(function(x, y, **weights, **options))


def _streamed(make: Callable[[], Any]) -> Callable[..., Any]:
    return lambda x, y, **weights: _number(make().update(x=x, y=y, **weights).compute())


def _of_report(x: Any, y: Any) -> float:
    report = otdist.evaluate(x, y, metrics=["energy"], progress=False)
    return float(report.metrics["energy"].estimate or 0.0)


def _of_drift(x: Any, y: Any) -> float:
    report = otdist.drift(x, y, n_permutations=0)
    return float(sum(m.estimate or 0.0 for m in report.metrics.values()))


def _certified(x: Any, y: Any, **weights: Any) -> float:
    potentials = otdist.wasserstein(x, y, p=2, **weights).potentials
    return otdist.certify(x, y, potentials=potentials, p=2, **weights).lower


def _mapped(x: Any, y: Any, **weights: Any) -> float:
    result = otdist.wasserstein(x, y, p=2, **weights)
    image = np.asarray(otdist.barycentric_map(result, y))
    return float(np.nanmean(np.abs(image)))  # sources without mass have no image


def _extended(x: Any, y: Any, **weights: Any) -> float:
    result = otdist.wasserstein(x, y, p=2, **weights)
    origin = np.zeros((1, 2), getattr(y, "dtype", float)) if not torch.is_tensor(y) else y[:1] * 0
    return float(otdist.extend_potential(result, origin, y)[0])


BATCHED = ("wasserstein", "sliced_wasserstein", "max_sliced_wasserstein", "sinkhorn_divergence",
           "entropic_cost", "gaussian_wasserstein", "energy_distance", "mmd")  # fmt: skip
FUNCTIONS = [
    Function("wasserstein, p = 1", _plain(otdist.wasserstein)),
    Function("wasserstein, p = 2", _plain(otdist.wasserstein, p=2)),
    Function("wasserstein, p = 3", _plain(otdist.wasserstein, p=3)),
    Function("wasserstein, Sinkhorn", _plain(otdist.wasserstein, p=2,
             solver=otdist.Sinkhorn(eps=0.5, tol=1e-9)), blurred=1e-6),
    Function("wasserstein, Sinkhorn, default eps",
             _plain(otdist.wasserstein, p=2, solver=otdist.Sinkhorn(tol=1e-6)), blurred=1e-4),
    Function("wasserstein, Sliced", _plain(otdist.wasserstein, p=2, solver=otdist.Sliced(64))),
    Function("sliced_wasserstein", _plain(otdist.sliced_wasserstein, p=2)),
    Function("max_sliced_wasserstein", _plain(otdist.max_sliced_wasserstein, p=2), blurred=1e-5),
    Function("sinkhorn_divergence", _plain(otdist.sinkhorn_divergence, eps=0.5, tol=1e-9),
             blurred=1e-6),
    Function("sinkhorn_divergence, default eps",
             _plain(otdist.sinkhorn_divergence, tol=1e-6), blurred=1e-4),
    Function("entropic_cost", _plain(otdist.entropic_cost, eps=0.5, tol=1e-9), blurred=1e-6),
    Function("sinkhorn_divergence, reach", _plain(otdist.sinkhorn_divergence, eps=0.5, tol=1e-9,
             reach=1.5), blurred=1e-6),
    Function("entropic_cost, reach", _plain(otdist.entropic_cost, eps=0.5, tol=1e-9, reach=1.5),
             blurred=1e-6),
    Function("gaussian_wasserstein", _plain(otdist.gaussian_wasserstein), blurred=1e-7),
    Function("energy_distance", _plain(otdist.energy_distance), blurred=1e-7),
    Function("mmd", _plain(otdist.mmd), blurred=1e-7),
    Function("mmd, polynomial", _plain(otdist.mmd, kernel="polynomial"), blurred=1e-7),
    Function("mmd, U", _plain(otdist.mmd, statistic="U", bandwidth=1.0), blurred=1e-7,
             repeats=False),
    Function("partial_wasserstein", _plain(otdist.partial_wasserstein, mass=0.7, p=2)),
    Function("unbalanced_wasserstein", _plain(otdist.unbalanced_wasserstein, reach=1.0)),
    Function("unbalanced_wasserstein, KL", _plain(otdist.unbalanced_wasserstein, reach=1.0,
             penalty="kl"), blurred=0.02),
    Function("certify", _certified),
    Function("barycentric_map", _mapped, blurred=1e-5, repeats=False),
    Function("extend_potential", _extended, blurred=1e-5),
    Function("pairwise", lambda x, y: float(otdist.pairwise([x, y]).matrix[0, 1]), weights=False),
    Function("pairwise, weights",
             lambda x, y, a=None, b=None: float(
                 otdist.pairwise([x, y], weights=[a, b]).matrix[0, 1])),
    Function("two_sample_test",
             lambda x, y: otdist.two_sample_test(x, y, "energy", n_permutations=9).statistic,
             weights=False, blurred=1e-7),
    Function("evaluate", _of_report, weights=False, blurred=1e-7),
    Function("drift", _of_drift, weights=False),
    Function("streaming.Slices", _streamed(lambda: streaming.Slices(2, n_projections=16))),
    Function("streaming.Frechet", _streamed(streaming.Frechet), blurred=1e-7),
    Function("losses.ExactLoss", lambda x, y, **w: float(losses.ExactLoss()(x, y, **w)),
             torch=True),
    Function("losses.SinkhornLoss",
             lambda x, y, **w: float(losses.SinkhornLoss(eps=0.5, tol=1e-9)(x, y, **w)),
             torch=True, blurred=1e-6),
    Function("losses.SinkhornLoss, reach",
             lambda x, y, **w: float(losses.SinkhornLoss(eps=0.5, tol=1e-9, reach=1.5)(x, y, **w)),
             torch=True, blurred=1e-6),
    Function("losses.SinkhornLoss, default eps",
             lambda x, y, **w: float(losses.SinkhornLoss(tol=1e-6)(x, y, **w)),
             torch=True, blurred=1e-4),
    Function("losses.SlicedWassersteinLoss",
             lambda x, y, **w: float(losses.SlicedWassersteinLoss()(
                 x, y, directions=torch.eye(2, dtype=x.dtype), **w)), torch=True),
]  # fmt: skip


@dataclass(frozen=True)
class Form:
    """The same samples in another form.

    Attributes:
        name: What is changed.
        make: A pair → the changed pair.
        close: Relative tolerance of the value.
        weighted: Whether the changed pair has weights.
        numpy: Whether it is of numpy alone, so that functions of tensors are left out.
    """

    name: str
    make: Callable[[Pair], Pair]
    close: float = DOUBLE
    weighted: bool = False
    numpy: bool = False


def _samples(change: Callable[[Any], Any]) -> Callable[[Pair], Pair]:
    """A form that changes the points of both samples."""
    return lambda pair: {**pair, "x": change(pair["x"]), "y": change(pair["y"])}


def _permuted(pair: Pair) -> Pair:
    order = {
        "x": np.random.default_rng(1).permutation(9),
        "y": np.random.default_rng(2).permutation(7),
    }
    of = {"x": "x", "y": "y", "a": "x", "b": "y"}
    return {name: value[order[of[name]]] for name, value in pair.items()}


def _padded(place: float) -> Callable[[Pair], Pair]:
    """Points of weight zero at either end of x, and one within y."""

    def make(pair: Pair) -> Pair:
        x, y = pair["x"], pair["y"]
        a, b = (pair.get(name, np.full(len(z), 1 / len(z))) for name, z in (("a", x), ("b", y)))
        away = np.full((1, 2), place)
        return {
            "x": np.concatenate([away, x, -away]),
            "y": np.concatenate([y[:3], away, y[3:]]),
            "a": np.concatenate([[0.0], a, [0.0]]),
            "b": np.concatenate([b[:3], [0.0], b[3:]]),
        }

    return make


def _twice(pair: Pair) -> Pair:
    double = {name: np.concatenate([value, value]) for name, value in pair.items()}
    return {name: v / 2 if name in "ab" else v for name, v in double.items()}


def _frames(pair: Pair) -> Pair:
    pandas = pytest.importorskip("pandas")
    frame = _samples(lambda z: pandas.DataFrame(z, columns=["u", "v"]))(pair)
    series = {name: pandas.Series(pair[name]) for name in "ab" if name in pair}
    return {**frame, **series}


def _as_torch(kind: torch.dtype) -> Callable[[Pair], Pair]:
    return lambda pair: {name: torch.as_tensor(v).to(kind) for name, v in pair.items()}


FORMS = [
    Form("permuted rows", _permuted),
    Form("near points of weight zero", _padded(0.5), weighted=True),
    Form("far points of weight zero", _padded(1e4), weighted=True),
    Form("points of weight zero at 1e30", _padded(1e30), weighted=True),
    Form("lists", lambda pair: {name: value.tolist() for name, value in pair.items()}, numpy=True),
    Form("pandas frames", _frames, numpy=True),
    Form("tensors", _as_torch(torch.float64)),
    Form("float32 tensors", _as_torch(torch.float32), SINGLE),
    Form("float32 arrays", _samples(lambda z: z.astype(np.float32)), SINGLE, numpy=True),
    Form("float16 arrays", _samples(lambda z: z.astype(np.float16)), HALF, numpy=True),
    Form("float16 tensors", _samples(lambda z: torch.as_tensor(z).half()), HALF),
    Form("longdouble", _samples(lambda z: z.astype(np.longdouble)), numpy=True),
    Form("read-only views, reversed twice", _samples(lambda z: z[::-1][::-1]), numpy=True),
    Form("columns in Fortran order", _samples(np.asfortranarray), numpy=True),
    Form("big-endian arrays", _samples(lambda z: z.astype(">f8")), numpy=True),
    Form("duplicated rows", _twice),
]
WRONG = [
    Form("an extra leading dimension", _samples(lambda z: z[None])),
    Form("no row", _samples(lambda z: z[:0])),
    Form("different widths", lambda pair: {**pair, "y": pair["y"][:, :1]}),
    Form("three dimensions beside two", lambda pair: {**pair, "y": pair["y"][None]}),
    Form("NaN", _samples(lambda z: z * np.nan)),
]
NAMES = "|".join(["x", "y", "a", "b", "samples", "sample", "real", "fake", "reference", "current",
                  "column", "columns", "rows", "table", "tables", "shape"])  # fmt: skip


def call(function: Function, pair: Pair) -> Any:
    """The value, or how it was refused."""
    weights = {name: pair[name] for name in "ab" if name in pair}
    return outcome(lambda: function.value(pair["x"], pair["y"], **weights), NAMES)


def samples(function: Function) -> Pair:
    """The samples as they come first, with weights where they have a place."""
    return {"x": X, "y": Y, **({"a": A, "b": B} if function.weights else {})}


def applies(function: Function, form: Form) -> bool:
    """Whether the function can be given this form at all."""
    if function.torch and form.numpy:
        return False
    return (function.weights or not form.weighted) and (function.repeats or form.make is not _twice)


def changed(function: Function, form: Form) -> Pair:
    """The samples in the form; tensors for functions of tensors, their weights in double."""
    made = form.make(samples(function))
    if not function.torch:
        return made
    tensors = {name: torch.as_tensor(value) for name, value in made.items()}
    return {name: t.double() if name in "ab" else t for name, t in tensors.items()}


def _each(forms: list[Form]) -> list[Any]:
    return [
        pytest.param(function, form, id=f"{function.name}: {form.name}")
        for function in FUNCTIONS
        for form in forms
        if applies(function, form)
    ]


@pytest.mark.parametrize("function, form", _each(FORMS))
def test_another_form_of_the_samples_has_the_same_value(function: Function, form: Form) -> None:
    plain = call(function, changed(function, Form("as they are", lambda pair: pair)))
    found = call(function, changed(function, form))
    assert isinstance(plain, float), plain
    assert isinstance(found, float), found
    assert found == pytest.approx(plain, rel=max(form.close, function.blurred))


@pytest.mark.parametrize("function, form", _each(WRONG))
def test_samples_of_a_wrong_shape_are_refused_by_name(function: Function, form: Form) -> None:
    made = changed(function, form)
    found = call(function, {name: made[name] for name in "xy"})
    if function.name.startswith("pairwise"):  # a pair that fails is NaN beside the others
        assert np.isnan(found)
    elif function.batched and form.name == "an extra leading dimension":
        convert = torch.as_tensor if function.torch else np.asarray
        plain = call(function, {name: convert(z) for name, z in (("x", X), ("y", Y))})
        assert found == pytest.approx(plain, rel=max(DOUBLE, function.blurred))
    elif form.name == "NaN" and "Sliced" in function.name and function.torch:
        assert np.isnan(found)  # as in torch's own losses
    elif form.name == "NaN" and function.name == "drift":
        assert found == 0  # a missing cell, on both sides
    else:
        assert isinstance(found, Refused), found


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_one_row_a_side_has_a_value_or_a_reason(function: Function) -> None:
    one = changed(function, Form("one row", _samples(lambda z: z[:1])))
    found = call(function, {name: one[name] for name in "xy"})
    assert isinstance(found, float | Refused), found
    assert isinstance(found, Refused) or np.isfinite(found)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_integers_and_booleans_count_as_numbers(function: Function, kind: Any) -> None:
    x, y = ((np.abs(8 * z) % 2).astype(kind) for z in (X, Y))
    made: Pair = {"x": x, "y": y}
    plain: Pair = {"x": x.astype(float), "y": y.astype(float)}
    if function.torch:
        plain, made = ({n: torch.as_tensor(z) for n, z in p.items()} for p in (plain, made))
    found = call(function, made)
    if isinstance(found, Refused):
        assert function.torch, found  # losses are for samples that are trained
    else:
        expected = call(function, plain)
        assert found == pytest.approx(expected, rel=max(DOUBLE, function.blurred), abs=1e-7)
