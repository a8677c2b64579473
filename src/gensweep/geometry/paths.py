"""The sum over all paths from input to output of a network, in logarithms."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from gensweep.geometry import logspace
from gensweep.geometry.fold import BATCH_NORMS, scale_and_shift
from gensweep.geometry.logspace import along

SUM_OVER_WINDOW = {"sum": True, "max": False}


class Unsupported(Exception):
    """Paths are not defined through this step of the network, which is the message."""


def log_path_sum(
    network: fx.GraphModule,
    input_shape: Sequence[int],
    power: int,
    pooling: str = "sum",
    biases: bool = False,
) -> float:
    """The logarithm ln Σ_paths ∏|w|ᵖ, from one forward pass of the network with |w|ᵖ on an input of ones.

    Each activation is kept as its own logarithm, so that nothing overflows.

    Args:
        network: In float64 and eval mode, batch norm folded where it can be; the rest is a diagonal layer.
        input_shape: Shape of one example.
        power: p, ≥ 1.
        pooling: ``sum`` counts every path through a max-pool's window, ``max`` only the largest.
        biases: Whether a bias, or batch norm's shift, starts paths of its own.

    ReLU, and leaky ReLU with a slope of at most 1, pass a path on at full weight. An average over n
    multiplies by n⁻ᵖ; padding starts no path. −∞ when there is no path.

    Error: Exact, up to rounding.

    Source: Neyshabur et al. 2017 (1706.08947), §2; Gonon et al. 2024 (2310.01225) for pools and batch norm.

    Raises:
        Unsupported: A layer or function that is not positively homogeneous, or not known here.
    """
    ones = next(network.parameters(), torch.zeros(())).new_zeros(1, *input_shape, dtype=torch.float64)
    return torch.logsumexp(_Paths(network, power, pooling, biases).run(ones).flatten(), 0).item()


class _Paths(fx.Interpreter):
    """Runs the graph with a logarithm in place of each activation."""

    def __init__(self, network: fx.GraphModule, power: int, pooling: str, biases: bool) -> None:
        super().__init__(network)
        self.extra_traceback = False  # it would be added to the reason
        self.power, self.biases, self.sum_over_window = power, biases, SUM_OVER_WINDOW[pooling]

    def call_module(self, target: Any, args: tuple, kwargs: dict) -> Any:
        module = self.fetch_attr(target)
        name = f"{target} ({type(module).__name__})"
        return self._step(LAYERS, type(module), name, (module, *args), kwargs)

    def call_function(self, target: Any, args: tuple, kwargs: dict) -> Any:
        if _arithmetic(target) and not any(isinstance(a, Tensor) for a in args):
            return super().call_function(target, args, kwargs)
        return self._step(FUNCTIONS, target, _name(target), args, kwargs)

    def call_method(self, target: Any, args: tuple, kwargs: dict) -> Any:
        return self._step(METHODS, target, target, args, kwargs)

    def get_attr(self, target: Any, args: tuple, kwargs: dict) -> Any:
        raise Unsupported(f"{target}, a tensor outside any layer")

    def _step(self, table: dict, key: Any, name: str, args: tuple, kwargs: dict) -> Any:
        if key not in table:
            raise Unsupported(name)
        try:
            return table[key](self, *args, **kwargs)
        except (TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise Unsupported(f"{name} as it is called: {error}") from error

    def weighted(self, layer: Any, x: Tensor) -> Tensor:
        """A convolution or linear layer."""
        return self._biased(logspace.weighted(layer, x, self.power), layer.bias, logspace.axis_of(layer))

    def normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        """A batch norm that was not folded: a diagonal layer."""
        found = scale_and_shift(norm)
        if found is None:
            raise Unsupported(f"{type(norm).__name__} without stored statistics")
        scale, shift = found
        return self._biased(x + along(self.power * scale.abs().log(), x, 1), shift, 1)

    def _biased(self, x: Tensor, bias: Tensor | None, axis: int) -> Tensor:
        """With the paths that a bias starts, where they count."""
        if bias is None or not self.biases:
            return x
        return torch.logaddexp(x, along(self.power * bias.abs().log(), x, axis))

    def max_pooled(self, pool: Any, x: Tensor) -> Tensor:
        """The sum over a window, or its largest; a max-pool pads with −∞, the logarithm of nothing."""
        return logspace.summed(pool, x) if self.sum_over_window else pool(x)

    def averaged(self, pool: Any, x: Tensor) -> Tensor:
        """An average-pool."""
        return logspace.averaged(pool, x, self.power)

    def adapted(self, pool: Any, x: Tensor) -> Tensor:
        """An adaptive average-pool."""
        return logspace.adapted(pool, x, self.power)

    def meaned(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """A mean over some dimensions."""
        return logspace.meaned(x, self.power, *args, **kwargs)

    def added(self, x: Any, y: Any) -> Tensor:
        """Two branches that meet."""
        if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
            raise Unsupported("the sum with a constant")
        return torch.logaddexp(x, y)

    def padded(self, x: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
        """Zeros around the border."""
        if mode != "constant" or value:
            raise Unsupported("padding with something other than zeros")
        return F.pad(x, pad, value=-math.inf)

    def unchanged(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """ReLU of what is not negative, dropout that is off."""
        return x

    def leaky(self, x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
        """Leaky ReLU: a path counts at the larger of its two slopes, which has to be 1."""
        if abs(negative_slope) > 1:
            raise Unsupported(f"LeakyReLU with slope {negative_slope:g}, above 1")
        return x


def _arithmetic(function: Any) -> bool:
    """Whether it is Python's own, as in the sizes that a view is given."""
    return getattr(function, "__module__", "") == "_operator"


def _name(function: Any) -> str:
    return getattr(function, "__name__", str(function))


def _pool(kind: type[nn.Module], step: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The functional form of a pool: its arguments are those of the module."""
    return lambda paths, x, *args, **kwargs: step(paths, kind(*args, **kwargs), x)


def _moved(function: Callable) -> Callable:
    """A step that only puts entries elsewhere does the same to their logarithms."""
    return lambda paths, *args, **kwargs: function(*args, **kwargs)


MOVES: list[Callable] = [
    torch.cat,
    torch.concat,
    torch.flatten,
    torch.reshape,
    torch.permute,
    torch.transpose,
]
MOVES += [torch.squeeze, torch.unsqueeze, operator.getitem, getattr]
TENSOR_MOVES = ["view", "reshape", "flatten", "contiguous", "permute", "transpose", "squeeze", "unsqueeze"]
TENSOR_MOVES += ["size", "dim"]


def _passed(paths: _Paths, module: nn.Module, x: Tensor) -> Tensor:
    return x


# What paths can go through. Anything else is named in the reason of a row that is not applicable.
LAYERS: dict[type, Callable[..., Any]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Linear), _Paths.weighted),
    **dict.fromkeys(BATCH_NORMS, _Paths.normed),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d), _Paths.max_pooled),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d), _Paths.averaged),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), _Paths.adapted),
    **dict.fromkeys(
        (nn.ReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d), lambda paths, module, x: x
    ),
    nn.LeakyReLU: lambda paths, module, x: paths.leaky(x, module.negative_slope),
    **dict.fromkeys((nn.Flatten, nn.Unflatten), lambda paths, module, x: module(x)),
    nn.ZeroPad2d: lambda paths, module, x: paths.padded(x, module.padding),
}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, F.dropout, F.dropout2d), _Paths.unchanged),
    F.leaky_relu: _Paths.leaky,
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _Paths.added),
    F.pad: _Paths.padded,
    torch.mean: _Paths.meaned,
    F.max_pool1d: _pool(nn.MaxPool1d, _Paths.max_pooled),
    F.max_pool2d: _pool(nn.MaxPool2d, _Paths.max_pooled),
    F.avg_pool1d: _pool(nn.AvgPool1d, _Paths.averaged),
    F.avg_pool2d: _pool(nn.AvgPool2d, _Paths.averaged),
    F.adaptive_avg_pool1d: _pool(nn.AdaptiveAvgPool1d, _Paths.adapted),
    F.adaptive_avg_pool2d: _pool(nn.AdaptiveAvgPool2d, _Paths.adapted),
    torch.zeros_like: lambda paths, x, **kwargs: torch.full_like(x, -math.inf),
    **{move: _moved(move) for move in MOVES},
}
METHODS: dict[str, Callable[..., Any]] = {
    **{move: _moved(getattr(Tensor, move)) for move in TENSOR_MOVES},
    **dict.fromkeys(("relu", "relu_"), _Paths.unchanged),
    **dict.fromkeys(("add", "add_"), _Paths.added),
    "mean": _Paths.meaned,
}
