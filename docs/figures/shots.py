"""The screenshots of the site: a report in terminals, in a notebook, in a browser and on a phone.

    python docs/figures/shots.py [docs/assets]

Pages need Chromium or Chrome on the path; without it only the terminals are drawn. The report is
that of `make demo` on digits.
"""

from __future__ import annotations

import html
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console

import otdist

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import demo

NOTEBOOK = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 16px 20px; font: 14px system-ui, sans-serif; background: white; }}
.cell {{ display: grid; grid-template-columns: 4.2em 1fr; gap: 8px; margin-bottom: 10px; }}
.mark {{ font: 13px monospace; color: #6b7280; text-align: right; padding-top: 9px; }}
pre {{ margin: 0; padding: 9px 12px; background: #f5f6f7; border: 1px solid #e2e4e7;
  font-size: 13px; }}
</style>
<div class="cell"><span class="mark">In [2]:</span><pre>{code}</pre></div>
<div class="cell"><span class="mark">Out[2]:</span><div>{output}</div></div>"""
CODE = """report = otdist.evaluate(real, {"mixture": mixture, "normal law": normal, ...},
                         metrics=["w1", "w2", "sliced_w2", "energy", ...], n_permutations=199)
report"""


def browser() -> str | None:
    """The path of Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


def shot(
    program: str, page: Path, out: Path, width: int, height: int, *, dark: bool = False
) -> None:
    """Write a picture of a page in 256 colours, by that browser.

    Browsers without a screen are at least 500 pixels wide, so that the page is shown in a frame.
    """
    frame = page.with_name("frame.html")
    ground = "black" if dark else "white"
    frame.write_text(
        f'<body style="margin:0;background:{ground}"><iframe src="{page.name}" '
        f'style="width:{width}px;height:{height}px;border:0"></iframe>',
        encoding="utf-8",
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--hide-scrollbars",
               "--allow-file-access-from-files", f"--screenshot={out}",
               f"--window-size={max(width, 500)},{height}",
               f"--blink-settings=preferredColorScheme={0 if dark else 1}"]  # fmt: skip
    subprocess.run([program, *options, frame.as_uri()], check=True, capture_output=True)
    picture = Image.open(out).convert("RGB").crop((0, 0, width, height))
    picture.quantize(256).save(out, optimize=True)


def terminal(report: otdist.Report, width: int, out: Path) -> None:
    """Write what the command prints in a terminal of so many columns, as a vector picture.

    The tables of all fakes but the best are left out.
    """
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True)
        report.print_to(console)
    lines = console.export_text(styles=False).splitlines()
    end = next(k for k, line in enumerate(lines) if line.startswith(f"{report.ranking[1]} ("))
    out.write_text(drawn([*lines[:end], "…"], width), encoding="utf-8")


def drawn(lines: list[str], width: int) -> str:
    """Lines of a terminal as an SVG without fonts from elsewhere."""
    advance, leading = 7.3, 16
    rows = "".join(
        f'<text x="10" y="{22 + leading * k}" textLength="{advance * len(line):.1f}" '
        f'xml:space="preserve">{html.escape(line)}</text>'
        for k, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{20 + advance * width:.0f}" '
        f'height="{20 + leading * len(lines)}" font-family="DejaVu Sans Mono, monospace" '
        f'font-size="12.1" fill="#000000">{rows}</svg>\n'
    )


def main(folder: Path, short: bool = False) -> None:
    """Evaluate the digits and take every picture."""
    real, fakes = demo.samples(*([100] if short else []))
    report = otdist.evaluate(real, fakes, metrics=demo.METRICS, n_permutations=199, progress=False)
    for width in (80, 60):
        terminal(report, width, folder / f"terminal-{width}.svg")
    if (program := browser()) is None:
        print("no Chromium and no Chrome: screenshots of pages are left as they were")
        return
    with tempfile.TemporaryDirectory() as place:
        page = Path(place, "report.html")
        report.to_html(page, shape=(8, 8))
        for name, dark in (("report-light", False), ("report-dark", True)):
            shot(program, page, folder / f"{name}.png", 1100, 760, dark=dark)
        shot(program, page, folder / "report-phone.png", 420, 800)
        cell = Path(place, "notebook.html")
        output = NOTEBOOK.format(code=html.escape(CODE), output=report._repr_html_())
        cell.write_text(output, encoding="utf-8")
        shot(program, cell, folder / "report-notebook.png", 1000, 620)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets"))
