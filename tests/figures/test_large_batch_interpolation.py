import json

import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures.large_batch_interpolation import beyond, draw, lines
from tests.figures.large_batches import LARGE, SMALL, known


@pytest.fixture(scope="module")
def table():
    return known()


def test_alpha_runs_from_the_small_batch_to_the_large_one(table):
    """The run is the large batch at x = 0; the bowl's floor at x = 0.25 stands at α = 0.75."""
    _, drawn = draw(table)
    loss = drawn[(drawn["quantity"] == "loss") & (drawn["split"] == "train")]
    own = loss[(loss["model.name"] == "keskar_f1") & (loss["budget.match"] == "epochs")].set_index("alpha")[
        "mean"
    ]
    assert (own.index.min(), own.index.max(), len(own)) == (-1, 2, 25)
    assert own.idxmin() == pytest.approx(0.75)
    assert own[1.0] == pytest.approx(0.25**2 + 0.011)


def test_a_line_from_the_small_batch_is_not_drawn_twice(table):
    large = table["run_id"].str.startswith(f"f{LARGE}e")
    mirrored = table[large & (table["measure"] == "interpolation")]
    there = json.dumps({**json.loads(mirrored["settings"].iloc[0]), "other": f"f{LARGE}e0eeeeee"})
    mirrored = mirrored.assign(
        run_id=mirrored["run_id"].str.replace(f"f{LARGE}e", f"f{SMALL}e"), batch_size=SMALL, settings=there
    )
    both = pd.concat([table, mirrored], ignore_index=True)
    assert len(lines(both)) == len(lines(table))


def test_one_panel_per_network_and_match_with_shared_limits_and_two_axes(table):
    figure, drawn = draw(table)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        f"{net}\nas many {m}" for net in ("F1, MNIST", "C1, CIFAR-10") for m in ("epochs", "updates")
    ]
    left = [axes for axes in figure.axes if axes.get_title()]
    assert len({axes.get_ylim() for axes in left}) == 1
    assert {axes.get_yscale() for axes in left} == {"log"}
    assert set(drawn["n"]) == {3}


def test_train_is_solid_and_test_dashed(table):
    left = draw(table)[0].axes[0]
    looks = {line.get_label(): line.get_linestyle() for line in left.lines if line.get_label()[0] != "_"}
    assert looks == {"loss, train": "-", "loss, test": "--"}


def test_the_mode_of_batch_norm_and_the_loss_beyond_the_ends_are_said(table):
    _, drawn = draw(table)
    assert "statistics of the batch, as in Keskar's code" in drawn.attrs["footnote"]
    loss = beyond(drawn, 1.25)["keskar_f1", "epochs"], beyond(drawn, -0.25)["keskar_f1", "epochs"]
    assert loss == pytest.approx((0.5**2 + 0.011, 1 + 0.011))
    assert "F1, as many epochs: 0.261 and 1.01" in drawn.attrs["caption"]


def test_a_loss_that_is_not_finite_is_counted_and_left_out(table):
    spoilt = table.copy()
    one = (spoilt["measure"] == "interpolation") & (spoilt["quantity"] == "loss") & (spoilt["x"] == 2)
    spoilt.loc[one & (spoilt["seed"] == 0), ["value", "status"]] = [float("inf"), "nonfinite"]
    _, drawn = draw(spoilt)
    assert "8 of 1200 nonfinite" in drawn.attrs["footnote"]
    edge = drawn[(drawn["alpha"] == -1) & (drawn["quantity"] == "loss")]
    assert set(edge["n"]) == {2}
    assert edge["max"].max() < 10


def test_a_table_without_such_a_line_is_a_sentence(table):
    with pytest.raises(InputError, match="no loss of the measure interpolation"):
        draw(table[table["measure"] != "interpolation"])
    backwards = table.assign(settings=table["settings"].str.replace(f"{SMALL}e", f"{LARGE}e"))
    with pytest.raises(InputError, match="no line in this table leads from a large batch"):
        draw(backwards)
