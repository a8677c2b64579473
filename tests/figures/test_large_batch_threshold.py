import numpy as np
import pytest

from gensweep.errors import InputError
from gensweep.figures.large_batch_threshold import draw, started
from tests.figures import large_batches as known


@pytest.fixture(scope="module")
def table():
    return known.known()


def test_points_are_means_over_seeds(table):
    _, drawn = draw(table)
    found = drawn.set_index(["what", "model.name", "budget.match", "batch_size"])
    for batch, match in ((10, "epochs"), (40, "epochs"), (100, "epochs"), (100, "updates")):
        accuracy = found.loc["accuracy", "keskar_c1", match, batch]
        assert accuracy["mean"] == pytest.approx(known.accuracy_on_test(batch, match, 1))
        sharp = [known.sharpness(batch, match, seed, 1e-3) for seed in known.SEEDS]
        row = found.loc["sharpness", "keskar_c1", match, batch]
        assert (row["mean"], row["min"], row["max"]) == pytest.approx(
            (np.mean(sharp), min(sharp), max(sharp))
        )


def test_two_axes_and_a_batch_axis_that_is_logarithmic(table):
    left = [axes for axes in draw(table)[0].axes if axes.get_title()]
    assert [axes.get_title() for axes in left] == ["F1, MNIST", "C1, CIFAR-10"]
    assert {axes.get_xscale() for axes in left} == {"log"}
    assert [tick.get_text() for tick in left[0].get_xticklabels()] == ["10", "40", "100"]


def test_what_was_matched_in_updates_begins_at_the_smallest_batch(table):
    _, drawn = draw(table)
    own = drawn[(drawn["model.name"] == "keskar_f1")]
    points = own[(own["what"] == "accuracy") & (own["budget.match"] == "updates")]
    assert started(own, points, "updates")["batch_size"].tolist() == [10, 100]


def test_the_trend_is_that_within_seeds(table):
    """Accuracy falls and sharpness rises within every seed, though the seeds lie apart."""
    assert "F1, MNIST: accuracy −1.00, sharpness +1.00" in draw(table)[1].attrs["caption"]


def test_what_is_not_sound_is_hollow_and_counted(table):
    loose = table.copy()
    here = (loose["quantity"] == "keskar_sharpness") & (loose["x"] == 1e-3) & (loose["batch_size"] == 40)
    loose.loc[here, "status"] = "not_converged"
    figure, drawn = draw(loose)
    assert "6 of 48 not_converged" in drawn.attrs["footnote"]
    assert drawn["not_ok"].sum() == 6
    right = [axes for axes in figure.axes if not axes.get_title()]
    hollow = [line for axes in right for line in axes.lines if str(line.get_markerfacecolor()) == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) == 2


def test_without_sharpness_at_the_source_s_width_it_is_refused(table):
    with pytest.raises(InputError, match="no keskar_sharpness of the measure box_sharpness, x="):
        draw(table[table["x"] != 1e-3])
