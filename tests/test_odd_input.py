"""Places, files and words that a careless or hostile user may bring: one sentence each, nothing created."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest
import torch

from gensweep.cli import main
from gensweep.table.shards import write
from gensweep.table.store import TRAINED, Store

TINY = ["train_size=60", "model.widths=[4]", "budget.max_epochs=1", "measure=[error]"]


def ends(words, capsys) -> tuple[int, str]:
    """Exit code and what was said to the user."""
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_outputs_that_take_no_files_are_refused_before_training(place, sweep, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, said = ends(["run", *sweep, *TINY, f"outputs={place}"], capsys)
    assert code == 2
    assert "takes no files" in said
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("verb", [["collect"], ["figure", "volume-gap"], ["report"]])
def test_a_missing_table_or_store_is_a_sentence(verb, capsys, tmp_path):
    code, said = ends(verb, capsys)
    assert code == 2
    assert said.startswith("gensweep: ")
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "--config-dir", "nowhere", *TINY], "there is no such folder"),
        (["run", "--bogus", *TINY], "unrecognized arguments: --bogus"),
        (["run", "-m", "seed=range(1000000000)"], "is 1,000,000,000 runs; 10,000 is the most"),
        (["run", "model.widths=[100000000000]"], "each of it a whole number, 1 to 1000000"),
        (["run", "hardware.threads=100000"], "a whole number, 1 to 1024"),
        (["run", "+data=mnist"], "it is chosen already; write data=… without the plus"),
        (["run", "outputs=a,b=c"], "quote a value with spaces"),
        (["measure", "", "measure=[norms]"], "an empty name names 0 runs"),
        (["measure", "abc", "outputs=u", "measure=[norms]"], "here it is an option; write --outputs u"),
        (["status", "outputs=u"], "for `status` it is an option; write --outputs u"),
        (["run", "hardware=slurm", *TINY], "none started this one; write `srun -n 4"),
        (["run", "sync_batch_norm=false", *TINY], "needs the number of processes"),
        (["run", "hardware=ddp", "hardware.compile=true", *TINY], "compiles one process alone"),
    ],
)
def test_words_that_cannot_be_meant(words, sentence, capsys, tmp_path):
    code, said = ends(words, capsys)
    assert code == 2
    assert sentence in said
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("hardware", ["gpu", "ddp"])
def test_a_gpu_that_is_not_there_leaves_nothing_behind(hardware, capsys, tmp_path):
    code, said = ends(["run", f"hardware={hardware}", "hardware.accelerator=cuda", *TINY], capsys)
    assert code == 2
    assert said.startswith("gensweep: hardware.accelerator=cuda needs a GPU for each process")
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_options_and_overrides_stand_in_any_order(capsys):
    with pytest.raises(SystemExit) as end:
        main(["plan", *TINY, "-m", "seed=0,1"])
    assert end.value.code == 0
    assert "2 runs: 0 done, 2 to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model/broken.yaml", "_target_: [\n"),
        ("model/broken.yaml", "x: !!python/object/apply:os.system ['touch hit']\n"),
        ("hydra/launcher/broken.yaml", "_target_: os.system\n"),
    ],
)
def test_yaml_files_that_are_broken_or_hostile(name, text, tmp_path, capsys):
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    code, said = ends(
        ["plan", "--config-dir", "mine", f"{path.parent.relative_to(tmp_path / 'mine')}=broken"], capsys
    )
    assert code == 2
    assert said.count("\n") == 1
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize("content", ["[]", "null", '"a"', "{}", '{"state": 1}', '{"manifest": 2}'])
def test_bookkeeping_of_the_wrong_shape_counts_as_none(content, tmp_path):
    run = Store(tmp_path).run("a" * 12)
    run.folder.mkdir(parents=True)
    for name in ("state.json", "manifest.json"):
        (run.folder / name).write_text(content)
    assert run.state() == {"state": "planned"}
    assert run.manifest() == {}
    assert not run.has(*TRAINED)


def test_a_folder_in_place_of_a_shard_is_damage(tmp_path):
    run = Store(tmp_path).run("a" * 12)
    run.folder.mkdir(parents=True)
    run.commit({"rows/x.parquet": b"rows"})
    (run.folder / "rows" / "x.parquet").unlink()
    (run.folder / "rows" / "x.parquet").mkdir()
    assert not run.has("rows/x.parquet")


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_damaged_experiment_is_a_sentence(content, tmp_path, capsys):
    (tmp_path / "outputs" / "experiments").mkdir(parents=True)
    (tmp_path / "outputs" / "experiments" / "x.json").write_text(content)
    code, said = ends(["collect", "--experiment", "x"], capsys)
    assert code == 2
    assert "is damaged" in said


def test_the_table_goes_where_it_was_told(tmp_path):
    table = pd.DataFrame({"a": [1]})
    (tmp_path / "folder").mkdir()
    assert [p.name for p in write(table, tmp_path / "folder")] == ["table.parquet", "table.csv"]
    assert [p.name for p in write(table, tmp_path / "t.v1")] == ["t.v1.parquet", "t.v1.csv"]
    assert [p.name for p in write(table, tmp_path / "t.csv")] == ["t.parquet", "t.csv"]


def test_a_damaged_solution_is_made_again(tmp_path, capsys):
    """Its rows are whole, so only the solution tells that something is missing."""
    with pytest.raises(SystemExit):
        main(["run", *TINY])
    (run,) = Store(tmp_path / "outputs").runs()
    whole = run.manifest()
    with open(run.folder / "solution.safetensors", "ab") as file:
        file.write(b"\0")
    assert ends(["run", *TINY], capsys)[0] == 0
    assert run.manifest()["solution.safetensors"] == whole["solution.safetensors"]
    assert run.has(*TRAINED)
    assert json.loads(run.read("outcome.json"))["state"] == "trained"
