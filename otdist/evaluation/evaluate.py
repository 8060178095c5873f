"""evaluate(): many metrics of fake samples against a real one, each beside its noise floor.

Even two samples of one distribution are apart, the more so the fewer the rows and the higher the
dimension. So each metric is also computed between two disjoint halves of the real sample, the
*floor*, and between one of these halves and as many fake rows: these two compare like with like.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from otdist.core import checks
from otdist.core.measure import pair
from otdist.core.progress import progress as shown
from otdist.core.shapes import PIXELS, check_pixels
from otdist.discrepancy.rows import canonical
from otdist.evaluation import metrics as catalogue
from otdist.evaluation.column_kinds import opened, points
from otdist.evaluation.features import extract
from otdist.evaluation.job import Job
from otdist.evaluation.report import MetricResult, Report
from otdist.evaluation.report.evidence import keep

_KID_SIZE = 10.0
"""Root mean square of a coordinate from which KID is explained; features of Inception have 0.5."""


def evaluate(
    real: Any,
    fake: Any,
    *,
    train: Any = None,
    metrics: Sequence[str] | str | None = None,
    features: Any = None,
    n_permutations: int = 0,
    confidence: float | None = 0.95,
    max_samples: int | None = None,
    seed: int | None = 0,
    progress: bool = True,
) -> Report:
    r"""Compare fake samples with a real one by many metrics, each with its noise floor.

    Args:
        real: Rows of the real sample, shape (n, ...), a data frame of numbers, or the path of a
            file (see `otdist.io.read_samples`) or what was read of it; rows of higher rank are
            flattened, once their shapes have been compared.
        fake: Rows of the fake sample, or several by name, which are then ranked. Columns of data
            frames are matched by name.
        train: Rows that the generators were trained on, where `real` holds others from the same
            population: adds authenticity and copying, which flag fakes that repeat them.
        metrics: Names among w1, w2, sliced_w2, max_sliced_w2, sinkhorn, energy, mmd, frechet,
            frechet_infinity, kid, precision, recall, density, coverage, classifier; None for all of
            these. Also mind (3 d SW_2² over 1,000 directions), fid (Fréchet with covariances
            divided by n − 1), clipped_density, clipped_coverage, vendi, wasserstein, sliced,
            max_sliced and gaussian.
        features: What is compared: None or "raw", "pca-K" (of the pooled samples), a callable from
            rows to features, an nn.Module (in batches, in eval mode), "module:function", an encoder
            of images such as "torchvision:resnet50", or `Features`, which sets batches, device,
            weights and a cache on disk.
        n_permutations: Permutations of a test for sliced_w2, energy, mmd, classifier and copying; 0
            leaves p-values out.
        confidence: Level of the intervals, which say in words what they cover; metrics without a
            valid one say why. None leaves them out.
        max_samples: Most rows of each sample, drawn at random. None takes all, except for w1, w2,
            max_sliced_w2 and sinkhorn: 5 draws of 2,000 rows where there are more, averaged.
        seed: Of draws, directions and permutations; None draws fresh ones.
        progress: Show what is being computed, and about how long it will take, in a terminal or a
            notebook.

    Returns:
        A report; ``report.metrics[name]`` has estimate, floor, at_floor, interval, pvalue and note.

    Raises:
        TypeError, ValueError: bad samples, metrics or features.

    Cost: O(n m) pairs for energy, mmd, kid and the neighbour metrics; memory O(n + m). Neither the
        order of rows nor the size of blocks matters, nor whether they come as numpy or torch.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> real, fake = rng.normal(size=(80, 2)), rng.normal(size=(60, 2)) + 1
    >>> report = otdist.evaluate(real, fake, metrics=["w1"])
    >>> w1 = report.metrics["w1"]
    >>> w1.lower <= w1.estimate <= w1.upper * (1 + 1e-9), w1.floor < w1.at_floor
    (True, True)
    """
    started = time.perf_counter()
    wanted = catalogue.chosen(metrics, train is not None)
    checks.flag("progress", progress)
    n_permutations = checks.whole("n_permutations", n_permutations, least=0)
    max_samples = checks.optional(checks.whole, "max_samples", max_samples)
    confidence = checks.optional(checks.share, "confidence", confidence)
    fakes = dict(fake) if isinstance(fake, Mapping) else {"fake": fake}
    given = {"real": real} if train is None else {"real": real, "train": train}
    if not fakes or set(given) & set(fakes):
        names = " or ".join(f'"{name}"' for name in given)
        raise ValueError(f"fake must hold at least one sample, none of them named {names}")
    samples, notes = opened({**given, **fakes})
    samples = points(samples)
    notes += _pixels(samples)
    rows, words = extract(samples, features)
    rng = checks.generator(seed)
    for name in [*given, *fakes][1:]:
        _check_widths(name, rows)
        pair(rows["real"], rows[name])  # raises with a place before any work is done
    learnt = rows.pop("train", None)
    evidence = keep(rows, {name: samples[name] for name in rows}, "real", seed)
    rows = {name: value[canonical(value)] for name, value in rows.items()}
    rows = {name: _draw(value, max_samples, rng) for name, value in rows.items()}
    reference = rows.pop("real")
    stream = int(rng.integers(2**62)) if seed is None else seed
    job = Job(reference, rows, stream, n_permutations, confidence, max_samples is None)
    results: dict[str, dict[str, MetricResult]] = {name: {} for name in fakes}
    with shown("evaluating", quiet=not progress, total=len(wanted)) as say:
        for done, (chosen, names) in enumerate(wanted.items()):
            say(", ".join(names), done)
            chosen = chosen if learnt is None else chosen.of_training(learnt)
            for name, found in job.run(chosen, names).items():
                results[name] |= found
    _explain_kid(results, reference)
    sizes = {name: len(value) for name, value in {"real": reference, **rows}.items()}
    return Report(
        results, sizes, reference.shape[1], words, seed, time.perf_counter() - started,
        evidence=evidence, notes=tuple(notes),
    )  # fmt: skip


def _check_widths(name: str, rows: Mapping[str, np.ndarray]) -> None:
    d, other = (rows[key].shape[1] for key in ("real", name))
    if d != other:
        raise ValueError(f"real and {name} must have the same dimension: got {d} and {other}")


def _pixels(samples: Mapping[str, Any]) -> list[str]:
    """Notes on the scale of images; an error where they are stored in different depths."""
    images = {name: value for name, value in samples.items() if getattr(value, "ndim", 0) > 2}
    types = {name: str(value.dtype).removeprefix("torch.") for name, value in images.items()}
    if not set(types.values()) & set(PIXELS):
        return []
    notes = check_pixels(types, {name: float(value.max()) for name, value in images.items()})
    white = max(PIXELS.get(kind, 0) for kind in types.values())
    return notes or [f"pixels are compared on their own scale, 0 to {white}"]


def _explain_kid(results: Mapping[str, dict[str, MetricResult]], rows: np.ndarray) -> None:
    """Say in the result where its kernel, which is not free of scale, is far from its use."""
    size = float(np.sqrt(np.mean(np.square(rows, dtype=np.float64))))
    if size <= _KID_SIZE:
        return
    for found in results.values():
        if "kid" in found:
            note = (
                f"its kernel is meant for features of a size near 1, and these have a root mean "
                f"square of {size:.3g}: scale them"
            )
            said = "; ".join(filter(None, [found["kid"].note, note]))
            found["kid"] = found["kid"].with_(note=said)


def _draw(rows: np.ndarray, size: int | None, rng: np.random.Generator) -> np.ndarray:
    """At most `size` rows without replacement."""
    if size is None or len(rows) <= size:
        return rows
    return rows[rng.permutation(len(rows))[:size]]
