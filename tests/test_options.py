"""Every option of every public function and class meets wrong values: a result, or a clear error.

Options come from the signatures, so that a new one is tried as soon as it exists.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import otdist
from otdist import io, losses, neural, problems, streaming, wgan
from otdist.wgan.settings import TrainerOptions
from tests.outcomes import Refused, Wrong, outcome

HUGE = 10**400


class Thing:
    """An object of a type that no option takes."""

    def __repr__(self) -> str:
        return "<a thing>"


VALUES: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "a negative number": -1,
    "0": 0,
    "a fraction": 1.5,
    "text": "nonsense",
    "None": None,
    "a huge integer": HUGE,
    "a huge number": 1e308,
    "a numpy number": np.float32(2.5),
    "an array": np.ones(3),
    "an array without dimensions": np.array(math.nan),
    "a tensor": torch.ones(2, 2),
    "True": True,
    "a list": [1, 2],
    "a thing": Thing(),
    "a class": Thing,
    "bytes": b"a",
    "a complex number": 1j,
}
NEVER_NUMBERS = (
    "NaN", "text", "a huge integer", "an array", "an array without dimensions", "a tensor", "True",
    "a list", "a thing", "a class", "bytes", "a complex number", "infinity", "a negative number",
)  # fmt: skip
NEVER_INTEGERS = (*NEVER_NUMBERS, "a fraction", "a numpy number", "a huge number")
NEVER_FLAGS = tuple(key for key in VALUES if key != "True")
NEVER_TEXT = tuple(key for key in VALUES if key != "None")
NEVER_ANYTHING = ("a thing", "NaN", "a complex number")


@dataclass(frozen=True)
class Target:
    """A public function with arguments that are right."""

    name: str
    function: Callable[..., Any]
    right: dict[str, Any]
    options: dict[str, inspect.Parameter]

    def call(self, **options: Any) -> Any:
        return self.function(**{**self.right, **options})


def _points(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


X, Y = _points(5, 2, 0), _points(4, 2, 1)
ROWS = _points(12, 2, 2)
TENSOR = torch.from_numpy(_points(6, 2, 3))
# What must be given, by the name of the parameter; a callable makes it anew for each call.
NEEDED: dict[str, Any] = {
    "x": X,
    "y": Y,
    "z": X,
    "real": ROWS,
    "fake": ROWS + 1,
    "reference": ROWS,
    "current": ROWS + 1,
    "samples": [X, Y, X + 1],
    "cost": np.ones((5, 4)),
    "result": lambda: otdist.wasserstein(X, Y),
    "mass": 0.5,
    "reach": 1.0,
    "d": 2,
    "n": 6,
    "mean": 0.0,
    "std": 1.0,
    "p": 2.0,
    "model": lambda: nn.Linear(2, 1),
    "critic": lambda: nn.Linear(2, 1),
    "generator": lambda: nn.Linear(3, 2),
    "D": lambda: nn.Linear(2, 1),
    "module": lambda: nn.Linear(2, 1),
    "real_samples": TENSOR,
    "fake_samples": TENSOR + 1,
    "real_data": TENSOR,
    "fake_data": TENSOR + 1,
    "held_out": TENSOR,
    "centres": TENSOR,
    "image": np.eye(3),
    "counts": np.ones(3),
    "edges": np.arange(4.0),
    "function": lambda: np.tanh,
}
# Right values that a target needs beside its defaults: small ones that keep a call short.
RIGHT: dict[str, dict[str, Any]] = {
    "certify": {"plan": np.full((5, 4), 1 / 20)},
    "soft_ctransform": {"g": np.zeros(4), "eps": 1.0},
    "confidence_interval": {"x": _points(30, 2, 4), "y": _points(30, 2, 5) + 3, "eps": 1.0},
    "spherical_sliced_wasserstein": {"x": np.eye(3), "y": -np.eye(3)},
    "two_sample_test": {"n_permutations": 9},
    "DriftMonitor": {"reference": _points(50, 2, 6)},
    "drift": {"n_permutations": 9},
    "evaluate": {"metrics": ["w1"], "progress": False},
    "max_sliced_wasserstein": {"n_starts": 2, "max_iter": 2},
    "wgan.WGANTrainer": {"latent_dim": 3},
    "wgan.MLPCritic": {"shape": 2, "hidden": (4,)},
    "wgan.MLPGenerator": {"latent_dim": 2, "shape": 2, "hidden": (4,)},
    "neural.mcshane": {"x": TENSOR, "y": TENSOR + 1},
}
NO_OPTIONS = {
    # Samples and what describes them, which `test_inputs` tries.
    "x", "y", "z", "a", "b", "g", "real", "fake", "train", "reference", "current",
    "samples", "weights", "cost", "dataset", "result", "real_samples", "fake_samples",
    "real_data", "fake_data", "held_out", "centres", "heights", "image", "counts", "edges",
}  # fmt: skip
# Functions of scores, files or results alone, and classes that callers receive but do not make.
LEFT_OUT = {
    "wgan.critic_loss", "wgan.generator_loss", "wgan.cramer_critic_loss", "wgan.plot_log",
    "wgan.cramer_generator_loss", "wgan.hinge_critic_loss", "wgan.plot_samples",
    "wgan.relativistic_critic_loss", "wgan.relativistic_generator_loss", "wgan.train_wgan_gp",
    "wgan.TensorBoardLogger", "wgan.WandbLogger",
    "wgan.TrainingDiverged", "streaming.merged", "streaming.Accumulator", "neural.Comparison",
    "streaming.KIDEstimate", "problems.Mixture", "problems.Problem", "problems.bures",
    "problems.catalogue", "io.DataError", "io.Samples", "io.Table", "io.align", "io.read_columns",
    "io.read_samples", "io.read_weights", "io.blocks", "io.dask_samples", "io.read_grid",
    "io.read_histogram",
}  # fmt: skip


def _targets() -> Iterator[Target]:
    rooms: list[tuple[str, ModuleType]] = [("", otdist)]
    rooms += [(room.__name__.removeprefix("otdist."), room)
              for room in (losses, neural, problems, streaming, wgan, io)]  # fmt: skip
    seen: set[int] = set()
    for room, module in rooms:
        for short in sorted(getattr(module, "__all__", dir(module))):
            thing = getattr(module, short)
            name = f"{room}.{short}" if room else short
            received = short.endswith(("Result", "Interval", "Warning", "Report", "Bracket"))
            if (
                short.startswith("_")
                or not callable(thing)
                or received
                or name in LEFT_OUT
                or id(thing) in seen
            ):
                continue
            seen.add(id(thing))
            yield _target(name, thing)


def _target(name: str, thing: Callable[..., Any]) -> Target:
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(thing).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    own = RIGHT.get(name, {})
    right = dict(own)
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in right:
            assert key in NEEDED, f"{name} needs {key}: say in NEEDED or RIGHT what is right"
            made = NEEDED[key]
            right[key] = made() if inspect.isfunction(made) else made
    options = {
        key: parameter
        for key, parameter in parameters.items()
        if key not in NO_OPTIONS and not key.startswith("_")
    }
    return Target(name, thing, right, options)


def _methods() -> Iterator[Target]:
    """Methods with options of their own, of objects that are right."""
    trainer = wgan.WGANTrainer(
        wgan.MLPGenerator(2, 2, (4,)), wgan.MLPCritic(2, (4,)), 2, batch_size=1
    )
    report = otdist.evaluate(ROWS, ROWS + 1, metrics=["w1"], progress=False)
    for name, method, own in (
        ("Line.extend", streaming.Line().extend, {"x": X[:, 0], "y": Y[:, 0]}),
        ("WGANTrainer.train", trainer.train, {"dataset": TENSOR, "steps": 1}),
        ("WGANTrainer.sample", trainer.sample, {"count": 2}),
        ("Report.plot", report.plot, {}),
    ):
        RIGHT[name] = own
        yield _target(name, method)


def _with_statistics() -> Iterator[Target]:
    """The options of statistics, which a refusal lists."""
    far = {"x": _points(30, 2, 4), "y": _points(30, 2, 5) + 3}
    own: dict[str, dict[str, Any]] = {"sinkhorn": {"eps": 1.0}, "mmd": {"bandwidth": 1.0}}
    for function, names in (
        (otdist.two_sample_test, ("sliced", "mmd", "wasserstein", "sinkhorn")),
        (otdist.confidence_interval, ("wasserstein", "sliced", "max_sliced", "sinkhorn", "mmd")),
    ):
        for name in names:
            with pytest.raises(ValueError, match="has no option") as refused:
                function(X, Y, name, nothing=1)
            listed = str(refused.value).rpartition("it has ")[2].split(", ")
            options = {
                key: inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
                for key in listed
                for kind in [STATISTICS_OPTIONS[key]]
            }
            right = {**far, "statistic": name, **own.get(name, {})}
            if function is otdist.two_sample_test:
                right |= {"x": X, "y": Y, "n_permutations": 2}
            yield Target(f"{function.__name__}, {name}", function, right, options)


# What the options of statistics take, as annotations would say it.
STATISTICS_OPTIONS = {
    "p": "float", "eps": "float | None", "bandwidth": "float | None", "kernel": "str",
    "n_projections": "int | None", "n_resamples": "int | None", "metric": "Any",
}  # fmt: skip


def _of_trainer() -> Target:
    """The options that `WGANTrainer` takes by name."""
    target = _target("wgan.WGANTrainer", wgan.WGANTrainer)
    options = {
        key: inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=str(kind))
        for key, kind in TrainerOptions.__annotations__.items()
    }
    return Target("WGANTrainer, by name", target.function, target.right, options)


def _streamed() -> Iterator[Target]:
    """The functions that take dask arrays, given some."""
    dask = pytest.importorskip("dask.array")
    x, y = (dask.from_array(z[:, :1].astype(float), chunks=3) for z in (X, Y))
    for name in ("wasserstein", "sliced_wasserstein", "mmd"):
        target = _target(name, getattr(otdist, name))
        yield Target(f"{name} of dask arrays", target.function, {"x": x, "y": y}, target.options)


EVERYTHING = [*_targets(), *_methods(), *_with_statistics(), _of_trainer(), *_streamed()]
TARGETS = [target for target in EVERYTHING if target.options]
OPTIONS = [
    pytest.param(target, option, id=f"{target.name}({option})")
    for target in TARGETS
    for option in target.options
]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options may be paths: nothing is written into the working tree."""
    monkeypatch.chdir(tmp_path)


def _refused_kinds(option: inspect.Parameter) -> tuple[str, ...]:
    """Values that can never be right for an option of this annotation."""
    kind = str(option.annotation)
    if "bool" in kind:
        return tuple(k for k in NEVER_FLAGS if k != "None" or "None" not in kind)
    if "tuple" in kind or "Sequence" in kind or "Tensor" in kind:
        return ("NaN", "a thing", "a complex number", "a huge number")
    if "float" in kind:
        return tuple(k for k in (*NEVER_NUMBERS, "None") if k != "None" or "None" not in kind)
    if "int" in kind:
        return tuple(k for k in (*NEVER_INTEGERS, "None") if k != "None" or "None" not in kind)
    if "str" in kind or "Mode" in kind or "Reduction" in kind:
        return NEVER_TEXT
    return NEVER_ANYTHING


# Options of which a wrong value is called by what it is.
CALLED = {name: f"{name}|column" for name in ("exclude", "categories", "columns")}
# Values that look wrong and are right: (target or "", option) → the values.
ANY_NUMBER = ("a negative number",)
RIGHT_AFTER_ALL: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "cache"): ("text",),
    ("", "out"): ("text",),
    ("", "identity"): ("text",),
    ("", "name"): ("text",),
    ("", "columns"): ("text",),
    ("", "exclude"): ("text",),
    ("", "categories"): ("text",),
    ("", "missing"): ("text", "a list", "an array"),
    ("wasserstein", "p"): ("infinity",),
    ("transport", "p"): ("infinity",),
    ("pairwise", "p"): ("infinity",),
    ("two_sample_test, wasserstein", "p"): ("infinity",),
    ("Features", "function"): ("text",),
    ("problems.diracs", "distance"): ANY_NUMBER,
    ("problems.gaussian_distance_1d", "mean"): ANY_NUMBER,
    ("problems.gaussian_distance_1d", "std"): ANY_NUMBER,
    ("problems.gaussians_1d", "mean"): ANY_NUMBER,
    ("problems.gaussians_1d", "std"): ANY_NUMBER,
    ("problems.parallel_segments", "theta"): ANY_NUMBER,
    ("problems.translation", "shift"): ("a negative number", "a list", "an array"),
}


@pytest.mark.parametrize("target, option", OPTIONS)
def test_a_wrong_option_is_refused_by_name_or_works(target: Target, option: str) -> None:
    refused = set(_refused_kinds(target.options[option]))
    refused -= set(RIGHT_AFTER_ALL.get((target.name, option), ()))
    refused -= set(RIGHT_AFTER_ALL.get(("", option), ()))
    wrong = {}
    for name, value in VALUES.items():
        found = outcome(partial(target.call, **{option: value}), CALLED.get(option, option))
        if isinstance(found, Wrong) or (not isinstance(found, Refused) and name in refused):
            wrong[name] = found if isinstance(found, Wrong) else "is accepted"
    assert not wrong, "\n".join(f"{target.name}({option}={k}): {v}" for k, v in wrong.items())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_right_arguments_work(target: Target) -> None:
    assert not isinstance(outcome(target.call, ""), Wrong | Refused)


@pytest.mark.parametrize("wrong", [None, X, 3.0, "text", Thing()], ids=str)
def test_what_is_no_result_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(TypeError, match="result must be an OTResult"):
        otdist.barycentric_map(wrong, Y)
    with pytest.raises(TypeError, match="result must be an OTResult"):
        otdist.extend_potential(wrong, X, Y)
    with pytest.raises(TypeError, match="start must be an earlier OTResult"):
        otdist.wasserstein(X, Y, start=0 if wrong is None else wrong)
