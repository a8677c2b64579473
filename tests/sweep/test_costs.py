"""What runs will cost, by those that are there: known answers."""

import math

import pytest

from gensweep.sweep.costs import Ledger, epochs, examples, updates
from gensweep.sweep.plan import plan
from gensweep.table.history import asked, history
from gensweep.table.store import Store
from tests.past import HERE, made

SMALL = ("train_size=60", "batch_size=20", "budget.max_epochs=10", "measure=[error,norms]")


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Where each test begins with nothing, under the same name: configs are composed once."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: plan((*SMALL, *words)).jobs[0]


def costs(job):
    return Ledger(history(Store(job.run.folder.parents[1]))).costs(job.config, job.shards.values())


def test_updates_and_epochs_follow_from_the_config(job):
    config = job().config
    assert (examples(config), updates(config, 60), epochs(config, 60)) == (60, 30, 10)
    assert updates(job("budget.max_steps=7").config, 60) == 7
    assert examples(job("train_size=null", "poison_size=40", "confusion_size=5").config) == 1260
    assert updates(job("budget.match=updates", "schedule.reference_batch=10").config, 60) == 60


def test_a_like_run_is_one_of_other_seed_and_learning_rate(job):
    for seed, seconds in enumerate((8.0, 10.0, 12.0)):
        made(job(f"seed={seed}", "optim.lr=0.01"), train=seconds, measures=2.0)
    found = costs(job("seed=9"))
    assert (found.train.seconds, found.train.spread, found.train.times) == (10.0, 2.0, 3)
    assert found.train.source == "measured"
    assert [cost.seconds for cost in found.measures.values()] == [2.0, 2.0]


@pytest.mark.parametrize(
    "other",
    [
        "model.widths=[8]",
        "batch_size=30",
        "train_size=50",
        "precision=float64",
        "data=spirals",
        "optim=rmsprop",
    ],
)
def test_a_run_of_another_cost_says_nothing(job, other):
    made(job(other))
    found = costs(job())
    assert (found.train, list(found.measures.values())) == (None, [None, None])


def test_poison_costs_and_its_factor_does_not(job):
    made(job("poison_size=40", "poison_factor=0.1"), train=7.0)
    assert costs(job("poison_size=40", "poison_factor=0.9")).train.seconds == 7.0
    assert costs(job("poison_size=40", "poison_factor=0")).train is None


def test_a_longer_training_is_scaled_by_its_updates(job):
    made(job(), train=6.0, updates=30)
    found = costs(job("budget.max_epochs=40"))
    assert (found.train.seconds, found.train.source) == (24.0, "scaled")
    assert len(found.measures) == 2
    assert all(cost.source == "measured" for cost in found.measures.values())


def test_a_training_of_another_size_altogether_is_not_scaled(job):
    made(job(), train=6.0, updates=30)
    assert costs(job("budget.max_epochs=200")).train.seconds == 120.0
    assert costs(job("budget.max_epochs=201")).train is None


def test_a_measure_with_other_settings_is_another(job):
    made(job("measure=[slice]"), measures=3.0)
    assert [c.seconds for c in costs(job("measure=[slice]")).measures.values()] == [3.0]
    assert [*costs(job("measure=[slice]", "measure.slice.points=9")).measures.values()] == [None]


@pytest.mark.parametrize("place", [{"threads": 2}, {"processes": 2}, {"device": "NVIDIA H100 80GB HBM3"}])
def test_times_of_another_place_say_nothing(job, place):
    made(job(), place=HERE | place)
    assert costs(job("seed=1")).train is None


def test_times_on_a_gpu_hold_on_a_gpu(job):
    made(job(), place=HERE | {"device": "NVIDIA H100 80GB HBM3"})
    assert costs(job("seed=1", "hardware.accelerator=cuda")).train.seconds == 10.0


def test_a_training_that_was_resumed_is_no_time_of_a_whole_one(job):
    one = made(job(), train=1.0)
    for version in (0, 1):
        (one.run.folder / "log" / f"version_{version}").mkdir(parents=True)
    found = costs(job("seed=1"))
    assert found.train is None
    assert all(found.measures.values())


@pytest.mark.parametrize("name", ["outcome.json", "asked.json", "config.yaml", "manifest.json"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}"])
def test_damage_is_no_history_and_no_traceback(job, name, content):
    made(job())
    one = made(job("seed=1"), train=99.0)
    (one.run.folder / name).write_bytes(content)
    found = costs(job("seed=2"))
    assert found.train.seconds in (10.0, (10.0 + 99.0) / 2)
    assert math.isfinite(found.train.seconds)


def test_what_a_run_was_begun_for_can_be_read_before_it_is_trained(job):
    one = job()
    one.run.folder.mkdir(parents=True)
    assert asked(one.run) == {}
    made(one)
    (one.run.folder / "asked.json").unlink()
    assert asked(one.run)["batch_size"] == 20
