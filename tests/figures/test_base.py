import hashlib
import json
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.figures.origin import commits

DIGITS_FIGURES = ("poison-accuracy", "volume-gap", "basin-rollout")


def test_seed_and_the_named_knob_may_move(sweep):
    assert base.vary(sweep, "poison_factor") is None
    assert base.moving(sweep) == ["seed", "poison_factor"]


@pytest.mark.parametrize("values", [(64, 128), (64.0, float("nan"))])
def test_vary_names_another_knob_that_moved(sweep, values):
    moved = sweep.assign(batch_size=sweep["seed"].map(dict(enumerate((*values, values[0])))))
    with pytest.raises(InputError, match="batch_size takes several values"):
        base.vary(moved, "poison_factor")


def test_vary_ignores_provenance(sweep):
    assert base.vary(sweep.assign(train_seconds=range(len(sweep))), "poison_factor") is None


def test_vary_names_a_knob_that_is_not_there(sweep):
    with pytest.raises(InputError, match="no column poison_factor"):
        base.vary(sweep.drop(columns="poison_factor"), "poison_factor")


@pytest.mark.parametrize("name", DIGITS_FIGURES)
def test_every_figure_refuses_a_second_knob(sweep, name):
    moved = sweep.assign(**{"optim.lr": sweep["seed"] / 100 + 0.01})
    with pytest.raises(InputError, match=r"optim\.lr"):
        base.module(name).draw(moved)


def test_a_quantity_that_is_not_there_is_a_sentence(sweep):
    with pytest.raises(InputError, match="no density of the measure spectrum"):
        base.numbers(sweep, "spectrum", "density")


def test_two_settings_are_refused(sweep):
    rows = base.numbers(sweep, "error", "accuracy")
    with pytest.raises(InputError, match="2 settings"):
        base.settings(rows.assign(settings=["{}", "[]"] * (len(rows) // 2)))


def test_absent_runs_are_named(sweep):
    rows = sweep[sweep["run_id"] != "11eeeeeeeeee"]
    assert base.absent(sweep, rows) == ["poison_factor=0.02 seed=1"]
    assert base.absent(sweep, sweep) == []


def test_mixed_commits_and_dirty_trees_are_said(sweep):
    assert commits(sweep) == []
    mixed = sweep.assign(git_sha=sweep["seed"].astype(str), git_dirty=sweep["seed"] == 1)
    assert commits(mixed) == [
        "rows of 3 commits are mixed: 0, 1, 2",
        "4 runs were made with uncommitted changes in the code",
    ]


def test_parquet_and_csv_are_the_same_table(sweep, tmp_path):
    sweep.to_parquet(tmp_path / "t.parquet")
    sweep.to_csv(tmp_path / "t.csv", index=False)
    parquet, text = (base.load(tmp_path / f"t.{ending}") for ending in ("parquet", "csv"))
    pd.testing.assert_frame_equal(parquet, text, check_dtype=False)
    assert set(text["run_id"]) == set(sweep["run_id"])
    assert set(text["torch_version"]) == {"2.10"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.parquet", None, "no table at"),
        ("bad.parquet", b"no parquet", "cannot be read as a table"),
        ("empty.csv", b"", "cannot be read as a table"),
        ("other.csv", b"a,b\n1,2\n", "is not a table of gensweep's: it has no run_id"),
    ],
)
def test_what_is_no_table_is_a_sentence(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        base.load(tmp_path / name)


def test_an_unknown_figure_gets_a_hint(sweep, tmp_path):
    with pytest.raises(InputError, match="did you mean volume-gap"):
        base.draw("volume-gab", sweep, tmp_path / "new")
    with pytest.raises(InputError, match="no figure base"):
        base.draw("base", sweep, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_names_are_the_modules():
    assert set(base.names()) >= {*DIGITS_FIGURES, "poison-boundaries"}


@pytest.mark.parametrize("name", DIGITS_FIGURES)
def test_four_files_that_say_where_they_came_from(sweep, tmp_path, name):
    files = base.draw(name, sweep, tmp_path)
    assert [f.name for f in files] == [f"{name}.{ending}" for ending in ("pdf", "png", "csv", "json")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    about = json.loads(files[3].read_bytes())
    assert about["data_sha256"] == hashlib.sha256(files[2].read_bytes()).hexdigest()
    assert set(about["run_ids"]) <= set(sweep["run_id"])
    assert about["git_sha"] == ["c0ffee" * 6]
    assert about["points"] == len(pd.read_csv(files[2]))
    assert all(about[key] for key in ("title", "alt", "message", "filters", "n_per_point", "versions"))
    with Image.open(files[1]) as image:
        image.load()
        assert image.width >= 600


def test_the_same_table_gives_the_same_bytes(sweep, tmp_path):
    first = [f.read_bytes() for f in base.draw("volume-gap", sweep, tmp_path / "a")]
    second = [f.read_bytes() for f in base.draw("volume-gap", sweep, tmp_path / "b")]
    assert first == second


def test_drawing_from_a_file_needs_no_torch(sweep, tmp_path):
    sweep.to_parquet(tmp_path / "t.parquet")
    program = (
        "import sys; from pathlib import Path; from gensweep.figures.base import draw; "
        "draw('poison-accuracy', Path('t.parquet'), Path()); "
        "assert not {'torch', 'hydra', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


def test_of_a_table_of_many_experiments_a_figure_draws_its_own(sweep):
    other = sweep.assign(experiment="large-batch-curves-laptop", batch_size=1)
    own = sweep.assign(experiment="poison-accuracy-laptop")
    both = pd.concat([other, own], ignore_index=True)
    assert set(base.own_rows(both, "poison-accuracy")["batch_size"]) == {64}
    assert base.own_rows(sweep, "poison-accuracy") is sweep  # a table of nothing in particular is drawn whole
    with pytest.raises(InputError, match="invariance is drawn from invariance; make it"):
        base.own_rows(both, "invariance")
    twice = pd.concat([own, own.assign(experiment="poison-accuracy-smoke")], ignore_index=True)
    with pytest.raises(InputError, match="at the scales laptop and smoke"):
        base.own_rows(twice, "poison-accuracy")


def test_a_folder_of_tables_is_read_as_one(sweep, tmp_path):
    for name in ("poison-accuracy-laptop", "large-batch-curves-laptop"):
        sweep.assign(experiment=name).to_parquet(tmp_path / f"{name}.parquet")
    assert len(base.load(tmp_path)) == 2 * len(sweep)
    assert set(base.load(tmp_path, ["poison-accuracy"])["experiment"]) == {"poison-accuracy-laptop"}
    with pytest.raises(InputError, match="has no table of invariance"):
        base.draw("invariance", tmp_path, tmp_path / "figures")
    assert base.draw("poison-accuracy", tmp_path, tmp_path / "figures")


def test_what_a_figure_saves_beside_itself_is_saved(sweep, tmp_path, monkeypatch):
    artist = base.module("poison-accuracy")
    monkeypatch.setattr(artist, "also", lambda table: {"frame.txt": b"one"}, raising=False)
    files = base.draw("poison-accuracy", sweep, tmp_path)
    assert (tmp_path / "frame.txt") in files
    assert (tmp_path / "frame.txt").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("seed"), "the table has no column seed, which volume-gap needs"),
        (KeyError("['optim.lr'] not in index"), "the table has no column optim.lr, which volume-gap needs"),
        (KeyError("train"), r"cannot be drawn from this table \(KeyError: 'train'\)"),
        (ValueError("Data cannot be log-scaled because"), "are missing from this table, or infinite"),
        (
            ValueError("Axis limits cannot be NaN or Inf"),
            "numbers that it needs are missing from this table, or",
        ),
        (
            OverflowError("cannot convert float infinity to integer"),
            "are missing from this table, or infinite",
        ),
    ],
)
def test_what_a_table_lacks_is_a_sentence(sweep, tmp_path, monkeypatch, error, said):
    def fails(table):
        raise error

    monkeypatch.setattr(base.module("volume-gap"), "draw", fails)
    with pytest.raises(InputError, match=said):
        base.draw("volume-gap", sweep.drop(columns=["seed", "optim.lr"]), tmp_path)


def test_without_the_column_seed_nothing_is_said_to_be_over_seeds(sweep):
    with pytest.raises(InputError, match="no column seed, which this figure needs"):
        base.vary(sweep.drop(columns="seed"), "poison_factor")


def test_a_message_names_no_number_that_is_not_there(sweep, tmp_path):
    odd = sweep["quantity"] == "dimensions"
    table = sweep.assign(value=sweep["value"].mask(odd, float("inf")))
    files = base.draw("volume-gap", table.assign(status=table["status"].mask(odd, "nonfinite")), tmp_path)
    assert "n = infinite dimensions" in json.loads(files[3].read_bytes())["message"]
