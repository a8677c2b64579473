"""The table of extension points in CONTRIBUTING.md, enforced."""

from __future__ import annotations

import ast
import importlib
import math
import re
import statistics
from pathlib import Path

import pytest
import yaml

import gensweep.measures
from gensweep.data.base import Available
from gensweep.data.images import Images
from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.rows import QUANTITIES, STATUSES, Row, checked
from gensweep.sweep.identity import flatten
from gensweep.sweep.plan import plan
from gensweep.sweep.rules import rule_for

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
SOURCE = ROOT / "src" / "gensweep"


def names(folder: Path, suffix: str) -> set[str]:
    return {p.stem for p in folder.glob(f"*{suffix}") if p.stem not in ("__init__", "base", "conftest")}


MEASURES = sorted(names(SOURCE / "measures", ".py"))
EXPERIMENTS = sorted(names(CONF / "experiment", ".yaml"))
FIGURES = base.names()


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_has_yaml_test_and_quantities(measure):
    (key, settings), *others = yaml.safe_load((CONF / "measure" / f"{measure}.yaml").read_text()).items()
    assert (key, others) == (measure, [])
    assert settings["_target_"].startswith(f"gensweep.measures.{measure}.")
    assert (ROOT / "tests" / "measures" / f"test_{measure}.py").exists()
    assert QUANTITIES[measure]


def test_nothing_is_named_for_a_measure_that_is_not_there():
    assert set(QUANTITIES) == set(MEASURES) == names(CONF / "measure", ".yaml")


@pytest.mark.parametrize("measure", MEASURES)
def test_yaml_and_dataclass_state_the_same_defaults(measure):
    settings = yaml.safe_load((CONF / "measure" / f"{measure}.yaml").read_text())[measure]
    module, _, name = settings.pop("_target_").rpartition(".")
    default = getattr(importlib.import_module(module), name)()
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in vars(default).items()} == settings


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_offered_to_python(measure):
    settings = yaml.safe_load((CONF / "measure" / f"{measure}.yaml").read_text())[measure]
    assert settings["_target_"].rpartition(".")[2] in gensweep.measures.__all__


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_has_an_experiment_and_a_target(figure):
    assert figure in EXPERIMENTS
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    listed = re.search(r"^FIGURES := (.*)$", makefile, re.M)[1].split()
    assert figure in listed
    module = importlib.import_module(f"gensweep.figures.{figure.replace('-', '_')}")
    assert module.TITLE
    assert module.ALT
    assert callable(module.draw)


@pytest.mark.parametrize("scale", ["smoke", "laptop", pytest.param("paper", marks=pytest.mark.faults)])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_states_its_question_and_composes_at_every_scale(experiment, scale, monkeypatch):
    def official(self, data_dir):
        """Composing needs no copy of the images."""
        return Available(self._facts.sizes["train"], self._facts.sizes.get("extra"))

    monkeypatch.setattr(Images, "pool", official)
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text()
    assert "# Question:" in text
    if (said := yaml.safe_load(text)).keys() == {"defaults"}:  # the runs of another one
        assert set(said["defaults"]) < set(EXPERIMENTS)
        return
    if experiment != "quickstart" or scale == "laptop":
        planned = plan((f"experiment={experiment}", f"+scale={scale}", "seed=0"))
        assert planned.multirun
        assert planned.experiment == f"{experiment}-{scale}"


@pytest.mark.parametrize(
    "group", ["data", "model", "optim", "schedule", "budget", "hardware", "logger", "measure"]
)
def test_every_number_of_every_yaml_has_a_rule(group):
    for path in (CONF / group).glob("*.yaml"):
        settings = yaml.safe_load(path.read_text())
        settings.pop("defaults", None)
        for key, value in flatten(settings).items():
            if not isinstance(value, str):
                assert rule_for(f"{group}.{key}"), f"{path.name}: {key}"
    for key, value in flatten(yaml.safe_load((CONF / "config.yaml").read_text())).items():
        if not key.startswith(("hydra.", "defaults")):
            assert rule_for(key), f"config.yaml: {key}={value}"


def test_files_and_functions_keep_their_budgets():
    assert not [p for p in SOURCE.rglob("*.py") if len(p.read_text().splitlines()) > 250]
    lengths = {(p.name, f.name): body_length(f) for p in SOURCE.rglob("*.py") for f in functions(p)}
    assert not [name for name, length in lengths.items() if length > 40]
    assert statistics.median(lengths.values()) <= 10


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def body_length(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_no_registries_factories_or_utils():
    assert not [p for p in SOURCE.rglob("*.py") if p.stem in ("utils", "registry", "factory", "helpers")]


def test_nobody_seeds_globally():
    """One scoped place draws initial weights from PyTorch's generator, and puts it back."""
    seeding = re.compile(r"manual_seed|np\.random\.seed|seed_everything|random\.seed\(")
    found = {p.name for p in SOURCE.rglob("*.py") if seeding.search(p.read_text())}
    assert found == {"build.py"}


def test_yaml_files_of_others_bring_no_code(tmp_path):
    for group, text in {
        "data": "_target_: pandas.read_pickle\nname: evil\n",
        "model": "_target_: gensweep.table.atomic.write_atomically\nname: evil\n",
        "measure": "evil:\n  _target_: torch.hub.load\n",
    }.items():
        (tmp_path / group).mkdir()
        (tmp_path / group / "evil.yaml").write_text(text)
        with pytest.raises(InputError, match="not one of gensweep's own"):
            plan((f"{group}=evil",), config_dir=str(tmp_path))


def test_own_yaml_files_set_what_is_there(tmp_path):
    (tmp_path / "model").mkdir()
    text = (CONF / "model" / "mlp.yaml").read_text().replace("[256, 256]", "[7]")
    (tmp_path / "model" / "mine.yaml").write_text(text)
    (job,) = plan(("model=mine",), config_dir=str(tmp_path)).jobs
    assert job.config["model"]["widths"] == [7]


def test_a_row_is_finite_or_flagged():
    (row,) = checked("error", [Row("loss", math.nan)])
    assert row.status == "nonfinite"
    assert row.reason


@pytest.mark.parametrize(
    "rows",
    [[Row("nonsense", 1.0)], [Row("loss", 1.0, status="fine")], [Row("loss", 1.0), Row("loss", 2.0)]],
    ids=["unknown quantity", "unknown status", "one key twice"],
)
def test_a_row_outside_the_schema_is_refused(rows):
    with pytest.raises(ValueError, match=r"schema|status|key"):
        checked("error", rows)


def test_glossary_names_every_status():
    text = (ROOT / "GLOSSARY.md").read_text()
    assert all(f"`{status}`" in text for status in STATUSES)
