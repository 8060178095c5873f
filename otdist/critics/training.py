r"""Training one critic: climb E φ(x) − E φ(y) on batches, keep what is best on validation points.

A 1-Lipschitz critic can only gain by climbing, and on points that it was not fitted to its gap
estimates a lower bound of W_1 without bias; so its best state is the one of largest validation gap,
and training ends when that stops growing. Of states whose gaps are the same but for a thousandth
the last is kept: its rate was the lowest, so that its slopes have settled. The gap of any other
critic also grows with its unknown Lipschitz constant; of those the very last is kept, as is usual.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from otdist.core.certificate import UNIT
from otdist.core.measure import SamplePair
from otdist.critics.adam import Adam
from otdist.critics.critics import Funnels
from otdist.critics.penalties import clamp, compute_gradient_penalty, trainable
from otdist.critics.samples import Exhausted, Frame, Supply, reach

Handling = Literal["certified", "gp", "lp", "clip", "spectral"]

CHECKS = 40
"""Validations in a full run."""

WATCHED = 4096
"""Validation points of either sample that are looked at while training."""

SETTLED = 1e-3
"""Share of the validation gap that is given up for a later state. Of ray-monotone pairs with four
funnels in the plane, the mean cosine to the optimal slopes is 0.94, and 0.89 when it is 0: gaps
hardly tell whether a centre has come to rest."""

TAIL = 0.1
"""In this last share of a run the rate of certified critics falls as a square: in the plane, the
centres of 64 funnels come nearer (cosine 0.87 for 0.85), elsewhere nothing changes. Funnels are no
longer soft then, so that slopes settle under the function that is scored: 16 of them, softened, for
four true ones in the plane have a cosine of 0.95, and 0.92 where they stay soft."""

CLIP_VALUE = 0.01
"""Largest absolute weight of a clipped critic, as in the paper."""

SOUND = 1e-3
"""Rounding, in spreads of the samples, up to which scores say something. Charges are 1e-8 after a
training that went well, and many spreads where parameters have run away."""


class Clock:
    """Wall-clock time that was spent, and CPU time of this process that is left.

    Attributes:
        seconds: CPU time in all; None and infinity: no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._begin, self._cpu = time.perf_counter(), time.process_time()
        self.seconds = seconds or math.inf

    def spent(self) -> float:
        """Wall-clock seconds so far."""
        return time.perf_counter() - self._begin

    def left(self) -> float:
        """CPU seconds that are left, always positive."""
        return max(1e-9, self.seconds - (time.process_time() - self._cpu))

    def part(self, parts: int) -> Clock:
        """A clock that starts now, with one of so many equal parts of the seconds that are left."""
        return Clock(self.left() / parts)


@dataclass(frozen=True)
class Training:
    """How one critic is trained: Adam, the rate falling to zero, linearly but for the very end.

    Attributes:
        steps: Gradient steps at most.
        batch_size: Points of either sample per step.
        learning_rate: Of the first step.
        patience: Validations in a row without a new best after which to stop.
        handling: What keeps the slope at one; "certified" is by construction.
        seconds: CPU time of this process at most; the rate then falls with the clock.
        checks: Validations, if patience lasts.
        temperature: Of funnels in the first step; it falls as the root of the rate, until TAIL.
    """

    steps: int
    batch_size: int
    learning_rate: float
    patience: int
    handling: Handling
    seconds: float = math.inf
    checks: int = CHECKS
    temperature: float = 0.0

    def run(
        self, critic: nn.Module, supply: Supply, report: Callable[[str], None]
    ) -> list[dict[str, Any]]:
        """Train the critic in place; one record per validation.

        A certified critic is left in its best state, which may be the one that it began with.

        Args:
            critic: Maps points of the supply's frame to scores.
            supply: Of batches and validation points.
            report: Told how far it is.
        """
        certified = self.handling == "certified"
        descent, history = Adam(critic.parameters()), list[dict[str, Any]]()
        kept = copy.deepcopy(critic.state_dict())
        top = self.score(critic, supply) if certified else -math.inf
        best, waited = -math.inf, 0
        begin, step, done, checked = time.process_time(), 0, 0.0, 0
        while done < 1 and not (certified and waited >= self.patience):
            rate = self.learning_rate * self._factor(1 - done)
            try:
                self._step(critic, descent, rate, supply)
            except Exhausted:
                done = 1.0
            else:
                step += 1
                done = max(step / self.steps, (time.process_time() - begin) / self.seconds)
            due = math.floor(min(done, 1) * self.checks)
            if due == checked:
                continue
            checked = due
            gap = self.score(critic, supply)
            history.append({"step": step, "validation": gap})
            report(f"step {step} of {self.steps}, validation {gap:.5g}")
            waited += 1
            if gap > best:
                best, waited = gap, 0
            top = max(top, gap)
            if math.isfinite(gap) and gap >= top - SETTLED * abs(top):
                kept = copy.deepcopy(critic.state_dict())
        if isinstance(critic, Funnels):
            critic.temperature = 0.0
        if certified:
            critic.load_state_dict(kept)
        return history

    def _factor(self, left: float) -> float:
        """Return the factor of the learning rate when this share of the run remains."""
        return left * (min(1.0, left / TAIL) if self.handling == "certified" else 1.0)

    def _step(self, critic: nn.Module, descent: Adam, rate: float, supply: Supply) -> None:
        x, y = supply.batch(self.batch_size)
        critic.train()
        if isinstance(critic, Funnels):
            left = rate / self.learning_rate
            critic.temperature = self.temperature * math.sqrt(left) if left > TAIL else 0.0
        loss = self.loss(critic, x, y)
        descent.clear()
        loss.backward()
        descent.step(rate)
        if self.handling == "clip":
            clamp(trainable(critic), CLIP_VALUE)

    def loss(self, critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """What a step descends, on a batch of each sample.

        A certified critic scores every point by itself, so both batches go through it as one and
        orthogonal weights are made once: a step of sorting networks takes two thirds of the time.
        """
        if self.handling == "certified":
            down, up = critic(torch.cat([y, x])).reshape(-1).split([len(y), len(x)])
            return down.mean() - up.mean()
        loss = critic(y).mean() - critic(x).mean()
        if self.handling in ("gp", "lp"):
            loss = loss + compute_gradient_penalty(critic, x, y, mode=self.handling)
        return loss

    def score(self, critic: nn.Module, supply: Supply) -> float:
        """What a validation measures; the best is kept."""
        return validate(critic, supply, WATCHED)


def validate(critic: nn.Module, supply: Supply, most: int | None = None) -> float:
    """The gap on the validation points, or the first of them, in the caller's units.

    Minus infinity where rounding hides it, so that no such critic is chosen.
    """
    seen = supply.seen
    if not _rounding(critic, seen.reach) <= SOUND:
        return -math.inf
    x, y = (_scores(critic, points[:most]) for points in (seen.x, seen.y))
    a, b = seen.a[:most], seen.b[:most]
    return float(a @ x / a.sum() - b @ y / b.sum()) * supply.frame.scale


def ahead(critic: nn.Module, other: nn.Module, supply: Supply) -> float:
    """By how many standard errors the gap of one critic on validation points is above another's."""
    seen, gain, variance = supply.seen, 0.0, 0.0
    for sign, points, weights in ((1, seen.x, seen.a), (-1, seen.y, seen.b)):
        more = _scores(critic, points) - _scores(other, points)
        mean = float(weights @ more)
        gain += sign * mean
        variance += float(weights.square() @ (more - mean).square())
    return gain / math.sqrt(variance) if variance > 0 else 0.0


def scores(
    critic: nn.Module, pair: SamplePair, frame: Frame, most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Scores of both samples in the caller's units, float64, shapes (n,) and (m,).

    Args:
        critic: On points of the frame.
        pair: The samples.
        frame: Of the critic.
        most: Only the first points of either sample; None: all.
    """
    x, y = (_scores(critic, points) * frame.scale for points in frame.sides(pair, most))
    return x, y


@torch.no_grad()
def _scores(critic: nn.Module, points: Tensor) -> Tensor:
    """Scores of points of the frame, in its units, float64, shape (n,)."""
    critic.eval()
    kind = next((p.dtype for p in critic.parameters()), torch.float64)
    parts = [critic(part).reshape(len(part)) for part in points.to(kind).split(2**14)]
    return torch.cat(parts).double()


def rounding(critic: nn.Module, frame: Frame, pair: SamplePair, most: int | None = None) -> float:
    """How far float64 arithmetic may move a score, in the caller's units.

    Every operation on a parameter errs by at most a unit of rounding of what flows through the
    critic, and that is bounded by the norms of points and parameters: layers of built-in critics
    do not lengthen vectors. 1e-8 of the spread for networks of ordinary parameters; the point is
    those that have run away, whose scores are differences of huge numbers.
    """
    return _rounding(critic, reach(*frame.sides(pair, most))) * frame.scale


def _rounding(critic: nn.Module, size: float) -> float:
    """The same in units of the frame, of points whose norm is at most `size`."""
    parameters = [p.detach().double() for p in critic.parameters()]
    size += sum(float(p.norm()) for p in parameters)
    return UNIT * (8 + sum(p.numel() for p in parameters)) * size
