"""A run that is killed, at any moment, and resumed ends bit for bit where an unbroken one ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from otdist import wgan
from otdist.wgan import checkpoint
from otdist.wgan.runfolder import RunFolder, read

STEPS = 24
SCRIPT = """
import os, signal, sys
from functools import partial
import torch
from torch import nn
from otdist import wgan
from otdist.wgan import checkpoint

folder, mode, resume = sys.argv[1], sys.argv[2], sys.argv[3] == "resume"
labelled = "labels" in sys.argv
torch.set_num_threads(1)
torch.manual_seed(0)

class Data(torch.utils.data.Dataset):
    reads = 0
    def __len__(self):
        return 70
    def __getitem__(self, i):
        Data.reads += 1
        if mode == "reading" and Data.reads == 900:
            os.kill(os.getpid(), signal.SIGKILL)
        noise = torch.randn(2)  # augmentation, from torch's default generator
        row = torch.tensor([i / 35 - 1, (i % 7) / 3 - 1]) + 0.01 * noise
        return (row, torch.tensor(i % 7 / 7)) if labelled else row

whole = torch.save
saves = 0
def torn(state, file):
    global saves
    saves += 1
    if mode == "writing" and saves == 4:
        file.write(b"half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    whole(state, file)
torch.save = torn

generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
critic = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.3), nn.LeakyReLU(), nn.Linear(8, 1))
options = dict(batch_size=16, n_critic=3, lr=0.01, ema=0.9)

class Labelled(nn.Module):
    def __init__(self, network, width):
        super().__init__()
        self.network, self.embed = network, nn.Linear(1, width)
    def forward(self, x, label):
        return self.network(x + self.embed(label[:, None]))

if labelled:
    generator, critic = Labelled(generator, 3), Labelled(critic, 2)
    options |= dict(conditional=True, loss="relativistic", mode="r1-r2", lambda_gp=0.1)
if "schedules" in sys.argv:
    del options["lr"]
    makes = partial(torch.optim.SGD, lr=0.01, momentum=0.9), partial(torch.optim.RMSprop, lr=0.01)
    falls = (partial(torch.optim.lr_scheduler.StepLR, step_size=5, gamma=0.5),) * 2
    options |= dict(grad_clip=0.5, optimizers=makes, schedulers=falls)
trainer = wgan.WGANTrainer(generator, critic, 3, **options)
trainer.train(Data(), steps=24, out=folder, resume=resume, log_every=2, checkpoint_every=5)
"""


def run(folder: Path, mode: str, how: str = "new", labels: tuple[str, ...] = ()) -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder), mode, how, *labels]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


def state(folder: Path) -> dict:
    return checkpoint.load(folder / "checkpoint.pt", torch.device("cpu"))


def flatten(value, path=""):
    """(path, leaf) of nested dicts and lists."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from flatten(item, f"{path}/{key}")
    else:
        yield path, value


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("mode", "labels"),
    [("reading", ()), ("writing", ()), ("reading", ("labels",)), ("reading", ("schedules",))],
)
def test_resume_after_a_kill_is_bit_identical(tmp_path, mode, labels):
    assert run(tmp_path / "unbroken", "never", labels=labels) == 0
    assert run(tmp_path / "killed", mode, labels=labels) == -signal.SIGKILL
    assert 0 < state(tmp_path / "killed")["step"] < STEPS
    assert run(tmp_path / "killed", "never", "resume", labels=labels) == 0
    unbroken, resumed = (dict(flatten(state(tmp_path / n))) for n in ("unbroken", "killed"))
    assert unbroken.keys() == resumed.keys()
    for path, value in unbroken.items():
        same = torch.equal(value, resumed[path]) if torch.is_tensor(value) else None
        assert same if same is not None else value == resumed[path], path
    logs = [read(tmp_path / name / "log.jsonl") for name in ("unbroken", "killed")]
    for record in (r for log in logs for r in log):
        del record["seconds"]
    assert logs[0] == logs[1]
    assert [r["step"] for r in logs[0]] == list(range(2, STEPS + 1, 2))


def trainer(**options) -> wgan.WGANTrainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator, critic = wgan.MLPGenerator(3, 2, (8,)), wgan.MLPCritic(2, (8,))
    options = {"batch_size": 8, "n_critic": 2, **options}
    return wgan.WGANTrainer(generator, critic, 3, **options)


DATA = torch.rand(64, 2, generator=torch.Generator().manual_seed(0))


def test_resume_in_one_process(tmp_path):
    whole = trainer()
    whole.train(DATA, steps=9)
    trainer().train(DATA, steps=4, out=tmp_path)
    rest = trainer()
    rest.train(DATA, steps=9, out=tmp_path, resume=True)
    assert torch.equal(whole.sample(5), rest.sample(5))
    assert rest.step == 9


def test_resume_with_a_fresh_seed_keeps_the_seed_of_the_run(tmp_path):
    first = trainer(seed=None)
    first.train(DATA, steps=4, out=tmp_path)
    again = trainer(seed=None)
    assert again.seed != first.seed
    again.train(DATA, steps=6, out=tmp_path, resume=True)
    first.train(DATA, steps=6)
    assert again.seed == first.seed


def test_save_and_load(tmp_path):
    one, two = trainer(), trainer()
    one.train(DATA, steps=3)
    one.save(tmp_path / "deep" / "state.pt")
    two.load(tmp_path / "deep" / "state.pt")
    assert two.step == 3
    assert torch.equal(one.sample(4), two.sample(4))


def test_other_settings_are_refused_by_name(tmp_path):
    trainer().train(DATA, steps=2, out=tmp_path)
    with pytest.raises(ValueError, match="lambda_gp was 10, is 3"):
        trainer(lambda_gp=3).train(DATA, steps=4, out=tmp_path, resume=True)


def refuses(tmp_path, message: str, data=DATA, **options) -> None:
    """A resumed run with something else raises and changes nothing."""
    second = trainer(**options)
    before = [p.detach().clone() for p in second.generator.parameters()]
    with pytest.raises(ValueError, match=message):
        second.train(data, steps=4, out=tmp_path, resume=True)
    assert second.step == 0
    after = second.generator.parameters()
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_other_data_are_refused_by_their_content(tmp_path):
    trainer().train(DATA, steps=2, out=tmp_path)
    changed = DATA.clone()
    changed[3, 1] += 1e-6
    refuses(tmp_path, r"other data: content was [0-9a-f]{16}, is [0-9a-f]{16}", changed)
    refuses(tmp_path, r"other data: samples was \(64, 2\) float32, is \(63, 2\)", DATA[1:])
    refuses(tmp_path, r"is \(64, 2\) float64", DATA.double().numpy())
    trainer().train(DATA.numpy().copy(), steps=4, out=tmp_path, resume=True)
    same = torch.utils.data.TensorDataset(DATA, torch.zeros(64))
    trainer().train(same, steps=6, out=tmp_path, resume=True)


def test_other_networks_and_optimizers_are_refused_by_name(tmp_path):
    trainer().train(DATA, steps=2, out=tmp_path)
    sgd = (lambda parameters: torch.optim.SGD(parameters, lr=0.1),) * 2
    refuses(tmp_path, "other optimizers: generator_optimizer was Adam, is SGD", optimizers=sgd)
    with torch.random.fork_rng():
        wide = wgan.MLPCritic(2, (9,))
    with pytest.raises(
        ValueError, match=r"other critic: layers.1.weight was \(8, 2\), is \(9, 2\)"
    ):
        wgan.WGANTrainer(wgan.MLPGenerator(3, 2, (8,)), wide, 3, batch_size=8, n_critic=2).load(
            tmp_path / "checkpoint.pt"
        )
    deep = wgan.MLPGenerator(3, 2, (8, 8))
    with pytest.raises(ValueError, match=r"other generator: .* was None, is \("):
        wgan.WGANTrainer(deep, wgan.MLPCritic(2, (8,)), 3, batch_size=8, n_critic=2).load(
            tmp_path / "checkpoint.pt"
        )


def test_a_truncated_checkpoint_is_named(tmp_path):
    trainer().train(DATA, steps=2, out=tmp_path)
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    for size in (0, 10, 100, len(whole) // 2, len(whole) - 30):
        (tmp_path / "checkpoint.pt").write_bytes(whole[:size])
        refuses(tmp_path, r"checkpoint.pt is not a whole file, or not a saved checkpoint")


class Presses(wgan.Callback):
    """Ctrl-C in the middle of a run."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, trainer, values) -> None:
        if trainer.step == self.step:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_the_step_and_resumes_bit_for_bit(tmp_path):
    whole, rest = trainer(), trainer()
    whole.train(DATA, steps=9, out=tmp_path / "whole", log_every=1)
    with pytest.raises(KeyboardInterrupt, match=r"after step 7\. The state of step 7 is kept"):
        trainer().train(DATA, steps=9, out=tmp_path / "parts", log_every=1, callbacks=[Presses(7)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    rest.train(DATA, steps=9, out=tmp_path / "parts", resume=True, log_every=1)
    one, two = (dict(flatten(state(tmp_path / name))) for name in ("whole", "parts"))
    assert one.keys() == two.keys()
    for path, value in one.items():
        assert torch.equal(value, two[path]) if torch.is_tensor(value) else value == two[path]
    logs = [read(tmp_path / name / "log.jsonl") for name in ("whole", "parts")]
    for record in (r for log in logs for r in log):
        del record["seconds"]
    assert logs[0] == logs[1]


def test_resuming_nothing_says_so(tmp_path):
    with pytest.raises(ValueError, match="nothing to resume"):
        trainer().train(DATA, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match="pass out="):
        trainer().train(DATA, resume=True)


def test_another_file_is_not_a_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="not a saved checkpoint"):
        trainer().load(tmp_path / "checkpoint.pt")


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save({"format": checkpoint.FORMAT, "step": 1}, path)
    with pytest.raises(AttributeError):
        checkpoint.save({"step": lambda: 2}, path)  # cannot be pickled
    assert checkpoint.load(path, torch.device("cpu"))["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_log_forgets_what_comes_after_the_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    for step in range(4):
        folder.log({"step": step, "seconds": 0.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "sec')  # the kill came here
    again = RunFolder(tmp_path)
    again.start(2, {})
    assert [r["step"] for r in again.records] == [0, 1, 2]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]
    (tmp_path / "log.jsonl").write_text('{"step"\n{"step": 1}\n')
    with pytest.raises(ValueError, match="line 1: not JSON"):
        read(tmp_path / "log.jsonl")
