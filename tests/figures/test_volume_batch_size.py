import numpy as np
import pytest

from gensweep.claims.statistic import estimate
from gensweep.figures.volume_batch_size import change, draw, measured
from tests.figures import large_batches as known


@pytest.fixture(scope="module")
def table():
    return known.known()


def test_only_runs_with_a_basin_are_drawn(table):
    assert set(measured(table)["model.name"]) == {"keskar_f1"}
    assert set(draw(table)[1]["quantity"]) == {"log10_volume", "log10_volume_jensen", "gap_error"}


def test_mean_and_interval_over_seeds(table):
    drawn = draw(table)[1].set_index(["quantity", "cutoff", "budget.match", "batch_size"])
    row = drawn.loc["log10_volume_jensen", 0.5, "epochs", 100]
    values = np.array([known.jensen(100, "epochs", seed, 0.5) for seed in known.SEEDS])
    assert row["mean"] == pytest.approx(values.mean())
    ours = estimate("mean", values)
    assert (row["low"], row["high"]) == pytest.approx((ours.low, ours.high))
    assert row["low"] < row["mean"] < row["high"]


def test_the_change_is_paired_by_seed(table):
    """The seeds differ by 1 and the pairs do not: without pairing the interval would not be a point."""
    rows = measured(table)
    rows = rows[rows["cutoff"] == 1.0]
    for match in ("epochs", "updates"):
        found = change(rows, "log10_volume_jensen", match)
        assert (found.value, found.low, found.high, found.n) == pytest.approx((-100, -100, -100, 3))


def test_volumes_that_are_lower_bounds_are_hollow_and_counted(table):
    figure, drawn = draw(table)
    assert drawn.loc[drawn["quantity"] == "log10_volume", "not_ok"].eq(3).all()
    assert drawn.loc[drawn["quantity"] != "log10_volume", "not_ok"].eq(0).all()
    hollow = [
        sum(len(line.get_xdata()) for line in axes.lines if str(line.get_markerfacecolor()) == "white")
        for axes in figure.axes
    ]
    assert hollow[0] == hollow[2] == 0 < hollow[1]
    assert "24 of 60 low_ess" in drawn.attrs["footnote"]


def test_epochs_are_solid_circles_updates_dashed_squares(table):
    axes = draw(table)[0].axes[2]
    looks = {(line.get_linestyle(), line.get_marker(), len(line.get_xdata())) for line in axes.lines}
    assert {("-", "o", 3), ("--", "s", 2)} <= looks


def test_two_seeds_have_no_interval(table):
    drawn = draw(table[table["seed"] < 2])[1]
    assert drawn["low"].isna().all()
    assert set(drawn["n"]) == {2}
