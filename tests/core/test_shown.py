"""Results show in notebooks as their line and a table of their figures."""

import numpy as np
import pytest

import otdist

X, Y = np.array([[0.0], [1.0]]), np.array([[2.5], [3.5]])


@pytest.mark.parametrize(
    "result",
    [
        otdist.wasserstein(X, Y),
        otdist.wasserstein(X[None], Y[None]),
        otdist.sliced_wasserstein(X, Y),
        otdist.sinkhorn_divergence(X, Y, p=1, eps=0.1),
        otdist.two_sample_test(X, Y, n_permutations=9),
        otdist.pairwise([X, Y]),
        otdist.barycenter([X, Y]),
    ],
    ids=lambda result: type(result).__name__,
)
def test_a_result_shows_its_line_and_its_table(result):
    html = result._repr_html_()
    assert html.startswith("<code>")
    assert html.endswith("</table>")
    assert "array" not in html.split("</code>")[1]
    assert html.count("<tr>") == html.count('<th scope="row">') >= 1


def test_figures_are_those_of_the_result_and_texts_are_escaped():
    html = otdist.wasserstein(X, Y)._repr_html_()
    for name, text in {"distance": "2.5", "upper": "2.5", "converged": "yes", "p": "1"}.items():
        assert f'<th scope="row">{name}</th><td>{text}</td>' in html
    interval = otdist.confidence_interval(np.arange(40.0), np.arange(40.0) + 50, "w1")
    assert f"{interval.lower:.8g}" in interval._repr_html_()


def test_showing_computes_no_plan():
    result = otdist.wasserstein(X, Y)
    result._repr_html_()
    assert "plan" not in result.__dict__
