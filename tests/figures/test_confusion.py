import math

import numpy as np
import pytest

from gensweep.errors import InputError
from gensweep.figures.confusion import draw
from gensweep.figures.panels import chosen
from gensweep.figures.sweeps import measured, normalised
from tests.figures import networks
from tests.figures.conftest import frame


@pytest.fixture(scope="module")
def table():
    return networks.confusion(frame)


def means(drawn, panel, kind):
    return chosen(drawn, panel, kind, "confusion_size")["mean"].tolist()


def test_errors_and_raw_measures_are_the_means_of_the_rows(table):
    _, drawn = draw(table)
    assert means(drawn, "error", "test") == pytest.approx([0.205, 0.305, 0.405])
    assert means(drawn, "raw", "l2-path") == pytest.approx([6.5, 7.5, 8.5])
    assert means(drawn, "raw", "sharpness") == pytest.approx(np.log10([0.3, 0.2, 0.1]))


def test_normalised_measures_are_those_of_the_value_and_not_of_its_logarithm(table):
    """Of 1, 10 and 100 the middle one lies at 9/99; of 0.3, 0.2 and 0.1 at a half."""
    _, drawn = draw(table)
    for kind in ("l2", "spectral", "l1-path", "l2-path"):
        assert means(drawn, "normalised", kind) == pytest.approx([0, 1 / 11, 1])
    assert means(drawn, "normalised", "sharpness") == pytest.approx([1, 0.5, 0])


def test_normalising_forgets_the_size_of_a_measure(table):
    rows = measured(table)
    larger = rows.assign(value=rows["value"] + 250)  # 1e250 fits no product of norms
    one, other = normalised(rows, "confusion_size"), normalised(larger, "confusion_size")
    assert one["value"].tolist() == pytest.approx(other["value"].tolist())


def test_norms_over_the_margin_of_both_sets_lie_above_by_its_square(table):
    """The margin of the union is half that of the true-labelled set, where there is a confusion set."""
    _, drawn = draw(table)
    up = np.array(means(drawn, "union", "l2")) - means(drawn, "raw", "l2")
    assert up.tolist() == pytest.approx([0, 2 * math.log10(2), 2 * math.log10(2)])
    assert means(drawn, "union", "sharpness") == []


@pytest.mark.filterwarnings("error")
def test_a_union_without_a_margin_has_no_norms_over_it(table):
    table = table.assign(value=table["value"].where(table["split"] != "clean", -1.0))
    assert np.isnan(means(draw(table)[1], "union", "l2")).tolist() == [False, True, True]


def test_without_margins_of_the_union_there_is_no_grey_line(table):
    _, drawn = draw(table[table["split"] != "clean"])
    assert set(drawn["panel"]) == {"error", "normalised", "raw"}


def test_runs_above_the_target_are_hollow_in_errors_and_left_out_of_measures(table):
    loose = table.copy()
    at = (loose["quantity"] == "target_reached") & (loose["confusion_size"] == 100)
    loose.loc[at, "value"] = 0.0
    figure, drawn = draw(loose)
    assert chosen(drawn, "raw", "l2", "confusion_size")["confusion_size"].tolist() == [0, 50]
    hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[100], [100]]
    assert "2 runs above the target loss left out" in drawn.attrs["footnote"]


def test_one_size_is_refused(table):
    with pytest.raises(InputError, match="one confusion_size"):
        draw(table[table["confusion_size"] == 0])
