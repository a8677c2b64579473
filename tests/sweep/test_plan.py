"""From a command line to the runs that it names."""

import os
import shutil

import pytest
import yaml

from gensweep.errors import InputError
from gensweep.sweep.compose import default_data_dir
from gensweep.sweep.identity import science
from gensweep.sweep.launch import listing, remember, verdict
from gensweep.sweep.plan import plan
from gensweep.table.store import DIVERGED, TRAINED, Store

SMALL = ("train_size=60", "poison_size=40", "measure=[error]")


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "runs of mine"


@pytest.fixture
def sweep(outputs):
    def sweep(*overrides, multirun=True):
        return plan((*SMALL, f"outputs='{outputs}'", *overrides), multirun)

    return sweep


def ids(planned):
    return [job.run_id for job in planned.jobs]


def finish(job, outcome=b'{"state": "trained"}', shards=None):
    """What a run commits, without the training."""
    names = job.shards.values() if shards is None else shards
    job.run.folder.mkdir(parents=True)
    rows = {f"rows/{name}.parquet": b"rows" for name in names}
    config = yaml.safe_dump(science(job.config)).encode()
    trained = {name: name.encode() for name in TRAINED} | {"config.yaml": config, "outcome.json": outcome}
    job.run.commit(trained | rows)
    job.run.set_state("done")


def unfinished(planned):
    return [job.run_id for job in planned.jobs if not job.finished()]


def test_a_grid_is_the_product_of_its_values(sweep):
    planned = sweep("poison_factor=0,0.3,0.6", "seed=range(2)")
    knobs = [(job.config["poison_factor"], job.config["seed"]) for job in planned.jobs]
    assert knobs == [(b, s) for b in (0.0, 0.3, 0.6) for s in (0, 1)]
    assert len(set(ids(planned))) == 6


def test_each_job_is_composed_again_from_its_own_overrides(sweep):
    for job in sweep("poison_factor=0,0.3").jobs:
        assert plan(job.overrides).jobs[0].run_id == job.run_id


def test_one_run_named_twice_is_one_job_and_is_counted(sweep):
    planned = sweep("poison_factor=0,0.0,0.3,0", "seed=1")
    assert [job.config["poison_factor"] for job in planned.jobs] == [0.0, 0.3]
    assert planned.duplicates == 2
    assert listing(planned, 2) == "2 runs: 0 done, 2 to do, 2 named twice"


def test_reordered_values_name_the_same_runs(sweep):
    assert sorted(ids(sweep("seed=2,0,1"))) == sorted(ids(sweep("seed=0,1,2")))


def test_one_more_value_is_exactly_one_new_run(sweep):
    before = sweep("seed=0,1")
    for job in before.jobs:
        finish(job)
    assert unfinished(sweep("seed=0,1")) == []
    after = sweep("seed=0,1,2")
    assert unfinished(after) == [i for i in ids(after) if i not in ids(before)]
    assert len(unfinished(after)) == 1


def test_one_more_measure_is_a_run_to_go_on_with_under_the_same_name(sweep):
    job = sweep(multirun=False).jobs[0]
    finish(job)
    more = sweep("measure=[error,norms]", multirun=False).jobs[0]
    assert (more.run_id, job.finished(), more.finished()) == (job.run_id, True, False)


def test_a_grid_over_the_settings_of_a_measure_is_refused(sweep):
    with pytest.raises(InputError, match="measures are not swept over, name them in one list"):
        sweep("measure=[slice]", "measure.slice.points=3,5")


@pytest.mark.parametrize("name", ["config.yaml", "outcome.json", "rows"])
def test_a_run_with_a_damaged_file_is_not_finished(sweep, name):
    job = sweep(multirun=False).jobs[0]
    finish(job)
    assert job.finished()
    path = next(job.run.folder.glob("rows/*")) if name == "rows" else job.run.folder / name
    path.write_bytes(b"x")
    assert not job.finished()


def test_a_diverged_run_is_finished_with_its_one_row(sweep):
    job = sweep(multirun=False).jobs[0]
    finish(job, b'{"state": "diverged"}', [DIVERGED])
    assert job.finished()
    (job.run.folder / "rows" / f"{DIVERGED}.parquet").unlink()
    assert not job.finished()


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("poison_factor=0,0.3,1.5", "poison_factor=1.5 is not a number in"),
        ("train_size=60,1261", "1,301 examples, but digits has 1,300 to draw from"),
        ("model=mlp,resnet", "model=resnet: there is no such model"),
        ("seed=0,1,banana", "seed=banana is not a whole number"),
    ],
)
def test_a_bad_value_in_the_last_job_stops_everything_before_the_first(sweep, outputs, bad, sentence):
    with pytest.raises(InputError, match=sentence):
        sweep(bad)
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["train_size=1301", "poison_size=0"], "1,301 examples, but digits has 1,300"),
        (["train_size=1000", "confusion_size=261"], "1,301 examples, but digits has 1,300"),
        (["train_size=null", "poison_size=1300"], "1,300 examples, but digits has 1,300 .* one at least"),
        (["data=swissroll", "poison_size=201"], "201 examples, but the extra split of swissroll .* has 200"),
        (["data=spirals", "data.points_per_class=1"], "data.points_per_class=1"),
    ],
)
def test_sizes_beyond_the_pool_are_refused_with_both_numbers(sweep, outputs, overrides, sentence):
    with pytest.raises(InputError, match=sentence):
        sweep(*overrides, multirun=False)
    assert not outputs.exists()


def test_planning_touches_nothing(sweep, outputs):
    sweep("seed=0,1")
    assert not outputs.exists()


def test_several_values_without_m_are_refused_with_the_way_out(sweep):
    with pytest.raises(InputError, match=r"seed=0,1 names several values; add -m"):
        sweep("seed=0,1", multirun=False)


@pytest.mark.parametrize(
    ("scale", "runs", "betas", "epochs"), [("smoke", 3, 3, {1500}), ("laptop", 5, 5, {12000})]
)
def test_a_scale_picks_its_own_grid(outputs, scale, runs, betas, epochs):
    planned = plan(("experiment=poison-boundaries", f"scale={scale}", f"outputs='{outputs}'"))
    assert (planned.multirun, len(planned.jobs)) == (True, runs)
    assert len({job.config["poison_factor"] for job in planned.jobs}) == betas
    assert {job.config["budget"]["max_epochs"] for job in planned.jobs} == epochs
    assert planned.experiment == f"poison-boundaries-{scale}"


def test_a_scale_may_stand_with_or_without_a_plus(outputs):
    words = ("experiment=poison-boundaries", f"outputs='{outputs}'")
    assert ids(plan((*words, "scale=smoke"))) == ids(plan((*words, "+scale=smoke")))


def test_the_command_line_wins_over_the_grid(outputs):
    planned = plan(("experiment=quickstart", "seed=7", "poison_factor=0,0.5", f"outputs='{outputs}'"))
    assert [(j.config["poison_factor"], j.config["seed"]) for j in planned.jobs] == [(0.0, 7), (0.5, 7)]


def test_an_unknown_scale_of_an_experiment_names_those_it_has(tmp_path):
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {scales: {smoke: {seed: '0,1'}}}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    assert len(plan(("experiment=mine", "scale=smoke"), config_dir=str(tmp_path)).jobs) == 2
    with pytest.raises(InputError, match="scale=laptop: this experiment has smoke"):
        plan(("experiment=mine",), config_dir=str(tmp_path))


def test_an_experiment_remembers_what_it_asked_for(outputs):
    planned = plan(("experiment=quickstart", "seed=0", "poison_factor=0", f"outputs='{outputs}'"))
    remember(planned)
    job = planned.jobs[0]
    asked = Store(outputs).experiment("quickstart-laptop")
    assert asked == {job.run_id: sorted(job.shards.values())}


def test_the_verdict_names_what_failed_and_why(sweep, capsys):
    planned = sweep("seed=0,1,2")
    done, diverged, failed = planned.jobs
    finish(done)
    finish(diverged, b'{"state": "diverged"}', [DIVERGED])
    failed.run.folder.mkdir()
    failed.run.set_state("failed", reason="out of patience")
    assert verdict(planned) == 1
    out, err = capsys.readouterr()
    assert out == "1 done, 1 diverged, 1 failed\n"
    assert f"{failed.run_id} failed: out of patience; log: {failed.run.folder / 'log.txt'}" in err
    assert diverged.run_id in err
    assert done.run_id not in err
    for job in (diverged, failed):
        shutil.rmtree(job.run.folder)
        finish(job)
    assert verdict(planned) == 0


def test_a_run_that_another_process_makes_is_neither_done_nor_failed(sweep, capsys):
    planned = sweep("seed=0,1")
    finish(planned.jobs[0])
    planned.jobs[1].run.folder.mkdir()
    planned.jobs[1].run.set_state("training")
    assert verdict(planned) == 75
    out, err = capsys.readouterr()
    assert out == "1 done, 0 diverged, 0 failed, 1 under way in another process\n"
    assert f"process {os.getpid()} on" in err


def test_the_data_folder_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("GENSWEEP_DATA", "elsewhere")
    assert default_data_dir() == "elsewhere"
    monkeypatch.delenv("GENSWEEP_DATA")
    assert default_data_dir().endswith("gensweep/data")
