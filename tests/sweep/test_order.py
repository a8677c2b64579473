"""Which run starts first; a known answer for each order."""

import pytest

from gensweep.sweep.identity import run_id
from gensweep.sweep.launch import sweep
from gensweep.sweep.order import ordered
from gensweep.sweep.plan import plan
from tests.past import made

SMALL = ("train_size=60", "measure=[error]", "budget.max_epochs=30,10", "seed=0,1")


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: plan((*SMALL, *words), True).jobs


def knobs(jobs):
    return [(job.config["seed"], job.config["budget"]["max_epochs"]) for job in jobs]


def test_one_seed_of_every_point_comes_first_and_short_before_long(jobs):
    todo = jobs()
    assert knobs(todo) == [(0, 30), (1, 30), (0, 10), (1, 10)]
    assert knobs(ordered(todo, todo)) == [(0, 10), (0, 30), (1, 10), (1, 30)]


def test_as_given_is_as_given(jobs):
    todo = jobs("hardware.order=given")
    assert ordered(todo, todo) == list(todo)


def test_a_point_that_has_a_seed_waits_for_those_that_have_none(jobs):
    every = jobs()
    todo = [job for job in every if knobs([job]) != [(0, 10)]]
    assert knobs(ordered(todo, every)) == [(0, 30), (1, 10), (1, 30)]


def test_times_that_are_known_go_before_the_rule(jobs):
    for job in plan(("measure=[error]", "train_size=60", "budget.max_epochs=30,10", "seed=7"), True).jobs:
        made(job, train=1.0 if knobs([job]) == [(7, 30)] else 9.0)
    todo = jobs()
    assert knobs(ordered(todo, todo)) == [(0, 30), (0, 10), (1, 30), (1, 10)]


def test_a_bigger_network_is_more_work(jobs):
    words = ("train_size=60", "measure=[error]", "model.widths=[64,64],[8]")
    todo = plan(words, True).jobs
    assert [job.config["model"]["widths"] for job in ordered(todo, todo)] == [[8], [64, 64]]


class Launcher:
    """Notes what it was to launch, and does nothing."""

    local = True

    def launch(self, job_overrides, initial_job_idx):
        self.launched = job_overrides


@pytest.mark.parametrize(
    ("order", "first"), [("cheapest", "budget.max_epochs=10"), ("given", "budget.max_epochs=30")]
)
def test_a_sweep_starts_in_that_order(jobs, order, first):
    launcher, words = Launcher(), (*SMALL, f"hardware.order={order}")
    sweep(words, launcher)
    assert len(launcher.launched) == 4
    assert first in launcher.launched[0]


def test_nothing_to_do_has_no_order():
    assert ordered([], []) == []


def test_the_order_is_no_science(jobs):
    names = [{job.run_id for job in jobs(f"hardware.order={order}")} for order in ("given", "cheapest")]
    assert names[0] == names[1] == {run_id(job.config) for job in jobs()}
