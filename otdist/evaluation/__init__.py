"""Is the fake sample like the real one, by how much, and is that more than noise?"""

from __future__ import annotations

from otdist.evaluation.drift import drift
from otdist.evaluation.evaluate import evaluate
from otdist.evaluation.feature_functions import Features

__all__ = ["Features", "drift", "evaluate"]
