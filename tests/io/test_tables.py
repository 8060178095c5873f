"""Tables of numbers and categories: kinds of columns, names, and errors with a place."""

import decimal

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


def test_a_missing_cell_is_one_thing_however_it_is_written(tmp_path):
    table = read_columns(text(tmp_path, "age,city\n30,\nNA,Oslo\n,null\nNaN,N/A\n"))
    assert table.columns["city"].tolist() == ["", "Oslo", "", ""]
    np.testing.assert_array_equal(table.columns["age"], [30, np.nan, np.nan, np.nan])
    assert table.notes[-1].endswith("missing cells: 3 in 'age', 3 in 'city'")
    stated = read_columns(text(tmp_path, "age,city\n30,?\n-9,NA\n"), missing=["?", "-9"])
    np.testing.assert_array_equal(stated.columns["age"], [30, np.nan])
    assert stated.columns["city"].tolist() == ["", "NA"]


def test_a_word_among_numbers_must_be_explained(tmp_path):
    ages = "age\n" + "\n".join(map(str, range(20, 60)))
    assert np.isnan(read_columns(text(tmp_path, f"{ages}\nNA\n")).columns["age"][-1])
    path = text(tmp_path, f"{ages}\nunknown\n")
    with pytest.raises(DataError, match=r"column 'age' holds numbers, and 'unknown' in row 40"):
        read_columns(path)
    assert np.isnan(read_columns(path, missing=["unknown"]).columns["age"][-1])
    assert read_columns(path, categories=["age"]).columns["age"][0] == "20"
    with pytest.raises(DataError, match="no column left"):
        read_columns(path, exclude=["age"])


def test_decimal_commas_are_found_or_asked_about(tmp_path):
    table = read_columns(text(tmp_path, "size;name\n1,5;a\n2,25;b\n"))
    assert table.columns["size"].tolist() == [1.5, 2.25]
    assert "commas read as decimal points" in table.notes[0]
    quoted = text(tmp_path, 'size,name\n"1,5",a\n"2,25",b\n')
    with pytest.raises(DataError, match=r"'1,5': state decimal \(--decimal ,\)"):
        read_columns(quoted)
    assert read_columns(quoted, decimal=",").columns["size"].tolist() == [1.5, 2.25]


def test_codes_dates_and_numbers_are_told_apart(tmp_path):
    rows = ["2024_01,2024-01-31,2024-01-31T10:00:00Z,1e3", "2024_02,,2024-02-01T00:00Z,7"]
    found = read_columns(text(tmp_path, "\n".join(["month,day,at,n", *rows]))).columns
    assert found["month"].tolist() == ["2024_01", "2024_02"]
    assert found["day"].dtype.kind == found["at"].dtype.kind == "M"
    assert np.isnat(found["day"]).tolist() == [False, True]
    assert found["at"][0] == np.datetime64("2024-01-31T10:00")
    assert found["n"].tolist() == [1000, 7]
    with pytest.raises(DataError, match="with and without a time zone"):
        read_columns(text(tmp_path, "at\n2024-01-31T10:00Z\n2024-01-31T10:00\n"))


def test_a_header_of_years_is_no_row(tmp_path):
    table = read_columns(text(tmp_path, "city,2019,2020\nRome,1,2.5\nOslo,3,4\n"))
    assert list(table.columns) == ["city", "2019", "2020"]
    assert read_columns(text(tmp_path, "2019,2020\n2021,2022\n")).n == 2
    assert read_columns(text(tmp_path, "7,8\n1,2\n"), header=True).n == 1


def test_the_index_that_pandas_writes_is_no_column(tmp_path):
    table = read_columns(text(tmp_path, ",city\n0,Rome\n1,Oslo\n"))
    assert list(table.columns) == ["city"]
    assert "row index without a name, left out" in table.notes[0]


@pytest.mark.parametrize(
    "content, words",
    [
        ("age,city\n30,Rome\n40\n", r"row 1 \(line 3\) has 1 cells, expected 2"),
        ("age,age\n30,31\n", "two columns are named 'age'"),
        ("age,city\n", "no samples"),
        ("", "is empty"),
        ("age,city\ninf,Rome\n", "column 'age' must be finite: got inf at row 0"),
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
    np.testing.assert_array_equal(read_columns(tmp_path / "t.parquet").columns["n"], [1, np.nan])
    columns = {
        "day": arrow.array([0, None], arrow.date32()),
        "money": arrow.array([decimal.Decimal("1.25"), None]),
    }
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    found = read_columns(tmp_path / "t.parquet").columns
    assert found["day"][0] == np.datetime64("1970-01-01")
    np.testing.assert_array_equal(found["money"], [1.25, np.nan])


def test_other_files_have_columns_of_numbers(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    table = read_columns(tmp_path / "x.npy")
    assert table.columns["1"].tolist() == [1, 3, 5]
    with pytest.raises(DataError, match="no such file"):
        read_columns(tmp_path / "missing.csv")
