"""Where the numbers of a training go besides the store: tools that people watch trainings with.

None of them is science. They work in a thread of their own, so that a server that is gone or a disk that is
full costs a run neither its life nor its time; what they write lies under the outputs, and unless a yaml
file says ``offline: false`` nothing goes over the network.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from lightning.pytorch.loggers import CometLogger, CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger

from gensweep.table.places import check_confined

PATIENCE = {"success": 30.0, "failed": 3.0}  # seconds for what is left to be written when training ends
MOST_WAITING = 10_000  # calls; a logger that lags further behind is given up


class Aside(Logger):
    """Hands every call on to a logger in another thread; what goes wrong there ends that logger alone.

    Args:
        make: Makes the logger; called in that thread.
        say: Takes one line if it fails.
    """

    def __init__(self, make: Callable[[], Logger], say: Callable[[str], None]) -> None:
        super().__init__()
        self.make, self.say = make, say
        self.calls: queue.Queue[tuple[str, Any]] = queue.Queue(MOST_WAITING)
        self.lost = False
        self.thread = threading.Thread(target=self._work, name="logger", daemon=True)
        self.thread.start()

    @property
    def name(self) -> str:
        """None that matters."""
        return ""

    @property
    def version(self) -> str:
        """None that matters."""
        return ""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Numbers after an update."""
        self._ask("log_metrics", dict(metrics), step)

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """What the run is, once."""
        self._ask("log_hyperparams", dict(params))

    def save(self) -> None:
        """Lightning asks for it after every entry, so that a kill takes none that was made before."""
        self._ask("save")

    def finalize(self, status: str) -> None:
        """Wait, but not for long, until all of it is written."""
        self._ask("finalize", status)
        self.thread.join(PATIENCE.get(status, PATIENCE["failed"]))
        if self.thread.is_alive():
            self._lose("it did not finish in time")

    def _ask(self, method: str, *arguments: Any) -> None:
        if self.lost:
            return
        try:
            self.calls.put_nowait((method, arguments))
        except queue.Full:
            self._lose("it is too slow")

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = True
            self.say(f"the logger stopped, and the run goes on without it: {why}")

    def _work(self) -> None:
        method = ""
        try:
            logger = self.make()
            while method != "finalize" and not self.lost:
                method, arguments = self.calls.get()
                getattr(logger, method)(*arguments)
        except BaseException as error:  # these libraries raise anything at all, SystemExit too
            self._lose((f"{type(error).__name__}: {error}".splitlines() or [""])[0])


def csv(folder: Path, name: str, flush_logs_every_n_steps: int) -> Logger:
    """``log/version_N/metrics.csv`` in the run's folder; a resumed run begins the next N."""
    return CSVLogger(folder, "log", flush_logs_every_n_steps=flush_logs_every_n_steps)


def tensorboard(folder: Path, name: str) -> Logger:
    """Event files in ``tensorboard/`` in the run's folder, those of a resumed run beside the others."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    return TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)


def mlflow(folder: Path, name: str, project: str) -> Logger:
    """A run of MLflow's in the database ``mlflow.db`` of all runs of these outputs; a resumed one goes on.

    Args:
        folder: Of the run.
        name: Of the run.
        project: MLflow's experiment.
    """
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    logging.getLogger("alembic").setLevel(logging.ERROR)
    outputs = folder.resolve().parents[1]
    database = outputs / "mlflow.db"
    check_confined(database, outputs)
    uri = f"sqlite:///{database}"
    with FileLock(outputs / ".mlflow.lock"):  # two that make its tables at once spoil them
        from mlflow.tracking import MlflowClient

        client = MlflowClient(uri)
        found = client.get_experiment_by_name(project)
        place = (outputs / "mlflow").as_uri()
        experiment = found.experiment_id if found else client.create_experiment(project, place)
    before = client.search_runs([experiment], f"attributes.run_name = '{name}'", max_results=1)
    made = before[0] if before else client.create_run(experiment, run_name=name)
    return MLFlowLogger(project, tracking_uri=uri, run_id=made.info.run_id)


def wandb(folder: Path, name: str, project: str, offline: bool) -> Logger:
    """A run of Weights & Biases', in ``wandb/`` in the run's folder; ``wandb sync`` uploads it.

    Args:
        folder: Of the run.
        name: Of the run, and its id there, so that a resumed one goes on.
        project: There.
        offline: False uploads while training, with the account of whoever runs it.
    """
    # Its cache would hold its log, and a link to that would lead out of the run's folder.
    os.environ |= {"WANDB_ERROR_REPORTING": "false", "WANDB_CACHE_DIR": str(folder / "wandb" / "cache")}
    from wandb import Settings

    quiet = Settings(
        silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True,
        x_disable_meta=True,
    )  # fmt: skip
    return Wandb(name, folder, name, offline, project=project, settings=quiet, reinit="create_new")


class Wandb(WandbLogger):
    """As Lightning has it, and ended with the training."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._wandb_init.pop("anonymous")  # wandb warns of it

    def finalize(self, status: str) -> None:
        """Write out what is left."""
        self.experiment.finish(exit_code=int(status != "success"))


def comet(folder: Path, name: str, project: str, offline: bool) -> Logger:
    """An experiment of Comet's, as archives in ``comet/`` in the run's folder; ``comet upload`` uploads them.

    Args:
        folder: Of the run.
        name: Of the run.
        project: There.
        offline: False uploads while training, with the account of whoever runs it.
    """
    # Lightning's own online=False switches the experiment off altogether.
    os.environ |= {"COMET_START_ONLINE": str(not offline), "COMET_LOGGING_CONSOLE": "CRITICAL"}
    os.environ |= {"COMET_INTERNAL_SENTRY_DSN": "", "COMET_INTERNAL_REPORTING": "false"}
    place = folder / "comet"
    place.mkdir(exist_ok=True)
    return Comet(
        project=project, name=name, offline_directory=str(place), display_summary_level=0, log_code=False,
        log_graph=False, log_git_metadata=False, log_git_patch=False, log_env_details=False,
        auto_output_logging=False, parse_args=False, auto_param_logging=False, auto_metric_logging=False,
    )  # fmt: skip


class Comet(CometLogger):
    """As Lightning has it, and ended with the training."""

    def finalize(self, status: str) -> None:
        """Write out what is left."""
        self.experiment.end()
