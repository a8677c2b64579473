import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures.random_labels import draw, is_true, message, ratios
from gensweep.figures.sweeps import measured
from tests.figures import networks
from tests.figures.conftest import frame


@pytest.fixture(scope="module")
def table():
    return networks.random_labels(frame)


def point(drawn, kind, noisy, size):
    (found,) = drawn[
        (drawn["kind"] == kind) & (drawn["random_labels"] == noisy) & (drawn["train_size"] == size)
    ].itertuples()
    return found


def test_a_point_is_the_mean_over_seeds_and_the_band_their_ends(table):
    _, drawn = draw(table)
    found = point(drawn, "spectral", True, 200)
    assert (found.mean, found.min, found.max, found.n) == pytest.approx((6 + 0.5 / 3, 6.0, 6.4, 3))
    assert point(drawn, "sharpness", True, 200).mean == pytest.approx(0.3)  # nats, not a logarithm
    assert point(drawn, "test error", True, 100).mean == pytest.approx(0.9)


def test_the_lines_are_the_rows(table):
    figure, drawn = draw(table)
    solid, dashed = figure.axes[0].get_lines()
    assert solid.get_linestyle() == "-"
    assert dashed.get_linestyle() == "--"
    rows = drawn[(drawn["kind"] == "l2") & drawn["random_labels"]]
    assert dashed.get_ydata().tolist() == rows["mean"].tolist()
    assert len(figure.axes) == 6


def test_the_ratio_grows_and_sharpness_is_reversed_where_they_are(table):
    _, drawn = draw(table)
    assert ratios(drawn, "l2").tolist() == pytest.approx([0.5, 1.0])
    assert ratios(drawn, "sharpness").tolist() == pytest.approx([-0.1, 0.1])
    assert "ℓ₁-path norm +0.5 and +1.0" in message(drawn)
    assert "max sharpness −0.1 and +0.1 nats" in message(drawn)


def test_a_run_above_the_target_loss_is_said_and_not_drawn(table):
    loose = table.copy()
    loose.loc[(loose["quantity"] == "target_reached") & (loose["run_id"] == "a010eeeeeeee"), "value"] = 0.0
    _, drawn = draw(loose)
    assert point(drawn, "l2", True, 100).n == 2
    assert point(drawn, "test error", True, 100).n == 3  # errors are of every run
    assert "1 run above the target loss left out" in drawn.attrs["footnote"]


def test_what_is_not_a_number_is_counted_and_not_drawn(table):
    loose = table.copy()
    gone = (loose["quantity"] == "log10_l2") & (loose["run_id"] == "a000eeeeeeee")
    loose.loc[gone, ["value", "status"]] = [float("nan"), "not_applicable"]
    _, drawn = draw(loose)
    assert (point(drawn, "l2", False, 100).n, point(drawn, "l2", False, 100).absent) == (2, 1)
    assert "ℓ₂ norm: 1 of 12 not_applicable" in drawn.attrs["footnote"]


def test_without_pairs_there_is_no_message(table):
    _, drawn = draw(table[~table["random_labels"]])
    assert "No size has runs of both kinds" in drawn.attrs["caption"]


def test_another_knob_is_refused(table):
    with pytest.raises(InputError, match="confusion_size"):
        draw(table.assign(confusion_size=table["seed"]))


def test_sharpness_of_nothing_has_no_logarithm(table):
    flat = table.assign(value=table["value"].where(table["quantity"] != "neyshabur_sharpness", 0.0))
    rows = measured(flat)
    assert rows.loc[rows["kind"] == "sharpness", "value"].isna().all()


def test_text_of_a_spreadsheet_is_a_switch_too(table):
    assert [is_true(v) for v in (True, "True", "false", 0.0)] == [True, True, False, False]
    text = table.assign(random_labels=table["random_labels"].astype(str))
    pd.testing.assert_frame_equal(draw(text)[1], draw(table)[1])
