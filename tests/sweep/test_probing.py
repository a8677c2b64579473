"""A run tried for a moment, in a process of its own that leaves no trace."""

import os
from pathlib import Path

import pytest

from gensweep.probe import write_nothing
from gensweep.sweep.group import prepared
from gensweep.sweep.plan import plan
from gensweep.sweep.probing import probed
from tests.sweep.test_outlook import tree

pytestmark = pytest.mark.slow
WORDS = ("train_size=60", "model.widths=[8]", "measure=[error,norms]")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_probe_times_training_and_measures_and_writes_nothing():
    (job,) = plan((*WORDS, "budget.max_epochs=100000")).jobs
    before = tree()
    found = probed(job, train=0.5, measure=20)
    assert found.failure == ""
    assert 20 < found.costs.train.seconds < 100_000  # 0.2 ms to 1 s for each of 100 000 epochs
    assert set(found.costs.measures) == set(job.shards.values())
    assert all(0 < cost.seconds < 20 and not cost.at_least for cost in found.costs.measures.values())
    assert found.size == 2 * 4 * (64 * 8 + 8 + 8 * 10 + 10)
    assert 10**8 < found.memory < 10**10
    assert tree() == before


def test_a_measure_that_takes_too_long_is_cut_off_and_said_to_be():
    (job,) = plan(("train_size=60", "model.widths=[8]", "measure=[basin,error]", "budget.max_epochs=2")).jobs
    found = probed(job, train=0.1, measure=0.2)
    basin, error = (found.costs.measures[job.shards[name]] for name in ("basin", "error"))
    assert basin.at_least
    assert 0.2 <= basin.seconds < 5
    assert not error.at_least


def test_a_network_that_cannot_be_trained_is_a_failure_in_words():
    (job,) = plan((*WORDS, "optim=sgd", "optim.lr=1e30")).jobs
    found = probed(job, train=0.5, measure=0)
    assert found.costs.train is None
    assert found.failure.startswith("Diverged: ")


def try_to_write(path, results):
    write_nothing()
    try:
        Path(path).write_bytes(b"x" * 10)
    except OSError as error:
        results.put(error.errno)
    else:
        results.put(0)


def test_the_kernel_refuses_every_byte_in_a_probe(tmp_path):
    context = prepared()
    results = context.Queue()
    process = context.Process(target=try_to_write, args=(str(tmp_path / "x"), results))
    process.start()
    assert results.get(timeout=60) == 27  # EFBIG
    process.join()
    assert not os.path.getsize(tmp_path / "x")
