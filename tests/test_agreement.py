"""The cheapest network of `make bench`, in an environment without peers."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# All tests share one computation.
pytestmark = pytest.mark.slow
ABSENT = ("curvlinops", "pyhessian", "loss_landscapes", "pathnorm")


@pytest.fixture(scope="module")
def agreement():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        for name in ABSENT:
            patch.setitem(sys.modules, name, None)
        yield importlib.import_module("agreement")


@pytest.fixture(scope="module")
def found(agreement):
    return list(agreement.convex())


def test_every_quantity_of_softmax_regression_agrees_with_brute_force(agreement, found):
    assert len(found) > 20
    assert not [agreement.told(line) for line in found if not line.agrees]


def test_an_absent_peer_is_named_with_the_way_to_get_it(agreement, found):
    missing = {peer.name: peer for line in found for peer in line.peers if peer.value is None}
    assert set(missing) == set(ABSENT)
    for name, peer in missing.items():
        assert agreement.installed(name) is None
        assert peer.note.startswith("not installed: ")
    assert any("not installed: make bench" in agreement.told(line) for line in found)


def test_peers_that_every_environment_has_answer(found):
    present = {
        peer.name.split()[0]: line.off(peer.value) for line in found for peer in line.peers if peer.value
    }
    assert set(present) == {"numpy", "scipy", "sklearn", "torch", "torchmetrics"}
    assert max(present.values()) < 1e-6


def test_a_number_that_is_off_or_nan_ends_with_1(agreement, found, monkeypatch, capsys):
    for wrong in (1.01, float("nan")):
        line = next(line for line in found if line.quantity == "kl, nats")
        bad = dataclasses.replace(line, ours=line.ours._replace(value=wrong * line.exact.value))
        monkeypatch.setattr(agreement, "GROUPS", (lambda bad=bad: iter([bad]),))
        assert agreement.main() == 1
        assert "Ours disagrees:\nsoftmax: kl, nats" in capsys.readouterr().out
    monkeypatch.setattr(agreement, "GROUPS", (lambda: iter([line]),))
    assert agreement.main() == 0
    assert "curvlinops: NOT INSTALLED (make bench)" in capsys.readouterr().out


def test_a_peer_that_fails_is_a_finding(agreement):
    peer = importlib.import_module("peer").asked("scipy", lambda: 1 / 0)
    assert peer.value is None
    assert peer.note == "fails: ZeroDivisionError: division by zero"
