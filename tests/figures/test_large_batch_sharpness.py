import numpy as np
import pandas as pd
import pytest

from gensweep.figures import base
from gensweep.figures.large_batch_sharpness import COLUMNS, KESKAR, SAME, draw, keskar, ratio
from tests.figures import large_batches as known


@pytest.fixture(scope="module")
def table():
    return known.known()


def cell(drawn, net, row, column):
    return drawn.set_index(["model.name", "row", "column"]).loc[net, row, column]


def test_a_cell_is_mean_and_standard_deviation_over_seeds(table):
    _, drawn = draw(table)
    for epsilon, name in ((1e-3, "1e-3"), (5e-4, "5e-4")):
        sharp = [known.sharpness(100, "epochs", seed, epsilon) for seed in known.SEEDS]
        for column, share in (("whole", 1.0), ("solver", 0.9), ("within", 0.01)):
            found = cell(drawn, "keskar_c1", "large", f"{column} {name}")
            assert (found["mean"], found["std"]) == pytest.approx(
                (share * np.mean(sharp), share * np.std(sharp, ddof=1))
            )
    assert cell(drawn, "keskar_f1", "small", "test")["mean"] == pytest.approx(89)
    assert cell(drawn, "keskar_f1", "large, updates", "test")["mean"] == pytest.approx(88)


def test_keskar_s_numbers_stand_beside_and_only_where_they_have_some(table):
    _, drawn = draw(table)
    found = cell(drawn, "keskar_c1", "large", "within 5e-4")
    assert (found["keskar_mean"], found["keskar_sd"]) == (29.50, 7.48)
    assert drawn.loc[drawn["row"] == "large, updates", "keskar_mean"].isna().all()
    assert np.isnan(keskar("mlp", "small", "test")).all()
    assert all(len(numbers) == len(SAME) for numbers in KESKAR.values())


def test_every_number_is_written_once(table):
    figure, drawn = draw(table)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert len(drawn) == 2 * 3 * len(COLUMNS)
    assert written.count("205 ± 70") == 2  # theirs in the whole space; the search by L-BFGS-B is theirs
    assert written.count("20.0 ± 10.0") == 2  # ours, of both networks
    assert [t for t in written if t.startswith("large, updates")] == ["large, updates (100)"] * 2


def test_the_message_is_how_many_times_as_sharp(table):
    _, drawn = draw(table)
    assert ratio(drawn, "keskar_f1", "large") == pytest.approx(10)
    assert ratio(drawn, "keskar_f1", "large, updates") == pytest.approx(2)
    assert (
        "F1, MNIST: 10 times as sharp after as many epochs, 2 times as sharp after as many updates"
        in drawn.attrs["caption"]
    )


def test_what_is_not_sound_is_starred_and_counted(table):
    loose = table.copy()
    here = (
        (loose["quantity"] == "keskar_sharpness_subspace")
        & (loose["seed"] == 0)
        & (loose["batch_size"] == 10)
    )
    loose.loc[here, "status"] = "not_converged"
    figure, drawn = draw(loose)
    starred = [text.get_text() for text in figure.axes[0].texts if text.get_text().endswith("*")]
    assert len(starred) == 4
    assert "4 of 144 not_converged" in drawn.attrs["footnote"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_there_is_said(table, value):
    lost = table.copy()
    here = (
        (lost["quantity"] == "keskar_sharpness")
        & (lost["batch_size"] == 100)
        & (lost["model.name"] == "keskar_f1")
    )
    lost.loc[here, ["value", "status"]] = [value, "nonfinite"]
    figure, drawn = draw(lost)
    assert "F1, MNIST: no ratio of finite sharpness after as many epochs" in drawn.attrs["caption"]
    assert [text.get_text() for text in figure.axes[0].texts].count("no number*") == 4


def test_the_csv_holds_the_table(table, tmp_path):
    files = base.draw("large-batch-sharpness", table, tmp_path)
    assert len(pd.read_csv(files[2])) == 2 * 3 * len(COLUMNS)
