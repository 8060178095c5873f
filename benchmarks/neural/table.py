"""The tables of docs/neural.md, from the rows of the results file: means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from benchmarks import page
from benchmarks.neural.methods import METHODS, PORTFOLIO
from benchmarks.neural.pairs import OTHERS
from benchmarks.records import Row

LABELS = {
    "auto": "`auto`", "peaks": "peaks", "valleys": "valleys", "sorting": "sorting",
    "mcshane": "McShane", "gp": "GP", "lp": "LP", "spectral": "spectral", "clip": "clipping",
    "exact": "exact, discrete",
}  # fmt: skip
PARTS = ("validation", "test")
COMPARED = ("auto", "sorting", "gp", "lp", "spectral", "clip", "exact")


def ray(rows: Sequence[Row]) -> str:
    """Ray-monotone pairs: cosine, estimate / W_1, and the limit of ours."""
    rows = [r for r in rows if r["experiment"] == "ray"]
    titles = ["N", "D", "limit, `auto`", *(LABELS[m] for m in COMPARED)]
    lines = []
    for funnels in sorted({r["funnels"] for r in rows}, reverse=True):
        for d in sorted({r["d"] for r in rows}):
            at = [r for r in rows if (r["funnels"], r["d"]) == (funnels, d)]
            by = {m: [r for r in at if r["method"] == m] for m in COMPARED}
            cells = [
                f"{mean(r['cosine'] for r in by[m]):.2f}, {_ratio(by[m]):.2f}" if by[m] else "—"
                for m in COMPARED
            ]
            limit = f"{_ratio(by['auto'], 'lower'):.2f}" if by["auto"] else "—"
            lines.append([str(funnels), str(d), limit, *cells])
    return "\n".join(page.table(titles, lines))


def portfolio(rows: Sequence[Row]) -> str:
    """Ray-monotone pairs: `auto` beside the critics that it chooses from."""
    rows = [r for r in rows if r["experiment"] == "ray"]
    titles = ["N", "D", "auto / best", *(LABELS[m] for m in ("auto", *PORTFOLIO))]
    lines = []
    for funnels, d in sorted(
        {(r["funnels"], r["d"]) for r in rows}, key=lambda at: (-at[0], at[1])
    ):
        at = [r for r in rows if (r["funnels"], r["d"]) == (funnels, d)]
        by = {m: [r for r in at if r["method"] == m] for m in ("auto", *PORTFOLIO)}
        if not all(by.values()):
            continue
        best = max(PORTFOLIO, key=lambda m: _ratio(by[m]))
        cells = {m: f"{mean(r['cosine'] for r in by[m]):.2f}, {_ratio(by[m]):.2f}" for m in by}
        cells[best] = f"**{cells[best]}**"
        lines.append([str(funnels), str(d), f"{_least_share(at):.2f}", *cells.values()])
    return "\n".join(page.table(titles, lines))


def others(rows: Sequence[Row]) -> str:
    """Other pairs: estimate / W_1, and `auto` over the best of its portfolio."""
    rows = [r for r in rows if r["experiment"] == "others"]
    titles = ["pair", "D", "auto / best", *(LABELS[m] for m in METHODS)]
    lines = []
    for name, (d, _) in OTHERS.items():
        at = [r for r in rows if r["pair"] == name]
        by = {m: [r for r in at if r["method"] == m] for m in METHODS}
        if not all(by.values()):
            continue
        best = max(PORTFOLIO, key=lambda m: _ratio(by[m]))
        cells = [f"{_ratio(by[m]):.2f}" for m in METHODS]
        cells[list(METHODS).index(best)] = f"**{_ratio(by[best]):.2f}**"
        lines.append([name, str(d), f"{_least_share(at):.2f}", *cells])
    return "\n".join(page.table(titles, lines))


def rates(rows: Sequence[Row]) -> str:
    """Learning rates of funnels: cosine by dimension."""
    rows = [r for r in rows if r["experiment"] == "rates"]
    sizes = sorted({r["d"] for r in rows})
    lines = []
    for rate in sorted({r["rate"] for r in rows}):
        cells = []
        for d in sizes:
            found = [r["cosine"] for r in rows if (r["rate"], r["d"]) == (rate, d)]
            cells.append(f"{mean(found):.3f}" if found else "—")
        lines.append([f"{rate:g}", *cells])
    titles = ["rate", *(f"D = {d}" for d in sizes)]
    return "\n".join(page.table(titles, lines))


def squared(rows: Sequence[Row]) -> str:
    """W_2: estimates over the truth, and the variance that maps leave unexplained."""
    rows = [r for r in rows if r["experiment"] == "squared"]
    titles = ["pair", "D", "estimate / W_2", "limit / W_2", "exact, discrete / W_2"]
    titles += ["unexplained", "by the affine map"]
    lines = []
    for name, d in sorted({(r["pair"], r["d"]) for r in rows}):
        at = [r for r in rows if (r["pair"], r["d"]) == (name, d)]
        ratios = [f"{_ratio(at, key):.3f}" for key in ("estimate", "lower", "exact")]
        maps = [f"{mean(r[k] for r in at):.1%}" for k in ("unexplained", "unexplained_affine")]
        lines.append([name, str(d), *ratios, *maps])
    return "\n".join(page.table(titles, lines))


def maps(rows: Sequence[Row]) -> str:
    """The variance that maps leave unexplained at new points: convex potentials and plans."""
    learned = [r for r in rows if r["experiment"] == "squared"]
    plans = [r for r in rows if r["experiment"] == "maps"]
    titles = ["pair", "D", "`ConvexDual`", "affine map", "plan, nearest", "plan, entropic"]
    titles += ["seconds, nearest", "seconds, entropic"]
    lines = []
    for name, d in sorted({(r["pair"], r["d"]) for r in plans}):
        own, at = (
            [r for r in group if (r["pair"], r["d"]) == (name, d)] for group in (learned, plans)
        )
        cells = [mean(r[key] for r in own) for key in ("unexplained", "unexplained_affine")]
        cells += [mean(r[key] for r in at) for key in ("nearest", "entropic")]
        seconds = [
            f"{mean(r[key] for r in at):.1f}" for key in ("nearest_seconds", "entropic_seconds")
        ]
        lines.append([name, str(d), *(f"{cell:.1%}" for cell in cells), *seconds])
    return "\n".join(page.table(titles, lines))


def certificates(rows: Sequence[Row]) -> str:
    """How often brackets and limits failed, and how tight the limit is."""
    brackets = [r for r in rows if r["experiment"] == "bracket"]
    titles = ["claim", "repeats", "misses", "median of limit / W_1"]
    lines = []
    if brackets:
        misses = sum(not r["holds"] for r in brackets)
        lines.append(["bracket contains exact W_1", str(len(brackets)), str(misses), "—"])
    limits = [r for r in rows if r["experiment"] == "limit"]
    for law in dict.fromkeys(r["pair"] for r in limits):
        at = [r for r in limits if r["pair"] == law]
        misses = sum(not r["holds"] for r in at)
        tight = median(r["lower"] / r["truth"] for r in at)
        lines.append([f"95% limit, {law}", str(len(at)), str(misses), f"{tight:.3f}"])
    crossed = [r for r in rows if r["experiment"] == "limit of folds"]
    for law in dict.fromkeys(r["pair"] for r in crossed):
        at = [r for r in crossed if r["pair"] == law]
        misses = sum(not r["holds"] for r in at)
        tight = f"{median(r['lower'] / r['truth'] for r in at):.3f}" if at[0]["truth"] else "—"
        lines.append([f"95% limit, 5 folds, {law}", str(len(at)), str(misses), tight])
    ours = [r for r in rows if r["experiment"] == "ray" and r["method"] == "auto"]
    if ours:
        misses, tight = (
            sum(r["lower"] > r["truth"] for r in ours),
            median(r["lower"] / r["truth"] for r in ours),
        )
        name = "95% limit, `auto`, all ray-monotone pairs"
        lines.append([name, str(len(ours)), str(misses), f"{tight:.3f}"])
    return "\n".join(page.table(titles, lines))


def folds(rows: Sequence[Row]) -> str:
    """Limit / W_1 from one split and from folds, and the CPU seconds they take."""
    rows = [r for r in rows if r["experiment"] == "folds"]
    sizes = sorted({r["folds"] for r in rows})
    names = ["one split" if k == 1 else f"{k} folds" for k in sizes]
    titles = ["pair", "D", "points", *names, *(f"seconds, {name}" for name in names)]
    lines = []
    for name, d, n in dict.fromkeys((r["pair"], r["d"], r["n"]) for r in rows):
        at = [r for r in rows if (r["pair"], r["n"]) == (name, n)]
        by = [[r for r in at if r["folds"] == k] for k in sizes]
        limits = [f"{_ratio(group, 'lower'):.3f}" for group in by]
        seconds = [f"{mean(r['seconds'] for r in group):.1f}" for group in by]
        lines.append([name, str(d), f"{n:,}", *limits, *seconds])
    return "\n".join(page.table(titles, lines))


def numbers(rows: Sequence[Row]) -> str:
    """256 funnels beside the default call: limit / W_1 and CPU seconds."""
    rows = [r for r in rows if r["experiment"] == "numbers"]
    titles = ["pair", "D", "seeds", "256 funnels", "`auto`", "seconds, 256", "seconds, `auto`"]
    lines = []
    for d, funnels in dict.fromkeys((r["d"], r["funnels"]) for r in rows):
        at = [r for r in rows if (r["d"], r["funnels"]) == (d, funnels)]
        seeds = {r["seed"] for r in at if r["method"] == "auto"}
        by = [
            [r for r in at if r["method"] == method and r["seed"] in seeds]
            for method in ("peaks", "auto")
        ]
        limits = [f"{_ratio(group, 'lower'):.2f}" for group in by]
        seconds = [f"{mean(r['seconds'] for r in group):.1f}" for group in by]
        name = f"ray-monotone, N = {funnels}" if funnels else "translated"
        lines.append([name, str(d), str(len(by[1])), *limits, *seconds])
    return "\n".join(page.table(titles, lines))


def regularisation(rows: Sequence[Row]) -> str:
    """Gaps over W_1 on validation points, and on test points, by treatment."""
    rows = [r for r in rows if r["experiment"] == "regularisation"]
    pairs = list(dict.fromkeys((r["pair"], r["d"], r["funnels"]) for r in rows))
    methods = list(dict.fromkeys(r["method"] for r in rows))
    lines = []
    for name, d, funnels in pairs:
        at = [r for r in rows if (r["pair"], r["funnels"]) == (name, funnels)]
        by = [[r for r in at if r["method"] == method] for method in methods]
        cells = [" / ".join(f"{mean(r[k] for r in g):.3f}" for k in PARTS) for g in by]
        lines.append([name, str(d), str(funnels), *cells])
    return "\n".join(page.table(["pair", "D", "funnels", *methods], lines))


TABLES = {
    "ray-monotone pairs": ray,
    "ray-monotone portfolio": portfolio,
    "other pairs": others,
    "rates": rates,
    "numbers of funnels": numbers,
    "folds": folds,
    "regularisation": regularisation,
    "squared": squared,
    "maps": maps,
    "certificates": certificates,
}


def _least_share(rows: Sequence[Row]) -> float:
    """The least of `_share` over the seeds of a pair."""
    return min(_share([r for r in rows if r["seed"] == seed]) for seed in {r["seed"] for r in rows})


def _share(rows: Sequence[Row]) -> float:
    """`auto` over the best of its portfolio on one pair; 1 while rows are missing."""
    found = {r["method"]: r["estimate"] for r in rows}
    if not {"auto", *PORTFOLIO} <= found.keys():
        return 1.0
    return found["auto"] / max(found[m] for m in PORTFOLIO)


def _ratio(rows: Sequence[Row], key: str = "estimate") -> float:
    return mean(r[key] / r["truth"] for r in rows)
