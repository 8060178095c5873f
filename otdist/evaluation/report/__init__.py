"""Report: metrics of one or several samples as a table, JSON, a self-contained page, pictures."""

from __future__ import annotations

from otdist.evaluation.report.report import Report
from otdist.evaluation.report.result import MetricResult

__all__ = ["MetricResult", "Report"]
