"""Image encoders of installed packages by name, such as "torchvision:resnet50".

An encoder takes images and gives one vector each. Packages are imported when an encoder is asked
for, and no file is fetched unless the caller allows it: the error says which file must lie where.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from otdist.core import checks
from otdist.core.arrays import as_tensor
from otdist.core.extras import require

PACKAGES = ("torchvision", "torch-fidelity", "open_clip")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which encoders of torchvision expect where they do not say."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """A network with the preparation of images that it was trained on.

    Attributes:
        name: As the caller gave it.
        network: From prepared images (n, 3, h, w) to (n, k), in eval mode.
        prepare: From uint8 images (n, 3, height, width) to what the network takes.
        words: The weights, and what becomes of an image.
    """

    name: str
    network: nn.Module
    prepare: Callable[[Tensor], Tensor]
    words: str

    @property
    def label(self) -> str:
        """The name of the encoder, for the report."""
        return f"{self.name} ({self.words}, from images of 0 to 255, or floats of 0 to 1)"

    def __call__(self, rows: Any, name: str) -> Tensor:
        """Features (n, k) of images in any of the layouts of `images`, where the network is."""
        place = next(self.network.parameters()).device
        with torch.inference_mode():
            output = self.network(self.prepare(images(rows, name).to(place)))
        found = output[0] if isinstance(output, tuple) else output
        return found.reshape(len(rows), -1).float().cpu()


def images(rows: Any, name: str) -> Tensor:
    """Images as uint8, shape (n, 3, height, width).

    Args:
        rows: Shape (n, height, width), or with 1 or 3 channels last or before them; uint8, or
            floats from 0 to 1.
        name: Of the sample, for errors.

    Raises:
        ValueError: another shape or type, or floats beyond that range.
    """
    tensor = as_tensor(rows, name).detach()
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    elif tensor.ndim == 4 and tensor.shape[3] in (1, 3):
        tensor = tensor.permute(0, 3, 1, 2)
    if tensor.ndim != 4 or tensor.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} must hold images for an encoder, shape (n, height, width), with 1 or 3 "
            f"channels last or first: got shape {tuple(rows.shape)}"
        )
    kind = str(rows.dtype).removeprefix("torch.")
    if kind == "uint8":
        tensor = tensor.to(torch.uint8)  # numpy's whole numbers have become wider
    else:
        tensor = tensor.float()
        low, high = (float(bound) for bound in torch.aminmax(tensor))
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{name} must be images of uint8, or floats from 0 to 1: got {low:.4g} to "
                f"{high:.4g}"
            )
        tensor = (tensor * 255).round().to(torch.uint8)
    return tensor.expand(-1, 3, -1, -1)


def encoder(name: str, weights: Any = None, download: bool = False) -> Encoder | None:
    """The encoder of a name "package:model"; None where the package is none of those known.

    Args:
        name: "torchvision:resnet50", "torch-fidelity:inception-v3-compat", "open_clip:ViT-B-32".
        weights: File with the weights; None for the one in the cache of PyTorch.
        download: Whether a file that is missing may be fetched.

    Raises:
        ImportError: the package is missing; the message says what to install.
        ValueError: an unknown model; weights that are missing, with the place where they must lie,
            or that do not fit.
    """
    package, _, model = name.partition(":")
    if package not in PACKAGES:
        return None
    make = dict(zip(PACKAGES, (_torchvision, _fidelity, _open_clip), strict=True))[package]
    path = None if weights is None else Path(weights)
    if path is not None and not path.is_file():
        raise ValueError(f"weights must be a file: there is none at {path}")
    with torch.random.fork_rng(devices=[]):  # networks draw weights before they are loaded
        found = make(name, model, path, download)
    found.network.eval().requires_grad_(False)
    return found


def _torchvision(name: str, model: str, path: Path | None, download: bool) -> Encoder:
    """The network without its last linear layer, on the preparation of its default weights."""
    models = require("torchvision.models", "encoders")
    if model not in models.list_models():
        raise ValueError(f"features {name!r}: torchvision has no model {model!r}")
    known = models.get_model_weights(model).DEFAULT
    place = _cached(known.url)
    if path is None and not place.is_file():
        if not download:
            raise _missing(name, place, known.url)
        torch.hub.load_state_dict_from_url(known.url, progress=False)
    network = models.get_model(model, weights=None)
    _load(network, path or place)
    last = [key for key, part in network.named_modules() if isinstance(part, nn.Linear)][-1]
    network.set_submodule(last, nn.Identity())
    how = known.transforms()
    size, crop = how.resize_size[0], how.crop_size[0]
    mean, std = getattr(how, "mean", _MEAN), getattr(how, "std", _STD)
    words = f"weights {(path or place).name}, resized to {size}, the middle {crop} × {crop}"
    return Encoder(name, network, _preparation(size, crop, mean, std, "bilinear"), words)


def _fidelity(name: str, model: str, path: Path | None, download: bool) -> Encoder:
    """The extractors of torch-fidelity, which prepare images themselves."""
    utils = require("torch_fidelity.utils", "encoders")
    registry = require("torch_fidelity.registry", "encoders").FEATURE_EXTRACTORS_REGISTRY
    if model not in registry:
        known = ", ".join(registry)
        raise ValueError(f"features {name!r}: torch-fidelity has {known}, and not {model!r}")
    place = _of_fidelity(model)
    if path is None and not download and (place is None or not place.exists()):
        raise _missing(name, place, None)
    layer = registry[model].get_default_feature_layer_for_metric("fid")
    given = {} if path is None else {"feature_extractor_weights_path": str(path)}
    try:
        with redirect_stdout(io.StringIO()):
            network = utils.create_feature_extractor(model, [layer], cuda=False, **given)
    except NotImplementedError:
        raise ValueError(
            f"weights must be None for {name!r}, which torch-fidelity loads from the cache of "
            "PyTorch only: leave it out, with download=True the first time"
        ) from None
    except (RuntimeError, KeyError, OSError) as error:
        raise ValueError(f"weights of {name!r} do not fit: {_line(error)}") from None
    words = f"layer {layer}, weights {(path or place or Path('fetched')).name}, resized by it"
    return Encoder(name, network, lambda batch: batch, words)


def _of_fidelity(model: str) -> Path | None:
    """Where torch-fidelity keeps the weights of an extractor; None where that is not known."""
    if model.startswith("inception-v3"):
        room = require("torch_fidelity.feature_extractor_inceptionv3", "encoders")
        return _cached(room.URL_INCEPTION_V3)
    if model.startswith("clip"):
        room = require("torch_fidelity.feature_extractor_clip", "encoders")
        return _cached(f"{model}-{room.MODEL_METADATA[model]['hash']}.pt")
    if model.startswith("dinov2"):
        return Path(torch.hub.get_dir()) / "facebookresearch_dinov2_main"
    return None


def _open_clip(name: str, model: str, path: Path | None, download: bool) -> Encoder:
    """The image side of a CLIP model; "open_clip:MODEL/TAG" names weights that are fetched."""
    package = require("open_clip", "encoders")
    model, _, tag = model.partition("/")
    if model not in package.list_models():
        raise ValueError(f"features {name!r}: open_clip has no model {model!r}")
    if path is None and not (tag and download):
        raise ValueError(
            f'features {name!r} need weights: pass Features("open_clip:{model}", weights=FILE), or '
            f'Features("open_clip:{model}/TAG", download=True) with a tag of '
            "open_clip.list_pretrained()"
        )
    try:
        clip = package.create_model(model, pretrained=tag if path is None else str(path))
    except (RuntimeError, KeyError, OSError) as error:
        raise ValueError(f"weights of {name!r} do not fit: {_line(error)}") from None
    size = clip.visual.image_size
    size = size[0] if isinstance(size, tuple) else size
    mean, std = clip.visual.image_mean, clip.visual.image_std
    words = f"weights {tag if path is None else path.name}, the middle {size} × {size}"
    prepare = _preparation(size, size, mean, std, "bicubic")
    return Encoder(name, _Images(clip), prepare, words)


class _Images(nn.Module):
    """`encode_image` as the forward of a module."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip: Any = clip

    def forward(self, x: Tensor) -> Tensor:
        return self.clip.encode_image(x)


def _preparation(
    size: int, crop: int, mean: Any, std: Any, mode: str
) -> Callable[[Tensor], Tensor]:
    """Shorter side to `size` with antialiasing, the middle square, numbers standardised."""
    shift, scale = (torch.tensor(values).reshape(3, 1, 1) for values in (mean, std))

    def prepare(batch: Tensor) -> Tensor:
        ratio = size / min(batch.shape[2:])
        shape = [max(size, round(side * ratio)) for side in batch.shape[2:]]
        resized = functional.interpolate(batch.float() / 255, shape, mode=mode, antialias=True)
        top, left = ((side - crop) // 2 for side in shape)
        middle = resized.clamp(0, 1)[:, :, top : top + crop, left : left + crop]
        return (middle - shift.to(batch.device)) / scale.to(batch.device)

    return prepare


def _cached(url: str) -> Path:
    """Where PyTorch keeps the file of an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def _missing(name: str, place: Path | None, url: str | None) -> ValueError:
    told = "" if url is None else f" (from {url})"
    where = "" if place is None else f", put them at {place}{told}"
    return ValueError(
        f"features {name!r} need weights: pass Features({name!r}, weights=FILE){where}, or let "
        f"them be fetched: Features({name!r}, download=True)"
    )


def _load(network: nn.Module, path: Path) -> None:
    """Weights from a file, alone or under "state_dict" or "model"."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model"):
            content = content.get(key, content) if isinstance(content, dict) else content
        network.load_state_dict(content)
    except Exception as error:  # whatever unpickling or the network says of a file
        raise ValueError(f"weights {path} do not fit the network: {_line(error)}") from None


def _line(error: Exception) -> str:
    return checks.shown(" ".join(str(error).split()))


def content(network: nn.Module) -> list[bytes]:
    """Names, types and bytes of all weights: what features depend on, for a cache."""
    parts = [repr(network).encode()]
    for key, value in sorted(network.state_dict().items()):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        parts += [f"{key} {value.dtype}".encode(), np.asarray(flat).tobytes()]
    return parts
