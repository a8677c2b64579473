"""Somebody hostile's folder of results, with hashes that are right: each payload touches a file named hit."""

import io
import json
import pickle
import struct
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gensweep.table.atomic import sha256
from tests.faults.hostile import TINY, Boom, plant, results, run, survived

pytestmark = pytest.mark.fault("F10", "O6", "O8")

__all__ = ["results", "run"]  # fixtures

EVIL = {"_target_": "os.system", "command": "touch hit"}
DEEP = b"[" * 100_000


def opened(capsys, run):
    """Every verb that opens results; what `measure` said."""
    survived(capsys, "status")
    survived(capsys, "collect")
    survived(capsys, "plan", *TINY)
    return survived(capsys, "measure", run.run_id, "measure=[norms]")


def science(**changes):
    return lambda config: {**config, **changes}


CONFIGS = {
    "target": science(optim=EVIL),
    "target in a list": lambda c: {**c, "optim": {**c["optim"], "x": [EVIL]}},
    "target in a measure": science(measure={"error": EVIL}),
    "data target": science(data={"_target_": "pandas.read_pickle", "filepath_or_buffer": "evil.pkl"}),
    "model of nobody": science(model={"_target_": "hitman.Evil"}),
    "trust": science(trusted_targets=["hitman"], model={"_target_": "hitman.Evil"}),
    "other outputs": science(outputs="/hit"),
    "hydra": science(hydra={"run": {"dir": "hit"}}),
    "keyword": lambda c: {**c, "optim": {**c["optim"], "maximize": True}},
    "out of range": lambda c: {**c, "model": {**c["model"], "widths": [10**12]}},
    "nothing": lambda c: {},
    "wrong kinds": lambda c: {key: [1] for key in c},
}


@pytest.mark.parametrize("way", CONFIGS)
def test_no_stored_config_runs_anything(way, run, capsys):
    Path("hitman.py").write_text("open('hit', 'w')")
    Path("evil.pkl").write_bytes(pickle.dumps(Boom()))
    plant(run, "config.yaml", yaml.safe_dump(CONFIGS[way](run.config())).encode())
    assert opened(capsys, run).startswith("gensweep: ")


YAML = {
    "tag": b"!!python/object/apply:os.system ['touch hit']",
    "bomb": b"a: &a [x]\nb: [*a, *a]\n",
    "deep": DEEP,
    "large": b"a: " + b"x" * 2_000_000,
    "list": b"[1]",
    "bytes": bytes(range(256)),
}
JSON = {"deep": DEEP, "list": b"[]", "pickle": pickle.dumps(1), "digits": b'{"state": ' + b"9" * 9999 + b"}"}


@pytest.mark.parametrize("way", YAML)
def test_a_stored_config_that_is_none_counts_as_lost(way, run, capsys):
    plant(run, "config.yaml", YAML[way])
    started = time.monotonic()
    assert not run.trained()
    assert time.monotonic() - started < 2
    assert "has no undamaged solution" in opened(capsys, run)


@pytest.mark.parametrize("name", ["outcome.json", "manifest.json", "state.json"])
@pytest.mark.parametrize("way", JSON)
def test_bookkeeping_that_is_hostile_counts_as_none(name, way, run, capsys):
    plant(run, name, JSON[way]) if name == "outcome.json" else (run.folder / name).write_bytes(JSON[way])
    opened(capsys, run)


def test_bookkeeping_of_an_experiment_leads_nowhere_else(run, capsys):
    Path("outputs/experiments").mkdir()
    Path("outputs/experiments/x.json").write_text(json.dumps({"../../secret": ["../../x"], run.run_id: 3}))
    survived(capsys, "collect", "--experiment", "x", codes=(1, 2))


def test_a_manifest_names_nothing_outside_its_folder(run, capsys):
    Path("secret").write_text("x")
    for name in ("../../../secret", "rows/../../../../secret", "/etc/hostname", "rows/.."):
        (run.folder / "manifest.json").write_text(json.dumps({name: sha256(b"x")}))
        assert run.manifest() == {}


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


class Pickled(pa.ExtensionType):
    """A kind of column that a reader may be led to unpickle."""

    def __init__(self):
        super().__init__(pa.int64(), "arrow.py_extension_type")

    def __arrow_ext_serialize__(self):
        return pickle.dumps(Boom())


def hostile_tables(good):
    table = pq.read_table(io.BytesIO(good))
    meta = {
        "provenance": "{}",
        "pandas": json.dumps({"index_columns": ["__import__('os').system('touch hit')"]}),
    }
    kind = pa.ExtensionArray.from_storage(Pickled(), pa.array(range(len(table)), pa.int64()))
    return {
        "extension": parquet(table.append_column("evil", kind)),
        "pandas": parquet(table.replace_schema_metadata(meta)),
        "no provenance": parquet(table.replace_schema_metadata({})),
        "provenance": parquet(table.replace_schema_metadata({"provenance": DEEP.decode()})),
        "pickle": pickle.dumps(Boom()),
        "half": good[: len(good) // 2],
        "columns": parquet(pa.table({"x": [1]})),
    }


@pytest.mark.parametrize(
    "way", ["extension", "pandas", "no provenance", "provenance", "pickle", "half", "columns"]
)
def test_no_table_runs_anything(way, run, capsys):
    (name,) = (n for n in run.manifest() if n.startswith("rows/"))
    content = hostile_tables(run.read(name))[way]
    plant(run, name, content)
    Path("t.parquet").write_bytes(content)
    opened(capsys, run)
    for words in (["figure", "volume-gap"], ["report", "-o", "r.html"]):
        survived(capsys, *words, "--table", "t.parquet", codes=(2,))


WEIGHTS = {
    "pickle": pickle.dumps(Boom()),
    "huge header": struct.pack("<Q", 2**62) + b"{}",
    "no header": struct.pack("<Q", 8) + b"[1, 2, 3",
    "huge tensor": struct.pack("<Q", 66)
    + b'{"a":{"dtype":"F32","shape":[4294967295],"data_offsets":[0,4]}}   ',
    "outside": struct.pack("<Q", 58) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[900,904]}}',
    "empty": b"",
}


@pytest.mark.parametrize("name", ["solution", "init", "splits"])
@pytest.mark.parametrize("way", WEIGHTS)
def test_no_weights_run_anything(name, way, run, capsys):
    plant(run, f"{name}.safetensors", WEIGHTS[way])
    opened(capsys, run)
