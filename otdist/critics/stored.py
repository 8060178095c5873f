"""A DualResult as plain values and tensors, so that a file of it can be read without executing it.

Built-in critics are rebuilt from the shapes of their parameters; a module of the user's own has to
be given again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from otdist.core import measure
from otdist.core.measure import Pair
from otdist.critics.critics import Funnels, relu_network, sorting_network
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.samples import Frame, original

_FORMAT = "otdist.DualResult/1"
_PLAIN = (
    *("estimate", "lower", "certified", "lipschitz_bound", "name", "scores", "history"),
    *("message", "seconds", "_unit"),
)

OWN = "yours"
"""Name of a critic that the user gave."""


def pack(result: Any) -> dict[str, Any]:
    """The dictionary that is written."""
    return {
        "format": _FORMAT,
        **{name: getattr(result, name) for name in _PLAIN},
        "state": result.critic.state_dict(),
        "frame": (result.frame.centre, result.frame.scale),
        "samples": points_of(result.samples),
        "held_out": points_of(result.held_out),
    }


def unpack(path: str | PathLike[str], critic: nn.Module | None) -> dict[str, Any]:
    """The fields of the result, from its file.

    Raises:
        ValueError: not such a file, or a critic that is missing or not called for.
    """
    content = tensors_in(path, _FORMAT, "DualResult")
    frame = Frame(*content["frame"])
    name, state = content["name"], content["state"]
    if (name == OWN) != (critic is not None):
        raise ValueError(
            "the file holds a critic of your own: pass a module of its architecture as critic="
            if critic is None
            else f"the file holds the built-in critic {name!r}: leave out critic="
        )
    module = Unframed(copy.deepcopy(critic), frame) if critic is not None else _build(name, state)
    try:
        module.double().load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"critic must have the architecture that was saved: {error}") from None
    return {
        **{key: content[key] for key in _PLAIN},
        "critic": module.eval(),
        "frame": frame,
        "samples": None if content["samples"] is None else measure.pair(*content["samples"]),
        "held_out": measure.pair(*content["held_out"]),
    }


def tensors_in(
    path: str | PathLike[str], form: str, name: str, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Read a dictionary of tensors and plain values; nothing in the file is executed.

    Args:
        path: The file.
        form: What its entry "format" must be.
        name: What it should be, for errors.
        device: Where its tensors go.

    Raises:
        ValueError: not such a file, or a part of one.
    """
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # what bytes of any kind make of a reader
            text = f"{path} is not a whole file, or not a saved {name}: {error}"
            raise ValueError(text) from None
    if not isinstance(content, dict) or content.get("format") != form:
        raise ValueError(f"{path} is not a saved {name}, or of another version of otdist")
    return content


class Unframed(nn.Module):
    """A module that sees points in the user's units, as a critic on points of a frame.

    Args:
        module: Maps points to scores.
        frame: Of the points that come in.
    """

    def __init__(self, module: nn.Module, frame: Frame) -> None:
        super().__init__()
        self.module, self._frame = module, frame

    def forward(self, z: Tensor) -> Tensor:
        """Scores over the frame's scale, shape (n,)."""
        return self.module(self._frame.leave(z)).reshape(len(z)) / self._frame.scale

    def lipschitz(self) -> float:
        """The constant of the module: the two changes of units cancel."""
        return lipschitz_bound(self.module)


def points_of(pair: Pair | None) -> list[Tensor | None] | None:
    """x, y, a, b in the caller's units."""
    if pair is None:
        return None
    sides = (pair.x, pair.y)
    weights = [None if s.uniform else s.weights.detach() for s in sides]
    return [*(original(s, pair) for s in sides), *weights]


def _build(name: str, state: dict[str, Tensor]) -> nn.Module:
    """A built-in critic of the stored shapes; its parameters are overwritten next."""
    if name in ("peaks", "valleys", "mcshane"):
        return Funnels(state["centres"], state["heights"], peaks=name != "valleys")
    key, build = _NETWORKS[name]
    shapes = [value.shape for at, value in state.items() if at.endswith(key)]
    return build(shapes[0][1], tuple(shape[0] for shape in shapes[:-1]))


_NETWORKS: dict[str, tuple[str, Callable[[int, tuple[int, ...]], nn.Module]]] = {
    "sorting": ("raw", sorting_network),
    "relu": ("weight", relu_network),
}
