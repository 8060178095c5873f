"""Samples larger than memory, read from files: on the line, sliced, and by several workers.

Every measurement runs in a process of its own, which reports its peak of resident memory; the data
are written to a folder first and deleted at the end. Rows of an experiment replace earlier ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from typer import Option

from benchmarks import page
from benchmarks.experiment import ROOT, Cases, Experiment
from benchmarks.memory import peak_of_process
from benchmarks.records import Row

FILES = 10
DIMENSION, DIRECTIONS = 32, 128
SIZES = {"line": 2 * 10**8, "sliced": 5 * 10**6, "scaling": 4 * 10**6}
"""Rows a side; the scaling experiment takes forty times as many on the line."""


def write(folder: Path, name: str, shape: tuple[int, ...], law: tuple[float, float]) -> None:
    """Normal draws of the given mean and deviation into a .npy file, piece by piece."""
    rng = np.random.default_rng([ord(c) for c in name])
    out = np.lib.format.open_memmap(folder / name, "w+", np.float64, shape)
    step = max(1, 2**22 // int(np.prod(shape[1:])))
    for start in range(0, len(out), step):
        part = out[start : start + step]
        part[:] = law[0] + law[1] * rng.standard_normal(part.shape)
    out.flush()


def line_files(folder: Path, side: str, count: int = FILES) -> list[Path]:
    """The files of one side on the line."""
    return [folder / f"{side}{k}.npy" for k in range(count)]


def measure_line(folder: Path, part: str) -> Row:
    """W_1 by dask in this process, of all files or of the first; or in memory, of the first."""
    import dask.config

    import otdist
    from otdist.io import dask_samples

    count = FILES if part == "all" else 1
    x, y = line_files(folder, "x", count), line_files(folder, "y", count)
    if part == "memory":
        arrays = [np.load(path) for path in (x[0], y[0])]
        started = time.perf_counter()
        result = otdist.wasserstein(*arrays)
        return {"distance": result.distance, "seconds": time.perf_counter() - started}
    with dask.config.set(scheduler="threads", num_workers=2):
        result = otdist.wasserstein(dask_samples(x), dask_samples(y))
    return {
        "distance": result.distance,
        "lower": result.lower,
        "upper": result.upper,
        "seconds": result.seconds,
        "message": result.message,
    }


def measure_sliced(folder: Path, part: str) -> Row:
    """SW_2 in batches from memory-mapped files, or in memory."""
    import otdist
    from otdist.io import blocks
    from otdist.streaming import Slices

    x, y = folder / "x.npy", folder / "y.npy"
    if part == "memory":
        arrays = [np.load(path) for path in (x, y)]
        started = time.perf_counter()
        result = otdist.sliced_wasserstein(*arrays, p=2, n_projections=DIRECTIONS)
        return {"distance": result.distance, "seconds": time.perf_counter() - started}
    started = time.perf_counter()
    streamed = Slices(2, n_projections=DIRECTIONS).extend(blocks(x), blocks(y)).compute()
    return {
        "distance": streamed.distance,
        "error": streamed.error,
        "stderr": streamed.stderr,
        "seconds": time.perf_counter() - started,
    }


def measure_scaling(folder: Path, part: str) -> Row:
    """Seconds of both distances with `part` worker processes of one thread, and their memory."""
    import distributed

    import otdist
    from otdist.io import dask_samples

    with (
        distributed.LocalCluster(
            n_workers=int(part),
            threads_per_worker=1,
            dashboard_address=":0",
            env={"OMP_NUM_THREADS": "1"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        on_line = [dask_samples(line_files(folder, side, 4)) for side in "xy"]
        plane = [dask_samples(folder / f"{side}.npy") for side in "xy"]
        row: Row = {"workers": int(part)}
        for name, call in (
            ("line", lambda: otdist.wasserstein(*on_line)),
            ("sliced", lambda: otdist.sliced_wasserstein(*plane, p=2, n_projections=DIRECTIONS)),
        ):
            seconds = []
            for _ in range(2):
                started = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - started)
            # The first call also waits for imports and for the page cache.
            row[f"{name}_seconds"] = seconds[-1]
            peaks: Any = client.run(peak_of_process)
            row[f"{name}_worker_mb"] = max(peaks.values())
        return row


MEASURES: dict[str, Callable[[Path, str], Row]] = {
    "line": measure_line,
    "sliced": measure_sliced,
    "scaling": measure_scaling,
}
PARTS = {
    "line": ("all", "tenth", "memory"),
    "sliced": ("batches", "memory"),
    "scaling": ("1", "2"),
}


def prepare(name: str, folder: Path, rows: int) -> None:
    """The files of an experiment."""
    if name != "sliced":
        count, each = (FILES, rows // FILES) if name == "line" else (4, 10 * rows)
        for side, law in (("x", (0.0, 1.0)), ("y", (0.1, 1.2))):
            for path in line_files(folder, side, count):
                write(folder, path.name, (each,), law)
    if name != "line":
        write(folder, "x.npy", (rows, DIMENSION), (0.0, 1.0))
        write(folder, "y.npy", (rows, DIMENSION), (0.05, 1.1))


def in_process(name: str, folder: Path, part: str) -> Row:
    """The row of one measurement, made by another process, with that one's peak memory."""
    code = "import sys; from benchmarks import outofcore; outofcore.child(*sys.argv[1:])"
    command = [sys.executable, "-c", code, name, str(folder), part]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(name: str, folder: str, part: str) -> None:
    """Print the row of one measurement, made in this process of its own."""
    found = MEASURES[name](Path(folder), part)
    print(json.dumps({**found, "peak_mb": peak_of_process()}))


@dataclass(frozen=True)
class Settings:
    """Options of the command."""

    short: Annotated[bool, Option("--short", help="A hundredth: does it run at all.")] = False
    folder: Annotated[Path | None, Option(help="For the data; a temporary one if left out.")] = None


def _cases(name: str, settings: Settings) -> Cases:
    """Write the data, measure every part, delete the data."""
    rows = SIZES[name] // (100 if settings.short else 1)
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        prepare(name, Path(folder), rows)
        for part in PARTS[name]:
            known = {"experiment": name, "part": part, "rows": rows}
            yield known, partial(in_process, name, Path(folder), part)


def render(rows: Sequence[Row]) -> str:
    """Markdown: both distances from files, scaling, and the estimate that follows from it."""
    found = {(row["experiment"], row["part"]): row for row in rows}
    all_, tenth, exact = (found["line", part] for part in PARTS["line"])
    sliced, whole = (found["sliced", part] for part in PARTS["sliced"])
    one, two = (found["scaling", part] for part in PARTS["scaling"])
    titles = [
        "from files on disk", "rows a side", "seconds", "peak memory", "result", "proved",
        "off the result in memory",
    ]  # fmt: skip
    on_line, of_tenth, in_space = (f"{row['peak_mb']:.0f} MB" for row in (all_, tenth, sliced))
    what = f"SW_2, {DIMENSION} coordinates, {DIRECTIONS} directions"
    files = page.table(titles, [
        ["W_1 on the line, Dask threads", f"{all_['rows']:,}", f"{all_['seconds']:.0f}", on_line,
         f"{all_['distance']:.9f}", f"[{all_['lower']:.9f}, {all_['upper']:.9f}]", "—"],
        ["the same of a tenth", f"{tenth['rows'] // FILES:,}", f"{tenth['seconds']:.1f}", of_tenth,
         f"{tenth['distance']:.9f}", f"a bracket {tenth['upper'] - tenth['lower']:.1e} wide",
         f"{abs(tenth['distance'] - exact['distance']):.1e}"],
        [f"{what}, batches", f"{sliced['rows']:,}", f"{sliced['seconds']:.0f}", in_space,
         f"{sliced['distance']:.7f}", f"sketch ± {sliced['error']:.1e}",
         f"{abs(sliced['distance'] - whole['distance']):.1e}"],
    ])  # fmt: skip
    workers = []
    for name, words, size in (
        ("line", "W_1 on the line", 40 * one["rows"]),
        ("sliced", what, one["rows"]),
    ):
        seconds = one[f"{name}_seconds"], two[f"{name}_seconds"]
        times = [f"{s:.1f} s" for s in seconds] + [f"{seconds[0] / seconds[1]:.2f}"]
        memory = f"{two[f'{name}_worker_mb']:.0f} MB"
        workers.append([f"{words}, {size:,} rows a side", *times, memory])
    titles = ["worker processes of one thread", "1", "2", "times faster", "memory of a worker"]
    beside = (
        f"In memory the tenth takes {exact['seconds']:.1f} s and {exact['peak_mb']:.0f} MB, the "
        f"sliced distance {whole['seconds']:.0f} s and {whole['peak_mb']:.0f} MB."
    )
    lines = [*files, "", beside, "", *page.table(titles, workers), "", estimate(one, two), ""]
    return "\n".join(lines)


def estimate(one: Row, two: Row) -> str:
    """What 64 workers would need for 10⁹ rows a side, by the measured rates; not a measurement."""
    minutes = {}
    for name, size in (("line", 40 * one["rows"]), ("sliced", one["rows"])):
        # One worker's rate, and the efficiency seen from 1 to 2 workers for each doubling to 64.
        efficiency = min(one[f"{name}_seconds"] / two[f"{name}_seconds"] / 2, 1.0)
        busy = one[f"{name}_seconds"] * 1e9 / size / 64
        minutes[name] = busy / 60, busy / 60 / efficiency**6
    spans = {
        name: f"{low:.1f} to {high:.1f} minutes"
        if low > 0.1
        else f"{60 * low:.0f} to {60 * high:.0f} s"
        for name, (low, high) in minutes.items()
    }
    return (
        "**An estimate, not a measurement**: 10⁹ rows a side on 64 such workers. At the rate of "
        "the one worker above, shared out perfectly, up to the efficiency seen from one to two "
        f"workers lost again at each of six doublings: {spans['line']} on the line, and "
        f"{spans['sliced']} for the sliced distance. The memory of a worker does not grow with "
        f"the rows. Reading {2 * 8 * DIMENSION} GB for the sliced distance in that time is "
        "up to the storage."
    )


EXPERIMENT = Experiment(
    "outofcore",
    __doc__ or "",
    Settings,
    {name: partial(_cases, name) for name in MEASURES},
    ("experiment", "part"),
    ROOT / "docs" / "large.md",
    {"table of benchmarks/outofcore": render},
)
