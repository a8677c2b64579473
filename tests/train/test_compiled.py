"""Compiling changes speed: no name, no state, no word of what a run is."""

from __future__ import annotations

import pytest
import torch

from gensweep.errors import InputError
from gensweep.train import compiled as module
from gensweep.train.compiled import compiled

CPU = torch.device("cpu")


@pytest.fixture
def quick(monkeypatch):
    """Traced and guarded as ever; what would be built with C++ is run as it is."""
    monkeypatch.setattr(module, "OPTIONS", {"backend": "eager"})


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_compiled_training_ends_where_the_other_does(quick, task, data, train, weights, dropout):
    plain, fast = task(data, dropout=dropout, max_epochs=2), task(data, dropout=dropout, max_epochs=2)
    calls = []
    forward = compiled(fast.model, CPU)
    assert not isinstance(forward, torch.nn.Module)  # which would become part of the task
    fast.compiled = lambda x: calls.append(len(x)) or forward(x)
    train(plain, "plain")
    train(fast, "fast")
    assert weights(plain) == weights(fast)
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert calls == [16] * 6  # eight clean and eight poison examples, in training alone


def test_a_machine_that_cannot_compile_says_so_in_one_sentence(monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("No working C++ compiler found\nand forty lines more")

    monkeypatch.setattr(module, "OPTIONS", {"backend": broken})
    with pytest.raises(InputError, match=r"^hardware.compile=true: .*install a C\+\+ compiler.*$") as refusal:
        compiled(torch.nn.Linear(2, 2), CPU)
    assert "\n" not in str(refusal.value)
