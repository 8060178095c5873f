"""`otdist train DATA --out DIR`: a Wasserstein GAN on a file of samples, in a folder to resume.

The data are moved and scaled by one number, so that distances in the run's units times `scale` are
distances in the units of the file; the samples that are written are in the units of the file.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, FileOptions, errors_without_traceback, fail, show, usage

if TYPE_CHECKING:
    from otdist.io import Samples
    from otdist.wgan import WGANTrainer
    from otdist.wgan.architectures import Layers


class Critic(enum.StrEnum):
    """What keeps the critic near 1-Lipschitz: a penalty, clipping, or its layers."""

    gp = "gp"
    lp = "lp"
    clip = "clip"
    orthogonal = "orthogonal"
    spectral = "spectral"


@dataclass(frozen=True, kw_only=True)
class Train(FileOptions):
    """Train a Wasserstein GAN on samples from a file, watched by exact transport."""

    data: Annotated[str, Argument(metavar="DATA", help="Samples: .npy .npz:key .csv .parquet .pt")]
    out: Annotated[Path, Option(help="Folder of the run: config, log, checkpoint, pictures.")]
    steps: Annotated[int, Option(min=1, help="Generator steps in all.")] = 2000
    resume: Annotated[bool, Option("--resume", help="Continue the run in --out.")] = False
    critic: Annotated[Critic, Option(help="What keeps it near 1-Lipschitz.")] = Critic.gp
    shape: Annotated[str | None, Option(help="Of an image, such as 8,8 or 3,32,32.")] = None
    latent_dim: Annotated[int, Option(min=1, help="Length of a noise vector.")] = 32
    hidden: Annotated[str, Option(help="Widths of the hidden layers.")] = "256,256"
    lambda_gp: Annotated[float | None, Option(help="Weight of the penalty; 1 if left out.")] = None
    n_critic: Annotated[int, Option(min=1, help="Critic steps per generator step.")] = 5
    batch_size: Annotated[int, Option(min=1, help="Rows per step.")] = 64
    lr: Annotated[float | None, Option(help="Learning rate; the recipe's if left out.")] = None
    ema: Annotated[float | None, Option(help="Decay of an averaged generator.")] = None
    held_out: Annotated[float, Option(help="Part of the rows kept from training.")] = 0.2
    every: Annotated[int, Option(min=1, help="Steps between evaluations, and checkpoints.")] = 500
    samples: Annotated[int, Option(min=1, help="Rows to write to samples.npy.")] = 1000
    device: Annotated[str | None, Option(help="Such as cuda.")] = None
    seed: Annotated[int, Option(help="Of networks, noise, order and split.")] = 0

    def run(self) -> None:
        """Train, draw and print how near the samples come."""
        hidden = _common.sizes("--hidden", self.hidden)
        shape = None if self.shape is None else _common.sizes("--shape", self.shape)
        if not 0 < self.held_out < 1:
            raise usage("--held-out", f"must lie between 0 and 1: got {self.held_out}")
        if self.lambda_gp is not None and self.critic not in (Critic.gp, Critic.lp):
            raise usage("--lambda-gp", f"belongs to the critics gp and lp, not to {self.critic}")
        _common.check_target("--output", self.output)
        with errors_without_traceback():
            from otdist.io import read_samples
            from otdist.wgan import TrainingDiverged

            (table,) = self.read(read_samples, [self.data])
            if shape is not None and math.prod(shape) != table.d:
                raise usage("--shape", f"{self.shape} does not fit rows of {table.d} numbers")
            try:
                content = self._train(table, hidden, shape)
            except TrainingDiverged as error:
                raise fail(error, ExitCode.NOT_CONVERGED) from None
            except KeyboardInterrupt as stop:
                raise fail(f"stopped {stop} Go on with --resume.", ExitCode.INTERRUPTED) from None
        title = f"{Path(self.data).name} → {self.out}"
        self.publish(content, lambda: show(title, _rows(content)))

    def _train(
        self, table: Samples, hidden: tuple[int, ...], shape: tuple[int, ...] | None
    ) -> dict[str, Any]:
        """Train on the scaled rows; the record of the run."""
        import numpy as np
        import torch

        from otdist.wgan import Evaluation

        centre, scale = _affine(table.points, image=shape is not None)
        rows = np.asarray((table.points - centre) / scale, dtype=np.float32)
        rows = rows[np.random.default_rng(self.seed).permutation(len(rows))]
        kept = max(4, round(self.held_out * len(rows)))
        if len(rows) - kept < 2:
            raise ValueError(
                f"{table.path}: needs more rows to train and hold some out: it has {len(rows)}"
            )
        points = torch.from_numpy(rows).reshape(len(rows), *_image(shape, table.d))
        trainer = self._trainer(hidden, tuple(points.shape[1:]), bounded=shape is not None)
        records = trainer.train(
            points[kept:],
            steps=self.steps,
            out=self.out,
            resume=self.resume,
            evaluation=Evaluation(points[:kept], every=self.every),
            checkpoint_every=self.every,
        )
        drawn = trainer.sample(self.samples)
        restored = drawn.cpu().double().flatten(1).numpy() * scale + centre
        np.save(self.out / "samples.npy", restored.reshape(len(drawn), *(shape or (table.d,))))
        last: dict[str, Any] = next((r for r in reversed(records) if "w1" in r), {})
        distances = {
            key: value * scale
            for key, value in last.items()
            if key in ("w1", "w1_floor", "sliced", "sliced_floor", "w1_lower")
        }
        return _common.record(
            "train",
            (table,),
            out=str(self.out),
            steps=trainer.step,
            seconds=records[-1]["seconds"] if records else 0.0,
            evaluated_at=last.get("step"),
            **distances,
            scale=scale,
            gap_means=trainer.gap_means,
            pictures=self._draw(trainer, records, drawn),
            seed=self.seed,
        )

    def _trainer(
        self, hidden: tuple[int, ...], shape: tuple[int, ...], *, bounded: bool
    ) -> WGANTrainer:
        import torch

        from otdist import wgan

        options: dict[str, Any] = {}
        if penalised := self.critic in (Critic.gp, Critic.lp):
            options["lambda_gp"] = 1.0 if self.lambda_gp is None else self.lambda_gp
            options["mode"] = self.critic.value
        elif self.critic is not Critic.clip:
            options["clip_value"] = None
        named: dict[Critic, Layers] = {Critic.orthogonal: "orthogonal", Critic.spectral: "spectral"}
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            generator = wgan.MLPGenerator(self.latent_dim, shape, hidden, bounded=bounded)
            critic = wgan.MLPCritic(shape, hidden, layers=named.get(self.critic, "plain"))
        return wgan.WGANTrainer(
            generator,
            critic,
            self.latent_dim,
            penalised,
            n_critic=self.n_critic,
            lr=self.lr,
            batch_size=self.batch_size,
            device=self.device,
            ema=self.ema,
            seed=self.seed,
            **options,
        )

    def _draw(self, trainer: WGANTrainer, records: list[dict[str, Any]], drawn: Any) -> list[str]:
        """The pictures that were written; none, and a note, without matplotlib."""
        from otdist.wgan.plots import save_pictures

        try:
            paths = save_pictures(self.out, records, drawn[:100], trainer.gap_means)
        except ImportError as error:
            _common.say_notes([f"no pictures: {error}"], quiet=False)
            return []
        return [str(path) for path in paths]


def _image(shape: tuple[int, ...] | None, d: int) -> tuple[int, ...]:
    """The shape of a sample in training: images have an axis of channels."""
    if shape is None:
        return (d,)
    return (1, *shape) if len(shape) == 2 else shape


def _affine(points: Any, *, image: bool) -> tuple[Any, float]:
    """Centre and scale: images to [−1, 1], rows to mean 0 and a root mean square of 1."""
    if image:
        low, high = float(points.min()), float(points.max())
        return (low + high) / 2, (high - low) / 2 or 1.0
    centre = points.mean(0)
    return centre, float(((points - centre) ** 2).mean() ** 0.5) or 1.0


def _rows(content: dict[str, Any]) -> list[tuple[str, str]]:
    """The table: how near the samples are, what real data reach, where things lie."""
    at = f"at step {content['evaluated_at']}"
    rows = [
        ("steps", f"{content['steps']}, {content['seconds']:.1f} s"),
        (f"W_1 to held-out data, {at}", f"{content['w1']:.5g}"),
        ("the same for real data (floor)", f"{content['w1_floor']:.5g}"),
        ("sliced W_1, and its floor", f"{content['sliced']:.5g}, {content['sliced_floor']:.5g}"),
    ]
    if "w1_lower" in content:
        rows.append(("certified by the critic: W_1 above", f"{content['w1_lower']:.5g}"))
    rows.append(("the critic's gap is", content["gap_means"]))
    rows.append(("written to", content["out"]))
    return rows
