"""Pictures show what the log and the samples hold."""

import numpy as np
import pytest
import torch

from otdist.wgan import MLPCritic, WassersteinGANLoss, plots

pytest.importorskip("matplotlib")

RECORDS = [
    {"step": k, "gap": 1 / k, "critic_loss": -1 / k, "generator_loss": 0.0, "penalty": 0.1}
    for k in range(1, 5)
]


def test_log_has_a_panel_for_what_was_logged():
    figure = plots.plot_log([*RECORDS, {"step": 5, "gap": 0.1, "w1": 2.0}], gap_means="a score")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["distances to held-out data", "a score", "losses"]
    (line,) = figure.axes[0].lines
    assert line.get_xydata().tolist() == [[5.0, 2.0]]
    assert len(plots.plot_log(RECORDS).axes) == 2


def test_dictionaries_of_the_loss_class_are_counted_as_steps():
    loss, critic = WassersteinGANLoss(), MLPCritic(2, (4,))
    parts = [loss.critic_loss(critic, *torch.randn(2, 8, 2))[1] for _ in range(3)]
    gap, losses, scores = plots.plot_log(parts).axes
    assert gap.lines[0].get_xydata().tolist() == [
        [k, p["wasserstein"]] for k, p in enumerate(parts, 1)
    ]
    assert [line.get_label() for line in losses.lines] == ["gp"]
    assert [line.get_label() for line in scores.lines] == ["d_real", "d_fake"]


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.plot_log([])
    with pytest.raises(ValueError, match=r"must have some of w1, .*: got loss"):
        plots.plot_log([{"loss": 1.0}])
    with pytest.raises(TypeError, match="must be a list of dictionaries, one for each step"):
        plots.plot_log({"gap": [1.0]})  # pyright: ignore[reportArgumentType]


def test_numbers_may_be_tensors_with_a_graph():
    (axes,) = plots.plot_log([{"wasserstein": torch.ones((), requires_grad=True)}] * 2).axes
    assert axes.lines[0].get_xydata().tolist() == [[1, 1], [2, 1]]


def test_grid_places_images_in_reading_order():
    images = torch.arange(3.0)[:, None, None].expand(3, 2, 2)
    (picture,) = plots.plot_samples(images, columns=2).axes[0].images
    drawn = np.asarray(picture.get_array())
    expected = [[0, 0, 1, 0.5, 0.5], [0, 0, 1, 0.5, 0.5], [1] * 5, [1] * 5, [1] * 5]
    np.testing.assert_allclose(drawn, expected)


@pytest.mark.parametrize("shape", [(5, 3, 4, 4), (5, 1, 4, 4), (5, 4, 4), (5, 2)])
def test_shapes(shape, tmp_path):
    figure = plots.plot_samples(torch.randn(shape), columns=3)
    figure.savefig(tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 0


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got \(5, 7\)"):
        plots.plot_samples(torch.zeros(5, 7))


def test_pictures_of_tabular_runs_are_of_the_log_only(tmp_path):
    assert [p.name for p in plots.save_pictures(tmp_path, RECORDS, torch.zeros(4, 7), "")] == [
        "log.png"
    ]
    names = [p.name for p in plots.save_pictures(tmp_path, RECORDS, torch.zeros(4, 2), "")]
    assert names == ["log.png", "samples.png"]
