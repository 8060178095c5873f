"""Networks of these tests begin the same in every run, and leave global random states alone."""

import random
from importlib.util import find_spec

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    if find_spec("keras") is None:
        yield
        return
    from otdist.keras.backend import keras

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    keras.utils.set_random_seed(0)
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
