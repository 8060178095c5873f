"""Keras is imported late, on torch; what is missing or another backend is named."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

import otdist.keras

needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")
MISSING = "import sys\nsys.modules['keras'] = None\n"


def run(script, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment)


def test_the_package_itself_imports_neither_keras_nor_torch():
    done = run("import sys, otdist.keras; print({'keras', 'torch'} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr


def test_names_are_listed_without_keras():
    assert set(otdist.keras.__all__) <= set(dir(otdist.keras))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        otdist.keras.nonsense  # noqa: B018


def test_a_missing_keras_names_the_extra():
    for name in otdist.keras.__all__:
        done = run(f"{MISSING}import otdist.keras\ntry: otdist.keras.{name}\n"
                   "except ImportError as error: print(error)")  # fmt: skip
        assert 'pip install "otdist[keras]"' in done.stdout, done.stderr
        break


@needs_keras
def test_torch_is_chosen_where_no_backend_is_named():
    done = run(
        "import otdist.keras; otdist.keras.WGAN; import keras; print(keras.backend.backend())"
    )
    assert done.stdout.strip() == "torch", done.stderr


@needs_keras
def test_another_backend_is_refused_by_name():
    done = run("import otdist.keras; otdist.keras.WGAN", KERAS_BACKEND="jax")
    assert "torch backend: KERAS_BACKEND is 'jax'" in done.stderr


@pytest.mark.parametrize(
    "version, backend, message",
    [("3.9.0", "jax", "imported with 'jax'"), ("2.15.0", "tensorflow", "found Keras 2.15.0")],
)
def test_a_keras_that_is_there_already_is_looked_at(version, backend, message):
    script = f"""
import sys, types
keras = sys.modules["keras"] = types.ModuleType("keras")
keras.__version__ = {version!r}
keras.backend = types.SimpleNamespace(backend=lambda: {backend!r})
import otdist.keras
try: otdist.keras.WassersteinLoss
except ImportError as error: print(error)
"""
    assert message in run(script).stdout
