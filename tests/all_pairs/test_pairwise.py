"""All pairs equal single calls, failures stay where they are, and a folder remembers."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

import otdist
from otdist.all_pairs import engines, matrix
from otdist.all_pairs.store import Store

ROUNDING = 1e-12  # sums in another order


def clouds(k=6, n=30, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n + i, d)) + 0.2 * i for i in range(k)]


def masses(samples, seed=1):
    rng = np.random.default_rng(seed)
    drawn = [rng.random(len(x)) + 0.1 for x in samples]
    return [w / w.sum() for w in drawn]


def by_hand(samples, distance, weights=None, **options):
    k = len(samples)
    out = np.zeros((k, k))
    for i in range(k):
        for j in range(i + 1, k):
            ab = {} if weights is None else {"a": weights[i], "b": weights[j]}
            value = distance(samples[i], samples[j], **ab, **options)
            out[i, j] = out[j, i] = float(value)
    return out


DISTANCES = [
    (otdist.wasserstein, {}),
    (otdist.wasserstein, {"p": 2, "solver": otdist.Sinkhorn(eps=0.5)}),
    (otdist.sliced_wasserstein, {}),
    (otdist.sliced_wasserstein, {"p": 2}),
    (otdist.gaussian_wasserstein, {}),
    (otdist.energy_distance, {}),
    (functools.partial(otdist.sliced_wasserstein, n_projections=7, seed=3), {"p": 1.5}),
]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("distance, options", DISTANCES)
def test_equals_a_loop(distance, options, weighted, n_jobs):
    samples = clouds()
    weights = masses(samples) if weighted else None
    found = otdist.pairwise(samples, weights=weights, distance=distance, n_jobs=n_jobs, **options)
    truth = by_hand(samples, distance, weights, **options)
    np.testing.assert_allclose(found.matrix, truth, rtol=ROUNDING, atol=0)
    np.testing.assert_array_equal(np.asarray(found), found.matrix.T)
    assert found.failures == {}
    assert found.shape == (6, 6)


def test_brackets_contain_the_exact_distance():
    samples = clouds()
    exact = otdist.pairwise(samples)
    rough = otdist.pairwise(samples, solver=otdist.Sliced(n_projections=4))
    off = ~np.eye(6, dtype=bool)
    assert (rough.lower <= exact.matrix).all()
    assert (exact.matrix <= rough.upper).all()
    assert (rough.lower < rough.upper)[off].all()
    assert np.isnan(otdist.pairwise(samples, distance=otdist.energy_distance).lower[off]).all()


def test_mixed_weights():
    samples = clouds(3)
    weights = [None, masses(samples)[1], None]
    for distance in (otdist.wasserstein, otdist.sliced_wasserstein):
        found = otdist.pairwise(samples, weights=weights, distance=distance)
        truth = by_hand(samples, distance, weights)
        np.testing.assert_allclose(found.matrix, truth, rtol=ROUNDING)


@pytest.mark.parametrize("shift, scale", [(1e9, 1.0), (0.0, 1e150), (0.0, 1e-150)])
def test_shared_slices_lose_no_digits(shift, scale):
    samples = [scale * x + shift for x in clouds(4)]
    found = otdist.pairwise(samples, distance=otdist.sliced_wasserstein, p=2)
    truth = by_hand(samples, otdist.sliced_wasserstein, p=2)
    np.testing.assert_allclose(found.matrix, truth, rtol=1e-9)


@pytest.mark.parametrize("distance", [otdist.wasserstein, otdist.sliced_wasserstein])
@pytest.mark.parametrize("p", [1, 2, 30, 60])
def test_one_scale_is_not_every_pairs_scale(distance, p):
    """Close pairs, small clouds, and small clouds far away, beside one of size 1."""
    x = clouds(1)[0]
    samples = [x, x + 1e-6, x + 1e-12, 1e-22 * x, 3e-22 * x, 1e-9 * x + 5, 2e-9 * x + 5]
    for dtype in (np.float64, np.float32):
        typed = [sample.astype(dtype) for sample in samples]
        found = otdist.pairwise(typed, distance=distance, p=p).matrix
        truth = by_hand(typed, distance, p=p)
        rtol = 1e-6 if dtype == np.float64 else 1e-4
        np.testing.assert_allclose(found, truth, rtol=rtol, atol=0)


def test_points_of_weight_zero_change_no_shared_slices():
    samples = clouds(3)
    weights = masses(samples)
    plain = otdist.pairwise(samples, weights=weights, distance=otdist.sliced_wasserstein)
    samples[1], weights[1] = np.vstack([samples[1], [[1e30] * 3]]), np.append(weights[1], 0.0)
    more = otdist.pairwise(samples, weights=weights, distance=otdist.sliced_wasserstein)
    np.testing.assert_allclose(more.matrix, plain.matrix, rtol=ROUNDING)


class Frame:
    """The least that a data frame offers."""

    def __init__(self, **columns):
        self.columns, self._data = list(columns), columns

    def __len__(self):
        return len(self._data[self.columns[0]])

    def __getitem__(self, name):
        return np.asarray(self._data[name])


@pytest.mark.parametrize("distance", [otdist.wasserstein, otdist.sliced_wasserstein])
def test_columns_of_data_frames_meet_by_name(distance):
    frames = [Frame(x=[0.0, 1.0], y=[9.0, 8.0]), Frame(y=[9.0, 8.0], x=[0.0, 1.0])]
    assert otdist.pairwise(frames, distance=distance).matrix.tolist() == [[0, 0], [0, 0]]
    frames.append(Frame(x=[0.0], z=[1.0]))
    with pytest.warns(UserWarning, match="must have the same columns"):
        found = otdist.pairwise(frames, distance=distance)
    assert found[0, 1] == 0
    assert set(found.failures) == {(0, 2), (1, 2)}


def test_every_sample_is_projected_once(monkeypatch):
    seen = []
    original = matrix.SharedSlices.prepare
    monkeypatch.setattr(
        matrix.SharedSlices, "prepare", lambda *args: seen.append(1) or original(*args)
    )
    samples = clouds(5)
    shared = otdist.pairwise(samples, distance=otdist.sliced_wasserstein).matrix
    assert len(seen) == 5
    monkeypatch.setattr(matrix, "SHARED_BYTES", 0)
    anew = otdist.pairwise(samples, distance=otdist.sliced_wasserstein).matrix
    assert len(seen) == 5
    np.testing.assert_allclose(shared, anew, rtol=ROUNDING)


def test_tensors_give_the_same_matrix():
    samples = clouds(4)
    tensors = [torch.tensor(x, requires_grad=True) for x in samples]
    for distance in (otdist.wasserstein, otdist.sliced_wasserstein):
        found = otdist.pairwise(tensors, distance=distance).matrix
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(
            found, otdist.pairwise(samples, distance=distance).matrix, rtol=ROUNDING
        )


@pytest.mark.parametrize("distance", [otdist.wasserstein, otdist.sliced_wasserstein])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failure_stays_in_its_place(distance, n_jobs):
    samples = clouds(5)
    samples[2] = np.full((4, 3), np.nan)
    samples[4] = np.zeros((3, 2))
    with pytest.warns(
        UserWarning, match="pairs failed and are NaN; the first, 0 and 2: ValueError"
    ):
        found = otdist.pairwise(samples, distance=distance, n_jobs=n_jobs)
    good = [0, 1, 3]
    truth = by_hand([samples[i] for i in good], distance)
    np.testing.assert_allclose(found[np.ix_(good, good)], truth, rtol=ROUNDING)
    assert set(found.failures) == {(0, 2), (1, 2), (2, 3), (2, 4), (0, 4), (1, 4), (3, 4)}
    assert "finite" in found.failures[0, 2]
    assert "dimension" in found.failures[0, 4]
    assert np.isnan(found.matrix).sum() == 2 * len(found.failures)


def test_pairs_that_stop_early_are_listed():
    solver = otdist.Sinkhorn(eps=1e-3, max_iter=1, tol=1e-12)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = otdist.pairwise(clouds(3), solver=solver, n_jobs=1)
    assert found.unconverged == [(0, 1), (0, 2), (1, 2)]
    assert any("3 pairs did not converge" in str(w.message) for w in caught)
    assert "3 not converged" in repr(found)


def counted(x, y, a=None, b=None):
    counted.calls += 1
    return otdist.energy_distance(x, y)


def test_a_folder_remembers_by_content(tmp_path):
    samples = clouds(5)
    counted.calls = 0
    first = otdist.pairwise(samples, distance=counted, cache=tmp_path)
    assert (counted.calls, first.reused) == (10, 0)
    again = otdist.pairwise(samples[::-1], distance=counted, cache=tmp_path)
    assert (counted.calls, again.reused) == (10, 10)
    np.testing.assert_array_equal(again.matrix, first.matrix[::-1, ::-1])
    more = otdist.pairwise([*samples, samples[0] + 1], distance=counted, cache=tmp_path)
    assert (counted.calls, more.reused) == (15, 10)
    moved = [samples[0] + 1e-9, *samples[1:]]
    assert otdist.pairwise(moved, distance=counted, cache=tmp_path).reused == 6


def test_options_and_weights_are_part_of_the_content(tmp_path):
    samples = clouds(3)
    calls = [
        dict(), dict(p=2), dict(solver=otdist.Sinkhorn(eps=0.3)),
        dict(solver=otdist.Sinkhorn(eps=0.4)), dict(weights=masses(samples)),
        dict(distance=otdist.sliced_wasserstein),
        dict(distance=functools.partial(otdist.sliced_wasserstein, n_projections=5)),
        dict(distance=functools.partial(otdist.sliced_wasserstein, directions=np.eye(3))),
    ]  # fmt: skip
    found = [otdist.pairwise(samples, cache=tmp_path, **call) for call in calls]
    assert [result.reused for result in found] == [0] * len(calls)
    for call, before in zip(calls, found, strict=True):
        after = otdist.pairwise(samples, cache=tmp_path, **call)
        assert after.reused == 3
        for name in ("matrix", "lower", "upper"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_half_written_files_are_computed_again(tmp_path):
    samples = clouds(4)
    truth = otdist.pairwise(samples, cache=tmp_path).matrix
    (path,) = tmp_path.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    wrong = json.loads(lines[0]) | {"distance": "many"}
    path.write_bytes(
        json.dumps(wrong).encode()
        + b"\n"
        + b"".join(lines[1:3])
        + b"\0\0\xff\n[1]\n"
        + lines[3][:-9]
    )
    after = otdist.pairwise(samples, cache=tmp_path)
    assert after.reused == 2
    np.testing.assert_array_equal(after.matrix, truth)
    assert otdist.pairwise(samples, cache=tmp_path).reused == 6


def test_failures_are_tried_again(tmp_path):
    samples = [*clouds(2), np.full((2, 3), np.inf)]
    for reused in (0, 1):
        with pytest.warns(UserWarning, match="failed"):
            assert otdist.pairwise(samples, cache=tmp_path).reused == reused


SCRIPT = """
import sys, time, numpy as np, otdist
def slow(x, y):
    time.sleep(0.02)
    return otdist.energy_distance(x, y)
slow.__module__ = "slow_module"
samples = [np.full((2, 1), float(i)) for i in range(20)]
print(otdist.pairwise(samples, distance=slow, cache=sys.argv[1], n_jobs=2).reused)
"""


def test_a_killed_run_is_taken_up(tmp_path):
    """The process is killed while it works; the next run computes the rest only."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while sum(p.read_bytes().count(b"\n") for p in tmp_path.glob("*.jsonl")) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = len(Store(tmp_path).known)
    assert 20 <= kept < 190
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(again.stdout) == kept
    assert len(Store(tmp_path).known) == 190


@pytest.mark.parametrize(
    "call, error, text",
    [
        (dict(samples=[]), ValueError, "at least one sample"),
        (dict(samples="abc"), TypeError, "sequence of samples"),
        (dict(samples=5), TypeError, "sequence of samples"),
        (dict(weights=[None]), ValueError, "one vector .* per sample: got 1 for 3"),
        (dict(distance="wasserstein"), TypeError, "distance must be a function"),
        (dict(distance=otdist.energy_distance, p=2), TypeError, "p is not an option"),
        (dict(distance=otdist.sliced_wasserstein, solver=otdist.Exact()), TypeError, "solver is"),
        (dict(p=0.5), ValueError, "p must be"),
        (dict(n_jobs=0), ValueError, "n_jobs must be at least 1"),
        (dict(n_jobs=2, client=object()), ValueError, "n_jobs or client"),
    ],
)
def test_errors_name_the_argument(call, error, text):
    with pytest.raises(error, match=text):
        otdist.pairwise(**{"samples": clouds(3), **call})


def test_a_cache_needs_a_name(tmp_path):
    with pytest.raises(ValueError, match="top of a module"):
        otdist.pairwise(clouds(2), distance=lambda x, y: 1.0, cache=tmp_path)
    unknown = functools.partial(counted, a=object())
    with pytest.raises(ValueError, match="cannot recognise a object"):
        otdist.pairwise(clouds(2), distance=unknown, cache=tmp_path)


def test_one_sample_has_no_pairs():
    assert otdist.pairwise(clouds(1)).matrix.tolist() == [[0.0]]


def test_torch_keeps_its_threads():
    before = torch.get_num_threads()
    otdist.pairwise(clouds(3), n_jobs=before + 1)
    assert torch.get_num_threads() == before


def test_chunks_cover_all_pairs_in_order():
    pairs = [(0, k) for k in range(1000)]
    for count in (1, 3, 64, 2000):
        found = engines.chunks(pairs, count)
        assert [pair for chunk in found for pair in chunk] == pairs
        assert len(found) >= min(max(count, 16), 1000)
