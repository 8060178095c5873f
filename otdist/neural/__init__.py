"""The public name of the room `critics`: neural networks whose estimate is certified."""

from otdist.critics import *  # noqa: F403
from otdist.critics import __all__ as __all__
