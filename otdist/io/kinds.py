"""Which reader a file has, by its ending or by the format that is stated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from otdist.io.arrays import read_hdf5, read_mat, read_npy, read_npz, read_torch
from otdist.io.errors import DataError
from otdist.io.formats import Raw, read_json_lines, read_table, read_text
from otdist.io.images import ENDINGS
from otdist.io.reading import Reading

Reader = Callable[[Path, str | None, Reading], Raw]

TEXTS = (".csv", ".tsv", ".txt")
ARROW = (".parquet", ".feather", ".arrow")
LINES = (".jsonl", ".ndjson")
READERS: dict[str, Reader] = {
    ".npy": read_npy,
    ".npz": read_npz,
    **dict.fromkeys(TEXTS, read_text),
    **dict.fromkeys(ARROW, read_table),
    **dict.fromkeys(LINES, read_json_lines),
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".mat": read_mat,
    ".pt": read_torch,
    ".pth": read_torch,
}
"""Ending → reader; texts may be packed by gzip."""
KEYED = (".npz", ".pt", ".pth", ".h5", ".hdf5", ".mat")

_FRAME = "python -c \"import pandas; pandas.read_{0}('{{0}}').to_csv('{{1}}.csv', index=False)\""
_ARRAY = "python -c \"import {0}, numpy; numpy.save('{{1}}.npy', {1})\""
_CONVERSIONS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _FRAME.format("excel")),
    ".json": _FRAME.format("json"),
    ".dta": _FRAME.format("stata"),
    ".sav": _FRAME.format("spss"),
    ".sas7bdat": _FRAME.format("sas"),
    ".orc": _FRAME.format("orc"),
    ".xml": _FRAME.format("xml"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "sqlite3 -csv -header {0} 'SELECT * FROM "
                    "TABLE' > {1}.csv"),
    ".rds": "Rscript -e \"write.csv(readRDS('{0}'), '{1}.csv', row.names = FALSE)\"",
    ".h5ad": _ARRAY.format("anndata", "anndata.read_h5ad('{0}').to_df()"),
    ".mtx": _ARRAY.format("scipy.io", "scipy.io.mmread('{0}').toarray()"),
    ".fits": _ARRAY.format("astropy.io.fits", "astropy.io.fits.getdata('{0}')"),
    ".nii": _ARRAY.format("nibabel", "nibabel.load('{0}').get_fdata()"),
    ".wav": _ARRAY.format("scipy.io.wavfile", "scipy.io.wavfile.read('{0}')[1]"),
    ".nc": "python -c \"import xarray; "
    "xarray.open_dataset('{0}').to_dataframe().to_csv('{1}.csv')\"",
    ".safetensors": 'python -c "import torch, safetensors.torch as s; '
    "torch.save(s.load_file('{0}'), '{1}.pt')\"",
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "numpy.save('{1}.npy', array) in a session "
                    "that you trust the file in, as loading a pickle runs code"),
    **dict.fromkeys(ENDINGS, "mkdir images && cp {0} images/   (a folder holds the samples)"),
    **dict.fromkeys((".tar", ".tgz", ".tar.gz"), "tar -xf {0}   (and pass what was in it)"),
    ".zip": "unzip {0}   (and pass what was in it)",
    ".gz": "gunzip {0}   (only text is read packed)",
    ".bz2": "bunzip2 {0}",
    ".xz": "unxz {0}",
    ".zst": "unzstd {0}",
}  # fmt: skip
"""Ending → a line that makes a file of a known kind; {0} is its name, {1} its stem."""
_OTHERWISE = "numpy.save('{1}.npy', array) where its array of numbers is made"


class File(NamedTuple):
    """A file that can be read: where it lies, what is wanted of it, its kind."""

    path: Path
    key: str | None
    kind: str


def file_of(name: str, reading: Reading) -> File:
    """What a name means; the kind of a folder is "".

    Raises:
        DataError: an unknown kind; the message lists the known ones, with a conversion.
    """
    path, key = Path(name), None
    for suffix in KEYED:
        stem, found, rest = name.rpartition(f"{suffix}:")
        if found and not path.exists():
            path, key = Path(stem + suffix), rest
    if reading.format is not None:
        return File(path, key, f".{reading.format}")
    if path.is_dir():
        return File(path, key, "")
    endings = [ending.lower() for ending in path.suffixes]
    kind = endings[-1] if endings else ""
    if kind == ".gz" and len(endings) > 1 and endings[-2] in (*TEXTS, *LINES):
        kind = endings[-2]
    if kind not in READERS:
        raise DataError(_unknown(name, path, kind))
    return File(path, key, kind)


def is_text(name: str, stated: str | None = None) -> bool:
    """Whether a file holds separated text, whose separator and the like may be stated."""
    try:
        return file_of(name, Reading(format=stated)).kind in TEXTS
    except DataError:
        return False


def _unknown(name: str, path: Path, kind: str) -> str:
    if not path.suffix and not path.exists():
        return f"{name}: no such file or folder"
    both = "".join(path.suffixes[-2:]).lower()
    remedy = _CONVERSIONS.get(both, _CONVERSIONS.get(kind, _OTHERWISE))
    what = f"unknown kind of file '{kind}'" if kind else "no ending says which kind of file it is"
    return (
        f"{name}: {what}; read are {', '.join(READERS)}, .csv.gz and the like, and folders of "
        "images; state format (--format) if the ending is not its kind, or convert it: "
        + remedy.format(path, path.stem)
    )
