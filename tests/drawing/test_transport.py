"""Pictures show what the plan says: arcs, their weight, and which axes are drawn."""

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("matplotlib")

from otdist.drawing import plot_transport
from otdist.drawing.transport import _arcs


def test_plane_draws_one_line_an_arc_with_mass_as_opacity():
    x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    plan = scipy.sparse.coo_array(([0.5, 0.1, 0.4], ([0, 1, 1], [0, 1, 2])), shape=(2, 3))
    b, names = np.array([0.5, 0.1, 0.4]), ("old", "new")
    (axes,) = plot_transport(x, y, plan, b=b, names=names, columns=["u", "v"]).axes
    (lines,) = [c for c in axes.collections if c.__class__.__name__ == "LineCollection"]
    segments = np.array(lines.get_segments())
    assert segments.tolist() == [[[0, 0], [0, 1]], [[1, 0], [1, 1]], [[1, 0], [2, 1]]]
    opacity = lines.get_alpha()
    assert opacity[0] > opacity[2] > opacity[1] > 0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("u", "v")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["old", "new"]


def test_points_without_weight_are_left_out():
    x, y = np.zeros((3, 2)), np.ones((2, 2))
    (axes,) = plot_transport(x, y, np.ones((3, 2)), a=np.array([0.5, 0.0, 0.5])).axes
    scatters = [c for c in axes.collections if c.__class__.__name__ == "PathCollection"]
    assert [len(scatter.get_offsets()) for scatter in scatters] == [2, 2]


def test_points_that_stay_are_hollow():
    x, y = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    plan = np.array([[0.3, 0.0], [0.0, 0.3], [0.0, 0.0]])
    (axes,) = plot_transport(x, y, plan).axes
    scatters = [c for c in axes.collections if c.__class__.__name__ == "PathCollection"]
    assert [len(scatter.get_offsets()) for scatter in scatters] == [2, 1, 2]
    assert len(scatters[1].get_facecolors()) == 0
    assert scatters[1].get_offsets().tolist() == [[9.0, 9.0]]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["x", "x, stays", "y"]


def test_mass_that_stays_on_the_line_is_an_outline():
    x, y = np.arange(40.0), np.arange(40.0) + 7
    plan = np.diag(np.where(x < 30, 1 / 40, 0.0))
    top, bottom = plot_transport(x, y, plan).axes
    assert len(top.patches) == 4  # two filled, two outlines
    joints = np.array([line.get_xdata() for line in top.get_lines()])
    assert joints[:, 0].max() == 29
    assert bottom.get_legend().get_texts()[-1].get_text() == "area = cost of what moves, p = 1"


def test_higher_dimensions_are_labelled_as_principal_components():
    rng = np.random.default_rng(0)
    spread = np.array([10.0, 3.0, 0.1])
    x, y = rng.standard_normal((50, 3)) * spread, rng.standard_normal((40, 3)) * spread
    (axes,) = plot_transport(x, y, scipy.sparse.coo_array((50, 40))).axes
    assert axes.get_xlabel().startswith("first principal component (9")
    assert axes.get_ylabel().startswith("second principal component (")


def test_line_joins_equal_quantiles():
    x = np.arange(40.0)
    figure = plot_transport(x, x + 7.0, columns=["length"])
    top, bottom = figure.axes
    joints = np.array([line.get_xdata() for line in top.get_lines()])
    np.testing.assert_allclose(joints[:, 1] - joints[:, 0], 7.0)
    np.testing.assert_allclose(joints[:, 0], x)
    assert bottom.get_xlabel() == "length"


def test_many_arcs_are_sampled_and_the_seed_decides():
    plan = np.full((80, 80), 1 / 6400)
    first, again = (_arcs(plan, np.random.default_rng(1))[0] for _ in range(2))
    assert len(first) == 1500
    assert np.array_equal(first, again)


@pytest.mark.parametrize("plan", [None, np.ones((2, 3))])
def test_plan_of_the_wrong_shape(plan):
    with pytest.raises(ValueError, match=r"plan must have shape \(3, 2\)"):
        plot_transport(np.zeros((3, 2)), np.zeros((2, 2)), plan)


@pytest.mark.parametrize("points", [np.zeros((4, 1)), np.zeros((4, 2)), np.zeros((4, 5))])
def test_coincident_points_are_drawn(points, tmp_path):
    figure = plot_transport(points, points, np.eye(4) / 4)
    figure.savefig(tmp_path / "plan.png")
