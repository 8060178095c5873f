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
from otdist.wgan.runlog import RunLog, read

STEPS = 24
SCRIPT = """
import os, signal, sys
import torch
from torch import nn
from otdist import wgan
from otdist.wgan import checkpoint

folder, mode, resume = sys.argv[1], sys.argv[2], sys.argv[3] == "resume"
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
        return torch.tensor([i / 35 - 1, (i % 7) / 3 - 1]) + 0.01 * noise

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
trainer = wgan.WGANTrainer(generator, critic, 3, **options)
trainer.train(Data(), steps=24, out=folder, resume=resume, log_every=2, checkpoint_every=5)
"""


def run(folder: Path, mode: str, how: str = "new") -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder), mode, how]
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
@pytest.mark.parametrize("mode", ["reading", "writing"])
def test_resume_after_a_kill_is_bit_identical(tmp_path, mode):
    assert run(tmp_path / "unbroken", "never") == 0
    assert run(tmp_path / "killed", mode) == -signal.SIGKILL
    assert 0 < state(tmp_path / "killed")["step"] < STEPS
    assert run(tmp_path / "killed", "never", "resume") == 0
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


def test_resuming_nothing_says_so(tmp_path):
    with pytest.raises(ValueError, match="nothing to resume"):
        trainer().train(DATA, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match="pass out="):
        trainer().train(DATA, resume=True)


def test_another_file_is_not_a_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        trainer().load(tmp_path / "checkpoint.pt")


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save({"step": 1}, path)
    with pytest.raises(AttributeError):
        checkpoint.save({"step": lambda: 2}, path)  # cannot be pickled
    assert checkpoint.load(path, torch.device("cpu")) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_log_forgets_what_comes_after_the_checkpoint(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    for step in range(4):
        log.write({"step": step, "seconds": 0.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "sec')  # the kill came here
    again = RunLog(tmp_path / "log.jsonl")
    again.rewind(2)
    assert [r["step"] for r in again.records] == [0, 1, 2]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]
    (tmp_path / "log.jsonl").write_text('{"step"\n{"step": 1}\n')
    with pytest.raises(ValueError, match="line 1: not JSON"):
        read(tmp_path / "log.jsonl")
