"""Batch norm taken into the layers before it. Nothing that comes in is written to."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from gensweep.geometry.solution import Solution

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Untraceable(Exception):
    """The order of a network's layers cannot be read off its forward pass; the message says why."""


def held_at(solution: Solution) -> nn.Module:
    """A copy of the network that holds θ*, in eval mode."""
    model = copy.deepcopy(solution.model).eval()
    parts = solution.layout.unpack(solution.theta_P)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in parts:
                parameter.copy_(parts[name])
    return model


def network_at(solution: Solution) -> nn.Module:
    """The same in float64, for reading only, weight normalisations worked out."""
    model = held_at(solution).double()
    for module in model.modules():
        if parametrize.is_parametrized(module):
            _work_out(module)
    return model.requires_grad_(False)


def _work_out(module: Any) -> None:
    """Weights as they are used in place of what they are made from.

    PyTorch's own way changes the class, which copies share with the network that they were made of.
    """
    used = {name: getattr(module, name).detach() for name in module.parametrizations}
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    for name, weight in used.items():
        module.register_parameter(name, nn.Parameter(weight))


def traced(model: nn.Module) -> fx.GraphModule:
    """The network as a graph of layers, which shares the model's own layers.

    Raises:
        Untraceable: Its forward pass depends on the data, or torch.fx cannot follow it.
    """
    # What is one step to torch.fx has to stand in something.
    whole = nn.Sequential(model) if fx.Tracer().is_leaf_module(model, "") else model
    try:
        return fx.symbolic_trace(whole)
    except Exception as error:  # a forward pass may raise anything at all when it is given a proxy
        raise Untraceable(f"torch.fx cannot trace {type(model).__name__}: {error}") from error


def scale_and_shift(norm: Any) -> tuple[Tensor, Tensor] | None:
    """What batch norm multiplies by and adds in eval mode, (C,) each; None without stored statistics.

    s = γ/√(σ²+ε) and β − sμ.
    """
    if norm.running_var is None:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    scale = scale if norm.weight is None else norm.weight * scale
    shift = -scale * norm.running_mean
    return scale, shift if norm.bias is None else shift + norm.bias


def folded(model: nn.Module) -> fx.GraphModule:
    """A new network with the same outputs in eval mode, each batch norm folded where it can be.

    It is folded into the convolution or linear layer before it: W → sW, b → s(b − μ) + β. One that
    follows something else (a sum, a pool), or a layer whose output or weights others use, stays.

    Error: Exact, up to rounding.

    Source: Neyshabur et al. 2017 (1706.08947), appendix: norms are taken after folding.

    Raises:
        Untraceable: The order of the layers cannot be read.
    """
    network = traced(model)
    for node in list(network.graph.nodes):
        if node.op == "call_module" and isinstance(network.get_submodule(node.target), BATCH_NORMS):
            _fold(network, node)
    network.graph.lint()
    network.recompile()
    network.delete_all_unused_submodules()
    return network


def _fold(network: fx.GraphModule, node: fx.Node) -> None:
    source, norm = node.all_input_nodes[0], network.get_submodule(str(node.target))
    found = scale_and_shift(norm)
    if found is None or not takes(network, source, norm):
        return
    scale, shift = found
    layer: Any = copy.deepcopy(network.get_submodule(str(source.target)))
    bias = 0 if layer.bias is None else layer.bias
    spread = scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight = nn.Parameter(layer.weight * spread, requires_grad=False)
    layer.bias = nn.Parameter(bias * scale + shift, requires_grad=False)
    network.set_submodule(str(source.target), layer)
    node.replace_all_uses_with(source)
    network.graph.erase_node(node)


def takes(network: fx.GraphModule, source: fx.Node, norm: Any) -> bool:
    """Whether a batch norm can go into the layer before it."""
    if source.op != "call_module" or len(source.users) > 1:
        return False
    layer: Any = network.get_submodule(str(source.target))
    calls = sum(node.target == source.target for node in network.graph.nodes)
    fits = type(layer) in (*CONVOLUTIONS, nn.Linear) and layer.weight.shape[0] == norm.num_features
    return fits and calls == 1
