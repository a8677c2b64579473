import pandas as pd
import pytest

from gensweep.figures.measures_vs_gap import GREY, draw
from gensweep.rows import Row
from tests.figures.conftest import frame

SIZES, BATCHES, SEEDS = (100, 200, 400), (16, 64), (0, 1)


def rows_of(gap, sign):
    """A norm that goes with the gap or against it, and a sharpness that goes with it."""
    yield "error", [Row("gap_error", gap, 0.001), Row("target_reached", 1.0, split="train")]
    yield "norms", [Row("l2_norm", 10 + sign * gap)]
    yield "adaptive_sharpness", [Row("average_l2_logit_normalised", gap, 0.0, "train")]


@pytest.fixture(scope="module")
def table():
    """3 sizes × 2 batches × 2 seeds; the gap falls with the size and rises with the batch."""
    frames = []
    for i, size in enumerate(SIZES):
        for batch in BATCHES:
            for seed in SEEDS:
                gap = 0.5 - 0.1 * i + batch / 1000 + seed / 100
                knobs = {"seed": seed, "train_size": size, "batch_size": batch, "data.name": "mnist"}
                run = f"{i}{batch}{seed}".ljust(12, "e")
                frames += [frame(run, knobs, measure, found) for measure, found in rows_of(gap, -1)]
    return pd.concat(frames, ignore_index=True)


def taken(drawn, label, sweep):
    return drawn.set_index(["label", "sweep"]).loc[label, sweep]


def test_a_measure_that_goes_with_the_gap_and_one_that_goes_against_it(table):
    _, drawn = draw(table)
    assert taken(drawn, "ℓ₂ norm ‖θ‖", "granulated")["value"] == -1
    assert taken(drawn, "adaptive, average, logits normalised", "granulated")["value"] == 1
    assert taken(drawn, "ℓ₂ norm ‖θ‖", "worst")["value"] == 1
    assert (drawn["unsound"] == 0).all()
    assert drawn.attrs["caption"].startswith(
        "Granulated τ: −1.00 (ℓ₂ norm ‖θ‖) to +1.00 (adaptive, average, logits normalised). Measures "
        "with mostly sound numbers: 2; of these with a worst sign error below one half: 1."
    )
    assert "grey" not in drawn.attrs["footnote"]


def test_a_measure_of_mostly_unsound_numbers_is_marked_and_not_counted(table):
    loose = table["quantity"] == "l2_norm"
    figure, drawn = draw(table.assign(status=table["status"].mask(loose, "not_converged")))
    colours = {name.get_text(): name.get_color() for name in figure.axes[0].get_yticklabels()}
    assert colours["ℓ₂ norm ‖θ‖"] == GREY
    assert colours["adaptive, average, logits normalised"] == "black"
    for axes in figure.axes[1:]:
        hollow = [line for line in axes.lines if str(line.get_markerfacecolor()) == "white"]
        assert [line.get_ydata().tolist() for line in hollow] == [[0]]
    assert "Measures with mostly sound numbers: 1; " in drawn.attrs["caption"]
    assert "(1 of 2 measures)" in drawn.attrs["footnote"]
    some = loose & (table["seed"] == 0)  # half is not most
    assert draw(table.assign(status=table["status"].mask(some, "censored")))[1]["unsound"].max() == 0.5


def test_a_table_of_unsound_numbers_alone_says_nothing_of_any_measure(table):
    loose = table["measure"] != "error"
    _, drawn = draw(table.assign(status=table["status"].mask(loose, "not_converged")))
    assert drawn.attrs["caption"].startswith("No measure has mostly sound numbers")
    assert "(2 of 2 measures)" in drawn.attrs["footnote"]
