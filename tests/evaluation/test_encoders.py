"""Encoders by name: prepared images reach the network, weights are found or named, none is fetched.

Stand-ins of the packages have small networks with random weights; where torchvision itself is
installed and can be imported, it is tried as well.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import otdist
from otdist.evaluation import encoders

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)


class Small(nn.Module):
    """Ends in a linear layer, as classifiers do."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.AdaptiveAvgPool2d(2))
        self.flat, self.fc = nn.Flatten(), nn.Linear(16, 10)
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return self.fc(self.flat(self.body(x)))


def seeded(kind, seed=3):
    torch.manual_seed(seed)
    return kind()


def package(monkeypatch, name, **content):
    module = ModuleType(name)
    for key, value in content.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    if "." in name:
        parent = sys.modules.get(name.split(".")[0]) or package(monkeypatch, name.split(".")[0])
        setattr(parent, name.split(".")[1], module)
    return module


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def fetch(url, *_, **__):
        raise AssertionError(f"fetched {url}")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def vision(monkeypatch, hub):
    how = SimpleNamespace(crop_size=[12], resize_size=[16], mean=[0.5] * 3, std=[0.25] * 3)
    known = SimpleNamespace(url="https://example.org/small-1.pth", transforms=lambda: how)
    return package(
        monkeypatch, "torchvision.models", list_models=lambda: ["small"],
        get_model=lambda name, weights: Small(),
        get_model_weights=lambda name: SimpleNamespace(DEFAULT=known),
    )  # fmt: skip


@pytest.fixture
def file(tmp_path):
    torch.save({"state_dict": seeded(Small).state_dict()}, tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def test_torchvision_with_a_file(vision, file):
    function = otdist.Features("torchvision:small", weights=file, batch_size=4)
    state = torch.get_rng_state()
    found = function(IMAGES, "real")
    assert torch.equal(torch.get_rng_state(), state)
    assert found.shape == (6, 16)  # without the last layer
    net = seeded(Small)
    seen = function.made.network.seen
    assert [tuple(batch.shape) for batch in seen] == [(4, 3, 12, 12), (2, 3, 12, 12)]
    with torch.no_grad():
        assert found[:4] == pytest.approx(net.flat(net.body(seen[0])).numpy(), rel=1e-5)
    white = np.full((2, 16, 16), 255, dtype=np.uint8)
    function(white, "white")
    assert seen[-1].unique().tolist() == [2.0]  # (1 − 0.5)/0.25


def test_layouts_and_ranges_are_one(vision, file):
    function = otdist.Features("torchvision:small", weights=file)
    whole = function(IMAGES, "real")
    assert function(IMAGES.transpose(0, 3, 1, 2), "real") == pytest.approx(whole)
    assert function(IMAGES / 255, "real") == pytest.approx(whole)
    assert function(torch.tensor(IMAGES), "real") == pytest.approx(whole)
    grey = IMAGES[..., :1]
    assert function(grey, "x") == pytest.approx(function(np.repeat(grey, 3, 3), "x"))
    assert function(grey[..., 0], "x") == pytest.approx(function(grey, "x"))


@pytest.mark.parametrize(
    "rows, words",
    [
        (np.zeros((3, 12)), "must hold images for an encoder"),
        (np.zeros((3, 12, 12, 4)), "with 1 or 3 channels"),
        (np.full((3, 12, 12), 255.0), "floats from 0 to 1: got 255 to 255"),
        (np.full((3, 12, 12), -1.0), "floats from 0 to 1: got -1 to -1"),
        (np.full((3, 12, 12), np.nan), "floats from 0 to 1: got nan"),
        (np.full((3, 12, 12), 7), "uint8, or floats from 0 to 1: got 7 to 7"),
    ],
)
def test_other_rows_are_refused(vision, file, rows, words):
    with pytest.raises(ValueError, match=words):
        otdist.Features("torchvision:small", weights=file)(rows, "fake")


def test_the_report_names_encoder_weights_and_range(vision, hub, file):
    hub.mkdir(parents=True)
    file.rename(hub / "small-1.pth")  # where PyTorch keeps it
    report = otdist.evaluate(
        IMAGES, 255 - IMAGES, features="torchvision:small", metrics=["energy"], progress=False
    )
    assert report.features == (
        "features of torchvision:small (weights small-1.pth, resized to 16, the middle 12 × 12, "
        "from images of 0 to 255, or floats of 0 to 1)"
    )
    assert report.dimension == 16
    assert report.metrics["energy"].estimate > 0


def test_the_cache_sees_the_weights(vision, file, tmp_path):
    def cached():
        return otdist.Features("torchvision:small", weights=file, cache=tmp_path / "kept")

    first = cached()(IMAGES, "real")
    again = cached()
    assert again(IMAGES, "real") == pytest.approx(first)
    assert again.made.network.seen == []
    torch.save(seeded(Small, 4).state_dict(), file)
    assert cached()(IMAGES, "real") != pytest.approx(first)


def test_missing_weights_say_where_they_must_lie(vision, hub):
    place = str(hub / "small-1.pth").replace("\\", ".")
    with pytest.raises(ValueError, match=rf"put them at {place} .from https://example\.org"):
        otdist.evaluate(IMAGES, IMAGES, features="torchvision:small")
    with pytest.raises(ValueError, match=r"weights must be a file: there is none at .*no\.pth"):
        otdist.Features("torchvision:small", weights="no.pth")(IMAGES, "real")
    with pytest.raises(AssertionError, match=r"fetched https://example\.org/small-1\.pth"):
        otdist.Features("torchvision:small", download=True)(IMAGES, "real")


def test_wrong_weights_models_and_options(vision, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth do not fit the network"):
        otdist.Features("torchvision:small", weights=tmp_path / "other.pth")(IMAGES, "real")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pth do not fit the network"):
        otdist.Features("torchvision:small", weights=tmp_path / "text.pth")(IMAGES, "real")
    with pytest.raises(ValueError, match="torchvision has no model 'huge'"):
        otdist.evaluate(IMAGES, IMAGES, features="torchvision:huge")
    with pytest.raises(ValueError, match="weights applies to encoders"):
        otdist.Features(np.tanh, weights="x.pth")(IMAGES, "real")
    with pytest.raises(ValueError, match="download applies to encoders"):
        otdist.Features("numpy:tanh", download=True)(IMAGES, "real")
    with pytest.raises(TypeError, match="weights must be a file or None"):
        otdist.Features("torchvision:small", weights=3)


@pytest.mark.parametrize("name", ["torchvision:a", "torch-fidelity:a", "open_clip:a"])
def test_missing_packages_say_what_to_install(monkeypatch, name):
    for module in ("torchvision", "torch_fidelity", "open_clip"):
        monkeypatch.setitem(sys.modules, module, None)
        for inner in ("models", "utils", "registry"):
            monkeypatch.delitem(sys.modules, f"{module}.{inner}", raising=False)
    with pytest.raises(ImportError, match=r'pip install "otdist\[encoders\]"'):
        otdist.evaluate(IMAGES, IMAGES, features=name)


class Extractor(nn.Module):
    """As those of torch-fidelity: uint8 images to a tuple."""

    def __init__(self, path=None):
        super().__init__()
        self.lin = nn.Linear(3, 5)
        if path is not None:
            self.load_state_dict(torch.load(path))

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "2048"

    def forward(self, x):
        assert x.dtype == torch.uint8
        return (self.lin(x.float().mean((2, 3))),)


def test_torch_fidelity(monkeypatch, hub, tmp_path):
    package(monkeypatch, "torch_fidelity.registry",
            FEATURE_EXTRACTORS_REGISTRY={"inception-v3-compat": Extractor})  # fmt: skip
    package(
        monkeypatch, "torch_fidelity.utils",
        create_feature_extractor=lambda name, layers, cuda, feature_extractor_weights_path=None:
            Extractor(feature_extractor_weights_path),
    )  # fmt: skip
    package(monkeypatch, "torch_fidelity.feature_extractor_inceptionv3",
            URL_INCEPTION_V3="https://example.org/inception-6.pth")  # fmt: skip
    name = "torch-fidelity:inception-v3-compat"
    with pytest.raises(ValueError, match=r"put them at .*checkpoints.inception-6\.pth"):
        otdist.evaluate(IMAGES, IMAGES, features=name)
    net = seeded(Extractor)
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    function = otdist.Features(name, weights=tmp_path / "mine.pth")
    means = torch.tensor(IMAGES).float().mean((1, 2))
    assert function(IMAGES / 255, "x") == pytest.approx(net.lin(means).detach().numpy(), rel=1e-5)
    assert function.name == (
        f"{name} (layer 2048, weights mine.pth, resized by it, from images of 0 to 255, or floats "
        "of 0 to 1)"
    )
    with pytest.raises(ValueError, match="torch-fidelity has inception-v3-compat, and not 'x'"):
        otdist.Features("torch-fidelity:x")(IMAGES, "real")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match="do not fit"):
        otdist.Features(name, weights=tmp_path / "other.pth")(IMAGES, "real")


def test_open_clip(monkeypatch, tmp_path):
    class Clip(nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = nn.Conv2d(3, 2, 8)
            self.visual.image_size, self.visual.image_mean = (8, 8), (0.5,) * 3
            self.visual.image_std = (0.5,) * 3

        def encode_image(self, x):
            return self.visual(x)

    asked = []

    def create_model(model, pretrained):
        asked.append((model, pretrained))
        return seeded(Clip)

    package(monkeypatch, "open_clip", list_models=lambda: ["ViT"], create_model=create_model)
    (tmp_path / "clip.pt").write_text("")
    function = otdist.Features("open_clip:ViT", weights=tmp_path / "clip.pt")
    assert function(IMAGES, "real").shape == (6, 2)
    assert otdist.Features("open_clip:ViT/laion", download=True)(IMAGES, "real").shape == (6, 2)
    assert asked == [("ViT", str(tmp_path / "clip.pt")), ("ViT", "laion")]
    for name in ("open_clip:ViT", "open_clip:ViT/laion"):
        with pytest.raises(ValueError, match=r'Features\("open_clip:ViT/TAG", download=True\)'):
            otdist.Features(name)(IMAGES, "real")


def test_preparation_is_that_of_torchvision():
    broken = (ImportError, RuntimeError)  # it must fit torch
    transforms = pytest.importorskip("torchvision.transforms.v2", exc_type=broken)
    theirs = transforms.Compose([
        transforms.Resize(16, antialias=True), transforms.CenterCrop(12),
        transforms.ToDtype(torch.float32, scale=True), transforms.Normalize([0.5] * 3, [0.25] * 3),
    ])  # fmt: skip
    batch = torch.tensor(IMAGES).permute(0, 3, 1, 2)
    ours = encoders._preparation(16, 12, [0.5] * 3, [0.25] * 3, "bilinear")(batch)
    assert ours.numpy() == pytest.approx(theirs(batch).numpy(), abs=0.02)  # they round pixels
