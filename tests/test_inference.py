"""Permutation tests: the fast statistics are the plain ones, the level holds, power exists."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core import measure
from otdist.discrepancy import (
    Energy,
    Mmd,
    OfFunction,
    SinkhornDivergence,
    SlicedDistance,
    Wasserstein,
)
from otdist.inference.permutation import labellings, pvalue
from otdist.sliced.directions import draw

DOUBLE = 1e-9

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(17, 3)) * 4 + 30, RNG.normal(size=(23, 3)) * 4 + 31


def permuted(statistic, x=X, y=Y, count=5):
    """Pairs of fast values and the labelled samples they belong to."""
    labels = labellings(len(x), len(y), count, np.random.default_rng(1))
    values = statistic.relabelled(measure.pair(x, y), labels, 2)
    pooled = np.concatenate([x, y])
    return [(v, pooled[mark], pooled[~mark]) for v, mark in zip(values, labels, strict=True)]


@pytest.mark.parametrize("y", [Y, Y[:17]])
@pytest.mark.parametrize("p", [1, 2, 1.5])
def test_sliced_labellings_equal_the_direct_distance(y, p):
    directions = draw("orthogonal", 6, 3, np.random.default_rng(2)).rows
    for value, first, second in permuted(SlicedDistance(p, n_projections=6), y=y):
        direct = otdist.sliced_wasserstein(first, second, p=p, directions=directions).distance
        assert value == pytest.approx(direct, rel=DOUBLE)


def test_sliced_on_the_line_is_w1():
    for value, first, second in permuted(SlicedDistance(), X[:, 0], Y[:, 0]):
        assert value == pytest.approx(otdist.wasserstein(first, second).distance, rel=DOUBLE)


def test_energy_labellings_equal_the_direct_distance():
    for value, first, second in permuted(Energy()):
        assert value == pytest.approx(otdist.energy_distance(first, second), rel=DOUBLE)


def test_mmd_labellings_equal_the_direct_distance():
    for value, first, second in permuted(Mmd(bandwidth=5.0)):
        assert value == pytest.approx(otdist.mmd(first, second, bandwidth=5.0), rel=DOUBLE)


def test_exact_and_callable_labellings_are_plain_calls():
    for value, first, second in permuted(Wasserstein(p=2), count=2):
        assert value == pytest.approx(otdist.wasserstein(first, second, p=2).distance, rel=DOUBLE)

    def apart(x, y):
        assert isinstance(x, np.ndarray)
        return np.abs(x.mean(0) - y.mean(0)).sum()

    for value, first, second in permuted(OfFunction(apart), count=2):
        assert value == pytest.approx(apart(first, second), rel=DOUBLE)


def test_sinkhorn_labellings_are_divergences():
    for value, first, second in permuted(SinkhornDivergence(eps=9.0, power=True), count=1):
        direct = otdist.sinkhorn_divergence(first, second, p=2, eps=9.0).cost
        assert value == pytest.approx(direct, rel=1e-4)


def test_labellings_start_with_the_observed_one_and_keep_the_sizes():
    labels = labellings(4, 7, 50, np.random.default_rng(0))
    assert labels[0].tolist() == [True] * 4 + [False] * 7
    assert (labels.sum(1) == 4).all()
    assert len({tuple(row) for row in labels}) > 20


def test_pvalue_counts_ties_and_is_never_zero():
    assert pvalue(1.0, np.zeros(9)) == 0.1
    assert pvalue(1.0, np.array([1.0, 0.5, 2.0])) == 0.75


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd"])
def test_the_level_holds_without_a_difference(statistic):
    """At most 5% false positives: 300 trials exceed 25 with a probability below 0.5%."""
    rng = np.random.default_rng(11)
    rejected = 0
    for trial in range(300):
        z = rng.standard_t(3, size=(22, 2))
        result = otdist.two_sample_test(
            z[:9], z[9:], statistic, n_permutations=39, seed=trial,
            **({"n_projections": 4} if statistic == "sliced" else {}),
        )  # fmt: skip
        rejected += result.pvalue <= 0.05
    assert 4 <= rejected <= 25


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd", "wasserstein", "sinkhorn"])
def test_a_shift_is_found(statistic):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(35, 3)) + 1.5
    result = otdist.two_sample_test(x, y, statistic, n_permutations=39)
    assert result.pvalue == 1 / 40
    assert len(result.null) == 39
    assert result.statistic > result.null.max()


def test_seed_numpy_and_torch_agree():
    first = otdist.two_sample_test(X, Y, n_permutations=19)
    again = otdist.two_sample_test(torch.tensor(X), torch.tensor(Y), n_permutations=19)
    assert first.statistic == again.statistic
    assert (first.null == again.null).all()
    other = otdist.two_sample_test(X, Y, n_permutations=19, seed=4)
    assert (other.null != first.null).any()
    assert "p = " in repr(first)


def test_degenerate_samples_have_no_evidence():
    for statistic in ("sliced", "energy", "mmd", "wasserstein"):
        result = otdist.two_sample_test(
            np.ones((3, 2)), np.ones((4, 2)), statistic, n_permutations=9
        )
        assert result.pvalue == 1
        assert result.statistic == 0
    assert otdist.two_sample_test([1.0], [2.0], "energy", n_permutations=9).pvalue > 0.05


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd", "kid", "wasserstein", "sinkhorn"])
def test_what_is_equal_but_for_rounding_ties(statistic):
    """Constant samples of other sizes differ at every labelling by rounding alone."""
    few = statistic in ("wasserstein", "sinkhorn")
    x, y = np.full((100, 3), 7.1), np.full((99, 3), 7.1)
    found = otdist.two_sample_test(x, y, statistic, n_permutations=9 if few else 199)
    assert found.pvalue == 1


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd", "kid", "classifier"])
@pytest.mark.parametrize("n, m, rare", [(20, 23, 0.005), (3, 3, 0.1)])
def test_the_level_holds_where_most_rows_are_equal(statistic, n, m, rare):
    rejected = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        x, y = (np.where(rng.random((size, 2)) < rare, 1.3, 0.1) for size in (n, m))
        found = otdist.two_sample_test(x, y, statistic, n_permutations=99, seed=trial)
        rejected += found.pvalue <= 0.05
    assert rejected <= 10  # at a level of 5% above 10 with a probability of 1%


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd"])
def test_an_outlier_does_not_hide_a_difference(statistic):
    x, y = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2)) + 2
    x[0] = 1e9
    assert otdist.two_sample_test(x, y, statistic, n_permutations=99).pvalue == 0.01


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd", "wasserstein"])
def test_neither_the_order_of_rows_nor_their_names_matter(statistic):
    x, y = np.repeat(X, 2, axis=0), X[:12]
    first = otdist.two_sample_test(x, y, statistic, n_permutations=19)
    again = otdist.two_sample_test(x[RNG.permutation(34)], y[::-1], statistic, n_permutations=19)
    assert again.statistic == pytest.approx(first.statistic, rel=DOUBLE)
    assert again.pvalue == first.pvalue


@pytest.mark.parametrize(
    "arguments, options, error, words",
    [
        (("magic",), {}, ValueError, "statistic must be one of"),
        ((3,), {}, TypeError, "a name or a callable"),
        (("energy",), {"p": 2}, ValueError, "no option p"),
        (("sliced",), {"n_projections": 0}, ValueError, "n_projections"),
        (("mmd",), {"bandwidth": -1}, ValueError, "bandwidth must be positive"),
        (("sinkhorn",), {"p": 3}, ValueError, "between 1 and 2"),
        (("sinkhorn",), {"eps": 0}, ValueError, "eps must be positive"),
        (("wasserstein",), {"p": 0.5}, ValueError, "p must be"),
        ((), {"n_permutations": 0}, ValueError, "n_permutations must be at least 1"),
        ((lambda x, y: np.nan,), {}, ValueError, "not finite"),
        ((np.sum,), {"p": 1}, ValueError, "takes no options"),
        (("sliced",), {"n_projections": None}, TypeError, "leave it out for 100"),
    ],
)
def test_errors(arguments, options, error, words):
    with pytest.raises(error, match=words):
        otdist.two_sample_test(X, Y, *arguments, **options)
