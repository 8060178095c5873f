"""The public name of `critics.layers`: layers whose Lipschitz constant is known."""

from otdist.critics.layers import *  # noqa: F403
from otdist.critics.layers import __all__ as __all__
