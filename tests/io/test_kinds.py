"""One table in every kind of file; and what is said of a kind that is not read."""

import gzip
import json
import sys

import numpy as np
import pytest

from otdist.io import DataError, Reading, read_columns, read_samples
from otdist.io.kinds import READERS, file_of

POINTS = np.array([[1.5, 2.0], [-3.0, 4.25], [0.0, 1e-3]])


def as_text(path, separator=",", head="a{0}b"):
    lines = [head.format(separator), *(f"{a}{separator}{b}" for a, b in POINTS.tolist())]
    path.write_text("\n".join(lines) + "\n")


def packed(path):
    path.write_bytes(gzip.compress(b"a,b\n1.5,2.0\n-3.0,4.25\n0.0,0.001\n"))


def as_arrow(path):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": POINTS[:, 0], "b": POINTS[:, 1]})
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    else:
        pytest.importorskip("pyarrow.feather").write_feather(table, path)


def as_lines(path):
    path.write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in POINTS.tolist()))


def as_hdf5(path):
    with pytest.importorskip("h5py").File(path, "w") as file:
        file["group/data"] = POINTS


def as_mat(path):
    pytest.importorskip("scipy.io").savemat(path, {"x": POINTS})


def as_torch(path):
    import torch

    torch.save(torch.from_numpy(POINTS), path)


WRITERS = {
    "csv": as_text, "tsv": lambda path: as_text(path, "\t"),
    "txt": lambda path: as_text(path, "  "),
    "csv.gz": packed, "jsonl": as_lines, "ndjson": as_lines, "parquet": as_arrow,
    "feather": as_arrow, "arrow": as_arrow, "h5": as_hdf5, "hdf5": as_hdf5, "mat": as_mat,
    "npy": lambda path: np.save(path, POINTS), "npz": lambda path: np.savez(path, x=POINTS),
    "pt": as_torch, "pth": as_torch,
}  # fmt: skip


def test_every_kind_is_tried():
    assert {f".{kind}" for kind in WRITERS} == {*READERS, ".csv.gz"}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_holds_the_same_points(tmp_path, kind):
    path = tmp_path / f"points.{kind}"
    WRITERS[kind](path)
    samples = read_samples(path)
    np.testing.assert_array_equal(samples.points, POINTS)
    named = kind.split(".")[0] in ("csv", "tsv", "txt", "jsonl", "ndjson", "parquet", "feather")
    assert samples.columns == (("a", "b") if named or kind == "arrow" else None)
    columns = read_columns(path).columns
    np.testing.assert_array_equal(np.stack([*columns.values()], 1), POINTS)


@pytest.mark.parametrize("kind", ["csv", "txt", "npy", "jsonl", "h5", "mat", "parquet", "pt"])
def test_the_format_may_be_stated(tmp_path, kind):
    path = tmp_path / f"points.{kind}"
    WRITERS[kind](path)
    other = path.rename(tmp_path / "points.data")
    np.testing.assert_array_equal(read_samples(other, format=kind).points, POINTS)
    columns = read_columns(other, format=kind).columns
    np.testing.assert_array_equal(np.stack([*columns.values()], 1), POINTS)


def test_a_matlab_vector_is_points_on_the_line(tmp_path):
    scipy = pytest.importorskip("scipy.io")
    scipy.savemat(tmp_path / "v.mat", {"x": [1.0, 2.0, 3.0], "note": "no numbers"})
    samples = read_samples(f"{tmp_path / 'v.mat'}:x")
    assert samples.points.tolist() == [[1.0], [2.0], [3.0]]
    assert "a row of 3, read as a column" in samples.notes[0]
    with pytest.raises(DataError, match=r"which array.*x, note"):
        read_samples(tmp_path / "v.mat")


def test_matlab_files_from_version_7_3_are_hdf5(tmp_path):
    path = tmp_path / "new.mat"
    with pytest.importorskip("h5py").File(path, "w", userblock_size=512) as file:
        file["x"] = POINTS.T  # MATLAB stores the first axis last
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    np.testing.assert_array_equal(read_samples(path).points, POINTS)


def test_numpy_remarks_and_blanks_in_text(tmp_path):
    path = tmp_path / "points.txt"
    np.savetxt(path, POINTS, header="of numpy")
    np.testing.assert_array_equal(read_samples(path).points, POINTS)
    path.write_text("\n  1   2\n 3 4 \n\n")
    np.testing.assert_array_equal(read_samples(path).points, [[1, 2], [3, 4]])


def test_a_blank_line_above_the_names_is_passed_over(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("\na,b\n1,2\n")
    assert read_samples(path).points.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "name, words",
    [
        ("book.xlsx", "read_excel"), ("data.json", "read_json"), ("data.pkl", "runs code"),
        ("a.safetensors", "load_file"), ("cat.jpg", "folder"), ("stata.dta", "read_stata"),
        ("x.npy.gz", "gunzip"), ("what.ever", "numpy.save('what.npy'"),
        ("a.csv.bz2", "bunzip2"), ("a.csv.zip", "unzip"), ("a.tar.gz", "tar -xf"),
        ("a.rds", "readRDS"), ("cells.h5ad", "read_h5ad"), ("scan.nii", "nibabel.load"),
        ("sky.fits", "getdata"), ("a.sqlite", "SELECT"), ("grid.nc", "to_dataframe"),
        ("points", "no ending says"),
    ],
)  # fmt: skip
def test_an_unknown_kind_names_the_known_and_a_conversion(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path / name)
    assert words in str(caught.value)
    assert all(kind in str(caught.value) for kind in (*READERS, ".csv.gz", "folders of images"))


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.csv.gz", gzip.compress(b"1,2\n3,4\n" * 99, mtime=0)[:-9], "damaged or truncated"),
        ("a.csv.gz", b"\x1f\x8bno", "damaged or truncated"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', r"row 1 \(line 2\) is no JSON"),
        ("a.jsonl", b'{"a": 1}\n{"b": 2}\n', "row 1 .* has 'b', which row 0 has not"),
        ("a.jsonl", b'{"a": 1}\n{"a": "x"}\n', "'a' is not numeric: 'x' in row 1"),
        ("a.jsonl", b"", "is empty"),
        ("a.npy", b"1,2", "is no .npy file.*state its format"),
        ("a.feather", b"what", "not a Parquet file, nor Feather"),
        ("a.h5", b"what", "no HDF5 file"),
        ("a.mat", b"what", "no MATLAB file"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, words):
    pytest.importorskip("pyarrow")
    pytest.importorskip("h5py")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_samples(tmp_path / name)
    assert name in str(caught.value)


def test_records_of_hdf5_are_no_numbers(tmp_path):
    with pytest.importorskip("h5py").File(tmp_path / "a.h5", "w") as file:
        file["t"] = np.zeros(3, dtype=[("a", float), ("b", float)])
    with pytest.raises(DataError, match="records of a, b"):
        read_samples(tmp_path / "a.h5")


def test_gaps_and_words_of_json_lines(tmp_path):
    path = tmp_path / "people.jsonl"
    path.write_text('{"age": 4, "city": "Rome"}\n{"age": null}\n{"age": 6.5, "city": "Oslo"}\n')
    table = read_columns(path)
    np.testing.assert_array_equal(table.columns["age"], [4, np.nan, 6.5])
    assert table.columns["city"].tolist() == ["Rome", "", "Oslo"]
    with pytest.raises(DataError, match="'age' is missing in row 1"):
        read_samples(path, exclude=["city"])


def test_options_of_images_apply_to_folders(tmp_path):
    np.save(tmp_path / "x.npy", POINTS)
    with pytest.raises(DataError, match="resize applies to folders"):
        read_samples(tmp_path / "x.npy", resize=(8, 8))


@pytest.mark.parametrize(
    "stated, words",
    [({"format": "xlsx"}, "format must be one of"), ({"resize": (8,)}, "a height and a width"),
     ({"mode": "CMYK"}, "mode must be one of"), ({"recursive": 2}, "recursive must be")],
)  # fmt: skip
def test_wrong_options_are_named(stated, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Reading(**stated)


def test_keys_belong_to_the_path(tmp_path):
    assert file_of("a.h5:group/data", Reading())[1:] == ("group/data", ".h5")
    assert file_of("A.CSV.GZ", Reading()).kind == ".csv"


def test_a_missing_package_is_told_with_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"a\.parquet: this needs pyarrow.*otdist\[tables\]"):
        read_samples(path)
