"""What a stack of runs takes, and what it commits."""

import json

import pytest
from safetensors.numpy import load

from gensweep.run import run
from gensweep.stacked import train_stacked
from gensweep.sweep.plan import plan
from gensweep.table.store import DIVERGED, TRAINED
from gensweep.train.fit import CHECKPOINT

TINY = "train_size=60 poison_size=40 poison_factor=0.3 confusion_size=9 model.widths=[8] measure=[error]"


def planned(outputs, *more, seeds="0,1,2"):
    words = (*TINY.split(), "budget.max_epochs=2", f"seed={seeds}", f"outputs={outputs}", *more)
    return plan(words, True).jobs


def files(job):
    return {name: load(job.run.read(f"{name}.safetensors")) for name in ("init", "splits", "solution")}


def facts(job):
    found = json.loads(job.run.read("outcome.json"))
    return {k: v for k, v in found.items() if k != "train_seconds"}


@pytest.mark.parametrize("seeds", ["data_seed=5", "data_seed=null"])
@pytest.mark.parametrize("more", ["reparametrise=none", "reparametrise=neuron"])
def test_a_stacked_run_leaves_the_files_of_a_run_alone(tmp_path, seeds, more):
    alone, stacked = (planned(tmp_path / way, seeds, more, "precision=float64") for way in ("a", "b"))
    for job in alone:
        run(job.config, lambda line: None)
    train_stacked([job.config for job in stacked])
    for one, other in zip(alone, stacked, strict=True):
        assert one.run_id == other.run_id
        assert other.run.state()["state"] == "trained"
        assert set(other.run.manifest()) == set(TRAINED)
        assert other.run.read("config.yaml") == one.run.read("config.yaml")
        assert facts(other) == pytest.approx(facts(one))
        here, there = files(one), files(other)
        for name, tensors in here.items():
            for key, tensor in tensors.items():
                assert there[name][key].dtype == tensor.dtype
                off = abs(there[name][key] - tensor).max() / abs(tensor).max()
                assert off <= (1e-12 if name == "solution" else 0)


def test_a_trained_run_is_measured_and_not_trained_again(tmp_path):
    jobs = planned(tmp_path, "data_seed=0")
    train_stacked([job.config for job in jobs])
    before = jobs[0].run.manifest()
    assert not jobs[0].finished()
    said = []
    assert run(jobs[0].config, said.append) == "done"
    assert jobs[0].finished()
    assert before.items() < jobs[0].run.manifest().items()
    assert [line.partition(":")[0] for line in said] == ["measured error"]


def test_what_is_held_or_begun_or_trained_is_left_out(tmp_path):
    held, begun, done, *free = planned(tmp_path, "data_seed=0", seeds="range(5)")
    train_stacked([done.config])
    before = done.run.read("solution.safetensors")
    begun.run.folder.mkdir(parents=True)
    (begun.run.folder / CHECKPOINT).touch()
    with held.run.claimed():
        train_stacked([job.config for job in (held, begun, done, *free)])
    assert [job.run.has(*TRAINED) for job in (held, begun, done, *free)] == [False, False, True, True, True]
    assert done.run.read("solution.safetensors") == before
    assert (begun.run.folder / CHECKPOINT).exists()
    for job in free:
        with job.run.claimed():
            pass  # nobody holds it any more


def test_nothing_is_done_where_nothing_is_left(tmp_path):
    (job,) = planned(tmp_path, seeds="0")
    with job.run.claimed():
        train_stacked([job.config])
    assert job.run.manifest() == {}


def test_a_run_that_diverges_in_a_stack_ends_as_it_does_alone(tmp_path):
    wild = ("optim=sgd", "optim.lr=1e30", "data_seed=0")
    alone, stacked = (planned(tmp_path / way, *wild, seeds="0,1") for way in ("a", "b"))
    for job in alone:
        assert run(job.config, lambda line: None) == "diverged"
    train_stacked([job.config for job in stacked])
    for one, other in zip(alone, stacked, strict=True):
        assert other.finished()
        assert other.run.diverged()
        assert facts(other) == facts(one)
        assert other.run.state()["reason"] == one.run.state()["reason"]
        assert (
            other.run.manifest().keys()
            == one.run.manifest().keys()
            == {*TRAINED[:2], f"rows/{DIVERGED}.parquet"}
        )
        assert (other.run.folder / "log.txt").read_text().startswith("diverged: the ")
