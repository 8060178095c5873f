"""Samples in models of scikit-learn: by distances, by vectors, by kernels."""

import numpy as np
import pytest

import otdist

pytest.importorskip("sklearn", minversion="1.6")
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from otdist.adapters.sklearn import SlicedEmbedding, WassersteinKernel

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 8)
CLOUDS = np.stack([RNG.normal(0.8 * label, 1 + label, size=(30, 3)) for label in LABELS])


@pytest.mark.parametrize("estimator", [SlicedEmbedding(5), WassersteinKernel(n_projections=5)])
def test_estimators_keep_the_rules_of_scikit_learn(estimator):
    check_estimator(estimator)


def test_vectors_are_as_far_apart_as_their_samples():
    embedding = SlicedEmbedding(200).fit(CLOUDS)
    vectors = embedding.transform(CLOUDS)
    for i, j in ((0, 1), (0, 15), (9, 3)):
        direct = otdist.sliced_wasserstein(
            CLOUDS[i], CLOUDS[j], p=2, directions=embedding.directions_
        ).distance
        assert np.linalg.norm(vectors[i] - vectors[j]) == pytest.approx(direct, rel=1e-9)
    line = SlicedEmbedding().fit_transform(CLOUDS[:, :, 0])
    direct = otdist.wasserstein(CLOUDS[0, :, 0], CLOUDS[1, :, 0], p=2).distance
    assert np.linalg.norm(line[0] - line[1]) == pytest.approx(direct, rel=1e-9)


def test_few_quantiles_come_near():
    vectors = SlicedEmbedding(50, 10).fit_transform(CLOUDS)
    assert vectors.shape == (16, 500)
    whole = SlicedEmbedding(50).fit_transform(CLOUDS)
    short, long = (np.linalg.norm(v[0] - v[15]) for v in (vectors, whole))
    assert short == pytest.approx(long, rel=0.2)


def test_samples_are_classified_three_ways():
    train, test = np.arange(0, 16, 2), np.arange(1, 16, 2)
    within = otdist.pairwise(list(CLOUDS[train])).matrix
    across = otdist.pairwise(list(CLOUDS[test]), list(CLOUDS[train])).matrix
    nearest = KNeighborsClassifier(3, metric="precomputed").fit(within, LABELS[train])
    assert (nearest.predict(across) == LABELS[test]).all()
    for model in (
        make_pipeline(SlicedEmbedding(20), KNeighborsClassifier(3)),
        make_pipeline(WassersteinKernel(n_projections=20), SVC(kernel="precomputed")),
    ):
        assert (model.fit(CLOUDS[train], LABELS[train]).predict(CLOUDS[test]) == LABELS[test]).all()


def test_the_kernel_is_positive_definite_and_one_on_the_diagonal():
    kernel = WassersteinKernel(gamma=0.5).fit_transform(CLOUDS)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
    np.testing.assert_allclose(np.diag(kernel), 1)
    with pytest.raises(ValueError, match="gamma must be"):
        WassersteinKernel(gamma=-1).fit(CLOUDS)
