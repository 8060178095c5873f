"""What two samples say about the populations behind them: tests and confidence intervals.

A bracket is about the samples and certain; everything here is about populations and holds with a
probability.
"""

from __future__ import annotations

from otdist.discrepancy.limit import ConfidenceInterval, NoIntervalError
from otdist.inference.intervals import confidence_interval
from otdist.inference.monitor import DriftMonitor, Watch
from otdist.inference.permutation import TestResult, two_sample_test

__all__ = [
    "ConfidenceInterval",
    "DriftMonitor",
    "NoIntervalError",
    "TestResult",
    "Watch",
    "confidence_interval",
    "two_sample_test",
]
