"""What a foreign launcher runs in its worker."""

from __future__ import annotations

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from gensweep.sweep.compose import config_dir_of


class RunFailed(Exception):
    """The run ended otherwise than done; its state says how."""


def task(config: DictConfig) -> Any:
    """One job, composed and checked again from its own overrides.

    Raises:
        RunFailed: It failed or diverged.
    """
    from gensweep.sweep.launch import attempt
    from gensweep.sweep.plan import point

    hydra_part = HydraConfig.get()
    job = point(tuple(hydra_part.overrides.task), config_dir_of(hydra_part))
    code = attempt(job)
    if code:
        raise RunFailed(f"{job.run_id} ended with exit code {code}")
    return job.run_id
