"""Two ranks do what one process does with their batches joined; what they cannot do is refused."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from otdist import wgan

DATA = torch.randn(70, 2, generator=torch.Generator().manual_seed(0)).double() + 2
RECIPES = {
    "gp": {"lambda_gp": 1.0},
    "clip": {"use_gp": False, "clip_value": 0.05},
    "r1": {"mode": "r1", "ema": 0.9},
}


def trainer(batch_size: int, wrap: bool, **options) -> wgan.WGANTrainer:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    critic = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    if wrap:
        generator, critic = (DistributedDataParallel(net) for net in (generator, critic))
    return wgan.WGANTrainer(
        generator, critic, 3, n_critic=2, lr=0.01, batch_size=batch_size, **options
    )


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/sync", rank=rank, world_size=2
    )
    for name, options in RECIPES.items():
        out, beside = f"{folder}/{name}", wgan.Evaluation(DATA[:8], every=5)
        trainer(4, True, **options).train(DATA, steps=8, out=out, log_every=1)
        again = trainer(4, True, **options)
        again.train(DATA, steps=12, out=out, resume=True, log_every=1, evaluation=beside)
    errors = {}
    for name, call in {
        "iterable": lambda: trainer(4, True).train(list(DATA.split(4))),
        "dragan": lambda: trainer(4, True, mode="dragan"),
        "one": lambda: wgan.WGANTrainer(again.generator, wgan.MLPCritic(2, (8,)), 3),
    }.items():
        try:
            call()
        except ValueError as error:
            errors[name] = str(error)
    torch.save(errors, f"{folder}/errors{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_are_one_process_with_the_joined_batch(tmp_path):
    if not torch.distributed.is_available():
        pytest.skip("torch without torch.distributed")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(_worker, (str(tmp_path),), nprocs=2)  # pyright: ignore[reportPrivateImportUsage]
    for name, options in RECIPES.items():
        compare(tmp_path / name, options)
    for rank in range(2):
        errors = torch.load(tmp_path / f"errors{rank}.pt")
        assert "pass the tensor or map-style dataset itself" in errors["iterable"]
        assert "spread of the whole batch" in errors["dragan"]
        assert "both be wrapped in DistributedDataParallel, or neither" in errors["one"]


def compare(folder: Path, options: dict) -> None:
    """Log and samples of the ranks, and of one process; the checkpoint is of bare networks."""
    with torch.random.fork_rng():
        whole, ranks = trainer(8, False, **options), trainer(4, False, **options)
    records = whole.train(
        DATA, steps=12, log_every=1, evaluation=wgan.Evaluation(DATA[:8], every=5)
    )
    ranks.load(folder / "checkpoint.pt")
    torch.testing.assert_close(ranks.sample(5), whole.sample(5), rtol=1e-9, atol=1e-9)
    theirs = wgan.runfolder.read(folder / "log.jsonl")
    assert [r["step"] for r in theirs] == list(range(1, 13))
    for one, other in zip(records, theirs, strict=True):
        assert other["gap"] == pytest.approx(one["gap"], rel=1e-5, abs=1e-6)
    assert theirs[-1]["w1"] == pytest.approx(records[-1]["w1"], rel=1e-9)
