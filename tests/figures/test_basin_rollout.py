import math

import pytest

from gensweep.errors import InputError
from gensweep.figures.basin_rollout import draw, medians, walls


def test_lowest_seed_of_the_lowest_and_the_highest_factor(sweep):
    _, drawn = draw(sweep)
    assert drawn["run_id"].unique().tolist() == ["00eeeeeeeeee", "30eeeeeeeeee"]
    rays = drawn[drawn["quantity"] == "rollout_loss"]
    assert rays.groupby("run_id").size().tolist() == [5 * 6, 5 * 6]


def test_cutoffs_stand_above_the_loss_at_the_solution(sweep):
    run = draw(sweep)[1].query("poison_factor == 0.5")
    assert walls(run, relative=True) == pytest.approx({0.5: 0.6, 1.0: 1.1})
    assert walls(run, relative=False) == pytest.approx({0.5: 0.5, 1.0: 1.0})
    assert medians(run) == pytest.approx({c: 0.1 * 1.2 * math.sqrt(c) for c in (0.5, 1.0)})


def test_both_panels_have_the_same_limits(sweep):
    a, b = draw(sweep)[0].axes
    assert (a.get_xlim(), a.get_ylim()) == (b.get_xlim(), b.get_ylim())
    assert a.get_xscale() == "log"


def test_censored_rays_are_said(sweep):
    table = sweep.copy()
    rays = (table["quantity"] == "radius") & (table["run_id"] == "00eeeeeeeeee") & (table["x"] == 1.0)
    table.loc[rays, "status"] = "censored"
    assert "5 of 80 censored" in draw(table)[1].attrs["footnote"]


def test_a_run_without_a_basin_has_an_empty_panel(sweep):
    walks = sweep["quantity"].isin(["radius", "rollout_loss"])
    figure, _ = draw(sweep[~(walks & (sweep["poison_factor"] == 0.5))])
    assert "no basin" in figure.axes[1].texts[0].get_text()


def test_one_factor_cannot_be_compared(sweep):
    with pytest.raises(InputError, match="compares the lowest with the highest"):
        draw(sweep[sweep["poison_factor"] == 0.0])


def test_two_data_sets_have_a_column_each_with_axes_of_their_own(pair):
    figure, drawn = draw(pair)
    assert [axes.get_title() for axes in figure.axes] == [
        "swiss roll: β = 0",
        "SVHN: β = 0",
        "swiss roll: β = 0.5",
        "SVHN: β = 0.5",
    ]
    good, _, bad, _ = figure.axes
    assert (good.get_xlim(), good.get_ylim()) == (bad.get_xlim(), bad.get_ylim())
    assert drawn["run_id"].unique().tolist() == [
        "00eeeeeeeeee",
        "30eeeeeeeeee",
        "s00eeeeeeeee",
        "s30eeeeeeeee",
    ]
