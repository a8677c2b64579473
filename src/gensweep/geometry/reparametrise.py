"""Other parameters for the same function: what a measure says of both is a property of the measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from gensweep.data.base import Data
from gensweep.errors import InputError
from gensweep.geometry.fold import BATCH_NORMS, CONVOLUTIONS, Untraceable, held_at, traced
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream

FACTOR = 4.0  # of a layer; a power of two, so that the scaling itself rounds nothing
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}  # of the outputs, relative to the largest
# What treats each unit by itself, and a times the input as a times the output for a > 0.
MODULES = (
    *(nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Flatten),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
PASSED = (F.relu, torch.relu, F.dropout, torch.flatten, "relu", "flatten")  # as functions and methods


@dataclass(frozen=True)
class Hidden:
    """A layer, the batch norms that its units pass, and the one layer that reads them.

    Args:
        layer: Convolution or linear layer.
        norms: Batch norms between the two.
        reader: The next such layer; None where the units go to several places, or to the output.
    """

    layer: Any
    norms: tuple[Any, ...]
    reader: Any | None

    @property
    def units(self) -> int:
        """Hidden units of a linear layer, channels of a convolution."""
        return len(self.layer.weight)

    @property
    def scalable(self) -> tuple[Tensor, ...]:
        """The parameters which, times a, multiply by a all that is read; none where nothing does."""
        source = self.norms[-1] if self.norms else self.layer
        if self.reader is None or source.weight is None:
            return ()
        return (source.weight,) if source.bias is None else (source.weight, source.bias)


def hidden(model: nn.Module) -> list[Hidden]:
    """The layers of a network with what their units meet, read off its graph; a sum ends the way.

    A layer or batch norm that serves twice is left out.

    Raises:
        Untraceable: The order of the layers cannot be read.
    """
    network = traced(model)
    calls = [node for node in network.graph.nodes if node.op == "call_module"]
    targets = [node.target for node in calls]
    modules = {
        node: network.get_submodule(str(node.target)) for node in calls if targets.count(node.target) == 1
    }
    return [_followed(node, modules) for node, module in modules.items() if _layer(module)]


def _followed(start: fx.Node, modules: dict[fx.Node, nn.Module]) -> Hidden:
    layer: Any = modules[start]
    norms: list[Any] = []
    node = start
    while len(node.users) == 1:
        (node,) = node.users
        module: Any = modules.get(node)
        if _layer(module):
            return Hidden(layer, tuple(norms), module)
        if isinstance(module, BATCH_NORMS) and module.num_features == len(layer.weight):
            norms.append(module)
        elif not isinstance(module, MODULES) and node.target not in PASSED:
            break
    return Hidden(layer, tuple(norms), None)


def _layer(module: nn.Module | None) -> bool:
    """Whether it is a layer in which every unit reads every unit."""
    return isinstance(module, (nn.Linear, *CONVOLUTIONS)) and getattr(module, "groups", 1) == 1


def layer(place: Hidden, rng: Stream) -> None:
    """All units times 4, what reads them divided by it."""
    _rescale(place, torch.full((place.units,), FACTOR, dtype=torch.float64))


def neuron(place: Hidden, rng: Stream) -> None:
    """Each unit times a factor of its own, log-uniform in [1/4, 4), what reads it divided by it."""
    _rescale(place, FACTOR ** torch.from_numpy(2 * rng.uniform(place.units) - 1))


def batch_norm(place: Hidden, rng: Stream) -> None:
    """A layer times 4, and with it the statistics of the batch norm after it: mean × 4, variance + ε × 16.

    Statistics taken anew would have the variance alone × 16, and change the function by what ε was.
    """
    norm = place.norms[0]
    for part in (*place.layer.parameters(), norm.running_mean):
        part.mul_(FACTOR)
    norm.running_var.copy_(FACTOR**2 * (norm.running_var.double() + norm.eps) - norm.eps)


def permutation(place: Hidden, rng: Stream) -> None:
    """The units in a random order."""
    order = torch.from_numpy(rng.permutation(place.units))
    for module in (place.layer, *place.norms):
        for part in (*module.parameters(), *module.buffers()):
            if part.dim():  # not the count of batches
                part.copy_(part[order])
    columns = _columns(place)
    columns.copy_(columns[:, order])


def _rescale(place: Hidden, factor_U: Tensor) -> None:
    for parameter in place.scalable:
        along = factor_U.reshape(-1, *[1] * (parameter.dim() - 1))
        parameter.copy_(parameter.double() * along)
    columns = _columns(place)
    columns.copy_(columns.double() / factor_U[:, None])


def _columns(place: Hidden) -> Tensor:
    """What the reader has for each unit, (out, units, rest): of a flattened map, one column per pixel."""
    weight: Tensor = place.reader.weight  # type: ignore[union-attr]
    return weight.view(len(weight), place.units, -1)


def _read(place: Hidden) -> bool:
    return place.reader is not None


def _scalable(place: Hidden) -> bool:
    return bool(place.scalable)


def _normed(place: Hidden) -> bool:
    return bool(place.norms) and place.norms[0].running_var is not None


UNITS = "hidden units that one layer alone reads"
# Name → the map at one place, which places it is for, and what a network without any lacks.
MAPS: dict[str, tuple[Callable[[Hidden, Stream], None], Callable[[Hidden], bool], str]] = {
    "layer": (layer, _scalable, UNITS),
    "neuron": (neuron, _scalable, UNITS),
    "batch_norm": (batch_norm, _normed, "batch norm after a layer"),
    "permutation": (permutation, _read, UNITS),
}


def places(model: nn.Module, how: str) -> list[Hidden]:
    """Where a network can be reparametrised; nowhere for ``none``.

    Raises:
        InputError: It has no such place, or its graph cannot be read.
    """
    if how == "none":
        return []
    _, fits, needed = MAPS[how]
    try:
        found = [place for place in hidden(model) if fits(place)]
    except Untraceable as obstacle:
        raise InputError(
            f"reparametrise={how} has to follow the units of the network, but {obstacle}"
        ) from None
    if not found:
        raise InputError(f"reparametrise={how} needs {needed}, and {type(model).__name__} has none")
    return found


@torch.no_grad()
def reparametrised(solution: Solution, data: Data, how: str, rng: Stream) -> tuple[Solution, float]:
    """The same function under other parameters, and the largest change of an output over the largest output.

    The map is applied at every place that the network has for it, and the outputs on the training set are
    compared. θ₀ stays: training began there, whatever became of θ*.

    Args:
        solution: Is not written to.
        data: Its training set is what the outputs are compared on.
        how: ``none``, or a name in ``MAPS``.
        rng: Draws factors and orders; each place has a stream of its own.

    Error: Rounding: at most 1e-9 of the largest output in float64, 1e-5 in float32.

    Source: Dinh et al. 2017 (1703.04933) for ``layer`` and ``neuron``.

    Raises:
        InputError: The network has no place for the map, or the outputs changed by more than that.
    """
    model = held_at(solution)
    if not (found := places(model, how)):
        return solution, 0.0
    for i, place in enumerate(found):
        MAPS[how][0](place, rng.child(how, i))
    theta_P = solution.layout.pack(dict(model.named_parameters()))
    new = replace(solution, model=model, theta_P=theta_P, path_TP=None, passed=None)
    before, after = (Risk(s, data.train, data).logits(s.theta_P).double() for s in (solution, new))
    change = ((after - before).abs().max() / before.abs().max().clamp_min(1e-30)).item()
    if not change <= (limit := TOLERANCE[theta_P.dtype]):
        raise InputError(
            f"reparametrise={how} changed an output of {type(model).__name__} by {change:.2g} of the largest "
            f"one, more than {limit:g}: the network has a part that the map does not know"
        )
    return new, change
