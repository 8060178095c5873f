"""Groups move whole, pairs swap, weights travel with their rows; and the level holds for each."""

import math

import numpy as np
import pytest
import torch

import otdist
from otdist.inference.labellings import of_groups, of_pairs

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(12, 2)), RNG.normal(size=(12, 2)) + 0.5
A = np.arange(1.0, 13)
FAST = ["sliced", "energy", "mmd"]
FEW: dict = {"sliced": {"n_projections": 10}}


def donors(rng, count, cells, shift=0.0):
    """Cells of donors who differ from each other more than the cells of one donor do."""
    centres = rng.normal(size=(count, 2)) + shift
    names = np.repeat(np.arange(count), cells)
    return centres[names] + 0.3 * rng.normal(size=(len(names), 2)), names


def test_groups_stay_together_and_keep_their_number():
    scheme = of_groups(["a", "a", "b", "c"], ["d", "e", "e", "f"], 4, 4)
    labels = scheme.labels(9, np.random.default_rng(0))
    assert labels[0].tolist() == [True] * 4 + [False] * 4
    assert (labels[:, 0] == labels[:, 1]).all()
    assert (labels[:, 5] == labels[:, 6]).all()
    kinds = labels[:, [0, 2, 3, 4, 5, 7]]
    assert (kinds.sum(1) == 3).all()
    assert len(labels) == 10
    every = scheme.labels(99, np.random.default_rng(0))
    assert len(every) == len(np.unique(every, axis=0)) == math.comb(6, 3)
    assert every[0].tolist() == labels[0].tolist()
    assert scheme.note(9) == ""
    assert scheme.note(99) == "all 20 arrangements of 3 + 3 groups: no p-value below 0.05"


def test_pairs_swap_one_by_one_or_by_group():
    scheme = of_pairs(X, Y, None)
    labels = scheme.labels(50, np.random.default_rng(0))
    assert labels[0].tolist() == [True] * 12 + [False] * 12
    assert (labels[:, :12] != labels[:, 12:]).all()
    assert 4 < len(np.unique(labels, axis=0)) <= 51
    by_group = of_pairs(X, Y, np.repeat([3, 1], 6)).labels(50, np.random.default_rng(0))
    assert sorted(map(tuple, by_group[:, [0, 6]].tolist())) == [
        (False, False), (False, True), (True, False), (True, True),
    ]  # fmt: skip
    assert (by_group[:, :5] == by_group[:, 1:6]).all()


@pytest.mark.parametrize("statistic", [*FAST, "wasserstein", "sliced_w2", "classifier", "kid"])
def test_labellings_of_several_sizes_are_plain_calls(statistic):
    """Groups of unequal sizes: each labelling has as many rows as its groups."""
    options = {"bandwidth": 1.0} if statistic == "mmd" else {}
    options |= {"n_projections": 5} if "sliced" in statistic else {}
    of_x, of_y = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3], [4, 4, 4, 4, 4, 4, 4, 4, 5, 6, 6, 6]
    found = otdist.two_sample_test(
        X, Y, statistic, groups_x=of_x, groups_y=of_y, n_permutations=99, seed=3, **options
    )
    pooled = np.concatenate([X, Y])
    labels = of_groups(of_x, of_y, 12, 12).labels(99, np.random.default_rng(0))
    assert len(found.null) == math.comb(7, 3) - 1
    assert len(np.unique(labels.sum(1))) > 3
    direct = [
        otdist.two_sample_test(pooled[m], pooled[~m], statistic, n_permutations=1, seed=3,
                               **options).statistic
        for m in labels
    ]  # fmt: skip
    assert direct[0] == pytest.approx(found.statistic)
    assert np.sort(direct[1:]) == pytest.approx(np.sort(found.null), abs=1e-9)


@pytest.mark.parametrize("statistic", FAST)
def test_donors_of_one_population_raise_no_alarm(statistic):
    """Permuting their cells instead finds what differs between any two sets of donors."""
    rng, alarms, of_rows = np.random.default_rng(1), 0, 0
    for seed in range(150):
        (x, of_x), (y, of_y) = donors(rng, 4, 6), donors(rng, 4, rng.integers(3, 9, size=4))
        options = {"n_permutations": 39, "seed": seed, **FEW.get(statistic, {})}
        test = otdist.two_sample_test(x, y, statistic, groups_x=of_x, groups_y=of_y + 4, **options)
        alarms += test.pvalue <= 0.05
        of_rows += otdist.two_sample_test(x, y, statistic, **options).pvalue <= 0.05
    assert alarms <= 15
    assert of_rows > 75


def test_groups_of_one_member_are_rows():
    """Nothing is lost where every row is a group of its own: the test is the plain one."""
    names = {"groups_x": range(12), "groups_y": range(12, 24)}
    for shift in (0.0, 3.0):
        plain, grouped = (
            otdist.two_sample_test(X, Y + shift, "energy", n_permutations=999, **options)
            for options in ({}, names)
        )
        assert grouped.statistic == pytest.approx(plain.statistic, rel=1e-12)
        assert grouped.pvalue == pytest.approx(plain.pvalue, abs=0.06)  # 4 standard errors


def test_donors_who_differ_are_found():
    (x, of_x), (y, of_y) = donors(RNG, 8, 5), donors(RNG, 9, 4, shift=3)
    test = otdist.two_sample_test(x, y, "energy", groups_x=of_x, groups_y=of_y + 8)
    assert test.pvalue == 0.001
    assert "999 permutations of 8 + 9 groups of 40 + 36 rows" in repr(test)


def test_pairs_see_a_shift_that_subjects_hide():
    subjects = 10 * RNG.normal(size=(40, 2))
    before, after = subjects + RNG.normal(size=(40, 2)), subjects + RNG.normal(size=(40, 2)) + 1.5
    assert otdist.two_sample_test(before, after, "energy", paired=True).pvalue <= 0.01
    assert otdist.two_sample_test(before, after, "energy").pvalue > 0.5
    visits = np.repeat(np.arange(10), 4)
    grouped = otdist.two_sample_test(before, after, "energy", paired=True, groups_x=visits)
    assert grouped.pvalue < 0.02
    assert grouped.exchanged == "10 groups of pairs"


@pytest.mark.parametrize("options", [{}, {"groups_x": np.repeat(np.arange(10), 3)}])
def test_the_level_of_pairs(options):
    rng, alarms = np.random.default_rng(0), 0
    for seed in range(200):
        subjects = np.repeat(rng.normal(size=(10, 1)), 3, axis=0)
        x, y = (subjects + rng.standard_t(3, size=(30, 1)) for _ in range(2))
        test = otdist.two_sample_test(
            x, y, "sliced", paired=True, n_permutations=19, seed=seed, **options
        )
        alarms += test.pvalue <= 0.05
    assert alarms <= 20


@pytest.mark.parametrize("statistic", [*FAST, "wasserstein", "sinkhorn", "sliced_w2"])
def test_weights_are_those_of_the_functions(statistic):
    a, b = RNG.random(12) + 0.1, RNG.random(12) + 0.1
    options: dict = {"mmd": {"bandwidth": 1.0}, "sinkhorn": {"eps": 1.0}}.get(statistic, {})
    found = otdist.two_sample_test(
        X, Y, statistic, a=a, b=b, n_permutations=19, seed=3,
        **options, **({"n_projections": 7} if "sliced" in statistic else {}),
    )  # fmt: skip
    weights = {"a": a / a.sum(), "b": b / b.sum()}
    direct = {
        "sliced": lambda: otdist.sliced_wasserstein(X, Y, n_projections=7, seed=3, **weights),
        "sliced_w2": lambda: otdist.sliced_wasserstein(X, Y, p=2, n_projections=7, seed=3,
                                                       **weights),
        "energy": lambda: otdist.energy_distance(X, Y, **weights),
        "mmd": lambda: otdist.mmd(X, Y, bandwidth=1.0, **weights),
        "wasserstein": lambda: otdist.wasserstein(X, Y, **weights),
        "sinkhorn": lambda: otdist.sinkhorn_divergence(X, Y, p=2, eps=1.0, **weights).cost,
    }[statistic]()  # fmt: skip
    assert found.statistic == pytest.approx(float(direct), rel=1e-6)


@pytest.mark.parametrize("statistic", FAST)
def test_equal_weights_change_nothing_and_zero_weights_remove_rows(statistic):
    options = {"n_permutations": 49}
    plain = otdist.two_sample_test(X, Y[:9], statistic, **options)
    even = otdist.two_sample_test(X, Y[:9], statistic, a=np.full(12, 1 / 12), b=np.full(9, 1 / 9),
                                  **options)  # fmt: skip
    assert even.statistic == pytest.approx(plain.statistic)
    assert even.null == pytest.approx(plain.null)
    padded = np.concatenate([Y[:9], [[1e30, 0.0]]])
    ones = otdist.two_sample_test(X, padded, statistic, a=np.ones(12), b=np.arange(10) < 9,
                                  **options)  # fmt: skip
    assert (ones.m, ones.pvalue) == (9, even.pvalue)
    assert ones.null == pytest.approx(even.null)


@pytest.mark.parametrize("statistic", FAST)
def test_the_level_with_weights_and_groups_of_one_population(statistic):
    rng, alarms = np.random.default_rng(2), 0
    for seed in range(200):
        z = rng.normal(size=(31, 2))
        w = np.exp(z[:, 0] + rng.normal(size=31))  # rows and weights depend on each other
        test = otdist.two_sample_test(
            z[:18],
            z[18:],
            statistic,
            a=w[:18],
            b=w[18:],
            n_permutations=19,
            seed=seed,
            **FEW.get(statistic, {}),
        )
        alarms += test.pvalue <= 0.05
    assert alarms <= 20


def test_order_torch_and_kinds_of_names():
    of_x, of_y = np.arange(12) // 2, 6 + np.arange(12) // 3
    first = otdist.two_sample_test(X, Y, "energy", groups_x=of_x, groups_y=of_y, n_permutations=99)
    order = RNG.permutation(12)
    again = otdist.two_sample_test(
        torch.tensor(X[order]), torch.tensor(Y), "energy", groups_x=torch.tensor(of_x[order]),
        groups_y=of_y.tolist(), n_permutations=99,
    )  # fmt: skip
    assert again.pvalue == first.pvalue
    paired = otdist.two_sample_test(X, Y, "energy", paired=True, n_permutations=99)
    mixed = otdist.two_sample_test(X[order], Y[order], "energy", paired=True, n_permutations=99)
    assert mixed.pvalue == paired.pvalue


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"groups_x": [0] * 12}, ValueError, "groups_x and groups_y must both be given"),
        ({"groups_x": [0] * 12, "groups_y": [0] * 12}, ValueError, "got 0 in both x and y"),
        ({"groups_x": [0] * 12, "groups_y": [1] * 12}, ValueError, "at least three groups"),
        ({"groups_x": [0] * 11, "groups_y": [1] * 12}, ValueError, r"shape \(12,\): got"),
        ({"groups_x": [0.5] * 12, "groups_y": [1] * 12}, TypeError, "texts or whole numbers"),
        ({"paired": 1}, TypeError, "paired must be True or False"),
        ({"paired": True, "groups_y": [1] * 12}, ValueError, "groups_y must be None"),
        ({"a": [1] * 12}, ValueError, "a and b must both be given"),
        ({"a": A / A.sum(), "b": A / A.sum()}, ValueError, "a and b must be on one scale"),
        ({"a": [1] * 12, "b": [1] * 11}, ValueError, r"one weight per point of y, shape \(12,\)"),
        ({"a": [-1] * 12, "b": [1] * 12}, ValueError, "a must be non-negative"),
        ({"a": [1] * 12, "b": [1] * 12, "statistic": "classifier"}, ValueError, "takes no weights"),
        ({"a": [1] * 12, "b": [1] * 12, "statistic": "kid"}, ValueError, "takes no weights"),
    ],
)
def test_errors(options, error, words):
    with pytest.raises(error, match=words):
        otdist.two_sample_test(X, Y, **{"statistic": "energy", **options})


def test_pairs_of_unequal_samples():
    with pytest.raises(ValueError, match="as many rows: got 12 and 11"):
        otdist.two_sample_test(X, Y[:11], "energy", paired=True)
