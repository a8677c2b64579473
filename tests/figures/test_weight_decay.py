"""Lines and slices of small-batch and large-batch solutions, from a table whose every number is known."""

import math

import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures import interpolation_weight_decay, slices_weight_decay
from gensweep.rows import Row
from tests.figures.conftest import frame

ALPHAS = (-0.5, 0.0, 0.5, 1.0, 1.5)
LOSS = {  # of the training set along the line, by weight decay
    0.0: (2.0, 0.01, 3.0, 0.01, 20.0),
    0.005: (40.0, 0.01, 3.0, 0.01, 4.0),
}


def on_the_line(batch, decay, seed):
    """What a run has walked: α from the small batch; from the large one 1 − α, with losses twice as high."""
    for alpha, loss in zip(ALPHAS, LOSS[decay], strict=True):
        x, loss = (alpha, loss) if batch == 16 else (1 - alpha, 2 * loss)
        for split, more in (("train", 0.0), ("test", 1.0)):
            yield Row("loss", loss + more + seed, 0.0, split, x=x)
            yield Row("accuracy", 0.9 - more / 2, 0.0, split, x=x)
    yield Row("barrier", 3.0, 0.0, "train")


def batch_frames(batch, decay, seed):
    knobs = {
        "seed": seed,
        "batch_size": batch,
        "optim.weight_decay": decay,
        "train_size": 512,
        "model.name": "vgg9",
    }
    run_id = f"b{batch}w{decay * 1000:g}s{seed}".ljust(12, "e")
    errors = [Row("loss", 0.01, 0.0, "train"), Row("error", 0.6 + batch / 2560 + seed / 100, 0.0, "test")]
    yield frame(run_id, knobs, "error", errors)
    yield frame(run_id, knobs, "norms", [Row("l2_norm", 20.0 + batch)])
    made = {
        "steps": 2,
        "beyond": 1,
        "other": "x",
        "batch_norm": "interpolated" if batch == 16 else "reestimated",
    }
    yield frame(run_id, knobs, "interpolation", on_the_line(batch, decay, seed), made)
    places = [(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)]
    steep = batch / 16 * (1 + 1000 * decay)
    plane = [Row("loss", 0.01 + steep * (x * x + y * y), 0.0, "train", x=x, y=y) for x, y in places]
    yield frame(run_id, knobs, "surface", plane, {"points": 3, "span": 1.0, "batch_norm": "fixed"})
    line = [Row("loss", 0.01 + abs(x), 0.0, "train", x=x) for x in (-1.0, 0.0, 1.0)]
    yield frame(run_id, knobs, "slice", line, {"points": 3, "span": 1.0, "batch_norm": "reestimated"})


@pytest.fixture(scope="module")
def ends():
    frames = [
        f
        for batch in (16, 256)
        for decay in LOSS
        for seed in range(3)
        for f in batch_frames(batch, decay, seed)
    ]
    return pd.concat(frames, ignore_index=True)


def test_each_treatment_of_batch_norm_is_a_row_and_each_weight_decay_a_column(ends):
    figure, drawn = interpolation_weight_decay.draw(ends)
    assert [a.get_ylabel() for a in figure.axes if "batch norm" in a.get_ylabel()] == [
        "batch norm interpolated\nloss (nats)",
        "batch norm reestimated\nloss (nats)",
    ]
    titles = [a.get_title() for a in figure.axes if a.get_title()]
    assert titles[1].splitlines() == [
        "weight decay 0.005",
        "small (16): test error 61.6 ± 1.0 %, ‖θ‖ 36",
        "large (256): test error 71.0 ± 1.0 %, ‖θ‖ 276",
    ]
    assert drawn.groupby(["batch_norm", "optim.weight_decay"])["run_id"].nunique().tolist() == [3] * 4


def test_a_line_from_the_large_end_is_turned_round(ends):
    _, drawn = interpolation_weight_decay.draw(ends)
    for mode, factor in (("interpolated", 1), ("reestimated", 2)):
        line = drawn[
            (drawn["batch_norm"] == mode) & (drawn["seed"] == 0) & (drawn["optim.weight_decay"] == 0)
        ]
        line = line[(line["quantity"] == "loss") & (line["split"] == "train")].set_index("alpha")["value"]
        assert line.to_dict() == {a: factor * v for a, v in zip(ALPHAS, LOSS[0.0], strict=True)}


def test_a_line_walked_twice_in_one_way_is_drawn_once(ends):
    same = ends.assign(settings=ends["settings"].str.replace('"interpolated"', '"reestimated"'))
    _, drawn = interpolation_weight_decay.draw(same)
    assert set(drawn["batch_size"]) == {16}
    assert len(drawn) == 2 * 3 * 2 * 2 * len(ALPHAS)


def test_training_is_solid_and_test_dashed_on_fixed_axes(ends):
    figure, _ = interpolation_weight_decay.draw(ends)
    left, right = (next(a for a in figure.axes if a.get_ylim() == limits) for limits in ((0, 5), (0, 1)))
    assert [line.get_linestyle() for line in left.lines] == ["-", "--"]
    assert [line.get_linestyle() for line in right.lines] == ["-", "--"]
    assert left.lines[0].get_ydata() == pytest.approx([v + 1 for v in LOSS[0.0]])  # mean over seeds 0, 1, 2


def test_which_side_is_higher_is_said_in_orders_of_magnitude(ends):
    _, drawn = interpolation_weight_decay.draw(ends[ends["seed"] == 0])
    said = drawn.attrs["caption"]
    assert "+1.0 at weight decay 0, interpolated" in said
    assert "−1.0 at weight decay 0.005, interpolated" in said


def test_a_run_without_a_line_is_counted(ends):
    gone = (ends["run_id"] == "b16w0s1eeeee") & (ends["measure"] == "interpolation")
    assert gone.any()
    _, drawn = interpolation_weight_decay.draw(ends[~gone])
    assert "1 run without a line" in drawn.attrs["footnote"]


def test_a_loss_that_is_not_finite_is_left_out_and_counted(ends):
    table = ends.copy()
    there = (table["run_id"] == "b16w0s0eeeee") & (table["quantity"] == "loss") & (table["x"] == 1.5)
    there &= (table["measure"] == "interpolation") & (table["split"] == "train")
    table.loc[there, ["value", "status"]] = [math.inf, "nonfinite"]
    figure, drawn = interpolation_weight_decay.draw(table)
    assert "1 of 240 nonfinite" in drawn.attrs["footnote"]
    left = next(a for a in figure.axes if a.get_ylim() == (0, 5))
    assert left.lines[0].get_ydata()[-1] == pytest.approx(20 + 1.5)  # seeds 1 and 2


def test_three_batch_sizes_and_other_knobs_are_refused(ends):
    third = ends[ends["batch_size"] == 256].assign(batch_size=64, run_id="third")
    with pytest.raises(InputError, match="compares two batch sizes; the table has 16, 64, 256"):
        interpolation_weight_decay.draw(pd.concat([ends, third]))
    for figure in (interpolation_weight_decay, slices_weight_decay):
        with pytest.raises(InputError, match=r"optim\.lr takes several values"):
            figure.draw(ends.assign(**{"optim.lr": ends["seed"] + 0.1}))


def test_slices_have_both_batch_sizes_in_both_ways_on_one_axis(ends):
    figure, drawn = slices_weight_decay.draw(ends)
    slices = [a for a in figure.axes if a.get_yscale() == "log"]
    assert [a.get_title() for a in slices] == ["weight decay 0", "weight decay 0.005"]
    assert slices[0].get_ylim() == slices[1].get_ylim()
    lines = {line.get_label(): line.get_ydata() for line in slices[0].lines}
    assert list(lines) == [f"batch {b}, {m}" for b in (16, 256) for m in ("fixed", "reestimated")]
    assert lines["batch 256, fixed"] == pytest.approx([16.01, 0.01, 16.01])
    assert lines["batch 16, reestimated"] == pytest.approx([1.01, 0.01, 1.01])
    assert "weight decay 0, batch 16: 2 (2–2), n = 3" in drawn.attrs["caption"]


def test_planes_are_of_the_lowest_seed_and_hold_their_rows(ends):
    figure, drawn = slices_weight_decay.draw(ends)
    assert "weight decay 0.005, batch 256\nloss 0.01, test error 70.0 %" in [
        a.get_title() for a in figure.axes
    ]
    planes = drawn[(drawn["measure"] == "surface") & (drawn["y"] != 0)]
    assert set(planes["seed"]) == {0}
    assert planes.groupby("run_id").size().tolist() == [6] * 4
    assert planes[planes["batch_size"] == 256]["value"].max() == pytest.approx(192.01)
