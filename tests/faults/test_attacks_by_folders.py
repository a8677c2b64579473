"""Checkpoints to go on from, links and text for spreadsheets in somebody hostile's folder of results."""

import io
import os
import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from gensweep.table.shards import write
from gensweep.train.checkpoint import SafeCheckpointIO, sealed
from tests.faults.hostile import TINY, Boom, results, run, survived

pytestmark = pytest.mark.fault("F10", "O6", "O8")

__all__ = ["results", "run"]  # fixtures


def checkpoints(tmp):
    def zipped(content):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    state = {
        "epoch": 0,
        "global_step": 1,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {},
        "loops": {},
    }
    return {
        "pickle": pickle.dumps(Boom()),
        "sealed pickle": sealed(pickle.dumps(Boom())),
        "zip": sealed(zipped(Boom())),
        "zip in a state": sealed(zipped({**state, "callbacks": {"x": Boom()}})),
        "instantiator": sealed(zipped({**state, "hyper_parameters": {"_instantiator": "os.system", "x": 1}})),
        "address": sealed(b"http://127.0.0.1:9/evil.ckpt"),
        "hub": sealed(zipped({**state, "hub": torch.hub.load})),
    }


@pytest.mark.parametrize("way", checkpoints(Path()))
def test_no_checkpoint_runs_anything(way, run, capsys):
    """Of a training that goes on where somebody else's stopped."""
    for name in (*run.manifest(), "manifest.json"):
        (run.folder / name).unlink()
    (run.folder / "last.ckpt").write_bytes(checkpoints(Path())[way])
    survived(capsys, "run", *TINY)


def test_no_checkpoint_has_a_file_deleted(tmp_path):
    """Lightning deletes the one before the last by the name that stands in the last."""
    precious = tmp_path / "precious"
    precious.write_text("x")
    for path in (precious, tmp_path / "run" / ".." / "precious"):
        SafeCheckpointIO(lambda path, content: None).remove_checkpoint(path)
    assert precious.exists()


LINKS = ("", "rows", "log", "log.txt", "rows/x", ".lock", "kept")


@pytest.mark.parametrize("name", LINKS)
def test_no_link_has_anything_written_elsewhere(name, run, capsys, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "precious").write_text("x")
    place = run.folder / name
    if name == "":
        shutil.move(run.folder, outside / "run")
        before = sorted(map(str, outside.rglob("*")))
        run.folder.symlink_to(outside / "run")
    else:
        shutil.rmtree(place, ignore_errors=True)
        place.unlink(missing_ok=True)
        place.symlink_to(outside if "." not in name else outside / "precious")
        before = sorted(map(str, outside.rglob("*")))
    for words in (["run", *TINY, "seed=0"], ["measure", run.run_id, "measure=[norms]"]):
        said = survived(capsys, *words, codes=(2,) if words[0] == "measure" or name else (0, 2))
    assert "is a link, or below one, to" in said or "has no undamaged solution" in said
    assert sorted(map(str, outside.rglob("*"))) == before
    assert (outside / "precious").read_text() == "x"


def test_outputs_may_themselves_be_a_link(run, capsys):
    shutil.move("outputs", "disk")
    os.symlink("disk", "outputs")
    survived(capsys, "measure", run.run_id, "measure=[norms]", codes=(0,))


def test_text_in_a_table_is_no_formula_of_a_spreadsheet(run, capsys):
    survived(capsys, "collect", codes=(0,))
    table = pd.read_parquet("outputs/table.parquet")
    words = ["=cmd|'/c touch hit'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "fine"]
    table["reason"] = [words[i % len(words)] for i in range(len(table))]
    write(table, Path("t.parquet"))
    back = pd.read_csv("t.csv", dtype={"reason": str})
    assert set(back["reason"]) == {"'" + w for w in words[:-1]} | {"fine"}
    assert back["value"].to_numpy() == pytest.approx(
        table["value"].to_numpy(), nan_ok=True
    )  # numbers stay numbers
