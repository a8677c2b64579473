"""A user's own network: taken as it is, or refused in one sentence."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gensweep.errors import InputError
from gensweep.geometry.solution import Layout, PerExample, Solution
from gensweep.own.words import said

DEVICES = ("cpu", "cuda")
PRECISIONS = (torch.float32, torch.float64)


def solution_of(model: nn.Module, loss: PerExample) -> Solution:
    """A copy of a network as a solution.

    Raises:
        InputError: What is wrong with its weights, or why there is no copy.
    """
    network = taken(model)
    return Solution(network, Layout.of(network).pack(dict(network.named_parameters())), loss=loss)


def bare(model: Any) -> nn.Module:
    """The network inside the wrappers of `torch.compile` and of several devices, which change no output."""
    if not isinstance(model, nn.Module):
        made = isinstance(model, type) and issubclass(model, nn.Module)
        what = f"the class {model.__name__}" if made else f"a {type(model).__name__}"
        raise InputError(f"model is {what}; give an nn.Module that maps a batch to logits")
    wrapped = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
    inner = model.module if wrapped else getattr(model, "_orig_mod", model)
    return model if inner is model else bare(inner)


def device_of(model: nn.Module) -> torch.device:
    """Where the network lies.

    Raises:
        InputError: Nowhere, in several places, or where float64 numbers are not to be had.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if not any(True for _ in model.parameters()):
        raise InputError("model has no parameters, so there is no solution to measure")
    found = sorted({str(tensor.device) for tensor in tensors})
    if len(found) > 1:
        where = ", ".join(found)
        raise InputError(
            f"model lies on several devices ({where}); move it to one, for instance model.to('cpu')"
        )
    if tensors[0].device.type not in DEVICES:
        raise InputError(f"model lies on {found[0]}; gensweep measures on cpu and cuda, with real weights")
    return tensors[0].device


def taken(model: nn.Module) -> nn.Module:
    """A copy in eval mode, without gradients."""
    for sentence in wrong_with_weights(dict(model.named_parameters()), dict(model.named_buffers())):
        raise InputError(f"model: {sentence}")
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        kept = f"{len(frozen)} of {len(list(model.parameters()))} parameters are frozen"
        warnings.warn(f"{kept} (requires_grad=False) and stay where they are", stacklevel=4)
    try:
        network = copy.deepcopy(model)
    except Exception as error:  # a module may hold anything at all
        raise InputError(f"model cannot be copied by copy.deepcopy: {said(error)}") from error
    for module in network.modules():
        if module._compiled_call_impl is not None:  # left by model.compile(), which has one derivative only
            module._compiled_call_impl = None
    network.zero_grad(set_to_none=True)
    return network.eval()


def wrong_with_weights(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Iterator[str]:
    """What keeps these weights from being a solution, in sentences."""
    lazy = [name for name, t in {**parameters, **buffers}.items() if nn.parameter.is_lazy(t)]
    if lazy:
        yield f"{lazy[0]} has no shape yet; run one batch through it first"
    if any(p.is_inference() for p in parameters.values()):
        yield "its weights were made in inference mode, which keeps derivatives from them; make them outside"
    trained = {name: p for name, p in parameters.items() if p.requires_grad}
    if not trained:
        yield "all its parameters are frozen (requires_grad=False); measures need some that are not"
    yield from wrong_with_types(trained)
    for name, p in parameters.items():
        if not p.isfinite().all():
            yield f"{name} holds NaN or infinity; there is no minimum to measure"


def wrong_with_types(trained: dict[str, Tensor]) -> Iterator[str]:
    """What keeps numbers of these types from being measured, in sentences."""
    for name, p in trained.items():
        if p.dtype not in PRECISIONS:
            yield f"{name} is {p.dtype}; measures need float32 or float64, for instance model.float()"
    if len({p.dtype for p in trained.values()}) > 1:
        yield "its parameters are of float32 and float64; model.float() or model.double() makes them one"


def copied(solution: Solution) -> Solution:
    """The same solution in a network of its own."""
    return dataclasses.replace(solution, model=copy.deepcopy(solution.model))


def fingerprint(model: nn.Module) -> str:
    """Twelve hex digits that name the weights and buffers, wherever they lie."""
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
