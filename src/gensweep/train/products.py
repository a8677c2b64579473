"""Which library multiplies matrices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

ROUNDED = 1e-5  # of a product of float32; bfloat16 is off by some 1e-3


@contextlib.contextmanager
def quick_products() -> Iterator[None]:
    """While it lasts, float32 matrices are multiplied by oneDNN where that rounds as float32 does.

    PyTorch's own choice, MKL, takes its slower kernels on processors of other makers. The switch permits
    bfloat16 too, which only processors with a matrix unit take up: there it is put back at once.

    Error: That of float32 products, in another order of summation.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        if off() > ROUNDED:
            torch.set_float32_matmul_precision(before)
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def off() -> float:
    """How far a product of float32 matrices is from the true one, relative to the largest entry."""
    x = torch.linspace(-1, 1, 128 * 256).sin().view(128, 256)
    exact = x.double() @ x.double().T
    return ((x @ x.T - exact).abs().max() / exact.abs().max()).item()
