import pytest

from gensweep.errors import InputError
from gensweep.figures import base, batches
from gensweep.figures.large_batch_curves import draw, gap
from tests.figures.large_batches import LARGE, MIDDLE, SMALL, accuracy_on_test, known


@pytest.fixture(scope="module")
def table():
    return known()


def test_mean_min_and_max_are_those_of_the_seeds(table):
    _, drawn = draw(table)
    end = drawn[(drawn["panel"] == "epochs") & (drawn["split"] == "test") & (drawn["x"] == 4)]
    found = end.set_index(["model.name", "size"])
    for size, batch in (("small", SMALL), ("large", LARGE)):
        mean = accuracy_on_test(batch, "epochs", 1)
        row = found.loc["keskar_c1", size]
        assert (row["mean"], row["min"], row["max"]) == pytest.approx((mean, mean - 0.01, mean + 0.01))
        assert row["n"] == 3


def test_below_the_place_is_the_number_of_updates(table):
    """100 updates an epoch at a batch of 10, 10 at one of 100, of 1,000 examples."""
    drawn = draw(table)[1].query("panel == 'updates' and split == 'test' and `model.name` == 'keskar_f1'")
    places = drawn.groupby("size")["x"].agg(list).to_dict()
    assert places == {"small": [0, 100, 400], "large": [0, 100, 400]}


def test_a_batch_between_the_ends_is_not_drawn(table):
    assert set(draw(table)[1]["batch_size"]) == {SMALL, LARGE}
    assert MIDDLE not in set(draw(table)[1]["batch_size"])


def test_train_is_solid_test_dashed_and_sizes_have_marks_of_their_own(table):
    axes = draw(table)[0].axes[0]
    assert axes.get_title() == "F1, MNIST: batches of 10 and 100"
    looks = {line.get_label(): (line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert looks == {
        "small batch, train": ("-", "o"),
        "small batch, test": ("--", "o"),
        "large batch, train": ("-", "s"),
        "large batch, test": ("--", "s"),
    }


def test_the_message_has_the_difference_at_the_end(table):
    _, drawn = draw(table)
    assert gap(drawn, "keskar_f1", "epochs") == pytest.approx(-0.1)
    assert gap(drawn, "keskar_f1", "updates") == pytest.approx(-0.01)
    assert (
        "F1, MNIST: -10.0 points after as many epochs, -1.0 after as many updates" in drawn.attrs["caption"]
    )


def test_both_rows_of_a_network_have_the_same_limits(table):
    above, _, below, _ = draw(table)[0].axes
    assert above.get_ylim() == below.get_ylim()


def test_a_seed_that_diverged_is_counted(table):
    lost = table[(table["run_id"] != "f100e1eeeeee") | (table["measure"] == "error")]
    _, drawn = draw(lost)
    assert "1 run diverged or missing" in drawn.attrs["footnote"]
    assert "n = 2 to 3 seeds" in drawn.attrs["footnote"]
    gone = batches.gone(lost, base.numbers(lost, "curve", "accuracy"))
    assert gone == ["keskar_f1 batch_size=100 match=epochs seed=1"]


def test_without_update_matched_runs_the_lower_panel_says_so(table):
    figure, drawn = draw(table[table["budget.match"] == "epochs"])
    assert set(drawn["panel"]) == {"epochs"}
    assert figure.axes[2].texts[0].get_text() == "not matched in updates here"


def test_one_batch_size_cannot_be_compared(table):
    with pytest.raises(InputError, match="has the batch size 10 only"):
        draw(table[table["batch_size"] == SMALL])


def test_another_knob_is_refused(table):
    with pytest.raises(InputError, match=r"optim\.lr"):
        draw(table.assign(**{"optim.lr": table["seed"] / 100 + 0.01}))


def test_a_table_without_curves_is_refused(table):
    with pytest.raises(InputError, match="no accuracy of the measure curve"):
        draw(table[table["measure"] != "curve"])
