"""The trainer: what one step does, sources of data, precision, averaging, logs, errors."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from otdist import wgan
from otdist.wgan.descent import follow
from otdist.wgan.trainer import WGANTrainer


@pytest.fixture(autouse=True)
def _seed():
    """Networks draw their start from torch's generator; leave it as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def build(**options) -> WGANTrainer:
    defaults = {"latent_dim": 3, "batch_size": 16, "n_critic": 2}
    critic = options.pop("critic", None) or wgan.MLPCritic(2, (16,))
    generator = wgan.MLPGenerator(3, 2, (16,), bounded=False)
    return WGANTrainer(generator, critic, **{**defaults, **options})


DATA = torch.randn(160, 2, generator=torch.Generator().manual_seed(1)) + 2


class Spy(nn.Module):
    """A critic that keeps the batches it scores."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = wgan.MLPCritic(2, (8,))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.inner(x)


def real_batches(spy: Spy) -> list[Tensor]:
    return [batch for batch in spy.seen if (batch[:, None] == DATA[None]).all(-1).any()]


def test_each_critic_step_sees_a_fresh_real_batch():
    spy = Spy()
    build(critic=spy, n_critic=5).train(DATA, epochs=1)
    seen = torch.cat(real_batches(spy))
    assert len(seen) == len(DATA)  # two steps of five batches of 16
    assert len(seen.unique(dim=0)) == len(DATA)


def test_train_step_deals_out_the_rows_of_one_tensor():
    spy = Spy()
    build(critic=spy, n_critic=5).train_step(DATA)
    assert torch.equal(torch.cat(real_batches(spy)), DATA)
    with pytest.raises(
        ValueError, match="each of the 2 critic steps needs a batch of its own: got 1"
    ):
        build().train_step([DATA])


def test_guides_defaults():
    settings = WGANTrainer(wgan.MLPGenerator(), wgan.MLPCritic()).settings
    assert (settings.latent_dim, settings.use_gp, settings.lambda_gp) == (100, True, 10)
    assert (settings.n_critic, settings.betas, settings.clip_value) == (5, (0.0, 0.9), 0.01)


def test_optimizers_follow_the_recipe():
    adam = build().critic_optimizer
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (1e-4, (0.0, 0.9))
    rms = build(use_gp=False).critic_optimizer
    assert isinstance(rms, torch.optim.RMSprop)
    assert rms.defaults["lr"] == 5e-5
    assert build(lr=0.1).generator_optimizer.defaults["lr"] == 0.1


def test_critic_step_minimises_fake_minus_real():
    trainer = build(lr=0.01, lambda_gp=0.1)
    gaps = [float(trainer.train_critic_step(DATA)["gap"]) for _ in range(60)]
    assert gaps[-1] > gaps[0] + 1


def test_values_of_a_step_add_up():
    values = build().train_step([DATA, DATA])
    assert set(values) == {
        *("gap", "penalty", "score_real", "score_fake", "critic_loss", "generator_loss")
    }
    assert float(values["gap"]) == pytest.approx(
        float(values["score_real"] - values["score_fake"]), abs=1e-6
    )
    assert float(values["critic_loss"]) == pytest.approx(
        float(values["penalty"] - values["gap"]), abs=1e-6
    )


def test_each_step_leaves_the_other_network_alone():
    trainer = build()
    before = {k: v.clone() for k, v in trainer.generator.state_dict().items()}
    trainer.train_critic_step(DATA)
    assert all(torch.equal(v, before[k]) for k, v in trainer.generator.state_dict().items())
    before = {k: v.clone() for k, v in trainer.critic.state_dict().items()}
    trainer.train_generator_step(8)
    assert all(torch.equal(v, before[k]) for k, v in trainer.critic.state_dict().items())
    assert all(p.requires_grad for p in trainer.critic.parameters())


def test_clipping_bounds_every_weight_and_is_labelled():
    trainer = build(use_gp=False, clip_value=0.02)
    trainer.train(DATA)
    largest = max(float(p.detach().abs().max()) for p in trainer.critic.parameters())
    assert largest <= 0.02 * (1 + 1e-6)
    assert "not W_1" in trainer.settings.gap_means
    assert "not certified" in build().settings.gap_means


def test_certified_critics_need_neither_penalty_nor_clipping():
    critic = wgan.MLPCritic(2, (16,), layers="orthogonal")
    trainer = build(critic=critic, use_gp=False, clip_value=None)
    records = trainer.train(DATA, epochs=2)
    assert "penalty" not in records[-1]
    assert isinstance(trainer.critic_optimizer, torch.optim.Adam)
    wide = wgan.MLPCritic(2, (64, 64))
    nn.init.ones_(next(wide.parameters()))
    with pytest.raises(ValueError, match="1-Lipschitz by construction"):
        build(critic=wide, use_gp=False, clip_value=None)


@pytest.mark.parametrize("mode", ["gp", "lp", "dragan", "r1", "wgan-div"])
def test_every_penalty_trains(mode):
    records = build(mode=mode, lambda_gp=0.1).train(DATA, epochs=2, log_every=1)
    assert all(math.isfinite(value) for value in records[-1].values())


class Pairs(torch.utils.data.Dataset):
    """A map-style dataset of (sample, label)."""

    def __len__(self) -> int:
        return len(DATA)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return DATA[index], 0


SOURCES = {
    "tensor": DATA,
    "array": DATA.numpy(),
    "float64": DATA.double(),
    "map-style": Pairs(),
    "tensor dataset": TensorDataset(DATA),
    "list of batches": list(DATA.split(16)),
    "list of pairs": [(x, torch.zeros(len(x))) for x in DATA.split(16)],
    "loader": DataLoader(TensorDataset(DATA), batch_size=16),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_data(name):
    trainer = build()
    trainer.train(SOURCES[name], epochs=2)
    assert trainer.step == 10  # 20 batches, two per step


def test_the_order_of_a_map_style_dataset_is_that_of_a_tensor():
    one, two = build(), build()
    two.generator.load_state_dict(one.generator.state_dict())
    two.critic.load_state_dict(one.critic.state_dict())
    one.train(DATA)
    two.train(Pairs())
    assert_equal_networks(one, two)


def assert_equal_networks(one: WGANTrainer, two: WGANTrainer) -> None:
    for name in ("generator", "critic"):
        second = getattr(two, name).state_dict()
        for key, value in getattr(one, name).state_dict().items():
            assert torch.equal(value, second[key]), f"{name}.{key}"


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


def test_steps_take_the_place_of_epochs():
    trainer = build()
    trainer.train(DATA, steps=12)
    assert trainer.step == 12
    trainer.train(DATA, steps=15)
    assert trainer.step == 15


class Endless(IterableDataset):
    """Single samples, for ever."""

    def __iter__(self):
        while True:
            yield DATA[0]


@pytest.mark.parametrize(
    "data, kind, message",
    [
        (torch.zeros(10, 2, dtype=torch.uint8), ValueError, "floating-point.*uint8"),
        (torch.full((40, 2), math.nan), ValueError, "finite: found 80 NaN"),
        (torch.zeros(0, 2), ValueError, "at least one sample"),
        (Endless(), ValueError, "DataLoader"),
        ([{"x": DATA}] * 4, TypeError, "starts with one"),
        (3, TypeError, "iterable of batches: got int"),
        (DATA[:16], ValueError, "fewer than the n_critic=2 batches"),
    ],
)
def test_unusable_data_is_named(data, kind, message):
    with pytest.raises(kind, match=message):
        build().train(data)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "twosided"}, "mode must be one of"),
        ({"mode": "lp", "use_gp": False}, "no effect"),
        ({"n_critic": 0}, "n_critic must be at least 1: got 0"),
        ({"lambda_gp": -1}, "lambda_gp"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"betas": (0, 1)}, "betas"),
        ({"clip_value": -0.1, "use_gp": False}, "clip_value"),
        ({"ema": 1.0}, "ema"),
        ({"ema": "0.9"}, "ema"),
        ({"latent_dim": 3.0}, "latent_dim must be an integer, at least 1: got 3.0"),
        ({"betas": 0.5}, "betas must be 2 numbers: got 0.5"),
        ({"amp": "float16"}, "amp must be True or False: got 'float16'"),
        ({"amp": torch.float16}, "amp must be True or False"),
        ({"use_gp": 1}, "use_gp must be True or False: got 1"),
        ({"use_gp": None}, "use_gp must be True or False: got None"),
        ({"lambda_gp": math.nan}, "lambda_gp"),
        ({"seed": 1.5}, "seed must be None or an integer"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build(**options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"clip_value": 0.01}, "clip_value has no effect with use_gp=True"),
        ({"use_gp": False, "lambda_gp": 10.0}, "lambda_gp has no effect with use_gp=False"),
        ({"use_gp": False, "betas": (0.0, 0.9)}, "betas have no effect with clipping"),
        (
            {"use_gp": False, "clip_value": None, "lambda_gp": 1},
            "lambda_gp has no effect with use_gp=False",
        ),
        ({"optimizers": (torch.optim.Adam,) * 2, "lr": 0.1}, "no effect beside optimizers"),
        ({"optimizers": (torch.optim.Adam,) * 2, "betas": (0.5, 0.9)}, "no effect beside"),
        ({"optimizers": torch.optim.Adam}, "optimizers must be two"),
    ],
)
def test_options_without_effect_are_refused_even_at_their_defaults(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_options_that_apply_are_taken():
    assert build(lambda_gp=10.0, betas=(0.0, 0.9)).settings == build().settings
    assert build(clip_value=None).settings.clip_value is None
    assert build(use_gp=False, clip_value=0.01).settings.clips


def test_optimizers_may_be_given_or_made():
    critic = wgan.MLPCritic(2, (16,))
    given = torch.optim.SGD(critic.parameters(), lr=0.1)
    trainer = build(critic=critic, optimizers=(torch.optim.Adamax, given))
    assert isinstance(trainer.generator_optimizer, torch.optim.Adamax)
    assert trainer.critic_optimizer is given
    before = critic.layers[1].weight.detach().clone()
    trainer.train(DATA)
    assert not torch.equal(before, critic.layers[1].weight)
    with pytest.raises(
        TypeError, match=r"each of optimizers must be an optimizer of torch, .*: got 3"
    ):
        build(optimizers=(given, 3))


@pytest.mark.parametrize("options", [{}, {"use_gp": False, "clip_value": 0.001}, {"ema": 0.9}])
def test_frozen_layers_stay_as_they_are(options):
    trainer = build(lr=0.01, **options)
    frozen = [trainer.generator.layers[0], trainer.critic.layers[1]]
    before = []
    for layer in frozen:
        layer.requires_grad_(False)
        before += [p.clone() for p in layer.parameters()]
    flags = [p.requires_grad for p in trainer.critic.parameters()]
    moving = trainer.critic.layers[-1].weight.detach().clone()
    trainer.train(DATA, epochs=2)
    after = [p for layer in frozen for p in layer.parameters()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert [p.requires_grad for p in trainer.critic.parameters()] == flags
    assert not torch.equal(moving, trainer.critic.layers[-1].weight)


def test_an_error_in_the_generators_step_leaves_the_critic_trainable():
    class Stops(wgan.MLPCritic):
        def forward(self, x: Tensor) -> Tensor:
            if not next(self.parameters()).requires_grad:
                raise KeyboardInterrupt
            return super().forward(x)

    trainer = build(critic=Stops(2, (8,)))
    with pytest.raises(KeyboardInterrupt):
        trainer.train_step(DATA)
    assert all(p.requires_grad for p in trainer.critic.parameters())


def test_layers_in_evaluation_mode_stay_there():
    critic = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5).eval(), nn.Linear(8, 1))
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8).eval(), nn.Linear(8, 2))
    trainer = WGANTrainer(generator, critic, 3, batch_size=16, n_critic=2)
    trainer.train(DATA, evaluation=wgan.Evaluation(DATA[:8], every=1))
    assert (critic.training, critic[1].training) == (True, False)
    assert (generator.training, generator[1].training) == (True, False)


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


def test_a_critic_that_returns_more_than_scores_is_named():
    class Two(Flat):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), None

    with pytest.raises(TypeError, match="must return a tensor of scores: got a tuple; wrap it"):
        build(critic=Two(1, width=2)).train(DATA)


def test_batch_normalisation_and_a_last_batch_of_one():
    generator = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    trainer = WGANTrainer(generator, wgan.MLPCritic(2, (8,)), 3, n_critic=1)
    with pytest.raises(ValueError, match="no batch of one sample: leave out the last batch"):
        trainer.train(list(DATA[:17].split(8)))


def test_short_runs_are_logged_and_evaluated_at_their_end():
    for data in (DATA, list(DATA.split(16))):
        records = build().train(data, evaluation=wgan.Evaluation(DATA[:8], every=500))
        assert [r["step"] for r in records] == [5]
        assert {"gap", "w1", "w1_floor"} <= set(records[0])
    steps = [
        [(r["step"], "w1" in r) for r in build(seed=1).train(DATA, steps=n, **options)]
        for n, options in (
            (3, {"log_every": 1}),
            (3, {"log_every": 3, "evaluation": wgan.Evaluation(DATA[:8], every=2)}),
            (4, {"log_every": 10, "evaluation": wgan.Evaluation(DATA[:8], every=2)}),
        )
    ]
    assert steps == [
        [(1, False), (2, False), (3, False)],
        [(2, True), (3, True)],
        [(2, True), (4, True)],
    ]


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"epochs": 1.5}, {"steps": 0}, {"log_every": 0}, {"steps": 2.5}]
)
def test_lengths_of_runs_are_whole_numbers(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be (an integer, )?at least 1"):
        build().train(DATA, **options)


def test_callbacks_are_told_what_happens(tmp_path):
    seen: list[Any] = []

    class Tells(wgan.Callback):
        def on_step(self, trainer, values):
            seen.append(("step", trainer.step, float(values["gap"])))

        def on_log(self, trainer, record):
            seen.append(("log", record["step"]))

        def on_evaluation(self, trainer, figures):
            seen.append(("evaluation", figures["w1"]))

        def on_checkpoint(self, trainer, path):
            seen.append(("checkpoint", path.name))

        def on_end(self, trainer, records):
            seen.append(("end", len(records)))

    records = build().train(
        DATA, steps=3, out=tmp_path, log_every=2, checkpoint_every=2, callbacks=[Tells()],
        evaluation=wgan.Evaluation(DATA[:8], every=3),
    )  # fmt: skip
    assert [entry[:2] for entry in seen] == [
        *(("step", 1), ("step", 2), ("log", 2), ("checkpoint", "checkpoint.pt")),
        *(("step", 3), ("evaluation", records[-1]["w1"]), ("log", 3)),
        *(("checkpoint", "checkpoint.pt"), ("end", 2)),
    ]
    assert seen[1][2] == pytest.approx(records[0]["gap"])


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="n_critics"):
        build(n_critics=3)


def test_batch_normalisation_in_a_penalised_critic_is_refused():
    critic = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"batch normalisation.*BatchNorm1d"):
        build(critic=critic)
    build(critic=critic, use_gp=False)


def test_runs_repeat_and_seeds_differ():
    def run(seed: int) -> Tensor:
        torch.manual_seed(3)
        trainer = build(seed=seed, lr=0.01)
        trainer.train(DATA)
        return trainer.sample(4)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_global_random_state_is_neither_read_nor_changed():
    trainer = build(critic=nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1)))
    before = torch.get_rng_state()
    trainer.train(DATA)
    trainer.sample(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_precision_keeps_the_penalty_in_float32():
    seen: list[tuple[torch.dtype, bool]] = []

    class Typed(wgan.MLPCritic):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            seen.append((out.dtype, x.requires_grad and x.is_leaf))
            return out

    records = build(critic=Typed(2, (16,)), amp=True).train(DATA, log_every=1)
    assert {kind for kind, penalty in seen if penalty} == {torch.float32}
    assert {kind for kind, penalty in seen if not penalty} == {torch.bfloat16}
    assert all(math.isfinite(value) for value in records[-1].values())


def test_double_precision_networks_train_in_double():
    trainer = build()
    double = WGANTrainer(
        trainer.generator.double(), trainer.critic.double(), 3, batch_size=16, n_critic=2
    )
    double.train(DATA)
    assert double.sample(2).dtype == torch.float64


def test_averaged_generator_follows_and_is_sampled():
    trainer = build(ema=0.9, lr=0.05)
    trainer.train(DATA, epochs=4)
    assert trainer.average is not None
    averaged, present = trainer.average.state_dict(), trainer.generator.state_dict()
    key = "layers.0.weight"
    assert not torch.equal(averaged[key], present[key])
    noise = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(trainer.sample(7), trainer.average(noise))
    for _ in range(200):
        follow(trainer.average, trainer.generator, 0.9, trainer.step)
    torch.testing.assert_close(averaged[key], present[key], rtol=1e-3, atol=1e-4)


def test_sampling_is_in_evaluation_mode_and_leaves_the_mode():
    generator = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    trainer = WGANTrainer(generator, wgan.MLPCritic(2, (8,)), latent_dim=3)
    sampled = trainer.sample(4)
    assert generator.training
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampled, generator.eval()(noise))


def test_log_and_config_are_written(tmp_path):
    trainer = build()
    records = trainer.train(DATA, epochs=2, out=tmp_path / "run", log_every=2)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    assert [r["step"] for r in records] == [2, 4, 6, 8, 10]
    assert {"seconds", "gap", "critic_loss", "generator_loss", "penalty"} <= set(records[0])
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["lambda_gp"] == 10
    assert "not certified" in config["gap_means"]
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    build().train(DATA, out=tmp_path)
    with pytest.raises(ValueError, match="already holds a run"):
        build().train(DATA, out=tmp_path)


class Explodes(nn.Module):
    """A critic that returns NaN after so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.inner, self.left = wgan.MLPCritic(2, (8,)), calls

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        return self.inner(x) * (math.nan if self.left < 0 else 1.0)


def test_nan_stops_and_the_last_good_checkpoint_stays(tmp_path):
    trainer = build(critic=Explodes(7 * 7))  # seven calls per step
    with pytest.raises(wgan.TrainingDiverged, match=r"not finite at step 8.*step 6 is kept"):
        trainer.train(DATA, steps=20, out=tmp_path, log_every=1, checkpoint_every=2)
    again = build(critic=Explodes(10**9))
    again.load(tmp_path / "checkpoint.pt")
    assert again.step == 6
    assert all(bool(p.isfinite().all()) for p in again.critic.parameters())


def test_nan_without_a_folder_says_how_to_have_checkpoints():
    with pytest.raises(wgan.TrainingDiverged, match="pass out="):
        build(critic=Explodes(3)).train(DATA, log_every=1)


def test_numpy_data_of_another_dtype_is_cast():
    trainer = build()
    trainer.train(np.asarray(DATA, dtype=np.float64))
    assert trainer.sample(1).dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_a_gpu():
    trainer = build(device="cuda", amp=True, ema=0.9)
    trainer.train(DATA, epochs=2)
    assert trainer.sample(2).device.type == "cuda"


def test_a_second_call_goes_on_with_new_epochs():
    spy = Spy()
    trainer = build(critic=spy, n_critic=5)
    trainer.train(DATA, epochs=1)
    trainer.train(DATA, epochs=2)
    assert trainer.step == 6
    first, *others = torch.cat(real_batches(spy)).chunk(3)
    assert not any(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("kind", ["penalised", "spectral"])
def test_convolutional_networks_train(kind):
    images = torch.rand(12, 3, 32, 32) * 2 - 1
    if kind == "penalised":
        critic, options = wgan.WGANCritic(3, 4), {}
    else:
        critic, options = wgan.SNWGANCritic(3, 4), {"use_gp": False, "clip_value": None}
    trainer = WGANTrainer(
        wgan.WGANGenerator(5, 3, 4), critic, 5, n_critic=2, batch_size=4, **options
    )
    records = trainer.train(images, epochs=2, log_every=1)
    assert trainer.step == 3
    assert all(math.isfinite(value) for value in records[-1].values())
    assert trainer.sample(2).shape == (2, 3, 32, 32)
