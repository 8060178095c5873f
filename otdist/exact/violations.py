r"""Pairs that violate the dual, c_ij < f_i + g_j, where float32 and ties make that hard to say.

A pass over all pairs is made in float32 (`pricing`), and a pair is listed if it may violate within
the error of the pass. Where points tie, the pairs that are tight within that error can be millions:

* of ‖x − y‖^p only on lattices, whose costs float32 cannot tell apart: float64 can, and passes are
  in float64 from then on;
* of a metric also in float64, since cityblock distances tie wherever points are ordered alike. Most
  of these pairs violate by the rounding of the simplex, a few by much more: 2 of 1.8 million for
  cityblock, 97 of 260,000 for Chebyshev, at 4,000 points in space. So violations beyond the error
  of float32 are listed first, and once there are none the c-transform in float64 decides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otdist.core.certificate import LISTED
from otdist.core.cost import Cost
from otdist.core.metric import MetricCost
from otdist.exact.pricing import Pricer

_CLOSE = 1e3  # violations in units of the error of a pass below which float64 takes over
_SHARE = 1 / 8  # of the worst violation, from which float64 lists pairs of a metric


class Violations:
    """Looks for violating pairs, and remembers what it found hard.

    Attributes:
        pricer: Passes in the precision that serves.
        listed: Pairs that are listed, at most.
        hard: Whether more pairs tie than that.
    """

    def __init__(self, cost: Cost) -> None:
        self.cost, self.pricer, self.hard = cost, Pricer(cost), False
        self.listed = LISTED * sum(cost.shape)

    def find(
        self, f: Tensor, g: Tensor, tolerance: float, worst: float
    ) -> tuple[Tensor, Tensor, Tensor | float] | None:
        """Pairs among which are the worst violations, and by how much all others may violate.

        Args:
            f: Potential of the sources, shape (n,).
            g: Potential of the targets, shape (m,).
            tolerance: Violations up to which nothing needs to be listed.
            worst: The worst violation that was found before.

        Returns:
            Rows, columns, and for each source, or for all, by how much others violate at most; None
            if too many violate to be listed.
        """
        if isinstance(self.cost, MetricCost):
            found = None if self.hard else self._all(f, g)
            self.hard = found is None
            return found or self._worst(f, g, tolerance)
        if not self.hard:
            found = self._all(f, g)
            if found is not None or not worst < _CLOSE * self.error(f, g):
                return found
            self.pricer, self.hard = self.pricer.exact(), True
        size = float(f.abs().max() + g.abs().max())
        pairs = self.pricer.below(f, g, -4 * (self.pricer.error + 1e-15 * size), self.listed)
        return None if pairs is None else (*pairs, 0.0)

    def error(self, f: Tensor, g: Tensor) -> float:
        """By how much a reduced cost of a pass may be wrong."""
        size = float(f.abs().max() + g.abs().max())
        return self.pricer.error + 4 * torch.finfo(self.pricer.dtype).eps * size

    def _all(self, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor, float] | None:
        """Every pair that may violate."""
        pairs = self.pricer.below(f, g, self.error(f, g), self.listed)
        return None if pairs is None else (*pairs, 0.0)

    def _worst(
        self, f: Tensor, g: Tensor, tolerance: float
    ) -> tuple[Tensor, Tensor, Tensor | float] | None:
        """Those beyond the error of float32; without any, the worst that float64 can tell."""
        error = self.error(f, g)
        pairs = self.pricer.below(f, g, -error, self.listed)
        if pairs is None:
            return None
        i, j = pairs  # signs of angles list ties as well
        if bool((f[i] + g[j] - self.cost.pairs(i, j) > tolerance).any()):
            return i, j, 2 * error
        rest = (f - self.cost.ctransform(g)[0]).clamp(min=0)
        worst = float(rest.max())
        if worst > tolerance:
            margin = max(tolerance, _SHARE * worst)
            pairs = self.pricer.exact().below(f, g, -margin, self.listed)
        return None if pairs is None else (*pairs, rest)
