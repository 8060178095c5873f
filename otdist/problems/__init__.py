"""Pairs of samples that know their distance, and laws that generative models are tried on."""

from otdist.problems.pairs import (
    Problem,
    bures,
    convex_gradient,
    dirac_and_sphere,
    diracs,
    gaussian_distance_1d,
    gaussians,
    gaussians_1d,
    monotone_line,
    parallel_segments,
    permutation,
    split_weights,
    translation,
)
from otdist.problems.ray_monotone import RayMonotone
from otdist.problems.toys import Mixture, eight_gaussians, swiss_roll, twenty_five_gaussians


def catalogue(seed: int | None = 0) -> list[Problem]:
    """Small problems whose sample distance is known for some p: one table for all tests.

    >>> [problem.name for problem in catalogue() if problem.sample(2) is None]
    ['ray-monotone d=2', 'ray-monotone d=16']
    """
    return [
        diracs(5.0),
        diracs(0.25, d=3),
        dirac_and_sphere(seed=seed),
        parallel_segments(seed=seed),
        translation(d=1, seed=seed),
        translation(d=3, seed=seed),
        permutation(d=2, seed=seed),
        split_weights(seed=seed),
        monotone_line(seed=seed),
        convex_gradient(d=1, seed=seed),
        convex_gradient(d=3, seed=seed),
        RayMonotone(d=2, n_funnels=8).problem(80, seed=seed),
        RayMonotone(d=16, n_funnels=8).problem(80, seed=seed),
    ]


__all__ = [
    "Mixture",
    "Problem",
    "RayMonotone",
    "bures",
    "catalogue",
    "convex_gradient",
    "dirac_and_sphere",
    "diracs",
    "eight_gaussians",
    "gaussian_distance_1d",
    "gaussians",
    "gaussians_1d",
    "monotone_line",
    "parallel_segments",
    "permutation",
    "split_weights",
    "swiss_roll",
    "translation",
    "twenty_five_gaussians",
]
