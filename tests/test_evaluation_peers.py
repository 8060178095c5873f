"""The metrics of a report equal those of other libraries on the same arrays.

Libraries that are not installed with the tests are skipped, and so is one that cannot be imported;
`FROZEN` holds what they gave on these samples.
"""

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

import otdist

RNG = np.random.default_rng(20)
REAL, FAKE = RNG.normal(size=(120, 4)), RNG.normal(size=(90, 4)) * 1.2 + 0.3
DOUBLE = 1e-9
FROZEN = {
    # prdc 0.2: compute_prdc(REAL, FAKE, nearest_k=5)
    "precision": 0.9333333333333333,
    "recall": 1.0,
    "density": 0.8044444444444445,
    "coverage": 0.9083333333333333,
    # dcor 0.7: energy_distance(REAL, FAKE), a square
    "energy": 0.1781410106698873**0.5,
}
FROZEN_KID = 0.585031042496488
"""torchmetrics 1.9.0: image.kid.poly_mmd(REAL[:90], FAKE), which needs equal sizes."""
FROZEN_FID = 0.5921120941605
"""torch-fidelity 0.4.0: fid_statistics_to_metric; torchmetrics 1.9.0: image.fid._compute_fid;
pytorch-fid 0.3.0: fid_score.calculate_frechet_distance."""
FROZEN_CLIPPED = 0.7738094710979369, 0.7444444298744202
"""seqme 0.5.1: _compute_clipped_density and _compute_clipped_coverage with k = 5; its coverage is a
whole number of fakes, where ours is interpolated."""
FROZEN_VENDI = 3.9353509775507036
"""vendi-score 0.0.3: vendi.score_dual of rows of length 1."""
FROZEN_HYPPO = 1.2186578549473976
"""hyppo 0.5.2: ksample.Energy(bias=True).statistic(REAL, FAKE), which is f times the root of dCov²
with f = (n + m)⁴ / (2 n² m²), where the squared energy distance is f times dCov² itself."""


@pytest.fixture(scope="module")
def found():
    report = otdist.evaluate(REAL, FAKE, confidence=None, progress=False)
    return {name: result.estimate for name, result in report.metrics.items()}


def fid(real, fake):
    """W_2² of Gaussians whose covariances are divided by n − 1, as in FID."""
    (m1, c1), (m2, c2) = ((z.mean(0), np.cov(z.T)) for z in (real, fake))
    root = np.linalg.eigvals(c1 @ c2).real.clip(min=0) ** 0.5
    return float(((m1 - m2) ** 2).sum() + np.trace(c1 + c2) - 2 * root.sum())


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_figures(found, name):
    assert found[name] == pytest.approx(FROZEN[name], rel=DOUBLE)


def test_kid_of_equal_sizes():
    kid = otdist.evaluate(REAL[:90], FAKE, metrics=["kid"], progress=False).metrics["kid"]
    assert kid.estimate == pytest.approx(FROZEN_KID, rel=DOUBLE)


def test_frechet_is_fid_with_covariances_over_n(found):
    assert fid(REAL, FAKE) == pytest.approx(FROZEN_FID, rel=DOUBLE)
    centred = [np.sqrt((len(z) - 1) / len(z)) * (z - z.mean(0)) + z.mean(0) for z in (REAL, FAKE)]
    assert found["frechet"] == pytest.approx(fid(*centred), rel=DOUBLE)


def test_scipy_on_the_line():
    x, y = REAL[:, 0], FAKE[:, 0]
    line = otdist.evaluate(x, y, metrics=["w1", "energy"], progress=False).metrics
    assert line["w1"].estimate == pytest.approx(scipy.stats.wasserstein_distance(x, y))
    assert line["energy"].estimate == pytest.approx(scipy.stats.energy_distance(x, y))


def test_pot(found):
    import ot

    a, b = ot.unif(len(REAL)), ot.unif(len(FAKE))
    assert found["w1"] == pytest.approx(ot.emd2(a, b, ot.dist(REAL, FAKE, "euclidean")))
    assert found["w2"] ** 2 == pytest.approx(ot.emd2(a, b, ot.dist(REAL, FAKE)))
    moments = [(z.mean(0), np.cov(z.T, bias=True)) for z in (REAL, FAKE)]
    (m1, c1), (m2, c2) = moments
    root = ot.gaussian.bures_wasserstein_distance(m1, m2, c1, c2)
    assert found["frechet"] == pytest.approx(float(root) ** 2)


def test_fid_is_that_of_the_programs():
    ours = otdist.evaluate(REAL, FAKE, metrics=["fid"]).metrics["fid"].estimate
    assert ours == pytest.approx(FROZEN_FID, rel=DOUBLE)


def test_clipped_density_and_coverage():
    names = ["clipped_density", "clipped_coverage"]
    ours = otdist.evaluate(REAL, FAKE, metrics=names).metrics
    density, coverage = FROZEN_CLIPPED
    assert ours[names[0]].estimate == pytest.approx(density, rel=1e-6)
    assert ours[names[1]].estimate == pytest.approx(coverage, abs=1 / len(FAKE))


def test_vendi_and_hyppo(found):
    ours = otdist.evaluate(REAL, FAKE, metrics=["vendi"]).metrics["vendi"].estimate
    assert ours == pytest.approx(FROZEN_VENDI, rel=DOUBLE)
    n, m = len(REAL), len(FAKE)
    factor = (n + m) ** 4 / (2 * n**2 * m**2)
    assert found["energy"] ** 2 == pytest.approx((FROZEN_HYPPO / factor) ** 2 * factor, rel=DOUBLE)
    hyppo = pytest.importorskip("hyppo.ksample")
    theirs = float(hyppo.Energy(bias=True).statistic(REAL, FAKE))
    assert theirs == pytest.approx(FROZEN_HYPPO, rel=DOUBLE)


def test_pytorch_fid():
    broken: Any = (ImportError, RuntimeError)  # it imports torchvision, which must fit torch
    score = pytest.importorskip("pytorch_fid.fid_score", exc_type=broken)
    (m1, c1), (m2, c2) = ((z.mean(0), np.cov(z.T)) for z in (REAL, FAKE))
    theirs = float(score.calculate_frechet_distance(m1, c1, m2, c2))
    assert theirs == pytest.approx(FROZEN_FID, rel=DOUBLE)


def test_prdc(found):
    prdc = pytest.importorskip("prdc")
    theirs = prdc.compute_prdc(REAL, FAKE, nearest_k=5)
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name] == pytest.approx(float(theirs[name])), name


def test_dcor(found):
    dcor = pytest.importorskip("dcor")
    assert found["energy"] ** 2 == pytest.approx(float(dcor.energy_distance(REAL, FAKE)))


def test_torchmetrics():
    broken: Any = (ImportError, RuntimeError)  # it imports torchvision, which must fit torch
    kid = pytest.importorskip("torchmetrics.image.kid", exc_type=broken)
    theirs = float(kid.poly_mmd(torch.tensor(REAL[:90]), torch.tensor(FAKE)))
    assert theirs == pytest.approx(FROZEN_KID, rel=DOUBLE)


def test_torch_fidelity():
    broken: Any = (ImportError, RuntimeError)
    fidelity = pytest.importorskip("torch_fidelity.metric_fid", exc_type=broken)
    (m1, c1), (m2, c2) = ((z.mean(0), np.cov(z.T)) for z in (REAL, FAKE))
    moments = {"mu": m1, "sigma": c1}, {"mu": m2, "sigma": c2}
    theirs = fidelity.fid_statistics_to_metric(*moments, False)
    assert list(theirs.values()) == pytest.approx([FROZEN_FID], rel=DOUBLE)
