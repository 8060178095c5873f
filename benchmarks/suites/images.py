"""Images: exact and proved distances between photographs, the entropic loss, barycenters.

The photographs are China and flower of scikit-learn, cut to squares and averaged over pixels; every
pixel has mass. POT takes the matrix of costs of all pairs, which is written beforehand, up to 4,096
pixels a side. Its debiased barycenter counts lengths in units of the side.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import otdist_wasserstein, pot_emd2
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome

POT_SIDE = 64


def cases() -> list[Case]:
    """All cases of the suite."""
    found = [_exact(side, "cityblock", 1.0) for side in (32, 64, 128)]
    found += [_exact(side, "euclidean", p) for side in (32, 64, 128) for p in (1.0, 2.0)]
    found += [_proved(side) for side in (64, 128, 256)]
    found += [_loss(side) for side in (64, 256)]
    return [*found, _barycenter(40), _free(500)]


def photographs(side: int) -> np.ndarray:
    """Two grey images of sum one, shape (2, side, side)."""
    from sklearn.datasets import load_sample_images

    out = []
    for picture in load_sample_images().images:
        grey = picture[:, 106:533].mean(2)[:427, :427]
        edges = np.linspace(0, 427, side + 1).astype(int)[:-1]
        small = np.add.reduceat(np.add.reduceat(grey, edges, 0), edges, 1)
        out.append(small / small.sum())
    return np.stack(out)


def pixels(side: int, p: float, seed: int) -> Inputs:
    """The photographs as weighted points."""
    import otdist

    (x, a), (y, b) = (otdist.grid(image) for image in photographs(side))
    return {"x": x, "y": y, "a": a, "b": b, "p": p}


def _exact(side: int, metric: str, p: float) -> Case:
    competitors: dict[str, Competitor] = {OURS: partial(otdist_wasserstein, metric=metric)}
    if side <= POT_SIDE:
        competitors["POT emd2"] = pot_streets if metric == "cityblock" else pot_emd2
    return Case(
        name=f"photographs, {metric}", quantity=f"W_{p:g}", n=side**2, m=side**2, d=2, p=p,
        make=partial(pixels, side, p), competitors=competitors, quick=side == 32,
        truth=partial(_truth, metric=metric) if side <= POT_SIDE else None,
    )  # fmt: skip


def _truth(inputs: Inputs, metric: str) -> float:
    return (pot_streets if metric == "cityblock" else pot_emd2)(inputs)().value


def pot_streets(inputs: Inputs) -> Call:
    """`ot.emd2` on cityblock distances."""
    import ot

    cost = ot.dist(inputs["x"], inputs["y"], "cityblock")
    a, b = inputs["a"], inputs["b"]
    return lambda: Outcome(np.asarray(ot.emd2(a, b, cost, numItermax=10**8)).item())


def _proved(side: int) -> Case:
    def ours(inputs: Inputs) -> Call:
        import otdist

        return otdist_wasserstein(inputs, solver=otdist.Sinkhorn())

    return Case(
        name="photographs, proved by Sinkhorn", quantity="W_2", n=side**2, m=side**2, d=2, p=2,
        make=partial(pixels, side, 2.0), competitors={OURS: ours},
    )  # fmt: skip


def _loss(side: int) -> Case:
    def ours(inputs: Inputs) -> Call:
        import torch

        from otdist.losses import ImageSinkhornLoss

        x, y = torch.from_numpy(photographs(side))
        loss = ImageSinkhornLoss()

        def call() -> Outcome:
            masses = x.clone().requires_grad_()
            value = loss(masses, y)
            value.backward()
            return Outcome(float(value.detach()))

        return call

    return Case(
        name="photographs, loss and gradient", quantity="S_eps", n=side**2, m=side**2, d=2, p=2,
        make=partial(pixels, side, 2.0), competitors={OURS: ours}, parameters={"eps": 1.0},
    )  # fmt: skip


def blobs(side: int, seed: int) -> Inputs:
    """Three smooth images, shape (3, side, side)."""
    rng = np.random.default_rng(seed)
    grid = np.arange(side) / side
    images = []
    for _ in range(3):
        (u, v), (s, t) = rng.uniform(0.3, 0.7, 2), rng.uniform(0.08, 0.15, 2)
        lines = (np.exp(-(((grid - m) / w) ** 2) / 2) for m, w in ((u, s), (v, t)))
        images.append(np.outer(*lines))
    stack = np.stack(images)
    return {"images": stack / stack.sum((1, 2), keepdims=True), "eps": 4.0}


def _barycenter(side: int) -> Case:
    return Case(
        name="debiased barycenter of three images", quantity="", n=side**2, m=side**2, d=2, p=2,
        make=partial(blobs, side), parameters={"eps": 4.0},
        competitors={OURS: otdist_images, "POT, convolutional": pot_images}, quick=True,
    )  # fmt: skip


def otdist_images(inputs: Inputs) -> Call:
    """`barycenter(images, method="entropic")`; the value is the mean row."""
    import otdist

    def call() -> Outcome:
        options: dict[str, Any] = {"method": "entropic", "eps": inputs["eps"]}
        found = otdist.barycenter(inputs["images"], **options)
        assert found.image is not None
        return Outcome(_mean_row(np.asarray(found.image)), converged=found.converged)

    return call


def pot_images(inputs: Inputs) -> Call:
    """`ot.bregman.convolutional_barycenter2d_debiased`."""
    import ot

    images = inputs["images"]
    reg = inputs["eps"] / (images.shape[1] - 1) ** 2
    options = {"numItermax": 500, "stopThr": 1e-4, "warn": False}

    def call() -> Outcome:
        found = ot.bregman.convolutional_barycenter2d_debiased(images, reg, **options)
        return Outcome(_mean_row(np.asarray(found)))

    return call


def _mean_row(image: np.ndarray) -> float:
    return float(np.arange(len(image)) @ image.sum(1) / image.sum())


def rings(n: int, seed: int) -> Inputs:
    """Three noisy ellipses of n points each, and where to begin."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.random((3, n))
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    shapes = circle * np.array([[1, 3], [2, 2], [3, 1]])[:, None] + 0.1 * rng.normal(size=(3, n, 2))
    return {"shapes": list(shapes), "start": rng.normal(size=(n, 2))}


def _free(n: int) -> Case:
    return Case(
        name="free support of three ellipses", quantity="objective", n=n, m=n, d=2, p=2,
        make=partial(rings, n), quick=True,
        competitors={
            OURS: partial(otdist_free, method="exact"),
            "otdist, sliced": partial(otdist_free, method="sliced"),
            "POT free_support_barycenter": pot_free,
        },
    )  # fmt: skip


def otdist_free(inputs: Inputs, method: str) -> Call:
    """`barycenter` from a given support."""
    import otdist

    shapes, start = inputs["shapes"], inputs["start"]

    def call() -> Outcome:
        found = otdist.barycenter(shapes, support=start, method=method, tol=1e-5, max_iter=100)
        return Outcome(_objective(np.asarray(found.points), shapes), converged=found.converged)

    return call


def pot_free(inputs: Inputs) -> Call:
    """`ot.lp.free_support_barycenter`, which stops on the move of the support."""
    import ot

    shapes, start = inputs["shapes"], inputs["start"]
    uniform = [ot.unif(len(shape)) for shape in shapes]

    def call() -> Outcome:
        found = ot.lp.free_support_barycenter(shapes, uniform, start, numItermax=100, stopThr=1e-5)
        return Outcome(_objective(np.asarray(found), shapes))

    return call


def _objective(points: np.ndarray, shapes: list[np.ndarray]) -> float:
    import otdist

    return float(np.mean([otdist.wasserstein(points, shape, p=2).cost for shape in shapes]))
