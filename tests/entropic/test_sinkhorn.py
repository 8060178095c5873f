"""Entropic transport: closed forms, peers, certificates, gradients and errors."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otdist.core.measure import pair
from otdist.core.point_cost import MatrixCost, PointCost
from otdist.core.result import ConvergenceWarning, OTResult
from otdist.core.task import of_matrix, of_pair
from otdist.distances import entropic_cost, sinkhorn_divergence
from otdist.entropic import entropic
from otdist.entropic import sinkhorn as sinkhorn_module
from otdist.entropic.sinkhorn import Sinkhorn
from otdist.losses import SinkhornLoss
from otdist.transport_map import soft_ctransform

DIVERGENCES = [sinkhorn_divergence, entropic_cost]


def solve(
    x: Any, y: Any, solver: Sinkhorn, p: float = 1.0, a: Any = None, b: Any = None
) -> OTResult:
    return solver.solve(of_pair(pair(x, y, a, b), p))


def sample(seed: int, n: int = 60, m: int = 50, d: int = 2) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    a = rng.random(n) + 0.1
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5, a / a.sum()


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None].astype(float) - y, axis=2)


class TestValue:
    @pytest.mark.parametrize("p", [1, 2])
    def test_equals_pot_with_kl(self, p: int) -> None:
        x, y, a = sample(0)
        eps = 0.1 * float((distances(x, y) ** p).mean())
        theirs = ot.solve_sample(
            x, y, a, None, metric="euclidean" if p == 1 else "sqeuclidean",
            reg=eps, reg_type="KL", max_iter=100_000, tol=1e-12,
        )  # fmt: skip
        ours = entropic_cost(x, y, a=a, p=p, eps=eps, tol=1e-9)
        assert ours.cost == pytest.approx(theirs.value, rel=1e-6)
        assert ours.converged
        assert ours.residual <= 1e-9

    def test_gaussians_have_a_closed_form(self) -> None:
        """Janati, Muzellec, Peyré, Cuturi (2020), theorem 1, in one dimension with eps = 2σ²."""
        rng = np.random.default_rng(0)
        n, eps, s, t, shift = 4000, 1.0, 1.0, 1.5, 2.0
        quantiles = np.sort(rng.normal(size=(2, n)))
        x, y = s * quantiles[0], shift + t * quantiles[1]
        v, w = x.var(), y.var()
        sigma2 = eps / 2
        root = math.sqrt(4 * v * w + sigma2**2)
        bures = v + w - root + sigma2 * (1 - math.log(2 * sigma2) + math.log(root + sigma2))
        expected = (x.mean() - y.mean()) ** 2 + bures
        assert entropic_cost(x, y, p=2, eps=eps).cost == pytest.approx(expected, rel=0.01)

    def test_potentials_give_a_plan_with_the_right_marginals(self) -> None:
        x, y, a = sample(1)
        result = entropic_cost(x, y, a=a, p=1.5, eps=0.2, tol=1e-9)
        f, g = result.potentials
        c = distances(x, y) ** 1.5
        plan = a[:, None] / 50 * np.exp((f[:, None] + g - c) / 0.2)
        np.testing.assert_allclose(plan.sum(1), a, rtol=1e-7)
        np.testing.assert_allclose(plan.sum(0), 1 / 50, rtol=1e-7)
        kl = (plan * np.log(plan / (a[:, None] / 50))).sum()
        assert result.cost == pytest.approx((plan * c).sum() + 0.2 * kl, rel=1e-9)

    def test_potentials_extend_to_their_own_points(self) -> None:
        x, y, a = sample(2)
        result = entropic_cost(x, y, a=a, p=2, eps=0.3, tol=1e-9)
        f, g = result.potentials
        np.testing.assert_allclose(soft_ctransform(x, y, g, p=2, eps=0.3), f, atol=1e-8)
        np.testing.assert_allclose(soft_ctransform(y, x, f, b=a, p=2, eps=0.3), g, atol=1e-8)

    @pytest.mark.filterwarnings("ignore:Sinkhorn did not converge")
    @pytest.mark.parametrize("stored", [True, False])
    def test_stored_and_streamed_kernels_agree(
        self, stored: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not stored:
            monkeypatch.setattr(entropic, "STORED_BYTES", 0)
        x, y, a = sample(3)
        peer = {"metric": "sqeuclidean", "reg": 0.2, "reg_type": "KL", "max_iter": 10_000}
        u = np.full(50, 1 / 50)
        terms = [
            ot.solve_sample(*z, **peer).value for z in ((x, y, a, u), (x, x, a, a), (y, y, u, u))
        ]
        reference = terms[0] - (terms[1] + terms[2]) / 2
        for dtype, tol, rel in ((np.float64, 1e-9, 1e-7), (np.float64, 1e-3, 1e-4),
                                (np.float32, 1e-3, 1e-4)):  # fmt: skip
            samples = x.astype(dtype), y.astype(dtype)
            value = sinkhorn_divergence(*samples, a=a, p=2, eps=0.2, tol=tol).cost
            assert value == pytest.approx(reference, rel=rel)

    @pytest.mark.parametrize("eps", [0.5, 0.005])
    @pytest.mark.parametrize("most", [16, 1024])
    def test_coarse_start_serves_large_samples(self, most: int, eps: float) -> None:
        """From a coarse solution on few points or on all, the same value as that of POT."""
        x, y, a = sample(4, n=120, m=90)
        b, matrix = np.full(90, 1 / 90), ot.dist(x, y)
        weights, cost = (torch.from_numpy(a), torch.from_numpy(b)), torch.from_numpy(matrix)
        near = entropic.coarse(MatrixCost(cost), *weights, eps, most=most)
        found = entropic.solve(
            MatrixCost(cost), *weights, eps, tol=1e-9, max_iter=20_000, near=near
        )
        value = float(weights[0] @ found.f + weights[1] @ found.g)
        peer = ot.solve(matrix, a, b, reg=eps, reg_type="KL", max_iter=100_000, tol=1e-12)
        assert value == pytest.approx(float(peer.value), rel=1e-7)

    @pytest.mark.parametrize("share", [0.05, 0.01, 0.002, 0.0004])
    @pytest.mark.parametrize("kind", ["far clusters of other masses", "heavy tails"])
    def test_hard_samples_converge_in_a_few_hundred_steps(self, kind: str, share: float) -> None:
        rng = np.random.default_rng(0)
        n = 1500
        if kind == "heavy tails":
            x, y = rng.standard_t(2, size=(n, 3)), rng.normal(size=(n, 3))
        else:
            k, j = rng.integers(0, 4, n), rng.integers(0, 6, n)
            x = 0.1 * rng.normal(size=(n, 2)) + 3 * np.stack([k % 2, k // 2], 1)
            y = 0.1 * rng.normal(size=(n, 2)) + 3 * np.stack([j % 3, j // 3], 1)
        eps = share * float(np.square(distances(x[:300], y[:300])).mean())
        result = entropic_cost(x.astype(np.float32), y.astype(np.float32), p=2, eps=eps)
        assert result.converged
        assert result.iterations < 300


class TestDivergence:
    @pytest.mark.parametrize("p", [1, 1.5, 2])
    def test_is_zero_for_equal_measures_and_positive_otherwise(self, p: float) -> None:
        x, y, a = sample(5)
        order = np.random.default_rng(0).permutation(60)
        assert sinkhorn_divergence(x, x, a=a, b=a, p=p).cost == 0
        shuffled = sinkhorn_divergence(x, x[order], a=a, b=a[order], p=p, eps=0.2, tol=1e-8).cost
        assert 0 <= shuffled < 1e-9
        assert sinkhorn_divergence(x, x, a=a, p=p).cost > 1e-4
        assert sinkhorn_divergence(x, y, p=p).cost > 1e-2

    def test_is_symmetric_and_blind_to_order(self) -> None:
        x, y, a = sample(6)
        order = np.random.default_rng(1).permutation(60)
        forward = sinkhorn_divergence(x, y, a=a, p=2, eps=0.2, tol=1e-9).cost
        assert sinkhorn_divergence(y, x, b=a, p=2, eps=0.2, tol=1e-9).cost == pytest.approx(forward)
        shuffled = sinkhorn_divergence(x[order], y, a=a[order], p=2, eps=0.2, tol=1e-9).cost
        assert shuffled == pytest.approx(forward)

    def test_translation_by_v_costs_its_square(self) -> None:
        x, _, _ = sample(7)
        moved = sinkhorn_divergence(x, x + np.array([3.0, 4.0]), p=2, eps=0.5, tol=1e-9)
        assert moved.cost == pytest.approx(25.0, rel=1e-7)
        assert moved.distance == pytest.approx(5.0, rel=1e-7)

    @pytest.mark.parametrize("share", [0.02, 0.3, 1, 10, 1e3, 1e6, 1e9, 1e30])
    @pytest.mark.parametrize("kind", ["float64", "float32", "batch"])
    def test_translation_costs_the_same_at_every_strength(self, share: float, kind: str) -> None:
        x, _, _ = sample(12)
        y = x + np.array([0.3, 0.4])
        if kind == "batch":
            both = [torch.from_numpy(z).expand(2, -1, -1) for z in (x, y)]
            cost = SinkhornLoss(eps=share)(*both).item()
        else:
            cost = sinkhorn_divergence(x.astype(kind), y.astype(kind), p=2, eps=share).cost
        assert cost == pytest.approx(0.25, rel=2e-3 if share < 0.1 else 1e-4)

    @pytest.mark.parametrize("p", [1, 2])
    def test_tends_to_a_kernel_distance(self, p: int) -> None:
        x, y, _ = sample(13)
        across, left, right = (distances(u, v) ** p for u, v in ((x, y), (x, x), (y, y)))
        limit = across.mean() - left.mean() / 2 - right.mean() / 2
        for eps in (1e4, 1e5, 1e20):
            found = sinkhorn_divergence(x, y, p=p, eps=eps * across.mean())
            assert found.cost == pytest.approx(limit, rel=max(1e-5, 2 / eps))
            assert found.eps == eps * across.mean()

    @pytest.mark.parametrize("share", [0.05, 0.5, 5, 50])
    def test_the_default_tolerance_costs_its_square(self, share: float) -> None:
        x, y, a = sample(14)
        loose = sinkhorn_divergence(x, y, a=a, p=2, eps=share)
        close = sinkhorn_divergence(x, y, a=a, p=2, eps=share, tol=1e-11)
        assert loose.cost == pytest.approx(close.cost, rel=2e-5)

    @pytest.mark.parametrize("steps", [1, 4, 8, 12])
    def test_the_residual_bounds_that_of_the_potentials(self, steps: int) -> None:
        x, y, a = sample(15)
        with pytest.warns(ConvergenceWarning):
            found = entropic_cost(x, y, a=a, p=2, eps=0.02, tol=1e-12, max_iter=steps)
        f, g = found.potentials
        plan = a[:, None] * np.exp((f[:, None] + g - distances(x, y) ** 2) / 0.02) / len(y)
        off = abs(plan.sum(1) - a).sum() + abs(plan.sum(0) - 1 / len(y)).sum()
        assert 0 < off <= found.residual * (1 + 1e-9)

    def test_scales_with_its_units(self) -> None:
        x, y, _ = sample(8)
        small = sinkhorn_divergence(x, y, p=1.5, eps=0.3, tol=1e-9)
        large = sinkhorn_divergence(1e3 * x, 1e3 * y, p=1.5, eps=0.3 * 1e3**1.5, tol=1e-9)
        assert large.distance == pytest.approx(1e3 * small.distance, rel=1e-7)
        assert large.eps == pytest.approx(0.3 * 1e3**1.5)

    def test_offset_costs_float32_nothing_but_its_own_rounding(self) -> None:
        x, y, _ = sample(9)
        x32, y32 = (x + 1e4).astype(np.float32), (y + 1e4).astype(np.float32)
        exact = sinkhorn_divergence(x32.astype(float), y32.astype(float), p=2, eps=0.1, tol=1e-6)
        assert sinkhorn_divergence(x32, y32, p=2, eps=0.1, tol=1e-6).cost == pytest.approx(
            exact.cost, rel=1e-5
        )

    def test_zero_weights_change_nothing_but_have_potentials(self) -> None:
        x, y, a = sample(10)
        more = np.vstack([x, [[1e3, 1e3]]])
        padded = sinkhorn_divergence(more, y, a=np.append(a, 0.0), p=2, eps=0.2, tol=1e-8)
        assert padded.cost == pytest.approx(
            sinkhorn_divergence(x, y, a=a, p=2, eps=0.2, tol=1e-8).cost, rel=1e-6
        )
        assert np.isfinite(padded.potentials[0]).all()

    def test_all_points_in_one_place(self) -> None:
        assert sinkhorn_divergence(np.ones((4, 2)), np.ones((3, 2))).cost == 0
        assert float(solve(np.ones((4, 2)), np.ones((3, 2)), Sinkhorn())) == 0

    @pytest.mark.parametrize("scale", [1e150, 1e-150])
    def test_extreme_units(self, scale: float) -> None:
        x, y, _ = sample(11)
        plain = sinkhorn_divergence(x, y, p=2).distance
        assert sinkhorn_divergence(scale * x, scale * y, p=2).distance == pytest.approx(
            scale * plain, rel=1e-4
        )


class TestBracket:
    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 10**6),
        n=st.integers(1, 25),
        m=st.integers(1, 25),
        d=st.integers(1, 20),
        p=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
        share=st.sampled_from([1.0, 0.1, 0.01]),
        single=st.booleans(),
    )
    def test_contains_exact_transport(
        self, seed: int, n: int, m: int, d: int, p: float, share: float, single: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        dtype = np.float32 if single else np.float64
        x, y = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype) + 3
        y[: min(n, m) // 2] = x[: min(n, m) // 2]
        a = rng.random(n) * (rng.random(n) > 0.3) + 1e-3
        a /= a.sum()
        c = distances(x, y) ** p
        exact = ot.emd2(a, np.full(m, 1 / m), c) ** (1 / p)
        solver = Sinkhorn(eps=share * float(c.mean()), max_iter=200, tol=1e-2)
        result = solve(x, y, solver, p, a)
        slack = 1e-12 * exact  # POT's own rounding
        assert result.lower - slack <= exact <= result.upper + slack
        assert float(result) <= result.upper

    def test_closes_as_eps_falls(self) -> None:
        x, y, _ = sample(12, n=150, m=150)
        c = distances(x, y).mean()
        gaps = [
            solve(x, y, Sinkhorn(eps=share * c)).gap / float(solve(x, y, Sinkhorn()))
            for share in (0.1, 0.01, 0.001)
        ]
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[-1] <= 0.05

    def test_the_lower_bound_is_the_dual_value_of_its_potentials(self) -> None:
        x, y, a = sample(13)
        result = solve(x, y, Sinkhorn(eps=0.05), 2.0, a)
        f, g = result.potentials
        assert (f[:, None] + g <= distances(x, y) ** 2 + 1e-12).all()
        assert result.lower**2 == pytest.approx(a @ f + g.mean(), rel=1e-12)

    def test_the_plan_is_feasible_and_costs_what_it_says(self) -> None:
        x, y, a = sample(14)
        result = solve(x, y, Sinkhorn(eps=0.01), 2.0, a)
        plan = result.plan.toarray()
        np.testing.assert_allclose(plan.sum(1), a, rtol=0, atol=1e-15)
        np.testing.assert_allclose(plan.sum(0), 1 / 50, rtol=0, atol=1e-15)
        assert (plan >= 0).all()
        assert result.cost == pytest.approx((plan * distances(x, y) ** 2).sum(), rel=1e-12)

    def test_a_large_plan_is_refused_with_its_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sinkhorn_module, "PLAN_ENTRIES", 100)
        x, y, _ = sample(15)
        with pytest.raises(ValueError, match=r"60 × 50 entries.*Exact"):
            _ = solve(x, y, Sinkhorn()).plan

    def test_points_and_their_matrix_agree(self) -> None:
        x, y, a = sample(16)
        points = solve(x, y, Sinkhorn(eps=0.1, tol=1e-6), 1.0, a)
        matrix = Sinkhorn(eps=0.1, tol=1e-6).solve(of_matrix(distances(x, y), a))
        assert float(matrix) == pytest.approx(float(points), rel=1e-6)
        assert matrix.lower == pytest.approx(points.lower, rel=1e-5)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("d", [2, 30])
    def test_small_eps_gives_no_nan(self, dtype: type, d: int) -> None:
        x, y, _ = sample(17, n=200, m=150, d=d)
        x, y = x.astype(dtype), y.astype(dtype)
        eps = 1e-4 * float((distances(x, y) ** 2).mean())
        result = solve(x, y, Sinkhorn(eps=eps), 2.0)
        assert result.converged
        assert result.gap / float(result) < 0.01
        assert math.isfinite(sinkhorn_divergence(x, y, p=2, eps=eps).cost)

    def test_a_start_saves_steps(self) -> None:
        x, y, _ = sample(18, n=200, m=200)
        task = of_pair(pair(x, y), 2.0)
        solver = Sinkhorn(eps=0.02)
        first = solver.solve(task)
        again = Sinkhorn(eps=0.01).solve(task, start=first)
        assert again.converged
        with pytest.raises(ValueError, match="start"):
            solver.solve(of_pair(pair(x, y[:5]), 2.0), start=first)

    def test_pickles_with_its_plan(self) -> None:
        x, y, _ = sample(19)
        result = solve(x, y, Sinkhorn())
        copy = pickle.loads(pickle.dumps(result))
        assert float(copy) == float(result)
        assert abs(copy.plan - result.plan).max() == 0

    def test_details_are_in_the_callers_units(self) -> None:
        x, y, _ = sample(20)
        result = solve(100 * x, 100 * y, Sinkhorn(eps=50.0), 2.0)
        assert result.details["eps"] == pytest.approx(50.0)
        assert result.details["marginal_error"] <= 1e-3

    @pytest.mark.slow
    def test_twenty_thousand_points_need_less_than_a_gigabyte(self) -> None:
        import resource

        x = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
        y = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        uniform = torch.full((20_000,), 1 / 20_000).double()
        cost = PointCost(x, y, 2)
        dual = entropic.solve(cost, uniform, uniform, 0.05, tol=1e-2, max_iter=50)
        assert dual.converged
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert (after - before) * 1024 < 1e9


class TestGradients:
    @pytest.mark.parametrize("function", DIVERGENCES)
    @pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
    def test_envelope_gradient_at_convergence(self, function: Any, p: float) -> None:
        x, y, a = sample(21, n=8, m=6)
        inputs = [torch.tensor(z, requires_grad=True) for z in (x, y, a, np.full(6, 1 / 6))]

        def value(x: Any, y: Any, a: Any, b: Any) -> Any:
            weights = {"a": a / a.sum(), "b": b / b.sum()}
            return function(x, y, p=p, eps=0.3, tol=1e-11, **weights).cost

        assert torch.autograd.gradcheck(value, inputs)

    def test_gradient_is_zero_at_equal_samples(self) -> None:
        x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
        result = sinkhorn_divergence(x, x.detach().clone(), p=2)
        result.distance.backward()
        assert torch.equal(x.grad, torch.zeros_like(x))

    @pytest.mark.parametrize("function", DIVERGENCES)
    def test_second_derivatives_raise(self, function: Any) -> None:
        x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
        value = function(x, x.detach() + 1, p=2, eps=0.5).cost
        (grad,) = torch.autograd.grad(value, x, create_graph=True)
        with pytest.raises(RuntimeError, match="differentiated once only"):
            grad.sum().backward()

    def test_the_rounded_plan_refuses_and_names_what_to_use(self) -> None:
        x = torch.randn(5, 2, requires_grad=True)
        with pytest.raises(ValueError, match=r"sinkhorn_divergence.*SinkhornLoss.*Exact"):
            solve(x, x.detach(), Sinkhorn())
        with torch.no_grad():
            assert not solve(x, x.detach(), Sinkhorn()).distance.requires_grad


class TestErrors:
    def test_numbers_of_numpy_are_numbers(self) -> None:
        x, y, _ = sample(16)
        plain = solve(x, y, Sinkhorn(eps=0.25, max_iter=500))
        assert solve(x, y, Sinkhorn(np.float32(0.25), max_iter=np.int64(500))).cost == plain.cost
        assert Sinkhorn(eps=torch.tensor(0.25)) == Sinkhorn(eps=0.25)
        with pytest.raises(TypeError, match=r"eps must be a number.*pass float\(eps\)"):
            Sinkhorn(eps=torch.tensor(0.25, requires_grad=True))

    @pytest.mark.parametrize("eps", [0, -1.0, math.inf, math.nan])
    def test_eps_must_be_positive(self, eps: float) -> None:
        with pytest.raises(ValueError, match="eps must be positive"):
            Sinkhorn(eps=eps)
        with pytest.raises(ValueError, match="eps must be positive"):
            sinkhorn_divergence([0.0], [1.0], eps=eps)

    def test_eps_out_of_reach_of_the_costs(self) -> None:
        with pytest.raises(ValueError, match="eps must be within reach"):
            entropic_cost([0.0], [1e9], p=2, eps=1e-9)

    @pytest.mark.parametrize("options", [{"tol": 0}, {"tol": math.nan}, {"max_iter": 0}])
    def test_stopping_rules(self, options: dict) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            Sinkhorn(**options)

    def test_p_beyond_two_is_refused_where_it_could_be_negative(self) -> None:
        with pytest.raises(ValueError, match="p must be at most 2"):
            sinkhorn_divergence([0.0], [1.0], p=2.5)
        assert entropic_cost([0.0], [1.0], p=2.5).cost == pytest.approx(1.0)

    def test_rtol_is_refused(self) -> None:
        with pytest.raises(ValueError, match="rtol"):
            Sinkhorn().solve(of_pair(pair([0.0], [1.0]), 1.0), rtol=0.1)

    def test_wrong_potentials_for_the_extension(self) -> None:
        with pytest.raises(ValueError, match="g must hold one finite number per point"):
            soft_ctransform([0.0], [1.0], [0.0, 1.0], eps=1.0)

    def test_not_converged_warns_with_a_remedy_and_a_valid_bracket(self) -> None:
        x, y, _ = sample(22)
        exact = ot.emd2([], [], distances(x, y))
        with pytest.warns(ConvergenceWarning, match="raise eps, max_iter or tol"):
            result = solve(x, y, Sinkhorn(eps=1e-3, max_iter=1))
        assert not result.converged
        assert result.lower <= exact <= result.upper
        with pytest.warns(ConvergenceWarning, match="max_iter=1 "):
            assert not sinkhorn_divergence(x, y, eps=1e-3, max_iter=1).converged
