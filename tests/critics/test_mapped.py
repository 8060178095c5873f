"""Memory maps: rows are read as batches ask for them, and the three parts stay apart."""

import numpy as np
import pytest
import torch

from otdist import NeuralDual
from otdist.critics.mapped import IN_MEMORY, Mapped, is_large_map
from otdist.critics.parts import Parts, both
from otdist.critics.streams import supplies_of

PARTS = Parts((0.6, 0.2, 0.2))


def mapped(tmp_path, name: str, values: np.ndarray) -> np.memmap:
    np.save(tmp_path / name, values)
    return np.load(tmp_path / name, mmap_mode="r")


def supply(x, y, folds: int | None = None) -> list[Mapped]:
    generator = torch.Generator().manual_seed(0)
    parts = both((len(x), len(y)), Parts(PARTS.splits, folds), generator)
    return [Mapped((x, y), part, generator) for part in parts]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32])
def test_parts_are_disjoint_and_points_keep_their_values(tmp_path, dtype):
    numbers = np.arange(500).astype(dtype)
    x = mapped(tmp_path, "x.npy", np.stack([numbers, numbers], 1))
    y = mapped(tmp_path, "y.npy", np.stack([numbers, -numbers], 1)[:300])
    (one,) = supply(x, y)

    def values(pair) -> set[float]:
        return set((pair.x.points * pair.scale + pair.centre)[:, 0].round().tolist())

    held = values(one.validation), values(one.test)
    drawn = torch.cat([one.batch(200)[0] for _ in range(40)])
    seen = one.frame.leave(drawn.double())
    train = set(seen[:, 0].round().tolist())
    assert (seen[:, 0] - seen[:, 1]).abs().max() < 1e-3
    assert not train & held[0]
    assert not train & held[1]
    assert not held[0] & held[1]
    assert train | held[0] | held[1] == set(range(500))


def test_maps_on_the_line_and_folds(tmp_path):
    x, y = (mapped(tmp_path, f"{k}.npy", np.arange(60.0) + k) for k in (0, 1))
    first, *rest = supply(x, y, folds=3)
    assert first.batch(4)[0].shape == (4, 1)
    assert [len(one.test.x) for one in (first, *rest)] == [20, 20, 20]


def test_rows_that_are_not_finite_are_found(tmp_path):
    x = np.zeros((50, 2))
    x[7] = np.nan
    x[:, 1] = np.arange(50)
    with pytest.raises(ValueError, match="x must be finite"):
        supply(mapped(tmp_path, "x.npy", x), np.zeros((50, 2)), folds=3)  # tested in one of them
    with pytest.raises(ValueError, match="same dimension"):
        supply(mapped(tmp_path, "x.npy", np.zeros((50, 2))), np.zeros((50, 3)))


def test_large_maps_are_fitted_to_without_being_read_as_a_whole(tmp_path):
    n, d = IN_MEMORY // 128 + 1000, 128
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, d))
    x[:] = (
        np.random.default_rng(0).standard_normal((100, d), np.float32).repeat(n // 100 + 1, 0)[:n]
    )
    y = np.asarray(x[:2000]) + 0.5
    assert is_large_map((x, y))
    assert not is_large_map((np.asarray(x), y))
    assert not is_large_map((x[:100], y))
    found = NeuralDual("linear").fit(x, y)
    assert found.samples is None
    assert len(found.held_out.y) == 400
    assert found.lower is not None
    assert found.estimate > found.lower
    with pytest.raises(ValueError, match="memory map, of which only batches were read"):
        _ = found.bracket
    (given,) = supplies_of((x[:100], y[:100]), (None, None), PARTS, 0)
    assert given.whole is not None
