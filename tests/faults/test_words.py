"""F15 to F18 and F22: what is asked for cannot be meant, or is there already."""

import time

import pytest

from gensweep.rows import KEY
from tests.faults import oracles

SOON = 20  # seconds for what takes less than one: the machine may be busy with other tests

CASES = {
    "F15": (
        [f"poison_factor={v}" for v in ("1.5", "1.0", "-0.1", "nan", "inf", "banana", "true", "1e9", "[0.3]")]
        + ["confusion_size=-1", "confusion_size=0.5", "measure.slice.span=nan"],
        [r"(poison_factor|confusion_size|measure\.slice\.span)=", r"is not a (whole )?number"],
    ),
    "F16": (
        [
            "train_size=5000",
            "train_size=1300 confusion_size=1",
            "train_size=0",
            "train_size=-5",
            "poison_size=2000",
        ],
        [r"(train|poison)_size=", r"(asks for [\d,]+ examples, but digits has 1,300)|1 or more"],
    ),
    "F17": (
        ["model=resnet81", "data=mnistt", "measure=[eror]", "optim=adma", "logger=cvs", "schedule=cosin"],
        ["there is no such", "did you mean (resnet8|mnist|error|adam|csv|cosine)"],
    ),
    "F18": (
        ["posion_factor=0.3", "+typo=1", "seed=one", "modl=mlp", "budget=fast", "~data", "+model.depth=3"],
        [r"^gensweep: \S+", "no such|not a|known|cannot|did you mean|nothing|can be"],
    ),
}


def tree(folder):
    """All files with the time of their last change."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*")}


def is_refused(fault, study, words, patterns):
    """The sweep with these words more ends at once with exit code 2 and one sentence, and touches nothing."""
    before, begun = tree(study.outputs), time.monotonic()
    command = study.run(*words.split())
    fault.ended(command, 2)
    assert time.monotonic() - begun < SOON
    fault.says(command.text, *patterns)
    assert len(command.text.splitlines()) == 1
    assert tree(study.outputs) == before
    fault.happened(words.split()[-1] in command.words)


@pytest.mark.parametrize(
    "name",
    [pytest.param(f, marks=[pytest.mark.fault(f), *[pytest.mark.faults] * (f != "F18")]) for f in CASES],
)
def test_what_cannot_be_meant_is_refused_and_touches_nothing(finished, fault, name):
    cases, patterns = CASES[name]
    for words in cases[: 3 if name == "F18" else None]:
        is_refused(fault, finished, words, patterns)
    command = fault.recovers()
    assert "3 done, 0 to do" in command.text


@pytest.mark.faults
@pytest.mark.fault("F18")
def test_no_typo_gets_past_the_schema(finished, fault):
    for words in CASES["F18"][0][3:]:
        is_refused(fault, finished, words, CASES["F18"][1])


@pytest.mark.faults
@pytest.mark.fault("F17")
@pytest.mark.parametrize("words", ["figure volume-gpa", "measure 0000 measure=[norms]"])
def test_an_unknown_figure_or_run_is_refused(finished, fault, words):
    oracles.table(finished.outputs).to_parquet(finished.outputs / "table.parquet")
    verb = (*words.split(), "--outputs", str(finished.outputs))
    command = finished.plain(*verb)
    fault.happened()
    fault.ended(command, 2)
    fault.says(command.text, "volume-gpa|0000", "did you mean volume-gap|name one")


@pytest.mark.fault("F22")
def test_the_same_sweep_again_trains_nothing_and_one_more_value_one_run(finished, fault):
    fault.happened(len(finished.rows()) == 6)
    env = finished.strikes("gensweep.run:train=count")
    assert "3 done, 0 to do" in finished.run(env=env).text
    again = finished.run("seed=2,1,0,2", env=env)
    fault.ended(again, 0)
    fault.says(again.text, "3 runs: 3 done, 0 to do, 1 named twice")
    assert "3 done, 0 to do" in finished.run(words=list(reversed(finished.words)), env=env).text
    assert finished.counted("gensweep.run:train") == 0
    assert "4 runs: 3 done, 1 to do" in finished.run("seed=0,1,2,3", env=env).text
    assert finished.counted("gensweep.run:train") == 1
    four = oracles.table(finished.outputs)
    assert not four.duplicated(list(KEY)).any()
    fault.recovers(only=[job.run_id for job in finished.jobs()])
