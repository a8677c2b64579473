import math

import numpy as np
import pandas as pd
import pytest

from gensweep.figures.volume_gap import correlation, draw


def test_points_are_the_rows_of_the_table(sweep):
    _, drawn = draw(sweep)
    assert len(drawn) == 12 * 2 * 2
    run = drawn[(drawn["run_id"] == "21eeeeeeeeee") & (drawn["quantity"] == "log10_volume_jensen")]
    assert run["gap"].tolist() == pytest.approx([0.999 - 0.84] * 2)
    assert run["value"].tolist() == pytest.approx([1000 * math.log10(0.2 * c**0.5) for c in (0.5, 1.0)])


def test_what_is_not_ok_is_hollow_and_counted(sweep):
    figure, drawn = draw(sweep)
    assert (drawn["status"] == "low_ess").sum() == 12
    hollow = [line for line in figure.axes[0].lines if str(line.get_markerfacecolor()) == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) == 12
    assert "12 of 48 low_ess" in drawn.attrs["footnote"]


def test_rays_and_dimensions_are_said(sweep):
    assert "K = 5 rays, n = 1000 dimensions" in draw(sweep)[1].attrs["footnote"]


def test_a_target_that_was_not_reached_is_said(sweep):
    table = sweep.copy()
    table.loc[(table["quantity"] == "target_reached") & (table["seed"] == 0), "value"] = 0.0
    assert "4 runs did not reach the target loss" in draw(table)[1].attrs["footnote"]


def test_correlation_of_a_known_permutation():
    x, y = np.arange(5.0), np.array([1.0, 0.0, 2.0, 4.0, 3.0])
    found = correlation(x, y)
    assert found.value == pytest.approx(0.8)
    assert found.low <= found.value <= found.high
    assert correlation(x, -y).value == pytest.approx(-0.8)


def test_correlation_leaves_out_what_is_not_there_and_says_how_many_are():
    found = correlation(np.array([1.0, 2, 3, np.nan]), np.array([1.0, 2, 3, 4]))
    assert (found.n, found.value) == (3, 1.0)
    assert math.isnan(correlation(np.ones(2), np.ones(2)).value)


def test_a_constant_side_has_no_correlation():
    assert math.isnan(correlation(np.ones(5), np.arange(5.0)).value)


def test_a_panel_for_each_estimator_and_data_set(pair):
    trace = pair[pair["quantity"] == "log10_volume_jensen"].assign(quantity="log10_volume_trace")
    figure, drawn = draw(pd.concat([pair, trace[trace["data.name"] == "svhn"]]))
    assert [axes.get_title() for axes in figure.axes] == [
        "swiss roll: rays, log₁₀ E[rⁿ]",
        "SVHN: rays, log₁₀ E[rⁿ]",
        "swiss roll: rays, Jensen bound n·E[log₁₀ r]",
        "SVHN: rays, Jensen bound n·E[log₁₀ r]",
        "swiss roll: trace of the Hessian",
        "SVHN: trace of the Hessian",
    ]
    assert drawn.groupby(["data", "quantity"]).size().unique().tolist() == [24]
    assert "not measured on this data set" in figure.axes[4].texts[0].get_text()
    assert "swiss roll: Spearman's ρ of volume with the gap lies from" in drawn.attrs["caption"]


def test_runs_that_do_not_fit_are_said(sweep):
    table = sweep.copy()
    loose = (
        (table["run_id"] == "32eeeeeeeeee") & (table["quantity"] == "accuracy") & (table["split"] == "train")
    )
    table.loc[loose, "value"] = 0.9
    assert "1 run below 95% train accuracy" in draw(table)[1].attrs["footnote"]


def test_the_message_says_over_what_and_how_many_the_correlations_range(sweep):
    table = sweep[~((sweep["run_id"] == "32eeeeeeeeee") & (sweep["quantity"] == "log10_volume_jensen"))]
    _, drawn = draw(table)
    every = [
        correlation(points["gap"], points["value"]) for _, points in drawn.groupby(["quantity", "cutoff"])
    ]
    low, high = (
        f"{bound:+.2f}".replace("-", "−") for bound in (min(e.low for e in every), max(e.high for e in every))
    )
    assert (
        f"its 95 % intervals from {low} to {high}, over 4 pairs of an estimator and a cutoff; each of "
        "n = 11 to 12 runs (3 seeds × 4 poison factors)"
    ) in drawn.attrs["caption"]
    few = draw(sweep[sweep["run_id"].isin(["01eeeeeeeeee", "11eeeeeeeeee"])])[1].attrs["caption"]
    assert "Too few runs" in few
    assert "nan" not in few
