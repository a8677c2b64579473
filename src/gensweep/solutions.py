"""A solution as files and back."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import torch
import yaml
from safetensors.torch import load, save
from torch import nn

from gensweep.data.base import Data
from gensweep.errors import InputError
from gensweep.geometry.solution import Layout, Solution
from gensweep.table.store import KEPT, Run, Store

State = dict[str, torch.Tensor]  # parameters and buffers by name


def saved(
    solution: Solution | None,
    data: Data | None,
    science: dict[str, Any],
    facts: dict[str, Any],
    passed: Mapping[int, State] | None = None,
) -> dict[str, bytes]:
    """The files of a trained run, or of one that diverged and has neither solution nor data to keep.

    Args:
        solution: Where training ended.
        data: What it was for.
        science: The config.
        facts: The outcome.
        passed: Epoch → state after it; at 0 where training began, and those that were to be kept.

    Returns:
        File name → content: config, outcome, final, initial and kept weights, indices and labels of the
        splits.
    """
    files = {
        "config.yaml": yaml.safe_dump(science, sort_keys=False).encode(),
        "outcome.json": json.dumps(facts).encode(),
    }
    if solution is not None and data is not None and passed:
        final = {**state(solution.model), **_named(solution, solution.theta_P)}
        files["solution.safetensors"] = save(final)
        files["init.safetensors"] = save(passed[0])
        files["splits.safetensors"] = save(_splits(data))
        if science["budget"]["keep"]:
            files[KEPT] = save({f"{e}.{k}": v for e, whole in passed.items() if e for k, v in whole.items()})
    return files


def state(model: nn.Module) -> State:
    """A copy of all parameters and buffers."""
    return {name: tensor.detach().cpu().clone() for name, tensor in _parts(model).items()}


def put(model: nn.Module, state: State) -> None:
    """Overwrite all parameters and buffers.

    Raises:
        InputError: They are those of another network.
    """
    parts = _parts(model)
    if {k: v.shape for k, v in parts.items()} != {k: v.shape for k, v in state.items()}:
        raise InputError(f"the stored weights do not fit {type(model).__name__}: its code has changed since")
    with torch.no_grad():
        for name, part in parts.items():
            part.copy_(state[name])


def along(solution: Solution, passed: Mapping[int, State]) -> Solution:
    """The solution with the path to it: θ₀ with its buffers, the kept points in order, θ*, none twice."""
    buffers = {name: passed[0][name] for name, _ in solution.model.named_buffers() if name in passed[0]}
    solution = dataclasses.replace(solution, init_buffers=buffers)
    points = [solution.layout.pack(passed[epoch]).to(solution.theta_P) for epoch in sorted(passed)]
    if len(points) == 1:
        return solution
    ends = [] if torch.equal(points[-1], solution.theta_P) else [solution.theta_P]
    return dataclasses.replace(solution, path_TP=torch.stack([*points, *ends]), passed=passed)


def loaded(run: Run, model: nn.Module, target_loss: float | None) -> Solution:
    """The stored solution of a run, in an architecture made for it.

    A reparametrised one has no path: the points on the way are parameters of another kind.

    Raises:
        Damaged: A file does not match its hash.
    """
    final, passed = load(run.read("solution.safetensors")), passed_by(run)
    put(model, final)
    layout, device = Layout.of(model), next(model.parameters()).device
    theta_P, init_P = (layout.pack(part).to(device) for part in (final, passed[0]))
    solution = Solution(model.eval(), theta_P, init_P, target_loss)
    whole = along(solution, passed)
    here = run.config()["reparametrise"] == "none"
    return whole if here else dataclasses.replace(whole, path_TP=None, passed=None)


def beginning(run: Run, epoch: int | None) -> State:
    """What another run starts from: the solution of a run, or what it kept after an epoch.

    Raises:
        Damaged: A file does not match its hash.
    """
    return load(run.read("solution.safetensors")) if epoch is None else passed_by(run)[epoch]


def passed_by(run: Run) -> dict[int, State]:
    """Epoch → what a trained run kept after it; at 0 where it began.

    Raises:
        Damaged: A file does not match its hash.
    """
    passed = {0: load(run.read("init.safetensors"))}
    for name, tensor in load(run.read(KEPT)).items() if run.config()["budget"].get("keep") else ():
        epoch, _, part = name.partition(".")
        passed.setdefault(int(epoch), {})[part] = tensor
    return passed


def other_ends(settings: dict[str, Any], solution: Solution, store: Store) -> dict[str, Any]:
    """The solutions of the runs that a measure names: its ``other``, its ``ends``.

    Raises:
        Damaged: A file does not match its hash.
    """

    def of(name: str) -> Solution:
        return loaded(store.run(name), copy.deepcopy(solution.model), None)

    found: dict[str, Any] = {}
    if settings.get("other", "init") != "init":
        found["other"] = of(settings["other"])
    if settings.get("ends"):
        found["ends"] = [of(name) for name in settings["ends"]]
    return found


def _named(solution: Solution, theta_P: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: part.clone() for name, part in solution.layout.unpack(theta_P.cpu()).items()}


def _parts(model: nn.Module) -> State:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _splits(data: Data) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, split in data.splits().items():
        tensors[f"{name}.index"] = torch.from_numpy(split.index.copy())
        tensors[f"{name}.label"] = torch.from_numpy(split.y.copy())
    return tensors
