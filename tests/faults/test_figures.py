"""F28: a figure from a table in which runs are missing, or in which more moved than it shows."""

import json
import random

import pytest

from tests.faults import oracles

pytestmark = [pytest.mark.slow, pytest.mark.faults]
WORDS = (
    "train_size=40 poison_size=40 model.widths=[4] measure=[error] budget.max_epochs=10 "
    "poison_factor=0,0.3,0.6 seed=0,1 hardware.jobs=2"
)


@pytest.fixture
def study(study):
    study.words = WORDS.split()
    return study


def drawn(study, fault, code):
    """The words on a figure that is drawn from what there is."""
    collected = study.plain("collect", "--outputs", str(study.outputs))
    fault.ended(collected, code)
    figure = study.plain("figure", "poison-accuracy", "--outputs", str(study.outputs))
    assert figure.ended() == 0, figure.text
    return collected, json.loads((study.outputs / "figures" / "poison-accuracy.json").read_text())


@pytest.mark.fault("F28")
def test_a_figure_of_some_of_the_runs_says_how_many_are_missing(finished, fault):
    lost = random.Random(1).sample([run for run in finished.runs()], 2)
    if len({run.config()["poison_factor"] for run in lost}) == 1:
        lost[1] = next(
            r for r in finished.runs() if r.config()["poison_factor"] != lost[0].config()["poison_factor"]
        )
    for run in lost:
        next(run.folder.glob("rows/error*")).unlink()
    fault.happened(len(finished.rows()) == 4)
    collected, about = drawn(finished, fault, 1)
    fault.says(collected.text, *[run.run_id for run in lost], "SHA-256", "4 runs")
    assert "2 runs diverged or missing" in about["message"]
    assert sorted(about["n_per_point"].values()) == [1, 1, 1, 1, 2, 2]
    for path in (finished.outputs / "figures").iterdir():
        path.unlink()
    fault.recovers()


@pytest.mark.fault("F28")
def test_a_second_knob_that_moved_is_refused(finished, fault):
    assert finished.run("batch_size=32", "seed=0").ended() == 0
    fault.happened(len(finished.rows()) == 9)
    assert finished.plain("collect", "--outputs", str(finished.outputs)).ended() == 0
    figure = finished.plain("figure", "poison-accuracy", "--outputs", str(finished.outputs))
    fault.ended(figure, 2)
    fault.says(figure.text, "gensweep: ", "batch_size", "moved|moves|varies|more than|differ")
    fault.recovers(only=[job.run_id for job in finished.jobs()])


def test_nothing_here_was_made_twice(finished):
    oracles.no_duplicates(finished.outputs)
