"""Evaluation: neighbour metrics against `prdc`, a permutation test, the whole default report.

The value of the neighbour metrics is precision, which `prdc` is the truth for. The test is that of
the energy distance with 999 permutations, beside `dcor`; its value is the p-value. The report is
all fifteen metrics with floors, spreads and intervals but no permutations; its value is `w1`, and
nobody else computes it. Its memory is that of the call, in a process of its own. MIND of 1,000
directions is beside the same formula in five lines of torch, whose directions are others; the
Fréchet distance of features as wide as those of Inception has its interval, whose lower end is the
value.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome

PERMUTATIONS = 999


def normal_clouds(seed: int, n: int, d: int) -> Inputs:
    """Two normal samples, the second a little wider."""
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((n, d)), "y": 1.05 * rng.standard_normal((n, d))}


def otdist_neighbours(inputs: Inputs) -> Call:
    """Precision, recall, density and coverage in blocks."""
    from otdist.core.measure import pair
    from otdist.discrepancy.neighbours import shares

    x, y = inputs["x"], inputs["y"]
    shares(pair(x[:100], y[:100]))  # threads start
    return lambda: Outcome(shares(pair(x, y))["precision"])


def prdc_neighbours(inputs: Inputs) -> Call:
    """The same by `prdc`, which holds three matrices of n² distances."""
    from prdc import compute_prdc

    x, y = inputs["x"], inputs["y"]
    return lambda: Outcome(float(compute_prdc(x, y, nearest_k=5)["precision"]))


def otdist_test(inputs: Inputs) -> Call:
    """`two_sample_test` of the energy distance."""
    from otdist.inference.permutation import two_sample_test

    x, y = inputs["x"], inputs["y"]
    two_sample_test(x[:50], y[:50], "energy", n_permutations=9)
    return lambda: Outcome(two_sample_test(x, y, "energy", n_permutations=PERMUTATIONS).pvalue)


def dcor_test(inputs: Inputs) -> Call:
    """The same test by `dcor`."""
    import dcor

    x, y = inputs["x"], inputs["y"]

    def call() -> Outcome:
        test = dcor.homogeneity.energy_test(x, y, num_resamples=PERMUTATIONS, random_state=0)
        return Outcome(float(test.pvalue))

    return call


def hyppo_test(inputs: Inputs) -> Call:
    """The same test by `hyppo`, every permutation and no approximation by a chi-square."""
    from hyppo.ksample import Energy

    x, y = inputs["x"], inputs["y"]

    def call() -> Outcome:
        found = Energy().test(x, y, reps=PERMUTATIONS, auto=False, random_state=0)
        return Outcome(float(found[1]))

    return call


def otdist_fid(inputs: Inputs) -> Call:
    """FID of features."""
    from otdist.core.measure import pair
    from otdist.discrepancy import Fid

    x, y = inputs["x"], inputs["y"]
    return lambda: Outcome(Fid().value(pair(x, y), 0).value)


def fidelity_fid(inputs: Inputs) -> Call:
    """torch-fidelity's formula on the same features."""
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = (torch.from_numpy(inputs[name]) for name in "xy")

    def call() -> Outcome:
        both = [fid_features_to_statistics(features) for features in (x, y)]
        found = fid_statistics_to_metric(*both, verbose=False)
        return Outcome(float(found["frechet_inception_distance"]))

    return call


def torchmetrics_fid(inputs: Inputs) -> Call:
    """Torchmetrics' `FrechetInceptionDistance` with an encoder that returns what it gets."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = (torch.from_numpy(inputs[name]) for name in "xy")

    class Encoder(torch.nn.Identity):
        num_features = x.shape[1]

    def call() -> Outcome:
        metric = FrechetInceptionDistance(Encoder()).set_dtype(torch.float64)
        metric.update(x, real=True)
        metric.update(y, real=False)
        return Outcome(float(metric.compute()))

    return call


def fid_formula(inputs: Inputs) -> float:
    """The formula in NumPy and SciPy, covariances with n − 1, by a matrix root."""
    from scipy.linalg import sqrtm

    x, y = inputs["x"], inputs["y"]
    shift, cov_x, cov_y = x.mean(0) - y.mean(0), np.cov(x.T), np.cov(y.T)
    root = np.real(sqrtm(cov_x @ cov_y))
    return float(shift @ shift + np.trace(cov_x) + np.trace(cov_y) - 2 * np.trace(root))


def otdist_report(inputs: Inputs) -> Call:
    """`evaluate` with its defaults."""
    import otdist

    x, y = inputs["x"], inputs["y"]

    def call() -> Outcome:
        report = otdist.evaluate(x, y, progress=False)
        converged = all(result.converged for result in report.metrics.values())
        return Outcome(float(report.metrics["w1"].estimate or 0.0), converged=converged)

    return call


def otdist_mind(inputs: Inputs) -> Call:
    """MIND, from float32 features."""
    from otdist.core.measure import pair
    from otdist.discrepancy import Mind

    x, y = (inputs[name].astype(np.float32) for name in "xy")
    Mind().value(pair(x[:100], y[:100]), 0)
    return lambda: Outcome(Mind().value(pair(x, y), 0).value)


def torch_mind(inputs: Inputs) -> Call:
    """The same formula along random directions, for samples of one size."""
    import torch

    x, y = (torch.from_numpy(inputs[name].astype(np.float32)) for name in "xy")
    directions = torch.randn(x.shape[1], 1000, generator=torch.Generator().manual_seed(0))
    directions /= directions.norm(dim=0)

    def call() -> Outcome:
        apart = (x @ directions).sort(0).values - (y @ directions).sort(0).values
        return Outcome(3 * x.shape[1] * float(apart.square().mean()))

    return call


def otdist_frechet(inputs: Inputs) -> Call:
    """The Fréchet distance with its interval."""
    import otdist

    x, y = inputs["x"], inputs["y"]
    return lambda: Outcome(otdist.confidence_interval(x, y, "frechet").lower)


def _case(
    quantity: str,
    n: int,
    d: int,
    competitors: dict[str, Competitor],
    peer: Competitor | None = None,
    quick: bool | None = None,
) -> Case:
    return Case(
        name="normal clouds",
        quantity=quantity,
        n=n,
        m=n,
        d=d,
        p=1,
        make=partial(normal_clouds, n=n, d=d),
        competitors=competitors,
        truth=None if peer is None else lambda inputs: peer(inputs)().value,
        quick=n <= 2000 if quick is None else quick,
    )


def cases() -> list[Case]:
    """A test, neighbours at two sizes and in many dimensions, and the report."""
    neighbours: dict[str, Competitor] = {OURS: otdist_neighbours, "prdc": prdc_neighbours}
    report: dict[str, Competitor] = {OURS: otdist_report}
    test: dict[str, Competitor] = {OURS: otdist_test, "dcor": dcor_test, "hyppo": hyppo_test}
    fid: dict[str, Competitor] = {
        OURS: otdist_fid,
        "torch-fidelity": fidelity_fid,
        "torchmetrics": torchmetrics_fid,
        "NumPy and SciPy": lambda inputs: lambda: Outcome(fid_formula(inputs)),
    }
    mind: dict[str, Competitor] = {OURS: otdist_mind, "torch": torch_mind}
    frechet: dict[str, Competitor] = {OURS: otdist_frechet}
    return [
        _case("energy test", 500, 10, test),
        _case("energy test", 2_000, 10, test, quick=False),
        _case("precision and recall", 2_000, 64, neighbours, prdc_neighbours),
        _case("precision and recall", 10_000, 64, neighbours, prdc_neighbours),
        _case("precision and recall", 10_000, 512, neighbours, prdc_neighbours),
        _case("fid", 5_000, 512, fid, lambda inputs: lambda: Outcome(fid_formula(inputs))),
        _case("mind", 5_000, 2_048, mind, quick=False),
        _case("frechet and interval", 8_500, 2_048, frechet, quick=False),
        _case("default report", 1_000, 64, report),
        _case("default report", 10_000, 64, report),
    ]
