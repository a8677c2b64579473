"""Networks of the user's own, and those who would like to be one: each payload touches a file named hit."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from gensweep.cli import main
from gensweep.solutions import passed_by
from gensweep.sweep.identity import science
from gensweep.sweep.plan import plan
from gensweep.sweep.trusted import DEPENDENCIES
from gensweep.table.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:1 of 7 parameters are frozen")
TINY = ("train_size=60", "budget.max_epochs=2", "measure=[error]")
TRUST = "trusted_targets=[mypackage]"
CODE = """
import math, os, subprocess
import torch
from torch import nn
from torch.nn import Linear

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, depth=3, gain=1.0, trick=""):
        super().__init__()
        self.first, self.norm = nn.Linear(math.prod(input_shape), depth), nn.BatchNorm1d(depth)
        self.last = nn.Linear(depth, num_classes - (trick == "logits"))
        self.register_buffer("gain", torch.tensor(float(gain)), persistent=False)
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.trick = trick

    def forward(self, x):
        if self.trick == "fails" or self.trick == "fails to learn" and self.training:
            raise RuntimeError("not today")
        if self.trick == "random":
            x = x + torch.rand_like(x)
        hidden = torch.dropout(self.norm(self.first(x.flatten(1))), 0.3, self.training)
        return self.last(hidden) * self.gain * self.scale

class Leaver(nn.Module):
    def __init__(self, **settings):
        raise SystemExit(0)

class Stubborn(nn.Module):
    def __init__(self, depth):
        super().__init__()

def touch(**settings):
    open("hit", "w")

class Toucher:
    def __init__(self, **settings):
        open("hit", "w")

class Optim(torch.optim.SGD):
    def __init__(self, *arguments, **settings):
        open("hit", "w")
"""
NET = {"_target_": "mypackage.nets.Net", "depth": 4, "gain": 1.0, "trick": ""}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A package to be trusted, and some that run their payload on import; forgotten at the end."""
    for name, code in {
        "mypackage": "",
        "mypackagefoo": "open('hit', 'w')",
        "evil": "open('hit', 'w')",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
        (tmp_path / name / "nets.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    importlib.invalidate_caches()
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("mypackage", "mypackagefoo", "evil", "broken"):
            del sys.modules[name]


def write(name, settings, package=""):
    path = Path("mine", f"{name}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(package + yaml.safe_dump(settings))


def ends(capsys, *words, verb="run"):
    with pytest.raises(SystemExit) as end:
        main([verb, "--config-dir", os.path.abspath("mine"), *TINY, *words])
    return end.value.code, capsys.readouterr().err


def refused(capsys, *words):
    code, said = ends(capsys, *words)
    assert code == 2
    assert said.startswith("gensweep: ")
    assert said.count("\n") == 1
    assert not Path("hit").exists()
    assert not Path("outputs").exists()
    return said


def jobs(*words):
    return plan((*TINY, *words), config_dir=os.path.abspath("mine")).jobs


def test_a_trusted_network_is_trained_measured_and_found_again(capsys):
    write("model/mynet", NET)
    assert ends(capsys, "model=mynet", TRUST, "budget.keep=1")[0] == 0
    (run,) = Store(Path("outputs")).runs()
    assert run.config()["model"] == {**NET, "name": "mynet"}
    assert {"first.weight", "gain", "scale"} < passed_by(run)[1].keys()
    with pytest.raises(SystemExit) as end:
        main(["measure", run.run_id, "measure=[norms]", TRUST])
    assert end.value.code == 0
    assert any(name.startswith("rows/norms") for name in run.manifest())


def test_a_network_that_leaves_the_program_is_refused(capsys):
    write("model/leaver", {"_target_": "mypackage.nets.Leaver"})
    assert "cannot be made from input_shape" in refused(capsys, "model=leaver", TRUST)


def test_a_package_that_cannot_be_trusted_is_not_advised(capsys):
    write("model/hub", {"_target_": "torch.hub.load"})
    assert "trusted_targets" not in refused(capsys, "model=hub")


def test_a_run_whose_package_is_gone_is_left_as_it_was(capsys):
    write("model/mynet", NET)
    assert ends(capsys, "model=mynet", TRUST)[0] == 0
    (run,) = Store(Path("outputs")).runs()
    Path("mypackage").rename("elsewhere")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    with pytest.raises(SystemExit) as end:
        main(["measure", run.run_id, "measure=[norms]", TRUST])
    assert end.value.code == 2
    assert "cannot be imported: ModuleNotFoundError" in capsys.readouterr().err
    assert run.state()["state"] == "done"


def test_what_it_draws_belongs_to_the_run(capsys):
    """Its dropout is a function, not a layer: a second store ends with the same bits all the same."""
    write("model/mynet", NET)
    for outputs in ("one", "two"):
        assert ends(capsys, "model=mynet", TRUST, f"outputs={outputs}")[0] == 0
    one, two = (Store(Path(outputs)).runs()[0].manifest() for outputs in ("one", "two"))
    assert one["solution.safetensors"] == two["solution.safetensors"]


def test_processes_of_a_sweep_find_it_too():
    """In a process of its own: the pool works where its first user started."""
    write("model/mynet", NET)
    words = [*TINY, "model=mynet", TRUST, "seed=0,1"]
    command = [sys.executable, "-P", "-m", "gensweep", "run", "-m", "--config-dir", "mine", *words]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    assert "2 done, 0 diverged, 0 failed" in found.stdout
    assert len(Store(Path("outputs")).runs()) == 2


def test_planning_imports_nothing(capsys):
    write("model/mynet", {"_target_": "evil.nets.Net"})
    assert ends(capsys, "model=mynet", "trusted_targets=[evil]", verb="plan")[0] == 0
    assert not Path("hit").exists()


def test_its_settings_are_science_and_trust_is_not():
    write("model/mynet", NET)
    plain, whole, deeper = (
        jobs("model=mynet", TRUST, *w)[0] for w in ([], ["model.gain=1"], ["model.depth=5"])
    )
    both = jobs("model=mynet", "trusted_targets=[mypackage,evil]")[0]
    assert plain.run_id == whole.run_id == both.run_id != deeper.run_id
    assert "trusted_targets" not in science(plain.config)


def test_rules_of_gensweeps_own_models_are_not_for_it():
    write("model/mynet", {**NET, "widths": "many"})
    assert jobs("model=mynet", TRUST, "model.depth=7", "model.widths=few")[0].config["model"]["depth"] == 7


@pytest.mark.parametrize(
    ("target", "settings", "sentence"),
    [
        ("evil.nets.Net", {}, "if you trust that package, say 'trusted_targets=[evil]'"),
        ("mypackagefoo.nets.Net", {}, "is not one of gensweep's own"),
        ("mypackage", {}, "is not one of gensweep's own"),
        ("os.system", {"command": "touch hit"}, "is not one of gensweep's own"),
        ("mypackage.nets.os.system", {"command": "touch hit"}, "cannot be imported"),
        ("mypackage.nets.touch", {}, "is no subclass of torch.nn.Module"),
        ("mypackage.nets.Toucher", {}, "is no subclass of torch.nn.Module"),
        ("mypackage.nets.subprocess", {}, "is no subclass of torch.nn.Module"),
        ("mypackage.nets.Linear", {}, "lies in torch.nn.modules.linear, not in mypackage"),
        ("mypackage.nets.Nothing", {}, "cannot be imported: AttributeError"),
        ("mypackage..nets", {}, "is not one of gensweep's own"),
        (["mypackage.nets.Net"], {}, "_target_"),
        ({"_target_": "mypackage.nets.Net"}, {}, "_target_"),
        (
            "mypackage.nets.Net",
            {"gain": {"_target_": "os.system", "command": "touch hit"}},
            "model.gain._target_=",
        ),
        (
            "mypackage.nets.Net",
            {"gain": [{"_target_": "os.system", "command": "touch hit"}]},
            "model.gain._target_=os.system is not one of",
        ),
        ("mypackage.nets.Net", {"_args_": ["touch hit"]}, "model._args_=['touch hit'] is not a number"),
        ("mypackage.nets.Net", {"_recursive_": False}, "model._recursive_=False is not a number"),
        ("mypackage.nets.Net", {"gain": float("nan")}, "model.gain=nan is not a number"),
        ("mypackage.nets.Net", {"num_classes": 3}, "the data set decides it"),
    ],
)
def test_no_yaml_file_brings_more_than_was_trusted(capsys, target, settings, sentence):
    write("model/x", {"_target_": target, **settings})
    assert sentence in refused(capsys, "model=x", TRUST)


@pytest.mark.parametrize(
    ("package", "target", "settings"),
    [
        ("os", "os.system", {"command": "touch hit"}),
        ("subprocess", "subprocess.check_call", {"args": ["touch", "hit"]}),
        ("builtins", "builtins.open", {"file": "hit", "mode": "w"}),
        ("pathlib", "pathlib.Path.touch", {"self": "hit"}),
        ("torch", "torch.hub.load", {"repo_or_dir": "evil", "source": "local", "model": "x"}),
        ("pandas", "pandas.read_pickle", {"filepath_or_buffer": "evil.pkl"}),
        ("gensweep", "gensweep.table.atomic.write_atomically", {"path": "hit", "content": ""}),
        ("hydra", "hydra.utils.call", {}),
    ],
)  # fmt: skip
def test_some_packages_cannot_be_trusted(capsys, package, target, settings):
    write("model/x", {"_target_": target, **settings})
    said = refused(capsys, "model=x", f"trusted_targets=[{package}]")
    assert "that is no package of networks" in said


@pytest.mark.parametrize(
    "value", ["evil", "[os.path]", "['evil.nets']", "[1]", "null", "[[evil]]", "{evil:1}"]
)
def test_what_is_no_list_of_packages_is_refused(capsys, value):
    write("model/x", {"_target_": "evil.nets.Net"})
    refused(capsys, "model=x", f"trusted_targets={value}")


GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["experiment=x"], {"experiment/x": {"trusted_targets": ["evil"]}}),
        (["model=y"], {"model/y": {"model": {"_target_": "evil.nets.Net"}, "trusted_targets": ["evil"]}}),
        (
            ["experiment=x"],
            {"experiment/x": {"defaults": ["y"]}, "experiment/y": {"trusted_targets": ["evil"]}},
        ),
        (["+scale=x"], {"scale/x": {"trusted_targets": ["evil"]}}),
        *(
            (["experiment=x"], {"experiment/x": {"hydra": {"mode": "MULTIRUN", "sweeper": sweeper}}})
            for sweeper in (
                {"params": {"trusted_targets": "[evil]"}},
                {"params": {"++trusted_targets": "[evil]"}},
                {"params": {"trusted_targets": "[evil],[evil]"}},
                {"scales": {"laptop": {"trusted_targets": "[evil]"}}},
            )
        ),
        (["experiment=x"], {"experiment/x": {"hydra": {"overrides": {"task": ["trusted_targets=[evil]"]}}}}),
        (["experiment=x", TRUST], {"experiment/x": {"trusted_targets": ["evil"]}}),
    ],
)
def test_a_yaml_file_cannot_trust_itself(capsys, words, files):
    write("model/x", {"_target_": "evil.nets.Net"})
    for name, settings in files.items():
        write(name, settings, GLOBAL)
    model = [] if any(w.startswith("model=") for w in words) else ["model=x"]
    refused(capsys, *words, *model)
    refused(capsys, "-m", *words, *model, "seed=0,1")


def test_even_where_nothing_else_is_foreign_a_yaml_file_trusts_nobody(capsys):
    grid = {"mode": "MULTIRUN", "sweeper": {"params": {"trusted_targets": "[evil]"}}}
    write("experiment/x", {"trusted_targets": ["evil"]}, GLOBAL)
    write("experiment/y", {"hydra": grid}, GLOBAL)
    write("experiment/z", {"hydra": {"overrides": {"task": ["trusted_targets=[evil]"]}}}, GLOBAL)
    assert "comes from a yaml file, which may not trust anybody" in refused(capsys, "experiment=x")
    assert "stands in the grid of a yaml file" in refused(capsys, "experiment=y")
    assert "hydra.overrides.task=['trusted_targets=[evil]'] is fixed" in refused(capsys, "experiment=z")


@pytest.mark.parametrize(
    ("group", "settings"),
    [
        ("optim", {"_target_": "mypackage.nets.Optim", "name": "x", "lr": 0.1}),
        ("data", {"_target_": "mypackage.nets.Toucher", "name": "x"}),
        ("schedule", {"_target_": "mypackage.nets.Toucher"}),
        ("logger", {"_target_": "mypackage.nets.Toucher"}),
        ("measure", {"x": {"_target_": "mypackage.nets.Toucher"}}),
    ],
)
def test_nothing_but_models_comes_from_a_trusted_package(capsys, group, settings):
    write(f"{group}/x", settings)
    choice = "measure=[x]" if group == "measure" else f"{group}=x"
    assert "is not one of gensweep's own" in refused(capsys, choice, TRUST)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.depth=deep", "model.depth=deep is not a number, as in the yaml file (4)"),
        ("model.depth=true", "model.depth=True is not a number"),
        ("model.depth=[4]", "model.depth=[4] is not a number"),
        ("model.trick=3", "model.trick=3 is not text"),
        ("model.gain=inf", "model.gain=inf is not a number"),
        ("model.dept=3", "model.dept: there is no such setting"),
        ("+model.more=3", "model.more=3: there is no such setting"),
        ("~model.depth", "~model.depth: a setting cannot be deleted"),
        ("model._target_=mypackage.nets.Toucher", "model._target_=mypackage.nets.Toucher cannot be set"),
        ("model.trick=fails", "model fails on float32 of shape (32, 1, 8, 8): RuntimeError: not today"),
        ("model.trick='fails to learn'", "model fails in train mode: RuntimeError: not today"),
        ("model.trick=random", "model is random in eval mode"),
        ("model.trick=logits", "model returns 9 logits for data of 10 classes"),
        ("model.depth=-1", "cannot be made from input_shape=(1, 8, 8), num_classes=10 and its settings"),
        ("reparametrise=layer", "reparametrise=layer needs hidden units that one layer alone reads, and Net"),
    ],
)
def test_a_network_that_cannot_be_trained_is_a_sentence(capsys, override, sentence):
    write("model/x", NET)
    assert sentence in refused(capsys, "model=x", TRUST, override)


@pytest.mark.parametrize(
    ("target", "trust", "sentence"),
    [
        ("mypackage.nets.Stubborn", "mypackage", "cannot be made from input_shape=(1, 8, 8), num_classes=10"),
        ("broken.Net", "broken", "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this"),
        ("nowhere.Net", "nowhere", "cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_class_that_is_not_there_or_takes_other_things_is_a_sentence(capsys, target, trust, sentence):
    write("model/x", {"_target_": target})
    assert sentence in refused(capsys, "model=x", f"trusted_targets=[{trust}]")


def test_a_file_of_the_current_directory_stands_in_for_no_installed_package(capsys):
    for name in ("torchmetrics", "sklearn", "wave"):
        Path(f"{name}.py").write_text("open('hit', 'w')")
    write("model/mynet", NET)
    assert ends(capsys, "model=mynet", TRUST)[0] == 0
    assert sys.path[-1] == os.getcwd()
    assert importlib.import_module("wave").__file__ != f"{os.getcwd()}/wave.py"
    assert not Path("hit").exists()


@pytest.mark.parametrize(
    ("group", "settings"),
    [
        ("model", {"_target_": "evil.nets.Net"}),
        ("data", {"_target_": "os.system", "command": "touch hit"}),
        ("data", {"_target_": "mypackage.nets.Toucher"}),
    ],
)
def test_measuring_somebody_elses_store_runs_no_code_of_theirs(capsys, group, settings):
    Path("mine").mkdir()
    assert ends(capsys, "model.widths=[4]")[0] == 0
    (run,) = Store(Path("outputs")).runs()
    run.commit({"config.yaml": yaml.safe_dump({**run.config(), group: {"name": "x", **settings}}).encode()})
    with pytest.raises(SystemExit) as end:
        main(["measure", run.run_id, "measure=[norms]", TRUST])
    assert end.value.code == 2
    assert "is not one of gensweep's own" in capsys.readouterr().err
    assert not Path("hit").exists()


def test_all_that_gensweep_depends_on_is_on_the_list():
    lines = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    needed = [
        re.match(r"[\w-]+", line)[0]
        for line in (*lines["dependencies"], *lines["optional-dependencies"]["hub"])
    ]
    imported = {"hydra-core": "hydra", "pillow": "PIL", "scikit-learn": "sklearn"}
    assert {imported.get(name, name) for name in needed} <= {*DEPENDENCIES}
