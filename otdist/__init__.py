"""otdist: optimal-transport distances whose answers carry a proof."""

__version__ = "0.1.0"
