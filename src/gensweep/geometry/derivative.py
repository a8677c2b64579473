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


def slope(share: Tensor, point: Tensor) -> Tensor:
    """The gradient of a part of the loss, (P,), open to another derivative.

    Raises:
        NoDerivative: A step of it can be differentiated once at most.
    """
    with autograd():
        found = torch.autograd.grad(share, point, create_graph=True)[0]
    if broken(found):
        raise NoDerivative("a step of the network is marked once_differentiable")
    return found


def products(slopes: Callable[[], Iterator[Tensor]], point: Tensor, keep: bool) -> Callable[[Tensor], Tensor]:
    """The derivative of a gradient along any vector, (P,), in the type of the vector.

    Args:
        slopes: Makes the parts of the gradient, (P,) each.
        point: Where.
        keep: Whether their graphs serve every product, or are made anew for each.
    """
    kept = list(slopes()) if keep else []

    def product(v_P: Tensor) -> Tensor:
        total, v = torch.zeros_like(v_P), v_P.to(point)
        for part in kept if keep else slopes():
            if part.requires_grad:  # else the slope is the same everywhere
                with autograd():
                    total += torch.autograd.grad(part, point, v, retain_graph=keep)[0]
        return total

    return product
