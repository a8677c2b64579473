"""Loggers: what they write, where, and that none of them can cost a run anything."""

import csv
import os
import re
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.loggers.logger import DummyLogger
from safetensors.torch import load_file

from gensweep.cli import main
from gensweep.parts import part
from gensweep.place import Place
from gensweep.ranks import Ranks
from gensweep.run import run, watched
from gensweep.sweep import extras
from gensweep.sweep.compose import CONF_DIR, composed
from gensweep.sweep.plan import plan
from gensweep.table.store import Store
from gensweep.train import loggers
from gensweep.train.loggers import Aside

TINY = ("train_size=60", "model.widths=[4]", "budget.max_epochs=3", "measure=[error]")
SHIPPED = sorted(path.stem for path in (CONF_DIR / "logger").glob("*.yaml"))


class Recorder(DummyLogger):
    """Keeps what it is told, and in which thread."""

    def __init__(self):
        super().__init__()
        self.told, self.threads = [], set()

    def log_metrics(self, metrics, step=None):
        self.told.append((step, metrics))
        self.threads.add(threading.current_thread().name)


class Failing(Recorder):
    """Fails at one word, in the way it was told to."""

    def __init__(self, word, error):
        super().__init__()
        self.word, self.error = word, error

    def _maybe(self, word):
        self.told.append(word)
        if word == self.word:
            raise self.error

    def log_hyperparams(self, params):
        self._maybe("log_hyperparams")

    def log_metrics(self, metrics, step=None):
        self._maybe("log_metrics")

    def finalize(self, status):
        self._maybe("finalize")


def job(outputs, *words):
    return plan((*TINY, f"outputs={outputs}", *words)).jobs[0]


def weights(found):
    return load_file(found.run.folder / "solution.safetensors")


def train(found, make, monkeypatch):
    """Run a job with this logger; the lines it said."""
    monkeypatch.setattr("gensweep.run.part", lambda settings, real=part: make_or(settings, make, real))
    lines: list[str] = []
    assert run(found.config, lines.append) == "done"
    return lines


def make_or(settings, make, real):
    if settings["_target_"].startswith("gensweep.train.loggers."):
        return lambda folder, name: make()
    return real(settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    found = job(tmp_path_factory.mktemp("undisturbed"))
    assert run(found.config, lambda line: None) == "done"
    return found


def test_the_default_writes_the_numbers_of_every_check(undisturbed):
    (file,) = undisturbed.run.folder.glob("log/version_0/metrics.csv")
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert all(float(row["clean_loss"]) > 0 and 0 <= float(row["test_accuracy"]) <= 1 for row in rows)
    assert yaml.safe_load((file.parent / "hparams.yaml").read_text())["model"]["widths"] == [4]


def test_a_logger_works_in_a_thread_of_its_own_and_is_told_everything(tmp_path, monkeypatch):
    recorder = Recorder()
    assert not [line for line in train(job(tmp_path), lambda: recorder, monkeypatch) if "logger" in line]
    assert recorder.threads == {"logger"}
    assert [step for step, _ in recorder.told] == [0, 1, 2]
    assert {"objective", "clean_loss", "test_accuracy"} < recorder.told[0][1].keys()


@pytest.mark.parametrize("word", ["make", "log_hyperparams", "log_metrics", "finalize"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(3)])
def test_a_logger_that_fails_costs_a_line_and_no_number(word, error, tmp_path, monkeypatch, undisturbed):
    failing = Failing(word, error)

    def make():
        failing._maybe("make")
        return failing

    found = job(tmp_path)
    said = [line for line in train(found, make, monkeypatch) if "logger" in line]
    assert failing.told[-1] == word  # it did fail, and was asked for nothing after that
    assert said == [f"the logger stopped, and the run goes on without it: {type(error).__name__}: {error}"]
    assert found.run.state()["state"] == "done"
    theirs = weights(undisturbed)
    assert all(torch.equal(part, theirs[name]) for name, part in weights(found).items())


def test_a_logger_that_hangs_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "PATIENCE", {"success": 0.2, "failed": 0.1})
    free = threading.Event()
    started = time.monotonic()
    said = [line for line in train(job(tmp_path), free.wait, monkeypatch) if "logger" in line]
    assert time.monotonic() - started < 60  # it would wait for ever
    assert said == ["the logger stopped, and the run goes on without it: it did not finish in time"]
    free.set()


def test_a_logger_that_lags_behind_is_given_up(monkeypatch):
    monkeypatch.setattr(loggers, "MOST_WAITING", 2)
    free, said = threading.Event(), []
    aside = Aside(free.wait, said.append)
    for step in range(9):
        aside.log_metrics({"x": 1.0}, step)
    assert said == ["the logger stopped, and the run goes on without it: it is too slow"]
    free.set()


def test_of_several_processes_one_logs(undisturbed, monkeypatch):
    monkeypatch.setattr("gensweep.run.current", lambda: Ranks(Place(1, 2)))
    assert watched(undisturbed.config, undisturbed.run, print) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_no_logger_names_the_run_and_none_uploads_unless_asked(name, undisturbed):
    config = composed((*TINY, f"logger={name}"))[0]
    assert plan((*TINY, f"logger={name}")).jobs[0].run_id == undisturbed.run_id
    assert config["logger"].get("offline", True) is True


@pytest.mark.parametrize("name", sorted(extras.LOGGERS))
@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]])
def test_a_logger_that_is_not_installed_is_a_sentence(name, sweep, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["run", *TINY, *sweep, f"logger={name}"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gensweep: logger={name} needs the package ")
    assert f"pip install 'gensweep[{name}]'" in said
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == []


def scalars_of_tensorboard(outputs, folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [event.value for event in events.Scalars("clean_loss")]


def scalars_of_mlflow(outputs, folder):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    (one,) = client.search_runs([client.get_experiment_by_name("gensweep").experiment_id])
    assert one.info.run_name == folder.name
    assert one.info.status == "FINISHED"
    assert one.data.params["model/widths"] == "[4]"
    return [metric.value for metric in client.get_metric_history(one.info.run_id, "clean_loss")]


def scalars_of_wandb(outputs, folder):
    """Nothing in the package reads its own files; its records are protobuf with JSON inside."""
    (file,) = folder.glob(f"wandb/offline-run-*/run-{folder.name}.wandb")
    found = re.findall(rb"clean_loss[^0-9a-z]{1,6}([0-9.]+)", file.read_bytes())
    return list(dict.fromkeys(map(float, found)))  # each stands in the history and in the summary


def scalars_of_comet(outputs, folder):
    import json
    import zipfile

    (file,) = folder.glob("comet/*.zip")
    lines = zipfile.ZipFile(file).read("messages.json").decode().splitlines()
    metrics = [line["payload"].get("metric") for line in map(json.loads, lines)]
    return [float(m["metricValue"]) for m in metrics if m and m["metricName"] == "clean_loss"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", sorted(extras.LOGGERS))
def test_a_logger_of_others_for_real(name, tmp_path, undisturbed):
    """In processes of its own, as these libraries leave traces in theirs."""
    for package in extras.LOGGERS[name]:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'gensweep[{name}]'")
    home, outputs = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    words = [sys.executable, "-m", "gensweep", "run", *TINY, f"logger={name}", f"outputs={outputs}"]
    env = {**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert not re.search("http|wandb|comet|mlflow|logger", ended.stdout, re.IGNORECASE)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "out"}
    assert not [path for path in home.rglob("*") if re.search("wandb|comet|mlflow", str(path))]
    (found,) = Store(outputs).runs()
    (file,) = undisturbed.run.folder.glob("log/version_0/metrics.csv")
    expected = [float(row["clean_loss"]) for row in csv.DictReader(file.read_text().splitlines())]
    assert globals()[f"scalars_of_{name}"](outputs, Path(found.folder)) == pytest.approx(expected)
    theirs = weights(undisturbed)
    assert all(torch.equal(v, theirs[k]) for k, v in load_file(found.folder / "solution.safetensors").items())
