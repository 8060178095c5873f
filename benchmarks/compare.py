"""A regression check between two result files by paired ratios.

Two runs on two days are not comparable in seconds. What is comparable is the ratio to a competitor
that took turns with us: if otdist was 20 times faster than POT and is now 10 times faster, it
became slower. A competitor of another version may have become faster instead, so that versions
which differ are named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import records
from benchmarks.case import OURS
from benchmarks.records import Row

SPARE_MB = 20.0
"""Memory that may be added whatever it was: what a page cache or an allocator makes of a run."""


def regressions(old: dict[str, Any], new: dict[str, Any], tolerance: float) -> list[str]:
    """Sentences about cases that became slower, larger, less accurate, stopped working or left.

    Args:
        old: Content of the earlier result file.
        new: Content of the later one; cases that it does not have are not compared.
        tolerance: Ratios below (1 − tolerance) of the earlier one count as slower, memory above
            (1 + tolerance) of the earlier as larger.
    """
    earlier = _by_name(old)
    found = [
        f"missing: {case}: {name}"
        for suite, case, name in _lost(old, new)
        if name.startswith(OURS) and (suite, case, name) not in _by_name(new)
    ]
    for row in new["rows"]:
        before = earlier.get((row["suite"], row["case"], row["competitor"]))
        if before is None or before["status"] != "ok":
            continue
        if row["competitor"].startswith(OURS):
            found += _ours(before, row, tolerance)
        elif row["status"] == "ok" and "ratio" in row and "ratio" in before:
            was, now = before["ratio"]["median"], row["ratio"]["median"]
            if now < was * (1 - tolerance):
                change = f"{was:.3g} → {now:.3g} times the speed of {row['competitor']}"
                found.append(f"slower: {row['case']}: {change}")
    return found


def _by_name(content: dict[str, Any]) -> dict[tuple[str, str, str], Row]:
    return {(row["suite"], row["case"], row["competitor"]): row for row in content["rows"]}


def _cases(content: dict[str, Any]) -> set[tuple[str, str]]:
    return {(row["suite"], row["case"]) for row in content["rows"]}


def _lost(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rows that were measured, and are not in the later file though their case is."""
    later, cases = _by_name(new), _cases(new)
    return [
        name
        for name, row in _by_name(old).items()
        if row["status"] == "ok"
        and name[:2] in cases
        and later.get(name, {"status": "gone"})["status"] != "ok"
    ]


def _ours(before: Row, row: Row, tolerance: float) -> list[str]:
    name = f"{row['case']}: {row['competitor']}"
    if row["status"] != "ok":
        return [f"{row['status']}: {name}: {row['message']}"]
    found = []
    was, now = before["error"], row["error"]
    if was is not None and now is not None and now > 2 * was + 1e-12:
        found.append(f"less accurate: {name}: error {was:.1g} → {now:.1g}")
    was, now = before["gap"], row["gap"]
    if was is not None and (now is None or now > 2 * was + 1e-9 * abs(row["value"])):
        change = "none" if now is None else f"{now:.1g}"
        found.append(f"wider bracket: {name}: {was:.1g} → {change}")
    if before["converged"] and row["converged"] is False:
        found.append(f"not converged: {name}")
    was, now = before["peak_mb"], row["peak_mb"]
    if now > (1 + tolerance) * was + SPARE_MB:
        found.append(f"more memory: {name}: {was:.0f} → {now:.0f} MB")
    return found


def notes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Sentences about what limits the comparison, without being a regression."""
    cases = [_cases(old), _cases(new)]
    found = [f"{len(cases[0] & cases[1])} cases compared"]
    for name, only in (("earlier", cases[0] - cases[1]), ("later", cases[1] - cases[0])):
        found += [f"{len(only)} cases in the {name} file only"] if only else []
    found += [
        f"no longer measured: {case}: {name}"
        for _, case, name in _lost(old, new)
        if not name.startswith(OURS)
    ]
    heads = [
        (content, content["machine"], content["machine"]["versions"]) for content in (old, new)
    ]
    for before, after in zip(*heads, strict=True):
        found += [
            f"{name} {before.get(name)} → {after.get(name)}"
            for name in sorted({*before, *after} - {"rows", "machine", "versions"})
            if before.get(name) != after.get(name)
        ]
    return found


def pairs(old: Path, new: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The later run beside each earlier one that has its suites; the published file has several.

    Raises:
        BadParameter: a file is no result, or they have no case in common.
    """
    later = records.results(new)
    found = []
    for earlier in records.runs(old):
        suites = {row["suite"] for row in earlier["rows"]}
        part = {**later, "rows": [row for row in later["rows"] if row["suite"] in suites]}
        if _cases(earlier) & _cases(part):
            found.append((earlier, part))
    if not found:
        raise typer.BadParameter(f"{new} has no case of {old}: there is nothing to compare")
    return found


def main(
    old: Annotated[Path, typer.Argument(help="Earlier results.json, or the published one.")],
    new: Annotated[Path, typer.Argument(help="Later results.json.")],
    tolerance: Annotated[float, typer.Option(help="Loss of relative speed let pass.")] = 0.25,
    warn: Annotated[bool, typer.Option("--warn", help="Exit with 0 all the same.")] = False,
) -> None:
    """Exit with 1 if the later results are worse, with 2 if they have no case in common."""
    found = []
    for earlier, later in pairs(old, new):
        found += regressions(earlier, later, tolerance)
        typer.echo("; ".join(notes(earlier, later)), err=True)
    marked = [f"warning: {sentence}" for sentence in found] if warn else found
    typer.echo("\n".join(marked) or "no regression")
    raise typer.Exit(1 if found and not warn else 0)


if __name__ == "__main__":
    typer.run(main)
