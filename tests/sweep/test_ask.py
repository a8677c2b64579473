"""More than an hour is asked for: a comma too many is found before it costs a night."""

import io
import sys

import pytest

from gensweep.cli import main
from gensweep.errors import Declined, InputError
from gensweep.sweep import ask
from gensweep.sweep.costs import PROBE, Cost, Costs
from gensweep.sweep.plan import plan
from gensweep.sweep.probing import Probed
from tests.past import made

WORDS = ("train_size=60", "batch_size=20", "measure=[error]", "hardware.jobs=2")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def probes(monkeypatch):
    """What was probed; each training seems to take 1000 s."""
    tried = []

    def probed(job, train, measure):
        tried.append(job)
        assert (train, measure) == (ask.PROBE, 0)
        return Probed(Costs(Cost(1000.0, float("nan"), 1, PROBE), {}))

    monkeypatch.setattr(ask, "probed", probed)
    return tried


def confirm(*words):
    planned = plan((*WORDS, *words), True)
    ask.confirm(planned, planned.jobs)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def timed(train, **where):
    made(plan((*WORDS, "seed=99"), False).jobs[0], train=train, **where)


def test_an_hour_by_what_like_runs_took_is_asked_for(probes):
    timed(1200.0)
    confirm("seed=range(5)")  # 50 minutes by two
    with pytest.raises(
        InputError, match=r"^7 runs to do, about 1h10m \(measured on 1 run .*\); more .* --yes"
    ):
        confirm("seed=range(7)")
    assert probes == []


def test_one_long_run_is_as_long_with_many_jobs(probes):
    timed(4000.0)
    with pytest.raises(InputError, match=r"1 run to do, about 1h06m"):
        confirm("seed=0")


@pytest.mark.parametrize(("answer", "starts"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("", False)])
def test_a_person_is_asked(monkeypatch, capsys, answer, starts):
    timed(1e6)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    if starts:
        confirm("seed=0")
    else:
        with pytest.raises(Declined):
            confirm("seed=0")
    assert shown.getvalue().endswith("Start? [y/N] ")


def test_many_runs_that_nobody_timed_are_tried_for_a_moment(probes):
    confirm("seed=range(9)")
    assert probes == []
    with pytest.raises(InputError, match=r"10 runs to do, more than 1h23m \(estimate from a probe\)"):
        confirm("seed=range(10)")
    assert len(probes) == 1


def test_the_probe_is_of_the_longest_and_stands_for_those_like_it(probes):
    with pytest.raises(InputError, match=r"20 runs to do, more than 1h23m"):
        confirm("budget.max_epochs=9,5", "seed=range(10)")
    assert [job.config["budget"]["max_epochs"] for job in probes] == [9]


@pytest.mark.parametrize("setting", ["hardware.accelerator=auto", "hardware.processes=2", "hardware.stack=4"])
def test_what_a_probe_cannot_tell_is_not_probed(probes, setting):
    confirm("seed=range(10)", setting)
    assert probes == []


def test_a_sweep_that_takes_long_is_refused_before_anything_is_written(capsys):
    timed(1e5)
    with pytest.raises(SystemExit) as left:
        main(("run", "-m", *WORDS, "seed=0,1"))
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("gensweep: 2 runs to do, about 1d") or err.startswith(
        "gensweep: 2 runs to do, about 27h"
    )
    assert "--yes" in err
    assert len(err.splitlines()) == 1
    assert not (plan((*WORDS, "seed=0")).jobs[0].run.folder).exists()


@pytest.mark.parametrize(("word", "asks"), [("--yes", 0), ("hydra/launcher=joblib", 0), ("seed=3", 1)])
def test_who_said_yes_or_sends_it_elsewhere_is_not_asked(monkeypatch, word, asks):
    asked, started = [], []
    monkeypatch.setattr(ask, "confirm", lambda *args: asked.append(args))
    monkeypatch.setattr("gensweep.sweep.words.hydra", lambda words: started.append(words) or 0)
    monkeypatch.setattr("gensweep.sweep.plan.plan", lambda words, *_: plan(words, True))
    with pytest.raises(SystemExit) as left:
        main(("run", "-m", *WORDS, word))
    assert (left.value.code, len(asked), len(started)) == (0, asks, 1)
    assert "--yes" not in started[0]  # Hydra knows no such option


def test_a_probe_is_for_a_plan(capsys):
    with pytest.raises(SystemExit) as left:
        main(("run", "--probe", *WORDS))
    assert left.value.code == 2
    assert "gensweep plan --probe" in capsys.readouterr().err


def test_a_mistake_has_a_traceback_only_with_debug(capsys):
    with pytest.raises(SystemExit):
        main(("run", "posion_factor=1"))
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(InputError):
        main(("--debug", "run", "posion_factor=1"))
