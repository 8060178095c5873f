"""The page of measured runs: the machine, a table for every suite, and its plots.

Nothing in it is typed by hand. A run writes it into its own folder; `benchmarks.publish` writes it
for the site, and brief tables of suites into the guides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import page, records
from benchmarks.case import OURS
from benchmarks.plots import plots
from benchmarks.records import Row

TITLES = {
    "batches": "Many small pairs",
    "entropic": "Entropic transport",
    "evaluation": "Evaluation",
    "exact": "Exact transport",
    "exact_parts": "Exact transport, part by part",
    "gan": "Generators",
    "images": "Images and barycenters",
    "metrics": "Ground metrics",
    "neural": "Critics",
    "pairwise": "Many samples",
    "ladder": "What an error costs",
    "scale": "An accuracy that is asked for",
    "large": "The same between hundreds of thousands of points",
    "sliced": "Sliced distances",
    "small": "Small calls",
    "unbalanced": "Partial and unbalanced transport",
    "univariate": "On the line",
}
VISIBLE = 0.005
"""A relative error from which a brief table says so."""
HEADER = ("problem", "competitor", "time", "ratio", "memory", "error", "bracket", "status")


def write(run: dict[str, Any], folder: Path) -> None:
    """The three forms of the results of a run: JSON, the page, its plots."""
    records.write(folder / "results.json", records.text_of(run) + "\n")
    records.write(folder / "results.md", markdown([run], plots(run["rows"], folder)))


def command(run: dict[str, Any]) -> str:
    """The command that measured a run.

    >>> command({"suite": "quick", "seed": 0, "rounds": 9, "timeout": 120.0, "device": "cpu"})
    'python -m benchmarks --suite quick --seed 0 --rounds 9 --timeout 120'
    """
    options = [f"--{name} {run[name]}" for name in ("suite", "seed", "rounds")]
    options.append(f"--timeout {run['timeout']:g}")
    options += [] if run["device"] == "cpu" else [f"--device {run['device']}"]
    return " ".join(["python -m benchmarks", *options])


Run = dict[str, Any]
"""A header and rows, as `records` has them."""


def by(rows: Sequence[Row], column: str) -> list[tuple[Any, list[Row]]]:
    """Neighbouring rows that agree in a column, such as the competitors of a case."""
    return [(value, list(group)) for value, group in groupby(rows, lambda row: row[column])]


def by_suite(runs: Iterable[dict[str, Any]]) -> list[tuple[str, list[tuple[Run, list[Row]]]]]:
    """Every suite by name, with the runs that its cases come from and their rows."""
    found: dict[str, list[tuple[Run, list[Row]]]] = {}
    for run in runs:
        for suite, rows in by(run["rows"], "suite"):
            found.setdefault(suite, []).append((run, rows))
    return sorted(found.items())


def markdown(runs: Sequence[dict[str, Any]], pictures: Sequence[Path] = ()) -> str:
    """A page: the machine, then a table for every suite, and its pictures."""
    lines = [_written(runs[0])] if len(runs) == 1 else []
    for suite, parts in by_suite(runs):
        lines += ["", f"### {TITLES.get(suite, suite.replace('_', ' ').capitalize())}"]
        for run, rows in parts:
            lines += ["", *([] if len(runs) == 1 else [_written(run), ""])]
            lines += table(rows, run["rounds"])
        own = [picture.name for picture in pictures if picture.name.startswith(f"{suite}-")]
        lines += [line for name in own for line in ("", f"![{_described(name)}]({name})")]
    return "\n".join(lines).lstrip("\n") + "\n"


def _written(run: dict[str, Any]) -> str:
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    where = [machine["cpu"], f"{machine['threads']} threads", f"device {machine['device']}"]
    where += [f"NumPy sorts with {machine['sort']}"] if "sort" in machine else []
    where += [f"Python {machine['python']}"]
    return f"Written by `{command(run)}` on {', '.join(where)}; {versions}."


def _described(name: str) -> str:
    suite, _, kind = Path(name).stem.rpartition("-")
    axes = "growth with n, a panel for each problem" if kind == "scaling" else "error against time"
    return f"{suite}: {axes}, one colour a competitor"


def table(rows: Sequence[Row], rounds: int) -> list[str]:
    """Lines of a Markdown table, one case after the other; `rounds` were asked for."""
    cuda = any("cuda" in row for row in rows)
    lines = [
        ["" if index else case, row["competitor"], *_cells(row, rounds)]
        + ([_on_cuda(row, rounds)] if cuda else [])
        for case, group in by(rows, "case")
        for index, row in enumerate(group)
    ]
    return page.table((*HEADER, "CUDA") if cuda else HEADER, lines)


def _cells(row: Row, rounds: int) -> list[str]:
    if row["status"] != "ok":
        return ["", "", "", "", "", _failure(row)]
    ratio = row.get("ratio")
    return [
        ", ".join([spread(row["seconds"]), *_fewer(row, rounds)]),
        "" if ratio is None or row["competitor"] == OURS else f"{ratio['median']:.3g}",
        f"{row['peak_mb']:.0f} MB",
        *("" if row[name] is None else f"{row[name]:.1g}" for name in ("error", "gap")),
        "not converged" if row["converged"] is False else row.get("message", ""),
    ]


def _failure(row: Row) -> str:
    return ": ".join(filter(None, (row["status"], row.get("message"))))


def _fewer(row: Row, rounds: int) -> list[str]:
    """The rounds of a row, where they are fewer than asked for."""
    found = row["rounds"]
    return [f"{found} round" + "s" * (found > 1)] if found < rounds else []


def _on_cuda(row: Row, rounds: int) -> str:
    """Time and memory on the device, or why there are none."""
    found = row.get("cuda", {"status": ""})
    if found["status"] != "ok":
        return _failure(found)
    time, memory = duration(found["seconds"]["median"]), f"{found['peak_mb']:.0f} MB"
    return ", ".join([time, memory, *_fewer(found, rounds)])


def brief(rows: Sequence[Row], rounds: int) -> list[str]:
    """Lines of a narrow table: a case a line, the others by what they take beside otdist.

    A case that had fewer than `rounds` rounds says how many.
    """
    lines = []
    for case, group in by(rows, "case"):
        ours = next(row for row in group if row["competitor"] == OURS)
        others = [f"{row['competitor']} {_beside(row)}" for row in group if row is not ours]
        lines.append([case, _alone(ours, rounds), "; ".join(others)])
    return page.table(["problem", "otdist", "others: ratio of their time, memory"], lines)


def _alone(row: Row, rounds: int) -> str:
    """What otdist takes, and its error where that shows; or why it did not answer."""
    if row["status"] != "ok":
        return _failure(row)
    time = duration(row["seconds"]["median"])
    return ", ".join([time, *_besides_time(row), *_fewer(row, rounds)])


def _beside(row: Row) -> str:
    """What it takes beside otdist, and its error where that shows; or that it did not answer."""
    if row["status"] != "ok":
        return row["status"]
    ratio = row.get("ratio")
    time = duration(row["seconds"]["median"]) if ratio is None else f"{ratio['median']:.3g}"
    return f"**{time}** ({', '.join(_besides_time(row))})"


def _besides_time(row: Row) -> list[str]:
    error = row["error"] or 0.0
    return [f"{row['peak_mb']:.0f} MB", *([f"error {error:.0%}"] if error >= VISIBLE else [])]


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 1e-3:
        return 1e6, "µs"
    return (1e3, "ms") if seconds < 1 else (1, "s")


def duration(seconds: float) -> str:
    """Seconds in the unit that people read.

    >>> duration(0.0123), duration(75)
    ('12.3 ms', '75 s')
    """
    factor, unit = _unit(seconds)
    return f"{seconds * factor:.3g} {unit}"


def spread(quartiles: dict[str, float]) -> str:
    """Median and quartiles in one unit; the median alone where they are one call.

    >>> spread({"q25": 0.0991, "median": 0.101, "q75": 0.2})
    '101 (99.1–200) ms'
    >>> spread({"q25": 3.0, "median": 3.0, "q75": 3.0})
    '3 s'
    >>> spread({"q25": 0.9, "median": 0.99, "q75": 1.234})
    '990 (900–1234) ms'
    """
    low, middle, high = (quartiles[key] for key in ("q25", "median", "q75"))
    if low == high:
        return duration(middle)
    factor, unit = _unit(middle)
    scaled = [value * factor for value in (low, middle, high)]
    low, middle, high = (f"{v:.3g}" if v < 999.5 else f"{v:.0f}" for v in scaled)
    return f"{middle} ({low}–{high}) {unit}"


def fill(path: Path, runs: Iterable[dict[str, Any]]) -> None:
    """Write the commands and tables of every suite that has marks on a page between them."""
    for suite, parts in by_suite(runs):
        if page.has(path, f"benchmarks {suite}"):
            lines: list[str] = []
            for run, rows in parts:
                where = f"`{command(run)}` on {run['machine']['cpu']}:"
                lines += ["", where, "", *brief(rows, run["rounds"])]
            page.put(path, f"benchmarks {suite}", "\n".join(lines[1:]))
