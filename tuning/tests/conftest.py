import os
import sys

import optuna
import pytest

HERE = os.path.dirname(__file__)
sys.path.insert(0, os.path.dirname(HERE))
optuna.logging.set_verbosity(optuna.logging.ERROR)

SPACE = """
metric = "val_accuracy"
[sampler]
name = "tpe"
seed = 3
[pruner]
name = "median"
n_startup_trials = 2
[fixed]
epochs = 4
[search.lr]
type = "float"
low = 1e-5
high = 1.0
log = true
[search.batch]
type = "categorical"
choices = [16, 32]
"""


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return str(path)


@pytest.fixture
def fake():
    return os.path.join(HERE, "fake_alula.py")
