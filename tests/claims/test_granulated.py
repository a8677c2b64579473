"""Granulated Kendall on runs whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

from gensweep.claims.granulated import interval, psi, worst


def grid(value, gap, stderr=0.0):
    """Runs over two knobs and a seed."""
    rows = [
        {"a": a, "b": b, "seed": seed, "value": value(a, b), "gap": gap(a, b), "gap_stderr": stderr}
        for a in (1, 2, 3)
        for b in (10, 20)
        for seed in range(2)
    ]
    return pd.DataFrame(rows)


ALIKE = ["a", "b", "seed"]


def test_a_measure_that_follows_one_knob_and_opposes_another_counts_each_once():
    runs = grid(lambda a, b: a + b, lambda a, b: a - b)
    assert psi(runs, "a", ALIKE).tolist() == [1.0] * 4
    assert psi(runs, "b", ALIKE).tolist() == [-1.0] * 6
    assert interval([psi(runs, k, ALIKE) for k in "ab"]) == (0.0, 0.0, 0.0, 10)


def test_no_monotone_change_of_a_measure_changes_it():
    runs = grid(lambda a, b: a + b, lambda a, b: (a - 2) ** 2 + b)
    other = runs.assign(value=np.exp(runs["value"]))
    assert [psi(runs, k, ALIKE).tolist() for k in "ab"] == [psi(other, k, ALIKE).tolist() for k in "ab"]


def test_a_measure_that_does_not_move_says_nothing():
    assert psi(grid(lambda a, b: 1.0, lambda a, b: a), "a", ALIKE).tolist() == [0.0] * 4


def test_the_worst_environment_is_the_one_knob_that_turns_it_round():
    runs = grid(lambda a, b: a + b, lambda a, b: a - b)
    found = worst(runs, ["a", "b"], ALIKE)
    assert (found.knob, found.error.value, found.error.n) == ("b", 1.0, 6)
    follows = worst(grid(lambda a, b: a + b, lambda a, b: a + b), ["a", "b"], ALIKE)
    assert follows.error.value == 0.0
    assert follows.error.high > 0.2  # twelve pairs are no proof


def test_pairs_within_the_noise_of_the_test_set_do_not_count():
    noisy = worst(grid(lambda a, b: a, lambda a, b: a, stderr=5.0), ["a", "b"], ALIKE)
    assert (noisy.knob, noisy.error.n) == ("", 0)


def test_too_few_groups_have_no_interval():
    few = interval([np.array([1.0]), np.array([0.0])])
    assert few.value == 0.5
    assert math.isnan(few.low)
    assert math.isnan(interval([]).value)
    assert interval([np.array([1.0, 1.0, -1.0])]).value == pytest.approx(1 / 3)
