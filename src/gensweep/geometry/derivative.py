"""Derivatives by autograd, and where there are none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel


class NoDerivative(Exception):
    """The network has no derivative of the order that was asked for; the message says why."""


def forward_mode(function: Callable[[Tensor], Tensor], at: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """A function's value at a point and its derivative along a direction.

    Raises:
        NoDerivative: A step of it knows no forward mode.
    """
    try:
        return jvp(function, (at,), (along,))[:2]
    except (RuntimeError, NotImplementedError) as error:
        raise NoDerivative(f"a step has no forward-mode derivative: {str(error).splitlines()[0]}") from error


def broken(slope: Tensor) -> bool:
    """Whether the graph ends at a step that refuses another derivative.

    `torch.autograd.grad` goes around such a step without a word, and its Hessian lacks those terms.
    """
    seen, ahead = set(), [slope.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            return True
        seen.add(node)
        ahead += [following for following, _ in node.next_functions]
    return False


@contextlib.contextmanager
def autograd() -> Iterator[None]:
    """Autograd's refusals under a name of their own."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise NoDerivative(f"autograd says: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def plain_attention() -> Iterator[None]:
    """Attention in steps that know a second derivative and forward mode; its faster kernels do not."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
