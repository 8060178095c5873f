"""Problems side by side: results in order, warnings once, the caller's grad mode."""

import pytest
import torch

import otdist
from otdist.batches.side_by_side import side_by_side
from otdist.core.result import warn_caller

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2])
def _threads(request):
    otdist.set_threads(request.param)
    yield
    otdist.set_threads(None)


@pytest.mark.usefixtures("_threads")
def test_results_are_in_order_and_have_graphs():
    x = torch.ones(6, requires_grad=True)
    found = side_by_side(lambda k: x[k] * k, (2, 3), 1, CPU)
    assert [float(v.detach()) for v in found] == [0, 1, 2, 3, 4, 5]
    torch.stack(found).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 2, 3, 4, 5]
    with torch.no_grad():
        assert not side_by_side(lambda k: x[k] * k, (6,), 1, CPU)[3].requires_grad


@pytest.mark.usefixtures("_threads")
def test_warnings_are_told_once_at_the_caller():
    def one(k: int) -> int:
        if k > 2:
            warn_caller(f"problem {k}")
        return k

    with pytest.warns(otdist.ConvergenceWarning, match=r"3 of 6 .* \[1, 0\]: problem 3") as told:
        side_by_side(one, (2, 3), 1, CPU)
    assert len(told) == 1
    assert told[0].filename == __file__
    with pytest.warns(otdist.ConvergenceWarning, match=r"1 of 6 .* \[1, 1\]: problem 4"):
        assert side_by_side(one, (2, 3), 1, CPU, places=[0, 4]) == [0, 4]
    with pytest.warns(otdist.ConvergenceWarning, match=r"^problem 7$"):
        side_by_side(lambda _: one(7), (), 1, CPU)


@pytest.mark.usefixtures("_threads")
def test_an_error_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda k: 1 // (k - 4), (9,), 1, CPU)
