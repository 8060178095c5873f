"""Shared by the tests of GAN training."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    """Networks draw their start from torch's generator; leave it as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
