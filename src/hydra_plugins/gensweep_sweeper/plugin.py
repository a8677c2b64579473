"""``gensweep run -m``: compose all, check all, skip what is done, run the rest, say the truth.

Hydra loads this file outside `sys.modules`, where string annotations break dataclasses: none here.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConfig:
    """The grid of an experiment.

    Args:
        params: Override → values, as on the command line, at every scale.
        scales: Scale → further params.
        scale: Which of them.
    """

    _target_: str = "hydra_plugins.gensweep_sweeper.plugin.GensweepSweeper"
    params: dict[str, Any] = field(default_factory=dict)
    scales: dict[str, Any] = field(default_factory=dict)
    scale: str = "laptop"


@dataclass
class LauncherConfig:
    """The local pool; it takes its width from ``hardware.jobs``."""

    _target_: str = "hydra_plugins.gensweep_sweeper.plugin.GensweepLauncher"


class GensweepSweeper(Sweeper):
    """A grid, every point of which is checked before the first one starts."""

    def __init__(self, params: dict[str, Any], scales: dict[str, Any], scale: str) -> None:
        self.launcher: Launcher | None = None
        self.config_dir: str | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the launcher that the config names."""
        from gensweep.sweep.compose import config_dir_of
        from gensweep.sweep.engine import fitted

        self.config_dir = config_dir_of(config.hydra)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=fitted(config)
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run what is not done yet and leave with the exit code that this earned."""
        from gensweep.sweep.launch import sweep

        sys.exit(sweep(tuple(arguments), self.launcher, self.config_dir))


class GensweepLauncher(Launcher):
    """Each run in a process of its own, ``hardware.jobs`` at a time."""

    local = True  # it starts them itself, here

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Read the width of the pool."""
        from gensweep.sweep.compose import config_dir_of

        self.jobs, self.config_dir = config.hardware.jobs, config_dir_of(config.hydra)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run them all; a process that dies takes no other with it."""
        from gensweep.sweep.pool import pool
        from gensweep.sweep.stacks import train_stacks

        left = train_stacks([tuple(o) for o in job_overrides], self.jobs, self.config_dir)
        pool(left, self.jobs, self.config_dir)
        return []


ConfigStore.instance().store(group="hydra/sweeper", name="gensweep", node=SweeperConfig, provider="gensweep")
ConfigStore.instance().store(
    group="hydra/launcher", name="gensweep", node=LauncherConfig, provider="gensweep"
)
