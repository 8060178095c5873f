"""What two samples say about the populations behind them: permutation tests.

A bracket is about the samples and certain; everything here is about populations and holds with a
probability.
"""

from __future__ import annotations

from otdist.inference.permutation import TestResult, two_sample_test

__all__ = ["TestResult", "two_sample_test"]
