"""A test draws the same samples alone, in any order and on any number of workers."""

from typing import Any

import numpy as np
import pytest
import torch

_FRESH: dict[str, Any] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Put the module's `RNG` back to where it stood after the import."""
    module: Any = getattr(item, "module", None)
    rng = getattr(module, "RNG", None)
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = _FRESH.setdefault(module.__name__, rng.bit_generator.state)
    elif isinstance(rng, torch.Generator):
        rng.set_state(_FRESH.setdefault(module.__name__, rng.get_state()))
