"""Which library multiplies matrices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

ROUNDED = 1e-5  # of a product of float32; bfloat16 is off by some 1e-3


@contextlib.contextmanager
def quick_products() -> Iterator[None]:
    """While it lasts, float32 matrices are multiplied by oneDNN where that rounds as float32 does.

    PyTorch's own choice, MKL, takes its slower kernels on processors of other makers. The switch permits
    bfloat16 too, which only processors with a matrix unit take up: there it is put back at once. GPUs have
    switches of their own, which stay as they are.

    Error: That of float32 products, in another order of summation.
    """
    cpu: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = cpu.fp32_precision
    cpu.fp32_precision = "bf16"
    try:
        if off() > ROUNDED:
            cpu.fp32_precision = before
        yield
    finally:
        cpu.fp32_precision = before


def off() -> float:
    """How far a product of float32 matrices is from the true one, relative to the largest entry."""
    x = torch.linspace(-1, 1, 128 * 256).sin().view(128, 256)
    exact = x.double() @ x.double().T
    return ((x @ x.T - exact).abs().max() / exact.abs().max()).item()
