"""Results compare and print as the number that they stand for."""

import numpy as np
import pytest

import otdist


@pytest.mark.parametrize(
    "result",
    [
        otdist.wasserstein([0.0], [2.5]),
        otdist.sliced_wasserstein([[0.0]], [[2.5]]),
        otdist.sinkhorn_divergence([0.0], [2.5], p=1, eps=0.1),
    ],
    ids=lambda result: type(result).__name__,
)
def test_results_are_compared_with_numbers(result):
    assert result > 1
    assert result >= 2.5 - 1e-9
    assert result < np.float64(3)
    assert result <= otdist.wasserstein([0.0], [4.0])
    assert f"{result:.3f}" == "2.500"
    assert f"{result}" == str(result)
    with pytest.raises(TypeError, match="compared with numbers"):
        assert result > "1"


def test_metrics_of_reports_are_numbers():
    report = otdist.evaluate([0.0, 1.0], [2.0, 3.0], metrics=["w1"], progress=False)
    assert report["w1"] > 1.5
    assert f"{report['w1']:.1f}" == "2.0"
