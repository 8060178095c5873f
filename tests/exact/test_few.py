"""Few plain points: what a result holds is its own, and agrees with the solver for all tasks."""

import threading

import numpy as np
import pytest

import otdist


def problem(n, d, seed, weighted):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 0.3
    a, b = (rng.dirichlet(np.ones(n)) for _ in "ab") if weighted else (None, None)
    return x, y, a, b


def solved(given, p, **options):
    x, y, a, b = given
    return otdist.wasserstein(x, y, a=a, b=b, p=p, **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n, d", [(20, 2), (70, 2), (120, 3), (120, 64), (180, 3)])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_few_points_have_the_brackets_of_any_task(n, d, weighted, p):
    given = problem(n, d, 0, weighted)
    few, any_task = solved(given, p), solved(given, p, solver=otdist.Exact())
    assert few.converged
    assert few.distance == pytest.approx(any_task.distance, rel=1e-12)
    assert any_task.lower <= few.upper
    assert few.lower <= any_task.upper
    assert few.upper - few.lower <= 1e-12 * few.upper


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [30, 130])
def test_later_calls_leave_earlier_results_alone(n, weighted):
    first = solved(problem(n, 3, 0, weighted), 2)
    f, g = (h.copy() for h in first.potentials)
    plan, untouched = first.plan.toarray(), solved(problem(n, 3, 0, weighted), 2)
    for seed in range(1, 4):
        solved(problem(n, 3, seed, weighted), 2)
    for result in (first, untouched):
        np.testing.assert_array_equal(result.potentials[0], f)
        np.testing.assert_array_equal(result.potentials[1], g)
        np.testing.assert_array_equal(result.plan.toarray(), plan)


def test_calls_in_threads_do_not_share_memory():
    given = [problem(120, 3, seed, True) for seed in range(4)]
    alone = [solved(each, 2).distance for each in given]
    found = [[] for _ in given]

    def work(k):
        for _ in range(5):
            found[k].append(solved(given[k], 2).distance)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[distance] * 5 for distance in alone]
