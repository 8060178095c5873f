"""Anderson's acceleration: linear maps in a few steps, restarts, honest ends."""

import pytest
import torch

from otdist.entropic import anderson


def contraction(m: int, rates: list[float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A linear map with the given rates, its fixed point, and uniform weights."""
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(m, m, generator=generator, dtype=torch.float64))
    diagonal = torch.zeros(m, dtype=torch.float64)
    diagonal[: len(rates)] = torch.tensor(rates, dtype=torch.float64)
    matrix = basis @ diagonal.diag() @ basis.T
    fixed = torch.randn(m, generator=generator, dtype=torch.float64)
    return matrix, fixed, torch.full((m,), 1 / m, dtype=torch.float64)


def stepper(matrix, fixed):
    def step(point):
        new = fixed + matrix @ (point - fixed)
        return new, float((new - point).norm())

    return step


def test_a_linear_map_of_four_slow_rates_takes_few_steps():
    matrix, fixed, b = contraction(30, [0.999, 0.99, 0.9, -0.8])
    stop = anderson.iterate(
        stepper(matrix, fixed), torch.zeros_like(fixed), b, tol=1e-9, max_iter=100
    )
    assert stop.converged
    assert stop.iterations <= 12
    torch.testing.assert_close(stop.point, fixed, atol=1e-6, rtol=0)


def test_a_batch_takes_the_steps_of_each():
    matrix, fixed, b = contraction(20, [0.99, 0.9, 0.5])
    start = torch.stack([torch.zeros_like(fixed), torch.ones_like(fixed)])

    def step(points):
        new = fixed + (points - fixed) @ matrix.T
        return new, float((new - points).norm(dim=-1).max())

    stop = anderson.iterate(step, start, b.expand(2, -1), tol=1e-9, max_iter=100)
    assert stop.converged
    assert stop.iterations <= 12
    torch.testing.assert_close(stop.point, fixed.expand(2, -1), atol=1e-6, rtol=0)


def test_ends_without_convergence_and_says_so():
    _matrix, fixed, b = contraction(30, [0.999] * 30)
    stop = anderson.iterate(
        lambda x: (fixed + 0.5 * torch.sin(x), 1.0), fixed, b, tol=1e-3, max_iter=7
    )
    assert not stop.converged
    assert stop.iterations == 7
    assert stop.error == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_out_of_range_returns_to_the_best_point(bad):
    matrix, fixed, b = contraction(30, [0.9, 0.5])
    inner, calls = stepper(matrix, fixed), []

    def step(point):
        calls.append(point)
        new, error = inner(point)
        return (new * bad, bad) if len(calls) == 3 else (new, error)

    stop = anderson.iterate(step, torch.zeros_like(fixed), b, tol=1e-9, max_iter=60)
    assert stop.converged
    torch.testing.assert_close(stop.point, fixed, atol=1e-6, rtol=0)
