import numpy as np
import pytest

from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.figures.minefield import APART, draw


def test_the_map_holds_the_path_of_the_lowest_seed_and_its_minima(minefield):
    _, drawn = draw(minefield)
    points = drawn[drawn["kind"].isin(["path", "bad"])]
    assert points["tsne_1"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert points["tsne_2"].tolist() == [0, 0, 0, 0, 3, 3, 3]
    assert points["epoch"].tolist() == [0, 10, 20, 30, 0, 10, 20]
    assert points["test"].tolist()[4:] == pytest.approx([0.3, 0.4, 0.5])
    assert points["run_id"].tolist()[4:] == ["bad00eeeeeee", "bad010eeeeee", "bad020eeeeee"]


def test_distances_are_those_of_the_rows(minefield):
    """A minimum stands three above the path, where it branched off; the next one is a unit away."""
    _, drawn = draw(minefield)
    apart = drawn[drawn["kind"] == "distance"].pivot(index="epoch", columns="quantity", values="value")
    assert apart["to its branch point"].tolist() == [3, 3, 3]
    assert apart["to the nearest point of the path"].tolist() == [3, 3, 3]
    assert apart["to the end of the path"].tolist() == pytest.approx([18**0.5, 13**0.5, 10**0.5])
    assert apart["to the nearest bad minimum"].tolist() == [1, 1, 1]
    assert [*APART] == drawn.loc[drawn["kind"] == "distance", "quantity"].unique().tolist()


def test_barriers_are_of_all_seeds_and_lines_of_one(minefield):
    figure, drawn = draw(minefield)
    barriers = drawn[drawn["kind"] == "barrier"]
    assert barriers.groupby(["seed", "split"])["value"].agg(["mean", "count"]).to_dict("index") == {
        (0, "test"): {"mean": 0.5, "count": 3},
        (0, "train"): {"mean": 1.0, "count": 3},
        (1, "test"): {"mean": 0.5, "count": 3},
        (1, "train"): {"mean": 2.0, "count": 3},
    }
    assert "barriers: on 6 lines, of 2 seeds" in drawn.attrs["footnote"]
    assert "Median barrier on the training set 1.5 nats over 6 lines" in drawn.attrs["caption"]
    bold = [line for line in figure.axes[2].lines if line.get_label() == "train"]
    assert bold[0].get_ydata() == pytest.approx([0, 1, 0])


def test_a_path_that_knows_no_ends_is_refused(minefield):
    alone = minefield.assign(
        settings=minefield["settings"].str.replace(r'"ends": \[.*\]', '"ends": []', regex=True)
    )
    with pytest.raises(InputError, match=r"the trajectory in this table has no ends; name the minima"):
        draw(alone)


def test_a_table_without_trajectories_or_map_is_refused(minefield, sweep):
    with pytest.raises(InputError, match="no distance of the measure trajectory"):
        draw(sweep)
    unmapped = minefield["quantity"].str.startswith("tsne")
    with pytest.raises(InputError, match="fewer points than its perplexity"):
        draw(minefield[~unmapped])


def test_a_minimum_without_numbers_is_said(minefield):
    table = minefield.copy()
    lost = (
        (table["run_id"] == "bad010eeeeee") & (table["quantity"] == "barrier") & (table["split"] == "train")
    )
    table.loc[lost, ["value", "status"]] = [np.nan, "nonfinite"]
    assert "1 of " in draw(table)[1].attrs["footnote"]
    assert "nonfinite" in draw(table)[1].attrs["footnote"]


def test_all_files_are_there(minefield, tmp_path):
    assert all(path.stat().st_size for path in base.draw("minefield", minefield, tmp_path))
