"""Tables of numbers and categories: kinds of columns, names, and errors with a place."""

import numpy as np
import pytest

from otdist.io import DataError, read_columns


def text(tmp_path, content, name="table.csv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_columns_are_numbers_or_categories(tmp_path):
    table = read_columns(text(tmp_path, "age,city,code\n30,Rome,7\n 41.5 ,Oslo,x\n"))
    assert list(table.columns) == ["age", "city", "code"]
    assert table.columns["age"].tolist() == [30.0, 41.5]
    assert table.columns["city"].tolist() == ["Rome", "Oslo"]
    assert table.columns["code"].tolist() == ["7", "x"]
    assert (table.n, table.d, table.dtype) == (2, 3, "1 numeric, 2 categorical")


def test_names_are_there_unless_the_first_line_holds_a_number(tmp_path):
    plain = read_columns(text(tmp_path, "30;Rome\n41;Oslo\n"))
    assert list(plain.columns) == ["0", "1"]
    assert plain.n == 2
    words = read_columns(text(tmp_path, "town\tcolour\nRome\tred\n", "words.tsv"))
    assert {name: list(cells) for name, cells in words.columns.items()} == {
        "town": ["Rome"],
        "colour": ["red"],
    }


def test_missing_text_is_a_category_missing_numbers_are_an_error(tmp_path):
    table = read_columns(text(tmp_path, "age,city\n30,\n40,Oslo\n"))
    assert table.columns["city"].tolist() == ["", "Oslo"]
    with pytest.raises(DataError, match=r"table\.csv: column 'age' has an empty cell in row 1"):
        read_columns(text(tmp_path, "age,city\n30,Rome\n,Oslo\n"))


@pytest.mark.parametrize(
    "content, words",
    [
        ("age,city\n30,Rome\n40\n", r"row 1 \(line 3\) has 1 cells, expected 2"),
        ("age,age\n30,31\n", "two columns are named 'age'"),
        ("age,city\n", "no samples"),
        ("", "is empty"),
        (",city\n0,Rome\n", "looks like a row index"),
    ],
)
def test_errors_have_a_place(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_columns(text(tmp_path, content))


def test_parquet_keeps_kinds(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "n": [1, 2],
        "x": [0.5, 1.5],
        "ok": [True, False],
        "city": ["Rome", None],
        "kind": arrow.array(["a", "b"]).dictionary_encode(),
    }
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    found = read_columns(tmp_path / "t.parquet").columns
    assert [found[name].dtype.kind for name in columns] == ["f", "f", "U", "U", "U"]
    assert found["city"].tolist() == ["Rome", ""]
    assert found["kind"].tolist() == ["a", "b"]
    parquet.write_table(arrow.table({"n": [1, None]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'n' has an empty cell in row 1"):
        read_columns(tmp_path / "t.parquet")
    day = arrow.array([0, 1], arrow.date32())
    parquet.write_table(arrow.table({"day": day}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'day' holds dates or times"):
        read_columns(tmp_path / "t.parquet")


def test_other_files_have_columns_of_numbers(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    table = read_columns(tmp_path / "x.npy")
    assert table.columns["1"].tolist() == [1, 3, 5]
    with pytest.raises(DataError, match="no such file"):
        read_columns(tmp_path / "missing.csv")
