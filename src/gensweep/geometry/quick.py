"""A convolutional network as it is evaluated fastest: batch norm folded, images by pixel."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from gensweep.geometry.fold import BATCH_NORMS, Untraceable, takes, traced

ENOUGH = 500  # examples from which on it pays to read off the order of the layers
ROUNDING = 1e-4  # of the largest output


class Quick:
    """The outputs of a network whose batch norms are folded anew into their layers at each point.

    Args:
        model: In eval mode; nothing of it is written to.

    Error: Rounding of the outputs' type; `quick` has compared some with those of the network itself.

    Raises:
        Untraceable: The order of the layers cannot be read.
    """

    def __init__(self, model: nn.Module) -> None:
        self.network = traced(model)
        self.norms: dict[str, str] = {}  # of each layer that took one
        self.epsilons: dict[str, float] = {}
        for node in list(self.network.graph.nodes):
            if node.op == "call_module" and isinstance(norm := model.get_submodule(node.target), BATCH_NORMS):
                self._fold(node, norm)
        self.network.delete_all_unused_submodules()
        self.network.recompile()
        self.own = {name: t.detach() for name, t in [*model.named_parameters(), *model.named_buffers()]}
        inside = (*self.network.named_parameters(), *self.network.named_buffers())
        self.inside = [name for name, _ in inside]

    def _fold(self, node: fx.Node, norm: Any) -> None:
        source = node.all_input_nodes[0]
        place = str(source.target)
        if norm.running_var is None or place in self.norms or not takes(self.network, source, norm):
            return
        layer: Any = copy.deepcopy(self.network.get_submodule(place))
        layer.bias = nn.Parameter(torch.zeros_like(norm.running_mean), requires_grad=False)
        self.network.set_submodule(place, layer)
        self.norms[place], self.epsilons[place] = str(node.target), norm.eps
        node.replace_all_uses_with(source)
        self.network.graph.erase_node(node)

    def at(self, tensors: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """Outputs (B, C) of a batch, with these parameters and buffers in place of the network's own."""
        values = {**self.own, **tensors}
        for place, norm in self.norms.items():
            weight, bias = values[f"{place}.weight"], values.get(f"{place}.bias", 0)
            scale = (values[f"{norm}.running_var"] + self.epsilons[place]).rsqrt()
            scale = scale * values.get(f"{norm}.weight", 1)
            shift = (bias - values[f"{norm}.running_mean"]) * scale + values.get(f"{norm}.bias", 0)
            values[f"{place}.weight"] = weight * scale.view(-1, *[1] * (weight.dim() - 1))
            values[f"{place}.bias"] = shift
        used = {name: by_pixel(values[name]) for name in self.inside}
        return lambda x: functional_call(self.network, used, (by_pixel(x),))


def by_pixel(tensor: Tensor) -> Tensor:
    """Images, and the filters that pass over them, with their channels side by side in memory."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


@torch.no_grad()
def quick(model: nn.Module, plain: Callable[[Tensor], Tensor], tensors: Any, x: Tensor) -> Quick | None:
    """The network as `Quick`, or None where that is of no use or gives something else.

    Args:
        model: In eval mode.
        plain: Its outputs.
        tensors: The parameters that they go with, by name.
        x: Examples, some of which are tried.
    """
    convolutions = any(isinstance(module, nn.Conv2d) for module in model.modules())
    hooks = any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    fits = x.dtype == torch.float32 and x.device.type == "cpu" and x.dim() == 4 and len(x) >= ENOUGH
    if not convolutions or hooks or not fits:
        return None
    try:
        found, some = Quick(model), x[:8]
        expected = plain(some)
        off = (found.at(tensors)(some) - expected).abs().max() / expected.abs().max()
    except (
        Untraceable,
        RuntimeError,
        AttributeError,
        KeyError,
        TypeError,
    ):  # a view of maps that now lie otherwise
        return None
    return found if off <= ROUNDING else None
