import math

import pytest

from gensweep.errors import InputError
from gensweep.figures import poison_accuracy


def test_mean_min_and_max_are_those_of_the_seeds(sweep):
    _, drawn = poison_accuracy.draw(sweep)
    test = drawn[drawn["split"] == "test"].set_index("poison_factor")
    assert test["mean"].to_dict() == pytest.approx({0.0: 0.94, 0.02: 0.92, 0.1: 0.84, 0.5: 0.44})
    assert test["min"].to_dict() == pytest.approx({0.0: 0.93, 0.02: 0.91, 0.1: 0.83, 0.5: 0.43})
    assert test["max"].to_dict() == pytest.approx({0.0: 0.95, 0.02: 0.93, 0.1: 0.85, 0.5: 0.45})
    assert set(drawn["n"]) == {3}
    assert set(drawn["not_ok"]) == {0}


def test_a_run_without_a_number_is_counted_and_shown(sweep):
    table = sweep.copy()
    lost = (
        (table["run_id"] == "32eeeeeeeeee") & (table["quantity"] == "accuracy") & (table["split"] == "test")
    )
    table.loc[lost, ["value", "status"]] = [math.nan, "nonfinite"]
    figure, drawn = poison_accuracy.draw(table)
    point = drawn[(drawn["split"] == "test") & (drawn["poison_factor"] == 0.5)].iloc[0]
    assert (point["n"], point["not_ok"], point["mean"]) == (2, 1, pytest.approx(0.445))
    assert "1 of 24 nonfinite" in drawn.attrs["footnote"]
    labels = [line.get_label() for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert labels == ["test: no number"]


def test_without_one_sound_number_there_is_no_figure_and_no_message(sweep, pair):
    lost = sweep["quantity"] == "accuracy"
    with pytest.raises(InputError, match="no accuracy in this table is ok"):
        poison_accuracy.draw(sweep.assign(status=sweep["status"].mask(lost, "not_converged")))
    svhn = (pair["quantity"] == "accuracy") & (pair["data.name"] == "svhn")
    caption = poison_accuracy.draw(pair.assign(status=pair["status"].mask(svhn, "nonfinite")))[1].attrs[
        "caption"
    ]
    assert "SVHN: No poison factor has a sound accuracy on both sets." in caption
    assert "nan" not in caption
    last = lost & (sweep["poison_factor"] == 0.5)
    caption = poison_accuracy.draw(sweep.assign(status=sweep["status"].mask(last, "nonfinite")))[1].attrs[
        "caption"
    ]
    assert "From β = 0 to β = 0.1 training accuracy" in caption


def test_a_diverged_run_is_counted(sweep):
    gone = sweep[~((sweep["run_id"] == "32eeeeeeeeee") & (sweep["quantity"] == "accuracy"))]
    _, drawn = poison_accuracy.draw(gone)
    assert "n = 2 to 3 per point, over seeds" in drawn.attrs["footnote"]
    assert "1 run diverged or missing" in drawn.attrs["footnote"]


def test_zero_has_its_place_on_the_axis(sweep):
    axes = poison_accuracy.draw(sweep)[0].axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "0.02", "0.1", "0.5"]
    assert axes.get_xlim()[0] < 0


def test_each_data_set_has_a_panel_and_its_own_numbers(pair):
    figure, drawn = poison_accuracy.draw(pair)
    assert [axes.get_title() for axes in figure.axes] == ["swiss roll", "SVHN"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    test = drawn[(drawn["split"] == "test") & (drawn["poison_factor"] == 0.5)].set_index("data")["mean"]
    assert test.to_dict() == pytest.approx({"swissroll": 0.44, "svhn": 0.34})
    for axes, height in zip(figure.axes, (0.44, 0.34), strict=True):
        (line,) = (line for line in axes.lines if line.get_label() == "test")
        assert line.get_ydata()[-1] == pytest.approx(height)
        assert line.get_linestyle() == "--"
    assert "SVHN: From β = 0 to β = 0.5 training accuracy" in drawn.attrs["caption"]
    assert len(drawn.attrs["n"]) == 2 * 2 * 4
