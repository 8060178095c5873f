"""Features: batches and devices change nothing, modules come back as they were, caches work."""

import numpy as np
import pytest
import torch

import otdist
from otdist.evaluation.features import extract

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(10, 2, 3))
SINGLE = 1e-5


def features(function, value=IMAGES, **options):
    return otdist.Features(function, **options)(value, "real")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4))
        self.norm = torch.nn.BatchNorm1d(4)
        self.sizes, self.graphs = [], []

    def forward(self, x):
        self.sizes.append(len(x))
        out = self.norm(self.body(x))
        self.graphs.append(torch.is_inference_mode_enabled() and not out.requires_grad)
        return out


def test_batches_change_nothing_and_modes_come_back():
    net = Net()
    net.body.eval()  # a frozen part of a network in training
    whole = features(net)
    parts = features(net, batch_size=3)
    assert net.sizes == [10, 3, 3, 3, 1]
    assert all(net.graphs)
    assert parts == pytest.approx(whole, rel=SINGLE)
    assert (net.training, net.body.training, net.norm.training) == (True, False, True)
    assert float(net.norm.running_mean.abs().max()) == 0  # eval mode left the statistics alone
    assert features(net, torch.tensor(IMAGES)) == pytest.approx(whole, rel=SINGLE)


def test_modes_come_back_after_an_error():
    net = Net()
    with pytest.raises(RuntimeError):
        features(net, np.ones((4, 5)))
    assert net.training
    assert net.norm.training


def test_a_module_is_moved_and_moved_back():
    net = Net()
    assert features(net, device="cpu") == pytest.approx(features(net), rel=SINGLE)
    assert next(net.parameters()).device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_module_runs_on_the_device():
    net = Net()
    assert features(net, device="cuda") == pytest.approx(features(net), rel=1e-3, abs=1e-4)
    assert next(net.parameters()).device.type == "cpu"


def test_functions_get_rows_as_they_came():
    seen = []

    def first(rows):
        seen.append((type(rows), len(rows)))
        return rows[:, 0]

    assert (features(first, batch_size=4) == IMAGES[:, 0]).all()
    assert seen == [(np.ndarray, 4), (np.ndarray, 4), (np.ndarray, 2)]
    features(first, torch.tensor(IMAGES))
    assert seen[-1] == (torch.Tensor, 10)


def test_the_cache_answers_for_the_same_rows_and_function_only(tmp_path):
    calls = []

    def double(rows):
        calls.append(len(rows))
        return 2 * rows

    def run(value=IMAGES, identity="double 1"):
        return features(double, value, cache=tmp_path, identity=identity)

    first = run()
    assert (run() == first).all()
    assert calls == [10]
    run(IMAGES + 1)
    run(IMAGES.reshape(10, 3, 2))
    run(IMAGES.astype(np.float32))
    run(identity="double 2")
    assert len(calls) == 5
    run(torch.tensor(IMAGES))
    assert len(calls) == 5
    assert len(list(tmp_path.iterdir())) == 5


def test_the_cache_sees_the_weights_of_a_module(tmp_path):
    net = Net()
    first = features(net, cache=tmp_path)
    ran = len(net.sizes)
    assert (features(net, cache=tmp_path) == first).all()
    assert len(net.sizes) == ran
    with torch.no_grad():
        net.body[1].bias += 1
    assert (features(net, cache=tmp_path) != first).any()


def test_import_paths_are_cached_and_broken_files_computed_again(tmp_path):
    first = features("numpy:square", cache=tmp_path)
    assert (first == np.square(IMAGES).reshape(10, -1)).all()
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"half a fi")
    assert (features("numpy:square", cache=tmp_path) == first).all()
    assert (np.load(file).reshape(10, -1) == first).all()


def test_fewer_rows_than_columns_keep_their_distances_in_all_components():
    real, fake = RNG.normal(size=(4, 30)), RNG.normal(size=(3, 30))
    found, words = extract({"real": real, "fake": fake}, "pca-6")
    assert words == "pca-6"
    before = np.linalg.norm(real[0] - fake[1])
    assert np.linalg.norm(found["real"][0] - found["fake"][1]) == pytest.approx(before)
    with pytest.raises(ValueError, match="between 1 and 7"):
        extract({"real": real, "fake": fake}, "pca-8")


class Two(torch.nn.Linear):
    def forward(self, x):
        h = super().forward(x)
        return h, torch.tanh(h)


@pytest.mark.parametrize("rows", [2, 5])
def test_several_outputs_are_not_stacked_into_rows(rows):
    value = RNG.normal(size=(rows, 3))
    with pytest.raises(
        ValueError, match=r"one array: got a tuple of 2; choose one, such as .*\[0\]"
    ):
        features(Two(3, 3), value)
    with pytest.raises(ValueError, match="got a list of 2"):
        features(lambda x: [x, np.tanh(x)], value)
    with pytest.raises(ValueError, match=r"got outputs h, t; .*\['h'\]"):
        features(lambda x: {"h": x, "t": np.tanh(x)}, value)
    assert (features(lambda x: [list(row) for row in x], value) == value).all()


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_integers_reach_an_embedding_as_integers_and_a_linear_layer_as_floats(kind):
    tokens = RNG.integers(0, 10, (6, 3)).astype(kind)
    net = torch.nn.EmbeddingBag(10, 4)
    expected = net(torch.tensor(tokens.astype(np.int64))).detach().numpy()
    for value in (tokens, tokens.tolist(), torch.tensor(tokens)):
        assert features(net, value) == pytest.approx(expected, rel=SINGLE)
    line = torch.nn.Linear(3, 2)
    expected = line(torch.tensor(tokens).float()).detach().numpy()
    assert features(line, tokens) == pytest.approx(expected, rel=SINGLE)


@pytest.mark.parametrize("chosen", [None, "pca-3", lambda rows: rows])
def test_shapes_are_compared_before_rows_are_flattened(chosen):
    real, fake = RNG.normal(size=(20, 1, 4, 3)), RNG.normal(size=(20, 3, 4, 1))
    words = r"real has \(1, 4, 3\), fake has \(3, 4, 1\)"
    with pytest.raises(ValueError, match=words):
        extract({"real": real, "fake": fake}, chosen)
    for same in (fake.reshape(20, 4, 3), fake.reshape(20, 12)):
        found, _ = extract({"real": real, "fake": same}, "raw")
        assert found["real"].shape == found["fake"].shape == (20, 12)


@pytest.mark.parametrize(
    "function, options, error, words",
    [
        (3, {}, TypeError, "function must be callable"),
        (np.square, {"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        (np.square, {"cache": "."}, ValueError, "identity must be given"),
        (np.square, {"device": "cpu"}, ValueError, "device applies to modules only"),
        (lambda rows: rows[:3], {}, ValueError, "must have 10 rows: got 3"),
        ("numpy", {}, ValueError, "module:function"),
        ("numpy:nothing", {}, ValueError, "cannot be imported"),
    ],
)
def test_errors(function, options, error, words):
    with pytest.raises(error, match=words):
        features(function, **options)


def test_lists_of_tensors_with_a_graph_are_named():
    rows = [torch.ones(3, requires_grad=True) for _ in range(20)]
    words = "real must be one tensor, as of torch.stack: got a list of tensors that require"
    with pytest.raises(TypeError, match=words):
        otdist.evaluate(rows, [row.detach() for row in rows])


def test_a_module_that_cannot_be_imported_says_where(tmp_path, monkeypatch):
    (tmp_path / "broken_features.py").write_text("scale = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = r"'broken_features:f' cannot be imported: ZeroDivisionError: .* line 1"
    with pytest.raises(ValueError, match=words):
        features("broken_features:f")


def test_paths_and_what_was_read_of_them_are_samples(tmp_path):
    from otdist.io import read_columns, read_samples

    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 30, 2))
    np.savetxt(tmp_path / "real.csv", real, delimiter=",", header="u,v", comments="", fmt="%.17g")
    swapped = fake[:, ::-1]
    np.savetxt(
        tmp_path / "fake.csv", swapped, delimiter=",", header="v,u", comments="", fmt="%.17g"
    )
    np.save(tmp_path / "fake.npy", fake)
    direct = otdist.evaluate(real, fake, metrics=["w1"])["w1"].estimate
    path = str(tmp_path / "real.csv")
    for other in (
        tmp_path / "fake.csv",
        tmp_path / "fake.npy",
        read_samples(tmp_path / "fake.csv"),
    ):
        found = otdist.evaluate(path, {"ours": other}, metrics=["w1"])
        assert found["w1"].estimate == direct
    images = tmp_path / "images.npy"
    np.save(images, rng.integers(0, 255, (20, 4, 4), dtype=np.uint8))
    report = otdist.evaluate(images, images, metrics=["w1"])
    assert report["w1"].estimate == 0
    assert "flattened to 16 numbers" in report.notes[0]
    drifts = [
        otdist.drift(old, tmp_path / "fake.csv", n_permutations=9)
        for old in (path, read_columns(path))
    ]
    assert drifts[0]["u"] == drifts[1]["u"].with_(seconds=drifts[0]["u"].seconds)
    with pytest.raises(ValueError, match=r"no such file"):
        otdist.evaluate(path, "nothing.npy")
