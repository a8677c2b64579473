"""F08, F09 and F23: what is damaged on disk, foreign to it, or of an earlier version."""

import io
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from gensweep.train.checkpoint import payload, sealed
from tests.faults import oracles
from tests.faults.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.faults]
OLD = Path(__file__).parent / "stores"


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """The sweep after one of its runs was killed in epoch 20."""
    study = Study(tmp_path_factory.mktemp("halfway") / "outputs")
    study.run(env=study.strikes("gensweep.train.task:Task.update@20=kill"))
    assert study.evidence("kill")
    return study.outputs


def other_network(path):
    content = torch.load(io.BytesIO(payload(path)), weights_only=True)
    name = next(name for name in content["state_dict"] if name.endswith("weight"))
    content["state_dict"][name] = torch.zeros(7, 64)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return sealed(buffer.getvalue())


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


CHECKPOINTS = {
    "empty": (lambda p: b"", "cannot be read .*SHA-256"),
    "half": (lambda p: p.read_bytes()[: p.stat().st_size // 2], "cannot be read .*SHA-256"),
    "one bit": (flipped, "cannot be read .*SHA-256"),
    "other torch": (lambda p: sealed(b"PK\3\4 of another kind"), "cannot be read"),
    "other network": (other_network, r"is of another network, with other model\.\S*weight"),
}


@pytest.mark.fault("F08")
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_that_is_of_no_use_is_named_and_training_begins_anew(study, fault, halfway, kind):
    shutil.copytree(halfway, study.outputs)
    (path,) = study.outputs.rglob("last.ckpt")
    spoilt, sentence = CHECKPOINTS[kind]
    content = spoilt(path)
    assert content != path.read_bytes()
    path.write_bytes(content)
    fault.happened()
    command = fault.recovers(env=study.strikes("gensweep.train.task:Task.update=count"))
    fault.ended(command, 0)
    assert study.counted("gensweep.train.task:Task.update") == 30
    fault.says((path.parent / "log.txt").read_text(), str(path), sentence, "training begins anew")


SHARDS = {
    "cut": lambda content: content[:-4],
    "empty": lambda content: b"",
    "random": lambda content: os.urandom(len(content)),
    "one bit": lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
}


@pytest.mark.fault("F09")
@pytest.mark.parametrize("kind", SHARDS)
def test_a_damaged_shard_is_named_the_others_load_and_it_is_made_again(finished, fault, kind):
    whole, victim = finished.rows(), finished.runs()[0]
    (shard,) = victim.folder.glob("rows/error-*")
    shard.write_bytes(SHARDS[kind](shard.read_bytes()))
    fault.happened(len(finished.rows()) == len(whole) - 1)
    collected = finished.plain("collect", "--outputs", str(finished.outputs))
    fault.ended(collected, 1)
    fault.says(collected.text, victim.run_id, shard.name, "damaged", "SHA-256")
    assert pd.read_parquet(finished.outputs / "table.parquet")["run_id"].nunique() == 2
    (finished.outputs / "table.parquet").unlink()
    fault.recovers(env=finished.strikes("gensweep.run:train=count"))
    assert finished.counted("gensweep.run:train") == 0
    assert finished.rows() == whole


@pytest.mark.fault("F09")
def test_foreign_files_in_the_store_are_nothing_to_it(finished, fault):
    run = finished.runs()[0].folder
    strange = [
        finished.outputs / ".DS_Store",
        run.parent / "notes.txt",
        run / "rows/.nfs0001",
        run / "rows/x.parquet",
    ]
    for path in strange:
        path.write_bytes(b"?")
    (run.parent / "0123456789ab").mkdir()  # a run that was never begun
    fault.happened(all(path.exists() for path in strange))
    command = finished.plain("status", "--outputs", str(finished.outputs))
    fault.ended(command, 0)
    assert "3 done, 1 planned" in command.text
    (run.parent / "0123456789ab").rmdir()
    fault.recovers()
    assert all(path.read_bytes() == b"?" for path in strange)


@pytest.mark.fault("F23")
@pytest.mark.parametrize("version", sorted(p.name for p in OLD.iterdir()))
def test_a_store_of_an_earlier_version_is_read_and_gone_on_with(study, fault, version):
    """Its runs have the names that they would get today; other names need a sentence in the CHANGELOG."""
    shutil.copytree(OLD / version / "store", study.outputs)
    about = json.loads((OLD / version / "about.json").read_text())
    study.words = about["words"].split()
    fault.happened(len(study.runs()) == 1)
    before = oracles.table(study.outputs)
    assert set(before["gensweep_version"]) == {version}
    known = pd.read_csv(OLD / version / "table.csv")
    assert list(map(repr, before["value"])) == list(map(repr, known["value"]))
    command = study.start(env=study.strikes("gensweep.run:train=count"))
    fault.ended(command, 0)
    fault.says(command.text, "2 runs: 1 done, 1 to do", "2 done, 0 diverged, 0 failed")
    assert study.counted("gensweep.run:train") == 1
    fault.recovers(only=[study.jobs()[1].run_id])  # another machine may have made other bits of the first
