"""Grids of several arms, and runs that go to others of the same sweep."""

import json

import pytest
import yaml

from gensweep.cli import main
from gensweep.errors import InputError
from gensweep.sweep.plan import plan
from gensweep.table.shards import collect
from gensweep.table.store import Store

BASE = {
    "train_size": 40,
    "model": {"widths": [4]},
    "budget": {"max_epochs": 2},
    "measure": {},
}


def experiment(folder, arms, params=None):
    """An experiment file with these grids, as a command line."""
    (folder / "experiment").mkdir(exist_ok=True)
    sweeper = {"params": params or {}, "scales": {"laptop": arms}}
    head = "# @package _global_\ndefaults:\n  - override /measure: [error]\n"
    body = {**BASE, "hydra": {"mode": "MULTIRUN", "sweeper": sweeper}}
    (folder / "experiment" / "mine.yaml").write_text(head + yaml.safe_dump(body))
    return ("experiment=mine",), str(folder)


def planned(folder, arms, params=None):
    words, config_dir = experiment(folder, arms, params)
    return plan(words, False, config_dir)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_points_of_several_grids_are_one_sweep(tmp_path):
    arms = [{"batch_size": "8,16"}, {"batch_size": 32, "optim.lr": 0.1}]
    found = planned(tmp_path, arms, {"seed": "range(2)"})
    assert sorted((j.config["batch_size"], j.config["optim"]["lr"]) for j in found.jobs) == sorted(
        [(8, 0.002), (8, 0.002), (16, 0.002), (16, 0.002), (32, 0.1), (32, 0.1)]
    )
    assert found.experiment == "mine-laptop"


def test_an_arm_that_is_no_grid_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="scale=laptop: seed=1 is no grid"):
        planned(tmp_path, ["seed=1"])


def test_a_reference_is_the_name_of_the_run_that_differs_so(tmp_path):
    arms = [
        {"batch_size": 8},
        {
            "batch_size": 40,
            "measure": "[error,interpolation]",
            "measure.interpolation.other": "'with batch_size=8'",
        },
    ]
    small, large = zip(*[iter(planned(tmp_path, arms, {"seed": "range(2)"}).jobs)] * 2, strict=True)
    for one, other in zip(small, large, strict=True):
        assert one.config["seed"] == other.config["seed"]
        assert other.config["measure"]["interpolation"]["other"] == one.run_id
        assert other.needs == (one.run_id,)
        assert one.needs == ()


def test_a_reference_with_a_range_stands_for_several_runs_and_leaves_the_own_beginning_out(tmp_path):
    good = {"budget.keep": 1}
    arms = [
        good,
        {"optim.lr": 0.5, "start.run": "'with optim.lr=0.002 budget.keep=1'", "start.epoch": "range(0,3)"},
    ]
    first, *branches = planned(tmp_path, arms).jobs
    assert [b.config["start"] for b in branches] == [{"run": first.run_id, "epoch": e} for e in range(3)]
    assert len({b.run_id for b in branches}) == 3


def test_a_path_knows_the_branches_that_begin_from_it(tmp_path):
    """Runs that start from this one, which none of them can name before it is there."""
    branch = {"optim.lr": 0.5, "start.run": "'with optim.lr=0.002'", "start.epoch": "range(0,3)"}
    ends = "'with optim.lr=0.5 start.run=this start.epoch=range(0,3)'"
    whole = {"measure": "[trajectory]", "measure.trajectory.ends": ends}
    good, *branches, again = planned(tmp_path, [{}, branch, whole], {"budget.keep": 1}).jobs
    assert again.run_id == good.run_id
    assert again.config["measure"]["trajectory"]["ends"] == [b.run_id for b in branches]
    assert again.needs == tuple(b.run_id for b in branches)


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("with batch_size=9", "is neither in this sweep nor trained"),
        ("with batch_size=40", "this run refers to itself"),
        ("with ", "name what the other run differs in"),
        ("with bach_size=8", "bach_size: there is no such setting"),
        ("with batch_size=(", "cannot read the command line"),
    ],
)
def test_a_reference_to_nothing_is_one_sentence(tmp_path, reference, sentence):
    arms = [
        {"batch_size": 8},
        {
            "batch_size": 40,
            "measure": "[interpolation]",
            "measure.interpolation.other": f"'{reference}'",
        },
    ]
    with pytest.raises(InputError, match=sentence):
        planned(tmp_path, arms)


def test_a_run_is_measured_in_several_arms(tmp_path):
    both = planned(tmp_path, [{"measure": "[error]"}, {"measure": "[norms]"}])
    assert len({job.run_id for job in both.jobs}) == 1


def test_one_measure_in_two_ways_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"measure run .* differently"):
        planned(
            tmp_path,
            [
                {"measure": "[slice]", "measure.slice.points": 3},
                {"measure": "[slice]", "measure.slice.points": 5},
            ],
        )


def test_a_sweep_makes_first_what_others_need_and_a_second_time_nothing(tmp_path, capfd):
    arms = [
        {"measure": "[error,interpolation]", "measure.interpolation.other": "'with batch_size=8'"},
        {"batch_size": 8},
        {"batch_size": 8, "measure": "[norms]"},
    ]
    words, folder = experiment(tmp_path, arms, {"batch_size": 40})
    with pytest.raises(SystemExit) as left:
        main(["run", *words, "--config-dir", folder])
    assert left.value.code == 0, capfd.readouterr()
    table, complaints = collect(Store(tmp_path / "outputs"), "mine-laptop")
    assert not complaints
    assert table.groupby("batch_size")["measure"].unique().map(sorted).to_dict() == {
        8: ["error", "norms"],
        40: ["error", "interpolation"],
    }
    line = table[(table.measure == "interpolation") & (table.quantity == "loss") & (table.split == "train")]
    small = table[(table.batch_size == 8) & (table.quantity == "loss") & (table.split == "train")]
    assert line[line.x == 1].value.item() == pytest.approx(small.value.item(), rel=1e-6)
    assert json.loads(line.settings.iloc[0])["other"] == small.run_id.item()
    with pytest.raises(SystemExit) as left:
        main(["run", *words, "--config-dir", folder])
    assert left.value.code == 0
    assert "2 runs: 2 done, 0 to do" in capfd.readouterr().out


def test_what_needs_a_run_that_diverged_is_not_started_and_says_so(tmp_path, capfd):
    arms = [
        {"optim.lr": "1e30"},
        {"start.run": "'with optim.lr=1e30'"},
    ]
    words, folder = experiment(tmp_path, arms)
    with pytest.raises(SystemExit) as left:
        main(["run", *words, "--config-dir", folder])
    said = capfd.readouterr()
    assert left.value.code == 1
    assert "was not started: it needs run" in said.err
    assert "which is not trained" in said.err
    assert said.err.count("was not started") == 1
    assert "1 diverged, 0 failed, 1 waiting for others" in said.out


def test_what_needs_a_run_that_another_process_holds_is_no_failure(tmp_path, capfd):
    arms = [{"seed": 0}, {"start.run": "'with seed=0 start.run=null'", "seed": 1}]
    words, folder = experiment(tmp_path, arms)
    first = plan(words, False, folder).jobs[0]
    with first.run.claimed():
        first.run.set_state("training")
        with pytest.raises(SystemExit) as left:
            main(["run", *words, "--config-dir", folder])
    assert left.value.code == 75
    assert "1 under way in another process, 1 waiting for others" in capfd.readouterr().out


def test_runs_that_wait_for_each_other_are_refused_before_anything_is_written(tmp_path):
    other = {"measure": "[error,interpolation]"}
    arms = [
        {"batch_size": 8, "measure.interpolation.other": "'with batch_size=16'", **other},
        {"batch_size": 16, "measure.interpolation.other": "'with batch_size=8'", **other},
    ]
    with pytest.raises(InputError, match="wait for each other to be trained"):
        planned(tmp_path, arms)
    assert not (tmp_path / "outputs").exists()


def test_runs_trained_by_a_grid_of_their_own_may_name_each_other(tmp_path):
    other = {"measure": "[error,interpolation]"}
    arms = [
        {"batch_size": "8,16", "measure": "[error]"},
        {"batch_size": 8, "measure.interpolation.other": "'with batch_size=16'", **other},
        {"batch_size": 16, "measure.interpolation.other": "'with batch_size=8'", **other},
    ]
    assert len(planned(tmp_path, arms).jobs) == 4


def test_a_scale_without_a_grid_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="the list of grids is empty"):
        planned(tmp_path, [])


def test_a_reference_to_a_million_runs_is_refused_at_once(tmp_path):
    far = {"measure": "[error,trajectory]", "measure.trajectory.ends": "'with seed=range(0,1000000)'"}
    with pytest.raises(InputError, match="1,000,000 runs"):
        planned(tmp_path, [far])
