"""The switch that lets oneDNN multiply is on only where it rounds as float32 does, and never stays on."""

import pytest
import torch

from gensweep import products
from gensweep.products import ROUNDED, off, quick_products

BEFORE = torch.backends.mkldnn.matmul.fp32_precision
GPU = torch.backends.cuda.matmul.fp32_precision


def test_products_keep_the_rounding_of_float32():
    with quick_products():
        assert 0 < off() < ROUNDED


def test_bfloat16_would_be_noticed():
    x = torch.linspace(-1, 1, 128 * 256).sin().view(128, 256)
    rough, exact = (x.bfloat16() @ x.bfloat16().T).double(), x.double() @ x.double().T
    assert ((rough - exact).abs().max() / exact.abs().max()).item() > 10 * ROUNDED


@pytest.mark.parametrize(("rounding", "inside"), [(1e-7, "bf16"), (1e-3, BEFORE)])
def test_a_processor_that_rounds_more_is_left_as_it_was(monkeypatch, rounding, inside):
    monkeypatch.setattr(products, "off", lambda: rounding)
    with quick_products():
        assert torch.backends.mkldnn.matmul.fp32_precision == inside
        assert torch.backends.cuda.matmul.fp32_precision == GPU
    assert torch.backends.mkldnn.matmul.fp32_precision == BEFORE


def test_it_is_put_back_after_an_error_too():
    with pytest.raises(RuntimeError, match="mine"), quick_products():
        raise RuntimeError("mine")
    assert torch.backends.mkldnn.matmul.fp32_precision == BEFORE
    assert torch.get_float32_matmul_precision() == "highest"
