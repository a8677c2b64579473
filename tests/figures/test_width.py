import pytest

from gensweep.errors import InputError
from gensweep.figures.panels import chosen
from gensweep.figures.width import draw, hidden
from tests.figures import networks
from tests.figures.conftest import frame


@pytest.fixture(scope="module")
def table():
    return networks.width(frame)


def test_widths_are_numbers_on_a_doubling_axis(table):
    figure, drawn = draw(table)
    assert chosen(drawn, "error", "test", "hidden")["hidden"].tolist() == [8, 32, 64, 128]
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["8", "32", "64", "128"]


def test_a_net_too_narrow_for_the_target_has_an_error_and_no_measures(table):
    figure, drawn = draw(table)
    assert chosen(drawn, "raw", "l2", "hidden")["hidden"].tolist() == [32, 64, 128]
    hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[8], [8]]
    assert "2 runs above the target loss left out" in drawn.attrs["caption"]


def test_measures_are_normalised_from_32_units_on(table):
    every = table.assign(value=table["value"].where(table["quantity"] != "target_reached", 1.0))
    _, drawn = draw(every)
    assert chosen(drawn, "normalised", "l2", "hidden")["hidden"].tolist() == [32, 64, 128]
    assert chosen(drawn, "raw", "l2", "hidden")["hidden"].tolist() == [8, 32, 64, 128]
    assert chosen(drawn, "normalised", "l2", "hidden")["mean"].iloc[1] == 0
    assert "ℓ₂ norm 64" in drawn.attrs["caption"]


@pytest.mark.parametrize("widths", ["[8, 8]", "[]", None])
def test_other_nets_than_those_with_one_hidden_layer_are_refused(widths):
    with pytest.raises(InputError, match="not one hidden layer"):
        hidden(widths)


def test_one_width_is_refused(table):
    with pytest.raises(InputError, match="one number of hidden units"):
        draw(table[table["model.widths"] == "[8]"])
