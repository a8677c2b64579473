"""The table of speed ratios: its arithmetic, the patterns for peers, and what it says of absent ones."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import math
import sys
import time
from pathlib import Path

import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.geometry.risk import Risk
from gensweep.models.mlp import MLP

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ABSENT = ("loss_landscapes", "pyhessian", "curvlinops", "pathnorm")


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        for name in ABSENT:
            patch.setitem(sys.modules, name, None)
        yield importlib.import_module


@pytest.fixture(scope="module")
def net(bench):
    torch.manual_seed(0)
    x = torch.randn(300, 1, 28, 28)
    train = Split(x.numpy(), torch.randint(10, (300,)).numpy(), torch.arange(300).numpy())
    model = MLP((1, 28, 28), 10, [6]).eval()
    return bench("subjects").Subject("little", model, Data(train, train, train, train, 10))


def busy(seconds):
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass
    return seconds


def row(ratios, **changed):
    found = ratios.compared("job", "net", "peer", ratios.Way(int), ratios.Way(int), lambda a, b: 0.0, 1e-5)
    return dataclasses.replace(found, **changed)


def test_a_ratio_is_time_per_unit_over_our_time_per_unit(bench):
    ratios = bench("ratios")
    ours, theirs = ratios.Way(lambda: busy(0.02), 2), ratios.Way(lambda: busy(0.03), 1)
    found = ratios.compared("job", "net", "peer", ours, theirs, lambda a, b: b - a, 0.1, goal=2.5, rounds=3)
    assert found.ratio == pytest.approx(3, rel=0.2)
    assert found.low <= found.ratio <= found.high
    assert (found.n_rounds, found.met, found.agrees) == (3, "yes", True)
    assert found.agreement == pytest.approx(0.01)


@pytest.mark.parametrize(("off", "agrees"), [(1e-5, True), (2e-5, False), (math.nan, False)])
def test_answers_that_are_apart_or_nan_end_with_1(bench, monkeypatch, capsys, off, agrees):
    ratios, speed = bench("ratios"), bench("speed")
    bad = row(ratios, agreement=off, goal=2.0, ratio=1.0)
    monkeypatch.setattr(speed, "JOBS", {"one": lambda: iter([bad])})
    assert speed.main([]) == (0 if agrees else 1)
    out = capsys.readouterr().out
    assert "missed: job, net, peer" in out
    assert ("apart: job, net, peer" in out) is not agrees


def test_rows_come_back_from_the_file_as_they_were(bench, tmp_path, monkeypatch):
    ratios, speed = bench("ratios"), bench("speed")
    rows = [row(ratios, ratio=3.25), ratios.absent("job", "net", "peer", "not installed")]
    monkeypatch.setattr(speed, "JOBS", {"one": lambda: iter(rows)})
    assert speed.main(["one", "-o", str(tmp_path / "a" / "speed.csv")]) == 0
    with (tmp_path / "a" / "speed.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == ratios.COLUMNS
    assert (first["ratio"], first["goal"], first["met"]) == ("3.25", "", "–")
    assert (second["n_rounds"], second["ratio"], second["note"]) == ("0", "", "not installed")


def test_a_peer_that_is_absent_or_fails_is_a_row_that_says_so(bench, net):
    surface, ratios = bench("jobs.surface"), bench("ratios")
    ours = ratios.Way(lambda: surface.surface(net, 2), 4)
    found = surface.library(net, ours, 2, 1.0)
    assert (found.n_rounds, found.agrees) == (0, True)
    assert found.note == "not installed: loss_landscapes"
    found = ratios.compared("a", "b", "c", ratios.Way(int), ratios.Way(lambda: 1 / 0), lambda a, b: 0.0, 0)
    assert found.note == "fails: ZeroDivisionError: division by zero"


def test_the_walk_over_a_plane_gives_the_losses_of_ours(bench, net):
    surface, ratios = bench("jobs.surface"), bench("ratios")
    found = surface.walked(net, ratios.Way(lambda: surface.surface(net, 3), 9), 3, 4, rounds=1)
    assert found.agrees
    grid = surface.surface(net, 3)
    other = {place: (1.001 * loss, accuracy) for place, (loss, accuracy) in grid.items()}
    assert surface.apart(net, grid, other) == pytest.approx(1e-3, rel=0.01)


def test_perturbed_networks_lose_as_ours_and_are_put_back(bench, net):
    noise, patterns = bench("jobs.noise"), bench("patterns")
    risk = noise.risk_of(net)
    ours = [noise.losses(net, risk, risk(net.theta_P))]
    assert noise.apart(ours, noise.set_and_walked(net, 3)) < 1e-6
    assert noise.apart(ours, noise.added_and_walked(net, 3)) < 1e-6
    before = [p.clone() for p in net.model.parameters()]
    with patterns.perturbed(net.model, 1.0):
        assert not torch.equal(before[0], next(net.model.parameters()))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(before, net.model.parameters(), strict=True))


def test_the_search_for_noise_stops_where_the_accuracy_has_dropped_that_far(bench, net, monkeypatch):
    patterns = bench("patterns")
    size = torch.cat([p.flatten() for p in net.model.parameters()])

    def falling(model, loader):
        moved = torch.cat([p.detach().flatten() for p in model.parameters()]) - size.detach()
        return 0.0, 1 - moved.square().mean().sqrt().item()  # so that a deviation of 0.1 costs a tenth

    monkeypatch.setattr(patterns, "evaluated", falling)
    deviation, spent = patterns.tolerated_deviation(net.model, net.loader)
    assert deviation == pytest.approx(0.1, abs=0.015)
    assert 10 <= spent <= 150


def test_the_gradient_and_the_squared_paths_are_those_of_ours(bench, net):
    patterns, norms = bench("patterns"), bench("jobs.norms")
    risk = Risk(net.solution, net.data.train, net.data)
    value, slope = risk.grad(net.theta_P)
    loss, gradient = patterns.gradient(net.model, net.loader)
    assert loss == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-6)
    assert norms.squared(net, 1).agrees


def test_ten_iterations_reach_a_corner_where_the_loss_is_linear(bench):
    def linear(w):
        return float(w @ slope), slope

    slope = torch.tensor([1.0, -2.0, 3.0])
    centre, half = torch.zeros(3), torch.full((3,), 0.1)
    highest = bench("patterns").highest_in_box(linear, centre, half, centre)
    assert highest == pytest.approx(0.6, rel=1e-6)
