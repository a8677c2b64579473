"""F08 and F09: what is damaged on disk is noticed, and the same command makes it again."""

import pytest

from gensweep.cli import main
from gensweep.table.store import Store

pytestmark = pytest.mark.slow
TINY = "train_size=60 model.widths=[8] budget.max_epochs=3 measure=[error]"


def code(*words):
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one finished run in it."""
    folder = tmp_path_factory.mktemp("damaged")
    assert code("run", *TINY.split(), f"outputs={folder / 'outputs'}") == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def only_run(folder):
    (run,) = Store(folder / "outputs").runs()
    return run


@pytest.mark.fault("F09", "O3", "O4")
def test_a_damaged_shard_is_made_again_by_the_same_command(here, capsys):
    run = only_run(here)
    before = run.manifest()
    damaged = next(run.folder.glob("rows/error-*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert code("collect") == 2
    assert "is damaged: its SHA-256 is not the one that was committed" in capsys.readouterr().err
    assert code("plan", *TINY.split()) == 0
    out = capsys.readouterr().out
    assert "0 done, 1 to do" in out
    assert "needs only error (its rows are damaged or missing)" in out
    assert code("verify") == 1
    assert "measures error again, without training" in capsys.readouterr().out
    assert code("run", *TINY.split()) == 0
    assert "was damaged and is made again" in capsys.readouterr().out
    assert code("verify") == 0
    assert capsys.readouterr().out.endswith("hashed: no problem\n")
    assert run.has(*before)
    assert run.manifest()["solution.safetensors"] == before["solution.safetensors"]


@pytest.mark.parametrize("name", ["outcome.json", "config.yaml", "splits.safetensors", "manifest.json"])
def test_a_run_that_lost_what_training_left_is_trained_again_to_the_same_bits(here, capsys, name):
    run = only_run(here)
    before = run.manifest()["solution.safetensors"]
    (run.folder / name).write_bytes(b"\xff")
    words = TINY.replace("[error]", "[error,norms]").split() if name.startswith("splits") else TINY.split()
    assert code("run", *words) == 0
    assert "epoch 1/3" in capsys.readouterr().out
    assert run.manifest()["solution.safetensors"] == before
    assert code("plan", *words) == 0
    assert "1 done, 0 to do" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["solution.safetensors", "config.yaml"])
def test_a_run_with_a_damaged_solution_is_not_measured(here, capsys, name):
    run = only_run(here)
    whole = (run.folder / name).read_bytes()
    (run.folder / name).write_bytes(whole[:-1])
    assert code("measure", run.run_id, "measure=[norms]") == 2
    assert f"run {run.run_id} has no undamaged solution to measure" in capsys.readouterr().err
    (run.folder / name).write_bytes(whole)


@pytest.mark.fault("F08", "O4")
def test_a_damaged_checkpoint_is_noticed_and_training_begins_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*TINY.split(), "seed=1"]
    assert code("run", *words) == 0
    run = only_run(tmp_path)
    before = run.manifest()["solution.safetensors"]
    (run.folder / "manifest.json").unlink()
    (run.folder / "last.ckpt").write_bytes(b"torn")
    assert code("run", *words) == 0
    assert "epoch 1/3" in capsys.readouterr().out
    assert run.manifest()["solution.safetensors"] == before
