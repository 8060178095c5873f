"""What a report's figures say together: one sentence for each sample, by rules that are stated.

Evidence is taken in the order of its strength. A permutation test that rejects after correction for
the number of tests shows a difference. A metric beyond the band of its floor only looks like one:
the band is the spread over random halves, not a level. What neither is there for is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otdist.evaluation.corrections import corrected, growth
from otdist.evaluation.report.result import MetricResult

JOINT, GAP = "all columns jointly", ": missing"
"""Name of the result on all columns of a table together, and ending of those on missing cells."""
LEVEL = 0.05
"""Corrected p-value up to which a difference counts as shown."""
BAND = 2.0
"""Half width of a floor's band, in standard deviations over random halves. Of fakes with the
distribution of the reals, about one figure in thirty lies beyond it; a test counts them."""
RULE = (
    f"Rule: a difference is shown where a permutation test has p ≤ {LEVEL:g} after Holm's "
    f"correction for the number of tests; a metric is at its floor within {BAND:g} standard "
    "deviations of the mean over random halves of the reference, which is a band and not a test."
)
_SHOWN = 5
_COPYING = "copying"
"""The test that speaks of training rows, and not of a difference from the reference."""

Results = Mapping[str, MetricResult]


def of_sample(name: str, results: Results, ranking: Sequence[str], reference: str) -> str:
    """What the metrics of one sample say."""
    beyond, within = _against_floor(results)
    after = after_correction(results)
    copying = after.pop(_COPYING, 1.0)
    shown = {key: value for key, value in after.items() if value <= LEVEL}
    tested = f"after correction over {_number(len(after), 'test')}"
    if shown:
        verb = "tells" if len(shown) == 1 else "tell"
        least = f"p = {min(shown.values()):.3g} {tested}"
        parts = [f"differs from {reference}", f"{_listed(list(shown))} {verb} them apart ({least})"]
    elif after and min(_reach(results[key], len(after)) for key in after) > LEVEL:
        parts = ["not enough data to tell", f"no test can reach p ≤ {LEVEL:g} {tested}"]
    elif after:
        least = f"least p = {min(after.values()):.3g} {tested}"
        parts = [f"not told apart from {reference}", f"no test rejects ({least})"]
    elif beyond:
        parts = [f"looks different from {reference}, which no test has confirmed"]
    elif within:
        parts = [f"looks like {reference} at this size"]
    else:
        parts = ["not enough data to tell"]
    if copying <= LEVEL:
        parts.append(f"repeats training rows ({_COPYING}, p = {copying:.3g})")
    for keys, words in ((beyond, "beyond"), (within, "at")):
        if keys:
            floors = "its floor" if len(keys) == 1 else "their floors"
            parts.append(f"{_listed(keys)} {words} {floors}")
    if len(ranking) > 1:
        parts.insert(1, _place(ranking.index(name), len(ranking)))
    return f"{name}: {'; '.join(parts)}."


def after_correction(results: Results) -> dict[str, float]:
    """The p-values of the metrics that were tested, corrected by Holm for their number."""
    p = {key: result.pvalue for key, result in results.items() if result.pvalue is not None}
    return dict(zip(p, corrected(list(p.values()), "holm"), strict=True)) if p else {}


def of_columns(samples: Mapping[str, Results], reference: str) -> list[str]:
    """What the columns of tables say, whose p-values are corrected for their number already.

    Missing cells are told of the column that they belong to, and all columns jointly by themselves.
    """
    windows = len(samples) > 1
    found: dict[str, list[str]] = {}
    least, tested, joint = 1.0, False, None
    for name, results in samples.items():
        p = {key: result.pvalue for key, result in results.items() if result.pvalue is not None}
        joint = p.pop(JOINT, joint)
        least, tested = min([least, *p.values()]), tested or bool(p)
        for key in (key for key, value in p.items() if value <= LEVEL):
            column, gap, _ = key.partition(GAP)
            found.setdefault(name if windows else column, []).append(key if windows else gap)
    what = "window" if windows else "column"
    keys = {key.partition(GAP)[0] for key in next(iter(samples.values())) if key != JOINT}
    number = len(samples) if windows else len(keys)
    if not tested:
        return [f"Not tested: {_number(number, what)}, distances only."]
    together = "" if joint is None or joint > LEVEL else f"; jointly they do (p = {joint:.3g})"
    if not found:
        return [
            f"No {what} of {number} is shown to differ from {reference} (least p = {least:.3g})"
            f"{together}."
        ]
    if windows:
        named = [f"{name} ({_listed(moved)})" for name, moved in found.items()]
    else:
        named = [name + _gap(parts) for name, parts in found.items()]
    verb = "differs" if len(found) == 1 else "differ"
    return [f"{_number(len(found), what)} of {number} {verb} from {reference}: {_listed(named)}."]


def _gap(parts: list[str]) -> str:
    """Whether the missing cells of a column have moved, alone or with the others."""
    if GAP not in parts:
        return ""
    return " (missing cells)" if "" not in parts else " (missing cells too)"


def _against_floor(results: Results) -> tuple[list[str], list[str]]:
    """Names of metrics on the wrong side of the band of their floor, and of the others."""
    beyond, within = [], []
    for key, result in results.items():
        if result.at_floor is None or result.floor is None or result.floor_spread is None:
            continue
        sign = -1 if result.higher_is_better else 1
        excess = sign * (result.at_floor - result.floor)
        (beyond if excess > BAND * result.floor_spread else within).append(key)
    return beyond, within


def _reach(result: MetricResult, tests: int) -> float:
    """The least p-value that its labellings can give, after correction."""
    return growth(tests, "holm") / (result.labellings + 1)


def _place(index: int, count: int) -> str:
    if index == 0:
        return f"closest of {count} by mean rank"
    if index == count - 1:
        return f"farthest of {count} by mean rank"
    return f"place {index + 1} of {count} by mean rank"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _listed(names: Sequence[str]) -> str:
    """Names as in a sentence, the first few where there are many."""
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
