"""What a result saves comes back; other files, and parts of files, are named."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from otdist import ConvexDual, ConvexDualResult, DualResult, NeuralDual
from otdist.critics.layers import OrthogonalLinear


def quick(critic: Any = "peaks", **options) -> NeuralDual:
    return NeuralDual(critic, **{"steps": 30, "batch_size": 32, **options})


def cloud(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("critic", ["mcshane", "valleys", "sorting", "relu"])
def test_what_is_saved_comes_back(critic, tmp_path):
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    handling = "lp" if critic == "relu" else "certified"
    result = quick(critic, lipschitz=handling).fit(x, y, np.full(60, 1 / 60))
    result.save(tmp_path / "dual.pt")
    again = DualResult.load(tmp_path / "dual.pt")
    assert np.array_equal(again.potential(x), result.potential(x))
    ends = result.bracket.lower, result.bracket.upper  # sums round by where in memory rows begin
    assert (again.bracket.lower, again.bracket.upper) == pytest.approx(ends, rel=1e-14)
    assert again.compare_exact() == result.compare_exact()
    assert repr(again) == repr(result)
    assert again.history == result.history


def test_a_module_of_ones_own_is_given_again_to_load(tmp_path):
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    result = quick(OrthogonalLinear(2, 1)).fit(x, y)
    result.save(tmp_path / "dual.pt")
    again = DualResult.load(tmp_path / "dual.pt", critic=OrthogonalLinear(2, 1))
    assert np.array_equal(again.potential(x), result.potential(x))
    with pytest.raises(ValueError, match="pass a module"):
        DualResult.load(tmp_path / "dual.pt")
    quick().fit(x, y).save(tmp_path / "peaks.pt")
    with pytest.raises(ValueError, match="leave out critic="):
        DualResult.load(tmp_path / "peaks.pt", critic=OrthogonalLinear(2, 1))


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))


@pytest.mark.parametrize("own", [False, True])
def test_spectral_critics_are_saved_with_their_divided_weights(own, tmp_path):
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    critic = small_net() if own else "relu"
    result = quick(critic, lipschitz="spectral").fit(x, y)
    result.save(tmp_path / "dual.pt")
    again = DualResult.load(tmp_path / "dual.pt", critic=small_net() if own else None)
    assert np.array_equal(again.potential(x), result.potential(x))
    if own:
        with pytest.raises(ValueError, match="critic must have the architecture that was saved"):
            DualResult.load(tmp_path / "dual.pt", critic=nn.Linear(2, 1))


@pytest.mark.parametrize("kind", [DualResult, ConvexDualResult])
def test_other_files_and_parts_of_files_are_named(kind, tmp_path):
    dual = quick() if kind is DualResult else ConvexDual((8,), steps=1)
    dual.fit(cloud(20, 2, 0), cloud(20, 2, 1)).save(tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for content in (b"", b"something else", whole[:100], whole[: len(whole) // 2], whole[:-30]):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(ValueError, match=f"not a saved {kind.__name__}"):
            kind.load(tmp_path / "other.pt")
    torch.save({"format": "otdist.DualResult/1"}, tmp_path / "old.pt")
    with pytest.raises(ValueError, match="or of another version of otdist"):
        kind.load(tmp_path / "old.pt")
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="leave out critic="):
        kind.load(tmp_path / "whole.pt", critic=nn.Linear(2, 1))
