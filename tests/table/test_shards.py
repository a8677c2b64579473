"""Rows to Parquet and back, and many runs in one table."""

import json
import math

import pandas as pd
import pytest
import yaml

from gensweep.errors import InputError
from gensweep.rows import COLUMNS, Row
from gensweep.table.shards import collect, decoded, encoded, write
from gensweep.table.store import DIVERGED, Store

A, B, C = "a" * 12, "b" * 12, "c" * 12
CONFIG = {"seed": 0, "poison_factor": 0.3, "model": {"_target_": "x.Y", "widths": [8, 16]}}
ROWS = [
    Row("loss", 0.25, 0.01, "train"),
    Row("loss", math.nan, math.nan, "poison", status="not_applicable", reason="no poison set"),
]
MARGINS = [Row("margin_quantile", 1.5, x=0.5), Row("margin_quantile", -1.0, x=0.0)]


def commit(store, run_id, shards, config=CONFIG, outcome=None):
    run = store.run(run_id)
    run.folder.mkdir(parents=True)
    outcome = outcome or {"state": "trained", "epochs": 3}
    run.commit({"config.yaml": yaml.safe_dump(config).encode(), "outcome.json": json.dumps(outcome).encode()})
    run.commit({f"rows/{name}.parquet": encoded(rows, {"seconds": 0.5}) for name, rows in shards.items()})
    run.set_state("done")
    return run


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    commit(store, A, {"error-1": ROWS, "margin-1": MARGINS})
    commit(store, B, {"error-1": ROWS}, {**CONFIG, "seed": 1, "optim": {"momentum": 0.9}})
    return store


def test_rows_and_provenance_survive_the_round_trip():
    table, provenance = decoded(encoded(ROWS, {"git_sha": "abc", "seconds": 1.5}))
    back = [Row(**r) for r in table.to_pylist()]
    assert [repr(r) for r in back] == [repr(r) for r in ROWS]
    assert provenance == {"git_sha": "abc", "seconds": 1.5}


def test_columns_stand_in_the_order_of_the_contract(store):
    columns = list(collect(store)[0].columns)
    assert columns[: len(COLUMNS)] == list(COLUMNS)
    assert columns[len(COLUMNS) :][:3] == ["seed", "poison_factor", "model.widths"]
    assert columns[-1] == "reason"
    assert "model._target_" not in columns


def test_rows_carry_their_unit_knobs_outcome_and_provenance(store):
    table = collect(store)[0]
    row = table[(table.run_id == A) & (table.quantity == "loss") & (table.split == "train")].iloc[0]
    assert (row.value, row.unit, row.stderr, row.status) == (0.25, "nats", 0.01, "ok")
    assert (row.seed, row.poison_factor, row.epochs, row.seconds) == (0, 0.3, 3, 0.5)


def test_rows_stand_in_the_order_of_their_key(store):
    table = collect(store)[0]
    assert table.run_id.tolist() == [A] * 4 + [B] * 2
    assert table[table.measure == "margin"].x.tolist() == [0.0, 0.5]


def test_a_knob_that_some_runs_lack_is_null_there(store):
    table = collect(store)[0]
    assert table[table.run_id == A]["optim.momentum"].isna().all()
    assert (table[table.run_id == B]["optim.momentum"] == 0.9).all()


def test_lists_become_text(store):
    assert set(collect(store)[0]["model.widths"]) == {"[8, 16]"}


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([2, [1, 5]], ["2", "[1, 5]"]),
        ([True, "x"], ["true", "x"]),
        ([None, 2], [None, 2]),
        ([1, 0.5], [1, 0.5]),
    ],
)
def test_a_knob_of_two_kinds_is_text_and_can_be_written(values, column, tmp_path):
    store = Store(tmp_path / "runs")
    for run_id, value in zip((A, B), values, strict=True):
        commit(store, run_id, {"margin-1": MARGINS[:1]}, {**CONFIG, "budget": {"keep": value}})
    table = collect(store)[0]
    write(table, tmp_path / "table.parquet")
    back = pd.read_parquet(tmp_path / "table.parquet")["budget.keep"]
    assert [None if pd.isna(v) else v for v in back] == column


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_both_files_hold_the_table(store, tmp_path, suffix):
    table = collect(store)[0]
    paths = write(table, tmp_path / "deep" / "table.parquet")
    path = next(p for p in paths if p.suffix == f".{suffix}")
    back = getattr(pd, f"read_{suffix}")(path)
    assert back.value.equals(table.value)
    assert list(back.columns) == list(table.columns)


def test_one_measure_under_two_settings_is_refused_with_a_way_out(store):
    commit(store, C, {"error-1": ROWS, "error-2": ROWS})
    with pytest.raises(InputError, match=f"run {C} holds error rows under two settings.*--experiment NAME"):
        collect(store)


def test_an_experiment_selects_its_runs_and_shards(store):
    commit(store, C, {"error-1": ROWS, "error-2": ROWS})
    store.remember_experiment("x-smoke", {A: ["margin-1"], C: ["error-2"]})
    table, complaints = collect(store, "x-smoke")
    assert complaints == []
    assert table.groupby(["run_id", "measure"]).size().to_dict() == {(A, "margin"): 2, (C, "error"): 2}


def test_a_run_without_a_wanted_shard_is_a_complaint_and_the_others_load(store):
    store.remember_experiment("x-smoke", {A: ["margin-1"], B: ["margin-1"], C: ["margin-1"]})
    table, complaints = collect(store, "x-smoke")
    assert set(table.run_id) == {A}
    assert [c.split(", without")[0] for c in complaints] == [f"run {B} is done", f"run {C} is planned"]
    assert "margin-1" in complaints[0]


@pytest.mark.parametrize("name", ["rows/error-1.parquet", "config.yaml", "outcome.json", "manifest.json"])
def test_a_damaged_run_is_a_complaint_and_the_others_load(store, name):
    (store.run(A).folder / name).write_bytes(b"\xff")
    table, complaints = collect(store)
    assert set(table.run_id) == {B}
    assert len(complaints) == 1
    assert A in complaints[0]


def test_a_diverged_run_stands_in_the_table_beside_a_trained_one(store):
    row = Row("loss", math.nan, math.nan, "train", status="nonfinite", reason="became nan")
    commit(store, C, {DIVERGED: [row]}, outcome={"state": "diverged"})
    store.remember_experiment("x-smoke", {A: ["error-1"], C: ["error-1"]})
    table, complaints = collect(store, "x-smoke")
    lost = table[table.run_id == C]
    assert (len(lost), lost.status.item(), lost.reason.item(), complaints) == (
        1,
        "nonfinite",
        "became nan",
        [],
    )


def test_an_empty_store_says_how_to_begin(tmp_path):
    with pytest.raises(InputError, match=r"no rows in .*; start with `gensweep run`"):
        collect(Store(tmp_path))
