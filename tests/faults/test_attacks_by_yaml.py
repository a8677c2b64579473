"""Yaml files of somebody hostile: each payload touches a file named hit. None of them gets to run.

Overrides that try the same are in tests/sweep/test_check.py, models of one's own in tests/test_trusted.py.
"""

import os
import time
from pathlib import Path

import pytest
import yaml

from gensweep.cli import main
from gensweep.sweep.compose import CONF_DIR, composed

pytestmark = pytest.mark.fault("F11", "O6", "O8")

TINY = ("train_size=60", "budget.max_epochs=1", "measure=[error]")
GROUPS = ("budget", "data", "hardware", "logger", "model", "optim", "protocol", "schedule")
HIT = {
    "os.system": {"command": "touch hit"},
    "posix.system": {"command": "touch hit"},
    "subprocess.Popen": {"args": ["touch", "hit"]},
    "builtins.eval": {"_args_": ["open('hit', 'w')"]},
    "builtins.exec": {"_args_": ["open('hit', 'w')"]},
    "timeit.timeit": {"stmt": "open('hit', 'w')", "number": 1},
    "pandas.eval": {"expr": "@__builtins__['open']('hit', 'w')"},
    "builtins.open": {"file": "hit", "mode": "w"},
    "io.open": {"file": "hit", "mode": "w"},
    "pathlib.Path.write_text": {"_args_": [{"_target_": "pathlib.Path", "_args_": ["hit"]}, "x"]},
    "shutil.copyfile": {"src": "/etc/hostname", "dst": "hit"},
    "torch.save": {"obj": 1, "f": "hit"},
    "torch.load": {"f": "evil.pkl", "weights_only": False},
    "torch.hub.load": {"repo_or_dir": ".", "model": "evil", "source": "local"},
    "numpy.load": {"file": "evil.pkl", "allow_pickle": True},
    "pandas.read_pickle": {"filepath_or_buffer": "evil.pkl"},
    "joblib.load": {"filename": "evil.pkl"},
    "functools.partial": {"_args_": ["os.system", "touch hit"]},
    "hydra.utils.instantiate": {"config": {"_target_": "os.system", "command": "touch hit"}},
    "gensweep.table.atomic.write_atomically": {"path": "hit", "content": "x"},
    "gensweep.table.store.write_atomically": {"path": "hit", "content": "x"},
    "lightning.pytorch.loggers.CSVLogger": {"save_dir": "hit"},
    "hitman.Evil": {},
}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
EVIL = {"_target_": "os.system", "_args_": ["touch hit"]}
MLP = {"_target_": "gensweep.models.mlp.MLP", "name": "x", "widths": [4], "single_logit": False}
CSV = {"_target_": "gensweep.train.loggers.csv", "flush_logs_every_n_steps": 1}
SMUGGLED = {
    "in a list": ("optim", {**SGD, "x": [EVIL]}),
    "deep in lists": ("optim", {**SGD, "x": [[{"y": [EVIL]}]]}),
    "in a mapping": ("optim", {**SGD, "x": {"y": EVIL}}),
    "as an argument": ("optim", {**SGD, "_args_": [EVIL]}),
    "in a model": ("model", {**MLP, "widths": [EVIL]}),
    "as a keyword": ("optim", {**SGD, "maximize": True}),
    "as a mode": ("optim", {**SGD, "_recursive_": True}),
    "as a logger's place": ("logger", {**CSV, "folder": "hit", "version": "/hit"}),
}
HYDRA = {
    "callbacks": {"callbacks": {"x": EVIL}},
    "job_logging": {"job_logging": {"version": 1, "handlers": {"x": {"()": "pandas.read_pickle"}}}},
    "hydra_logging": {"hydra_logging": {"version": 1, "handlers": {"x": {"()": "hitman.Evil"}}}},
    "launcher": {"launcher": EVIL},
    "launcher setup": {"launcher": {"setup": ["touch hit"]}},
    "launcher python": {"launcher": {"python": "touch hit #"}},
    "sweeper": {"sweeper": EVIL},
    "sweeper part": {"sweeper": {"params": {"seed": EVIL}}},
    "run dir": {"run": {"dir": "hit"}},
    "sweep dir": {"sweep": {"dir": "hit"}},
    "sweep subdir": {"sweep": {"subdir": "hit"}},
    "output_subdir": {"output_subdir": "hit"},
    "chdir": {"job": {"chdir": True}},
    "env_set": {"job": {"env_set": {"LD_PRELOAD": "evil.so"}}},
    "env_copy": {"job": {"env_copy": ["HOME"]}},
    "help": {"help": {"template": "${oc.env:HOME}"}},
    "searchpath": {"searchpath": ["file:///hit"]},
    "task": {"overrides": {"task": ["seed=1"]}},
    "verbose": {"verbose": True},
}
READING = (
    *(
        "${oc.env:HOME}",
        "${oc.env:NOTHING,x}",
        "${oc.decode:'1'}",
        "${oc.create:{a:1}}",
        "${hydra:runtime.cwd}",
    ),
    *("${oc.${name}:HOME}", "${ oc.env : HOME }", "a ${oc.select:seed} b", "${now:%Y}", "${data_dir:x}"),
    *("${python:1}", "\\${oc.env:HOME}", "${seed", "${oc.dict.keys:model}"),
)
TAGS = (
    "!!python/object/apply:os.system ['touch hit']",
    "!!python/object/new:os.system ['touch hit']",
    "!!python/name:os.system",
    "!!python/module:hitman",
    "!!python/object:hitman.Evil {}",
    "!touch hit",
)
BOMBS = {
    "aliases": "\n".join(
        ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))]
    ),
    "merges": "a: &a {x: 1}\nb: {<<: *a}\n",
    "itself": "a: &a [*a]\n",
    "depth": f"a: {'[' * 40_000}\n",
    "mappings": "a: " + "{a: " * 20_000,
    "dashes": "- " * 40_000,
    "size": "a: " + "x" * 2_000_000,
    "binary": "\x00\x01",
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A module that would be found, and a pickle that would be read."""
    (tmp_path / "hitman.py").write_text("open('hit', 'w')\nclass Evil:\n    pass\n")
    (tmp_path / "hubconf.py").write_text("open('hit', 'w')\ndef evil(): ...\n")
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch hit'\ntR.")
    monkeypatch.chdir(tmp_path)


def refused(capsys, file, text, *words):
    """The sentence, and nothing is left behind."""
    path = Path("mine", f"{file}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    before = sorted(os.listdir())
    with pytest.raises(SystemExit) as end:
        main(["run", "--config-dir", os.path.abspath("mine"), *TINY, *words])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("gensweep: ")
    assert said.count("\n") == 1
    assert sorted(os.listdir()) == before  # no hit, no outputs
    return said


@pytest.mark.parametrize("target", HIT)
def test_no_yaml_file_names_what_is_run(target, capsys):
    refused(capsys, "optim/evil", {"_target_": target, **HIT[target]}, "optim=evil")


@pytest.mark.parametrize("group", GROUPS)
def test_nor_in_any_group(group, capsys):
    refused(capsys, f"{group}/evil", EVIL, f"{'+' * (group == 'x')}{group}=evil")


def test_nor_as_a_measure(capsys):
    refused(capsys, "measure/evil", {"evil": EVIL}, "measure=[evil]")


@pytest.mark.parametrize("way", SMUGGLED)
def test_nor_beside_what_may_be_named(way, capsys):
    group, settings = SMUGGLED[way]
    words = [f"{group}=evil"]
    refused(capsys, f"{group}/evil", settings, *words)


@pytest.mark.parametrize("way", HYDRA)
def test_no_yaml_file_reaches_into_hydra(way, capsys):
    text = "# @package _global_\n" + yaml.safe_dump({"hydra": HYDRA[way]})
    refused(capsys, "experiment/evil", text, "experiment=evil")


@pytest.mark.parametrize("group", ["launcher", "sweeper", "callbacks", "job_logging", "help", "output"])
def test_nor_by_a_file_in_its_own_groups(group, capsys):
    refused(capsys, f"hydra/{group}/evil", EVIL, f"hydra/{group}=evil")


def test_nor_by_a_defaults_list(capsys):
    """Ours comes last in it, and wins."""
    Path("mine/hydra/launcher").mkdir(parents=True)
    Path("mine/experiment").mkdir()
    Path("mine/hydra/launcher/evil.yaml").write_text(yaml.safe_dump(EVIL))
    text = "# @package _global_\ndefaults:\n  - override /hydra/launcher: evil\n"
    Path("mine/experiment/evil.yaml").write_text(text)
    hydra_part = composed((*TINY, "experiment=evil"), os.path.abspath("mine"))[1]
    assert hydra_part["launcher"]["_target_"].startswith("hydra_plugins.gensweep_sweeper.")


@pytest.mark.parametrize("value", READING)
def test_no_yaml_file_reads_the_environment_or_makes_objects(value, capsys):
    said = refused(
        capsys, "data/evil", {"_target_": "gensweep.data.digits.Digits", "name": value}, "data=evil"
    )
    assert os.environ["HOME"] not in said


@pytest.mark.parametrize("tag", TAGS)
def test_no_tag_of_yaml_makes_an_object(tag, capsys):
    refused(capsys, "data/evil", f"name: {tag}\n", "data=evil")


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_yaml_bomb_ends_at_once(bomb, capsys):
    started = time.monotonic()
    refused(capsys, "data/evil", BOMBS[bomb], "data=evil")
    assert time.monotonic() - started < 2


def test_no_name_of_an_experiment_leads_out_of_the_outputs(capsys):
    sweeper = {"scale": "x/../../../hit", "scales": {"x/../../../hit": {}}}
    text = "# @package _global_\n" + yaml.safe_dump({"hydra": {"mode": "MULTIRUN", "sweeper": sweeper}})
    assert "name both by letters" in refused(capsys, "experiment/evil", text, "experiment=evil")


def test_a_setting_may_still_refer_to_another():
    Path("mine/data").mkdir(parents=True)
    text = (CONF_DIR / "data" / "spirals.yaml").read_text().replace(": 200", ": ${batch_size}")
    Path("mine/data/mine.yaml").write_text(text)
    config = composed(("data=mine", "batch_size=50", "measure=[error]"), os.path.abspath("mine"))[0]
    assert config["data"]["points_per_class"] == 50


def test_no_shipped_file_would_be_refused():
    for path in CONF_DIR.rglob("*.yaml"):
        assert not set("&*") & set(path.read_text().split()), path


@pytest.mark.parametrize(
    "text",
    [
        "# @package _global_\noutputs: /tmp/elsewhere\n",
        "# @package _global_\ndata_dir: /tmp/elsewhere\n",
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {outputs: elsewhere}}}\n",
    ],
)
def test_no_yaml_file_says_where_files_are_written(text, capsys):
    assert "write it on the command line" in refused(capsys, "experiment/e", text, "experiment=e")
