"""Data frames are compared column by column of the same name; what is lost is refused."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import otdist
from otdist.core.frames import aligned, column_names, numbers

ROWS = {"x": [0.0, 1.0, 2.5], "y": [100.0, 101.0, 99.0]}


class Frame:
    """The least that a data frame offers."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._data, self.columns = columns, list(columns)

    def __len__(self) -> int:
        return len(next(iter(self._data.values())))

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._data[name])


def of(library: str, columns: dict[str, Any]) -> Any:
    if library == "any":
        return Frame(columns)
    module = pytest.importorskip(library)
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


LIBRARIES = ("any", "pandas", "polars", "pyarrow")


@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_meet_by_name(library: str) -> None:
    frame, turned = of(library, ROWS), of(library, {"y": ROWS["y"], "x": ROWS["x"]})
    assert column_names(frame) == ["x", "y"]
    assert otdist.wasserstein(frame, turned).distance == 0
    assert otdist.energy_distance(frame, turned) == 0
    assert otdist.sliced_wasserstein(frame, turned).distance == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_other_columns_are_refused_by_their_names(library: str) -> None:
    frame, other = of(library, ROWS), of(library, {"x": ROWS["x"], "z": ROWS["y"]})
    for function in (otdist.wasserstein, otdist.mmd, otdist.two_sample_test):
        with pytest.raises(
            ValueError, match=r"same columns: x has \['x', 'y'\], y has \['x', 'z'\]"
        ):
            function(frame, other)


@pytest.mark.parametrize("library", LIBRARIES)
def test_integers_booleans_and_floats_may_stand_beside_each_other(library: str) -> None:
    frame = of(library, {"n": [1, 2], "yes": [True, False], "v": [0.5, 1.5]})
    found = aligned({"x": frame})["x"]
    assert found.dtype == np.float64
    assert found.tolist() == [[1.0, 1.0, 0.5], [2.0, 0.0, 1.5]]


def test_nullable_columns_are_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1, 2], "yes": [True, False], "v": [0.5, 1.5]}).convert_dtypes()
    assert aligned({"x": frame})["x"].tolist() == [[1.0, 1.0, 0.5], [2.0, 0.0, 1.5]]
    assert otdist.wasserstein(frame["n"], frame["v"]).distance == 0.5


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_missing_values_are_named_by_column_and_row(library: str) -> None:
    frame = of(library, {"n": [1, None, 3], "v": [0.5, 1.5, 2.5]})
    with pytest.raises(ValueError, match=r"x\['n'\] must have no missing value: found 1, first at"):
        otdist.wasserstein(frame, frame)


def test_nullable_missing_values_are_named_too() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1, None, 3]}).convert_dtypes()
    for value in (frame, frame["n"]):
        with pytest.raises(ValueError, match="must have no missing value: found 1, first at row 1"):
            otdist.wasserstein(value, [0.0])


@pytest.mark.parametrize("library", LIBRARIES)
def test_text_is_named_by_its_column(library: str) -> None:
    frame = of(library, {"v": [0.5, 1.5], "city": ["Rome", "Oslo"]})
    with pytest.raises(TypeError, match=r"x\['city'\] must hold numbers"):
        otdist.wasserstein(frame, frame)


def test_times_are_no_numbers() -> None:
    with pytest.raises(TypeError, match="t must hold numbers: got datetime64"):
        numbers(np.array(["2024-01-01"], dtype="datetime64[ns]"), "t")


def test_no_library_is_imported_for_the_question() -> None:
    source = importlib.import_module("otdist.core.frames").__file__
    assert source is not None
    with open(source) as lines:
        assert not [line for line in lines if line.startswith(("import p", "from p"))]
