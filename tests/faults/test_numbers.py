"""F12 to F14: numbers that are none, and networks and data that there is little to say about."""

import json

import pytest

from tests.faults import oracles

pytestmark = pytest.mark.slow
ALL = "error,margin,norms,slice,surface,spectrum,gradient,basin,perturbation,expected_sharpness,path_norms"
SMALL = (
    "measure.surface.points=3 measure.basin.directions=5 measure.basin.replicates=0 measure.slice.points=8"
)


def says_why(table):
    """Every value is a number, or its row says what it is."""
    fine = table[table["status"] == "ok"]
    assert fine["value"].notna().all()
    assert table[table["status"] != "ok"]["reason"].str.len().gt(5).all()


@pytest.mark.fault("F12")
def test_a_run_that_diverges_ends_with_a_row_and_takes_no_other_with_it(study, fault):
    study.words = [*study.words[:-2], "optim=sgd", "optim.lr=0.1,1e30", "measure.slice.span=1e30"]
    driver = study.run()
    fault.ended(driver, 1)
    (run,) = (run for run in study.runs() if run.diverged())
    fault.happened(run.state()["state"] == "diverged")
    fault.says(
        driver.text, run.run_id, r"diverged: the clean loss became nan after update \d+", "log: .*log.txt"
    )
    assert "1 done, 1 diverged, 0 failed" in driver.text
    fault.files_whole()
    found = oracles.table(study.outputs)
    says_why(found)
    assert (found["status"] == "nonfinite").sum() == 9, "the loss of one run, all points of the other's slice"
    for path in study.outputs.rglob("*.json"):
        json.loads(path.read_bytes(), parse_constant=pytest.fail)
    command = fault.recovers(code=1)
    assert "2 runs: 2 done, 0 to do" in command.text


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "words", "what"),
    [
        pytest.param(
            "F13",
            "optim=sgd optim.lr=1e-30 train_size=40",
            "target_reached",
            marks=pytest.mark.fault("F13"),
            id="untrained",
        ),
        pytest.param(
            "F13", "optim=sgd optim.lr=1e4 train_size=40", "", marks=pytest.mark.fault("F13"), id="blown up"
        ),
        pytest.param(
            "F14", "train_size=1", "confusion set", marks=pytest.mark.fault("F14"), id="one example"
        ),
        pytest.param(
            "F14", "train_size=3 batch_size=5000", "", marks=pytest.mark.fault("F14"), id="one batch"
        ),
        pytest.param(
            "F14",
            "train_size=9 batch_size=8 model=resnet8",
            "",
            marks=pytest.mark.fault("F14"),
            id="batch of 1",
        ),
    ],
)
def test_every_measure_has_a_value_or_a_reason(study, fault, name, words, what):
    model = [] if "model=" in words else ["model.widths=[4]"]
    wanted = "error,slice,norms" if "model=" in words else ALL
    size = SMALL.split() if wanted == ALL else ["measure.slice.points=8"]
    study.words = [*words.split(), *model, f"measure=[{wanted}]", *size, "budget.max_epochs=3", "seed=0,1"]
    driver = study.run()
    diverged = any(run.diverged() for run in study.runs())
    fault.ended(driver, int(diverged))
    found = oracles.table(study.outputs)
    fault.happened(found["run_id"].nunique() == 2)
    says_why(found)
    fault.says(driver.text, "2 runs: 0 done, 2 to do", r"\d done, \d diverged, 0 failed")
    assert what in " ".join(found["reason"]) + " ".join(found["quantity"])
    fault.recovers(code=int(diverged))
