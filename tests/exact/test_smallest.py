"""Minima of groups: the smallest entries of each row, and the least of thinned columns."""

import numpy as np
import pytest
import torch

from otdist.exact import smallest


def block(h, m, seed=0):
    return np.random.default_rng(seed).normal(size=(h, m)).astype(np.float32)


@pytest.mark.parametrize("m", [64, 1000, 1001, 1007])
@pytest.mark.parametrize("width", [3, 8, 64])
def test_column_j_is_in_group_j_mod_their_number(m, width):
    entries = block(7, m)
    minima = smallest.grouped(torch.from_numpy(entries), width).numpy()
    groups = minima.shape[1]
    assert groups == -(-m // width)
    for group in range(groups):
        np.testing.assert_array_equal(minima[:, group], entries[:, group::groups].min(1))


@pytest.mark.parametrize("m", [256, 1000, 1001, 4007])
@pytest.mark.parametrize(("k", "width"), [(1, 8), (5, 32), (12, 16)])
def test_the_k_smallest_are_found_and_hardly_more(m, k, width):
    entries = block(50, m)
    fine = smallest.grouped(torch.from_numpy(entries), smallest.FINE).numpy()
    found = smallest.under(entries, fine, k, width)
    assert found is not None
    rows, cols, low, spread = found
    assert len(set(zip(rows, cols, strict=True))) == len(rows) <= 2 * k * 50
    for row in range(50):
        mine, ascending = cols[rows == row], np.sort(entries[row])
        assert np.isin(np.argsort(entries[row])[:k], mine).all()
        assert sorted(entries[row, mine]) == list(ascending[: len(mine)])
    np.testing.assert_array_equal(low, entries.min(1))
    last = np.array([entries[row, cols[rows == row]].max() for row in range(50)])
    np.testing.assert_array_equal(spread, last - low)


def test_ties_are_given_up():
    entries = np.round(block(20, 1000))
    fine = smallest.grouped(torch.from_numpy(entries), smallest.FINE).numpy()
    assert smallest.under(entries, fine, 5, 32) is None


@pytest.mark.parametrize("m", [300, 1000, 1003])
@pytest.mark.parametrize("stride", [8, 64])
@pytest.mark.parametrize("k", [1, 3])
def test_scattered_entries_are_the_least_of_columns_that_turn_with_the_rows(m, stride, k):
    entries = block(200, m)
    fine = smallest.grouped(torch.from_numpy(entries), smallest.FINE).numpy()
    groups = fine.shape[1]
    found = smallest.scattered(entries, fine, k, [stride], 1000)
    assert found.shape == (200, k)
    column, classes = np.arange(m), set()
    place = column % groups if groups >= k * stride else column  # one in `stride` of groups or all
    for row in range(200):
        own = {int(place[j] % stride) for j in found[row]}
        assert len(own) == 1  # one turn for the k classes of a row
        classes |= own
        for q, j in enumerate(found[row]):
            members = place % (k * stride) == own.copy().pop() + q * stride
            assert entries[row, j] == entries[row, members].min()
    assert classes == set(range(stride))


def test_strides_stand_beside_each_other():
    entries = block(9, 700)
    fine = smallest.grouped(torch.from_numpy(entries), smallest.FINE).numpy()
    both = smallest.scattered(entries, fine, 2, [8, 64], 5)
    single = [smallest.scattered(entries, fine, 2, [stride], 5) for stride in (8, 64)]
    np.testing.assert_array_equal(both, np.concatenate(single, 1))
