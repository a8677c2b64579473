"""A solution as files and back."""

from __future__ import annotations

import copy
import json
from typing import Any

import torch
import yaml
from safetensors.torch import load, save
from torch import nn

from gensweep.data.base import Data
from gensweep.geometry.solution import Layout, Solution
from gensweep.table.store import Run, Store


def saved(
    solution: Solution | None, data: Data | None, science: dict[str, Any], facts: dict[str, Any]
) -> dict[str, bytes]:
    """The files of a trained run, or of one that diverged and has neither solution nor data to keep.

    Returns:
        File name → content: config, outcome, final and initial weights, indices and labels of the splits.
    """
    files = {
        "config.yaml": yaml.safe_dump(science, sort_keys=False).encode(),
        "outcome.json": json.dumps(facts).encode(),
    }
    if solution is not None and data is not None and solution.init_P is not None:
        buffers = {name: b.contiguous() for name, b in solution.model.named_buffers()}
        files["solution.safetensors"] = save({**_named(solution, solution.theta_P), **buffers})
        files["init.safetensors"] = save(_named(solution, solution.init_P))
        files["splits.safetensors"] = save(_splits(data))
    return files


def loaded(run: Run, model: nn.Module, target_loss: float | None) -> Solution:
    """The stored solution of a run, in an architecture made for it.

    Raises:
        Damaged: A file does not match its hash.
    """
    final, init = load(run.read("solution.safetensors")), load(run.read("init.safetensors"))
    model.load_state_dict(final)
    layout = Layout.of(model)
    return Solution(model.eval(), layout.pack(final), layout.pack(init), target_loss)


def other_end(settings: dict[str, Any], solution: Solution, store: Store) -> dict[str, Solution]:
    """The solution whose run a measure names as its ``other``; nothing when it names none.

    Raises:
        Damaged: A file does not match its hash.
    """
    if settings.get("other", "init") == "init":
        return {}
    return {"other": loaded(store.run(settings["other"]), copy.deepcopy(solution.model), None)}


def _named(solution: Solution, theta_P: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: part.clone() for name, part in solution.layout.unpack(theta_P.cpu()).items()}


def _splits(data: Data) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, split in data.splits().items():
        tensors[f"{name}.index"] = torch.from_numpy(split.index.copy())
        tensors[f"{name}.label"] = torch.from_numpy(split.y.copy())
    return tensors
