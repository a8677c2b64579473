"""Which seed moves what."""

import pytest
from safetensors.numpy import load

from gensweep.run import run
from gensweep.sweep.plan import plan

TINY = "train_size=60 poison_size=40 poison_factor=0.3 confusion_size=9 model.widths=[8] measure=[error]"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of the run of these overrides."""
    outputs = tmp_path_factory.mktemp("seeds")

    def files(*overrides):
        words = (*TINY.split(), "budget.max_epochs=2", f"outputs={outputs}", *overrides)
        (job,) = plan(words).jobs
        if not job.finished():
            assert run(job.config, lambda line: None) == "done"
        return {name: load(job.run.read(f"{name}.safetensors")) for name in ("init", "splits", "solution")}

    return files


def same(one, other):
    return {
        name: all(one[name][key].tobytes() == other[name][key].tobytes() for key in one[name]) for name in one
    }


def test_a_data_seed_equal_to_the_seed_moves_no_bit(files):
    assert same(files("seed=3"), files("seed=3", "data_seed=3")) == {
        "init": True,
        "splits": True,
        "solution": True,
    }


def test_with_one_data_seed_the_seed_moves_the_weights_alone(files):
    found = same(files("seed=3", "data_seed=0"), files("seed=4", "data_seed=0"))
    assert found == {"init": False, "splits": True, "solution": False}


def test_the_data_seed_moves_the_splits_and_not_the_first_weights(files):
    found = same(files("seed=3", "data_seed=0"), files("seed=3", "data_seed=1"))
    assert found == {"init": True, "splits": False, "solution": False}
