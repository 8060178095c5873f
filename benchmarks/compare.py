"""A regression check between two result files by paired ratios.

Two runs on two days are not comparable in seconds. What is comparable is the ratio to a competitor
that took turns with us: if otdist was 20 times faster than POT and is now 10 times faster, it
became slower.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.case import OURS


def regressions(old: dict[str, Any], new: dict[str, Any], tolerance: float) -> list[str]:
    """Sentences about cases that became slower, less accurate, or stopped working.

    Args:
        old: Content of the earlier result file.
        new: Content of the later one.
        tolerance: Ratios below (1 − tolerance) of the earlier one count as slower.
    """
    earlier = {(row["case"], row["competitor"]): row for row in old["rows"]}
    found = []
    for row in new["rows"]:
        before = earlier.get((row["case"], row["competitor"]))
        if before is None or before["status"] != "ok":
            continue
        if row["competitor"] == OURS:
            found += _ours(before, row)
        elif row["status"] == "ok" and "ratio" in row and "ratio" in before:
            was, now = before["ratio"]["median"], row["ratio"]["median"]
            if now < was * (1 - tolerance):
                change = f"{was:.3g} → {now:.3g} times the speed of {row['competitor']}"
                found.append(f"slower: {row['case']}: {change}")
    return found


def _ours(before: dict[str, Any], row: dict[str, Any]) -> list[str]:
    if row["status"] != "ok":
        return [f"{row['status']}: {row['case']}: {row['message']}"]
    was, now = before["error"], row["error"]
    if was is not None and now is not None and now > 2 * was + 1e-12:
        return [f"less accurate: {row['case']}: error {was:.1g} → {now:.1g}"]
    return []


def main(
    old: Annotated[Path, typer.Argument(help="Earlier results.json.")],
    new: Annotated[Path, typer.Argument(help="Later results.json.")],
    tolerance: Annotated[float, typer.Option(help="Loss of relative speed let pass.")] = 0.25,
) -> None:
    """Exit with 1 if the later results are worse."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in (old, new)]
    found = regressions(read[0], read[1], tolerance)
    print("\n".join(found) or "no regression")
    raise typer.Exit(1 if found else 0)


if __name__ == "__main__":
    typer.run(main)
