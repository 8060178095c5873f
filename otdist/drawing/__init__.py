"""Pictures: what a plan moves, how samples lie, what a test found.

Figures are built without pyplot, so that drawing neither needs a display nor touches its state.
"""

from __future__ import annotations

from otdist.drawing.transport import plot_transport

__all__ = ["plot_transport"]
