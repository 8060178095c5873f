"""Where real batches come from, and what is said of data that cannot be used."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from otdist import wgan
from otdist.wgan.trainer import WGANTrainer
from tests.wgan.small import DATA, build


class Pairs(torch.utils.data.Dataset):
    """A map-style dataset of (sample, label)."""

    def __len__(self) -> int:
        return len(DATA)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return DATA[index], 0


class Dictionaries(Pairs):
    """A map-style dataset of {"image": sample, "label": label}."""

    def __getitem__(self, index: int) -> Any:
        return dict(zip(("image", "label"), super().__getitem__(index), strict=True))


SOURCES = {
    "tensor": DATA,
    "array": DATA.numpy(),
    "float64": DATA.double(),
    "map-style": Pairs(),
    "tensor dataset": TensorDataset(DATA),
    "list of batches": list(DATA.split(16)),
    "list of pairs": [(x, torch.zeros(len(x))) for x in DATA.split(16)],
    "list of dictionaries": [{"image": x, "label": torch.zeros(len(x))} for x in DATA.split(16)],
    "map-style dictionaries": Dictionaries(),
    "reversed array": DATA.numpy()[::-1],
    "loader": DataLoader(TensorDataset(DATA), batch_size=16),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_data(name):
    trainer = build()
    trainer.train(SOURCES[name], epochs=2)
    assert trainer.step == 10  # 20 batches, two per step


def assert_equal_networks(one: WGANTrainer, two: WGANTrainer) -> None:
    for name in ("generator", "critic"):
        second = getattr(two, name).state_dict()
        for key, value in getattr(one, name).state_dict().items():
            assert torch.equal(value, second[key]), f"{name}.{key}"


def test_the_order_of_a_map_style_dataset_is_that_of_a_tensor():
    one, two = build(), build()
    two.generator.load_state_dict(one.generator.state_dict())
    two.critic.load_state_dict(one.critic.state_dict())
    one.train(DATA)
    two.train(Pairs())
    assert_equal_networks(one, two)


def test_one_pass_iterators_work_for_one_epoch_and_say_so_for_more():
    trainer = build()
    trainer.train(iter(DATA.split(16)), epochs=1)
    assert trainer.step == 5
    with pytest.raises(ValueError, match="read once only"):
        build().train(iter(DATA.split(16)), epochs=2)


def test_last_batches_of_another_size_are_used():
    trainer = build()
    trainer.train(list(DATA[:41].split(10)), epochs=2)  # 10, 10, 10, 10, 1, and again
    assert trainer.step == 5


class Endless(IterableDataset):
    """Single samples, for ever."""

    def __iter__(self):
        while True:
            yield DATA[0]


class Frame(dict[str, Any]):
    """What tells a data frame."""

    columns = ("a", "b")

    def to_numpy(self) -> None: ...


@pytest.mark.parametrize(
    "data, kind, message",
    [
        (torch.zeros(10, 2, dtype=torch.uint8), ValueError, "floating-point.*uint8"),
        (torch.full((40, 2), math.nan), ValueError, "finite: found 80 NaN"),
        (torch.zeros(0, 2), ValueError, "at least one sample"),
        (Endless(), ValueError, "DataLoader"),
        ([{"label": 3, "x": DATA}] * 4, ValueError, "floating-point.*int64"),
        ([{}] * 4, TypeError, "a batch of data must hold tensors or numbers: got {}"),
        (
            [DATA[:16], DATA[:0]],
            ValueError,
            r"a batch of data .* at least one sample: got \(0, 2\)",
        ),
        (torch.eye(16, 2).to_sparse(), TypeError, "data must be a dense tensor: got layout"),
        ("data.csv", TypeError, "must hold tensors or numbers: got 'd'"),
        (Frame(), TypeError, r"got a Frame; pass its values, data.to_numpy\(dtype=\"float32\"\)"),
        (3, TypeError, "iterable of batches: got int"),
        (DATA[:16], ValueError, "fewer than the n_critic=2 batches"),
    ],
)
def test_unusable_data_is_named(data, kind, message):
    with pytest.raises(kind, match=message):
        build().train(data)


class Flat(nn.Module):
    """A critic and a generator that do not care for shapes."""

    def __init__(self, *out: int, width: int = 6) -> None:
        super().__init__()
        self.out, self.inner = out, nn.Linear(width, math.prod(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.reshape(len(x), -1)).reshape(len(x), *self.out)


@pytest.mark.parametrize("options", [{}, {"use_gp": False}])
def test_samples_of_another_shape_are_named_at_the_first_step(options):
    trainer = WGANTrainer(Flat(1, 2, 3, width=3), Flat(1), 3, n_critic=1, batch_size=8, **options)
    message = r"data has \(1, 3, 2\), generated has \(1, 2, 3\)"
    with pytest.raises(ValueError, match=message):
        trainer.train(torch.rand(16, 1, 3, 2))
    with pytest.raises(ValueError, match="stack single ones"):
        trainer.train(list(torch.rand(16, 1, 2, 3)))
    message = r"held out has \(1, 3, 2\), generated has \(1, 2, 3\)"
    beside = wgan.Evaluation(torch.rand(16, 1, 3, 2), every=500)
    with pytest.raises(ValueError, match=message):
        trainer.train(torch.rand(16, 1, 2, 3), evaluation=beside)
    assert trainer.step == 0


def test_samples_may_be_numbers_on_the_line():
    trainer = WGANTrainer(Flat(width=3), Flat(width=1), 3, n_critic=1, batch_size=8)
    records = trainer.train(DATA[:, 0], evaluation=wgan.Evaluation(DATA[:8, 0]))
    assert math.isfinite(records[-1]["w1"])


def test_labels_are_not_a_batch():
    images, labels = DATA, torch.zeros(len(DATA))
    trainer = build()
    for given in (labels, labels.long()):
        with pytest.raises(ValueError, match=r"batch 1 has \(2,\), batch 2 has \(\).*labels"):
            trainer.train_step((images, given))
    trainer.train_step([(images, labels), (images, labels)])
    assert trainer.step == 1


def test_batches_that_are_no_tensors_are_named():
    with pytest.raises(TypeError, match="batch 1 must be a tensor of samples: got ndarray"):
        build().train_step([DATA.numpy()] * 2)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="data must be a tensor of samples: got list"):
        build().train_critic_step([[0.0, 1.0]])  # pyright: ignore[reportArgumentType]


def test_batch_normalisation_and_a_last_batch_of_one():
    generator = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    trainer = WGANTrainer(generator, wgan.MLPCritic(2, (8,)), 3, n_critic=1)
    with pytest.raises(ValueError, match="no batch of one sample: leave out the last batch"):
        trainer.train(list(DATA[:17].split(8)))


def test_numpy_data_of_another_dtype_is_cast():
    trainer = build()
    trainer.train(np.asarray(DATA, dtype=np.float64))
    assert trainer.sample(1).dtype == torch.float32


class OfLabel(Flat):
    """A network that is given whole labels."""

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return super().forward(x) + nn.functional.one_hot(label, 2).sum(1, keepdim=True)


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_labels_stay_whole_numbers(make):
    networks = OfLabel(2, width=3), OfLabel(1, width=2)
    trainer = WGANTrainer(*networks, 3, n_critic=2, batch_size=16, conditional=True)
    labels = make([0, 1] * 80)
    data = (DATA, labels) if isinstance(labels, Tensor) else Labelled(labels)
    held_out = wgan.Evaluation(DATA[:8], labels=labels[:8])
    assert math.isfinite(trainer.train(data, evaluation=held_out)[-1]["w1"])
    assert trainer.sample(2, labels=labels[:2]).shape == (2, 2)


class Labelled(Pairs):
    """A map-style dataset with labels of any kind."""

    def __init__(self, labels: Any) -> None:
        self.labels = labels

    def __getitem__(self, index: int) -> Any:
        return {"image": DATA[index], "label": self.labels[index]}


def test_a_pair_has_a_label_for_each_sample():
    trainer = WGANTrainer(OfLabel(2, width=3), OfLabel(1, width=2), 3, conditional=True)
    with pytest.raises(ValueError, match=r"data must have one label per sample: .*\(150,\)"):
        trainer.train((DATA, torch.zeros(150)))
    with pytest.raises(ValueError, match="a batch of data must hold at least one sample"):
        build().train_critic_step(DATA[:0])
