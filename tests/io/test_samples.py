"""What a file holds arrives unchanged, or an error names the file and the place."""

import decimal
import pickle
import re

import numpy as np
import pytest

from otdist.io import DataError, align, read_samples, read_weights

POINTS = np.arange(12.0).reshape(6, 2) / 7


def save_npy(path, array=POINTS):
    np.save(path, array)
    return path


def save_text(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def fails(path, *words):
    """The error is a DataError, a ValueError, names the file and says every word."""
    with pytest.raises(DataError) as caught:
        read_samples(path)
    message = str(caught.value)
    assert isinstance(caught.value, ValueError)
    for word in (str(path), *words):
        assert word in message, message
    return message


def test_every_format_gives_the_same_points(tmp_path):
    torch = pytest.importorskip("torch")
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    np.savez(tmp_path / "one.npz", only=POINTS)
    np.savez(tmp_path / "two.npz", first=POINTS, second=POINTS + 1)
    np.savetxt(tmp_path / "plain.csv", POINTS, delimiter=",", fmt="%.17g")
    np.savetxt(
        tmp_path / "named.csv", POINTS, delimiter=",", fmt="%.17g", header="u,v", comments=""
    )
    np.savetxt(tmp_path / "tabs.tsv", POINTS, delimiter="\t", fmt="%.17g")
    np.savetxt(tmp_path / "semicolons.csv", POINTS, delimiter=";", fmt="%.17g")
    table = arrow.table({"u": POINTS[:, 0], "v": POINTS[:, 1]})
    parquet.write_table(table, tmp_path / "table.parquet")
    torch.save(torch.tensor(POINTS, requires_grad=True), tmp_path / "tensor.pt")
    torch.save({"x": torch.tensor(POINTS), "epoch": 3}, tmp_path / "state.pt")
    save_npy(tmp_path / "array.npy")
    names = ["array.npy", "one.npz", "two.npz:first", "plain.csv", "named.csv", "tabs.tsv"]
    names += ["semicolons.csv", "table.parquet", "tensor.pt", "state.pt", "state.pt:x"]
    for name in names:
        samples = read_samples(tmp_path / name)
        np.testing.assert_array_equal(samples.points, POINTS, err_msg=name)
        assert (samples.n, samples.d, samples.dtype) == (6, 2, "float64")
        assert samples.columns == (
            ("u", "v") if name[:3] in ("nam", "tab") and "tsv" not in name else None
        )


def test_shapes_and_kinds_of_numbers(tmp_path):
    line = read_samples(save_npy(tmp_path / "line.npy", np.arange(5.0)))
    assert line.points.shape == (5, 1)
    images = read_samples(save_npy(tmp_path / "images.npy", np.zeros((4, 3, 2), np.uint8)))
    assert images.points.shape == (4, 6)
    assert images.points.dtype == np.float64
    assert images.dtype == "uint8"
    assert "each sample of shape (3, 2) flattened to 6 numbers" in images.notes[0]
    single = read_samples(save_npy(tmp_path / "single.npy", POINTS.astype(np.float32)))
    assert single.points.dtype == np.float32
    swapped = read_samples(save_npy(tmp_path / "swapped.npy", POINTS.astype(">f8")))
    assert swapped.points.dtype.isnative
    np.testing.assert_array_equal(swapped.points, POINTS)
    assert read_samples(save_npy(tmp_path / "one.npy", POINTS[:1])).n == 1


def test_large_arrays_are_mapped(tmp_path):
    path = save_npy(tmp_path / "large.npy", np.ones((2**23 + 1, 1)))
    assert isinstance(read_samples(path).points, np.memmap)
    data = np.ones((2**23 + 1, 1))
    data[-1] = np.nan
    fails(save_npy(path, data), "nan at row 8388608")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_have_a_place(tmp_path, value):
    array = POINTS.copy()
    array[4, 1] = value
    fails(save_npy(tmp_path / "bad.npy", array), f"{value} at row 4", "column 1")


@pytest.mark.parametrize(
    "array, words",
    [
        (np.array(["a", "b"]), "must be numbers"),
        (np.array([1j, 2j]), "must be numbers"),
        (np.float64(3.0), "found one number"),
        (np.zeros((0, 3)), "no samples"),
        (np.zeros((3, 0)), "no samples"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "must be numbers"),
    ],
)
def test_arrays_that_are_no_samples(tmp_path, array, words):
    fails(save_npy(tmp_path / "bad.npy", array), words)


def test_nothing_is_unpickled(tmp_path):
    torch = pytest.importorskip("torch")
    marker = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    np.save(tmp_path / "objects.npy", np.array([Attack()]), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([Attack()]))
    torch.save(Attack(), tmp_path / "objects.pt")
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Attack()))
    for name in ("objects.npy", "objects.npz", "objects.pt", "pickle.npy"):
        fails(tmp_path / name, "never loaded")
    assert not marker.exists()


def test_keys(tmp_path):
    torch = pytest.importorskip("torch")
    np.savez(tmp_path / "two.npz", first=POINTS, second=POINTS)
    fails(tmp_path / "two.npz", "which array", "first, second")
    with pytest.raises(DataError, match=r"two\.npz: no key 'third', available: first, second"):
        read_samples(f"{tmp_path}/two.npz:third")
    torch.save({"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path / "two.pt")
    fails(tmp_path / "two.pt", "a, b")
    torch.save(torch.zeros(2), tmp_path / "one.pt")
    fails(f"{tmp_path}/one.pt:a", "no keys")
    torch.save(["text"], tmp_path / "list.pt")
    fails(tmp_path / "list.pt", "must be a tensor, found list")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".parquet"])
def test_damaged_files(tmp_path, suffix):
    torch = pytest.importorskip("torch")
    path = tmp_path / f"file{suffix}"
    big = np.random.default_rng(0).random((2000, 3))
    if suffix == ".npy":
        np.save(path, big)
    elif suffix == ".npz":
        np.savez(path, x=big)
    elif suffix == ".pt":
        torch.save(torch.tensor(big), path)
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"x": big[:, 0]}), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:20], b"", b"nonsense" * 100):
        path.write_bytes(content)
        fails(path)


def test_places_that_are_no_files(tmp_path):
    fails(tmp_path / "missing.npy", "no such file")
    fails(tmp_path / "missing.csv", "no such file")
    fails(tmp_path / "notes.docx", "unknown kind of file '.docx'", ".parquet")
    (tmp_path / "folder.npy").mkdir()
    fails(tmp_path / "folder.npy", "no images in this folder")


@pytest.mark.parametrize(
    "text, words",
    [
        ("u,v\n1,2\n3,Rome\n", "column 'v' is not numeric: 'Rome' in row 1 (line 3)"),
        ("1,2\n3,Rome\n", "column 1 is not numeric: 'Rome' in row 1 (line 2)"),
        ("city,v\nRome,2\nOslo,3\n", "column 'city' is not numeric: 'Rome' in row 0 (line 2)"),
        ("Rome,2\nOslo,3\n", "column 0 is not numeric: 'Rome' in row 0 (line 1)"),
        ("u,v\n1,2\n3,\n", "column 'v' is not numeric: an empty cell in row 1 (line 3)"),
        ("u,v\n1,2\n3\n", "row 1 (line 3) has 1 cells, expected 2"),
        ("u,v\n1,2,3\n", "2 column names for 3 columns"),
        ("u,v\n1,nan\n", "nan at row 0, column 'v'"),
        ("u,v\n", "no samples"),
        ("", "is empty"),
    ],
)
def test_bad_text(tmp_path, text, words):
    fails(save_text(tmp_path / "bad.csv", text), words)


def test_text_that_is_not_text(tmp_path):
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00\x01" * 50)
    fails(path)


@pytest.mark.parametrize(
    "text, columns",
    [
        ("\ufeffu,v\r\n1,2\r\n3,4\r\n", ("u", "v")),
        ('"a, b",c\n1,2\n3,4\n', ("a, b", "c")),
        ("id,2019\n1,2\n3,4\n", ("id", "2019")),
        ("1,2\n3,4", None),
        ("1,2\n3,4\n\n\n", None),
        (",u,v\n0,1,2\n1,3,4\n", ("u", "v")),
        ("Unnamed: 0,u,v\n0,1,2\n1,3,4\n", ("u", "v")),
        ("2019,2020\n1.0,2.0\n3.0,4.0\n", ("2019", "2020")),
        ("1,0;2,0\n3,0;4,0\n", None),
        ("u;v\n1;2\n3,0;4\n", ("u", "v")),
    ],
)
def test_dialects(tmp_path, text, columns):
    samples = read_samples(save_text(tmp_path / "good.csv", text))
    assert samples.columns == columns
    np.testing.assert_array_equal(samples.points, [[1, 2], [3, 4]])


def test_what_was_decided_about_a_text_file_is_told_and_can_be_stated(tmp_path):
    index = save_text(tmp_path / "index.csv", ",u\n5,1\n6,2\n")
    assert "a row index without a name, left out" in read_samples(index).notes[0]
    comma = save_text(tmp_path / "comma.csv", "u;v\n1,5;2\n")
    assert "commas read as decimal points" in read_samples(comma).notes[0]
    assert read_samples(comma, decimal=",").notes == ()
    years = save_text(tmp_path / "years.csv", "2019,2020\n1.5,2\n")
    assert "read as names" in read_samples(years).notes[0]
    assert read_samples(years, header=False).n == 2
    pipes = save_text(tmp_path / "pipes.csv", "u|city|v\n1|Rome|2\n3|Oslo|4\n")
    found = read_samples(pipes, sep="|", exclude=["city"])
    assert (found.columns, found.points.tolist()) == (("u", "v"), [[1, 2], [3, 4]])
    assert read_samples(pipes, sep="|", columns=["v", "u"]).points.tolist() == [[2, 1], [4, 3]]
    array = save_npy(tmp_path / "array.npy")
    np.testing.assert_array_equal(read_samples(array, exclude=["0"]).points, POINTS[:, 1:])
    one = save_text(tmp_path / "one.csv", 'u,v\n"1,5",2\n')
    fails(one, "'1,5' in row 0 (line 2); state decimal (--decimal ,)")
    assert read_samples(one, decimal=",", sep=",").points.tolist() == [[1.5, 2]]


@pytest.mark.parametrize(
    "name, stated, words",
    [
        ("t.csv", {"columns": ["z"]}, "t.csv has no column z: it has ['u', 'v']"),
        ("t.csv", {"exclude": ["u", "v"]}, "t.csv has no column left to read"),
        ("t.csv", {"decimal": ";"}, "decimal must be one of"),
        ("t.csv", {"sep": ", "}, "sep must be one character"),
        ("t.csv", {"sep": 1}, "sep must be one character: got 1"),
        ("t.csv", {"encoding": 8}, "encoding must be one that Python knows"),
        ("t.csv", {"encoding": "a\0b"}, "encoding must be one that Python knows"),
        ("t.csv", {"header": "yes"}, "header must be True or False"),
        ("t.csv", {"encoding": "latin-99"}, "encoding must be one that Python knows"),
        ("t.csv", {"columns": 1}, "columns must be a list of texts: got 1"),
        ("t.csv", {"missing": ["NA"]}, "missing applies to tables with gaps"),
        ("t.npy", {"sep": ";"}, "apply to text files only"),
        ("images.npy", {"exclude": ["0"]}, "columns and exclude apply to tables"),
    ],
)
def test_options_that_do_not_fit(tmp_path, name, stated, words):
    save_text(tmp_path / "t.csv", "u,v\n1,2\n")
    save_npy(tmp_path / "t.npy")
    save_npy(tmp_path / "images.npy", np.zeros((2, 3, 3)))
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        read_samples(tmp_path / name, **stated)


def test_header_is_true_or_false(tmp_path):
    path = save_text(tmp_path / "t.csv", "u,v\n1,2\n")
    with pytest.raises(TypeError, match="header must be True or False: got 'yes'"):
        read_samples(path, header="yes")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_named_and_can_be_stated(tmp_path, encoding):
    path = tmp_path / "other.csv"
    path.write_text("größe,höhe\n1,2\n", encoding=encoding)
    fails(path, "is not utf-8 text", f"--encoding {encoding}")
    assert read_samples(path, encoding=encoding).columns == ("größe", "höhe")


def test_underscores_are_no_digits(tmp_path):
    fails(save_text(tmp_path / "month.csv", "month,v\n2024_01,1\n"), "'2024_01' in row 0")


def test_parquet_columns(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "table.parquet"
    parquet.write_table(arrow.table({"u": [1, 2], "city": ["Rome", "Oslo"]}), path)
    fails(path, "column 'city' is not numeric: 'Rome' in row 0")
    parquet.write_table(arrow.table({"u": [1.0, None]}), path)
    fails(path, "column 'u' has an empty cell in row 1")
    parquet.write_table(arrow.table({"u": [1, 2], "__index_level_0__": [0, 1]}), path)
    samples = read_samples(path)
    assert samples.columns == ("u",)
    assert "left out" in samples.notes[0]
    named = arrow.table({"u": [1, 2], "day": [1000, 2000]})
    told = {b"pandas": b'{"index_columns": ["day"]}'}
    parquet.write_table(named.replace_schema_metadata(told), path)
    assert read_samples(path).columns == ("u",)
    assert read_samples(path).notes == (f"{path}: row index 'day' left out",)
    assert read_samples(path, columns=["day"]).points.tolist() == [[1000], [2000]]
    money = arrow.array([decimal.Decimal("1.25"), decimal.Decimal("2.50")])
    parquet.write_table(arrow.table({"u": money}), path)
    assert read_samples(path).points.tolist() == [[1.25], [2.5]]
    parquet.write_table(arrow.table({"u": arrow.array([], arrow.float64())}), path)
    fails(path, "no samples")


def test_align_matches_columns_by_name_and_precision(tmp_path):
    x = read_samples(save_text(tmp_path / "x.csv", "u,v\n1,2\n"))
    y = read_samples(save_text(tmp_path / "y.csv", "v,u\n20,10\n"))
    _, matched = align(x, y)
    np.testing.assert_array_equal(matched.points, [[10, 20]])
    assert "order" in matched.notes[-1]
    other = read_samples(save_text(tmp_path / "z.csv", "u,w\n1,2\n"))
    with pytest.raises(DataError, match=re.escape("x.csv has ['v']")):
        align(x, other)
    single = read_samples(save_npy(tmp_path / "single.npy", np.zeros((1, 2), np.float32)))
    _, widened = align(x, single)
    assert widened.points.dtype == np.float64
    assert "float32 computed in float64" in widened.notes[-1]
    with pytest.raises(DataError, match=r"has 2, .*line\.npy has 1"):
        align(x, read_samples(save_npy(tmp_path / "line.npy", np.zeros(4))))


def test_align_compares_the_shapes_of_single_samples(tmp_path):
    x = read_samples(save_npy(tmp_path / "wide.npy", np.zeros((5, 1, 8, 6))))
    y = read_samples(save_npy(tmp_path / "tall.npy", np.zeros((5, 6, 8, 1))))
    words = r"wide\.npy has \(1, 8, 6\), .*tall\.npy has \(6, 8, 1\)"
    with pytest.raises(DataError, match=words):
        align(x, y)
    align(x, read_samples(save_npy(tmp_path / "grey.npy", np.zeros((5, 8, 6)))))
    align(x, read_samples(save_npy(tmp_path / "flat.npy", np.zeros((5, 48)))))


@pytest.mark.parametrize(
    "weights, words",
    [
        ([0.5, 0.5, 0.5], "must sum to 1, they sum to 1.5"),
        ([1.5, -0.5, 0.0], "must not be negative: -0.5 at row 1"),
        ([0.5, 0.5], "3 expected, found 2"),
        ([[0.5, 0.5], [0, 0], [0, 0]], "found 2 columns"),
        ([0.5, np.nan, 0.5], "nan at row 1"),
    ],
)
def test_bad_weights(tmp_path, weights, words):
    path = save_npy(tmp_path / "weights.npy", np.array(weights))
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        read_weights(path, 3)
    assert "weights.npy" in str(caught.value)


def test_good_weights(tmp_path):
    path = save_npy(tmp_path / "weights.npy", np.array([0.25, 0.75, 0.0], np.float32))
    np.testing.assert_array_equal(read_weights(path, 3), [0.25, 0.75, 0.0])
