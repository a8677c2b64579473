"""Learning rates by hand."""

from __future__ import annotations

import pytest

from gensweep.train.schedule import Schedule


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 1.0), (0.39, 1.0), (0.4, 0.1), (0.6, 0.01), (1, 0.001)]
)
def test_steps_of_the_svhn_runs(progress, factor):
    schedule = Schedule("step", (0.4, 0.6, 0.8), 0.1)
    assert schedule.factor(progress, 256) == pytest.approx(factor)


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (0.5, 0.5), (1, 0), (1.5, 0)])
def test_cosine(progress, factor):
    assert Schedule("cosine").factor(progress, 64) == pytest.approx(factor)


@pytest.mark.parametrize(("rule", "factor"), [("fixed", 1), ("sqrt", 4), ("linear", 16)])
def test_batch_rules(rule, factor):
    assert Schedule(batch_rule=rule).factor(0.9, 1024) == factor
