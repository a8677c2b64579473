import math
from pathlib import Path

import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.figures.invariance import MAPS, SHOWN, cells, changes, chosen, draw, markdown, words
from gensweep.headline import headline
from gensweep.rows import QUANTITIES

DOCS = Path(__file__).parents[2] / "docs"


def cell(table, measure, quantity, how):
    drawn = cells(changes(chosen(table)))
    (found,) = drawn[
        (drawn["measure"] == measure) & (drawn["quantity"] == quantity) & (drawn["reparametrise"] == how)
    ].itertuples()
    return found


def test_a_fraction_of_the_value_before(mapped):
    """Per seed: l2_norm is 10, 20, 30 before and (1 + m) times that after the map m."""
    for m, how in enumerate(MAPS, 1):
        found = cell(mapped, "norms", "l2_norm", how)
        assert (found.n, found.median, found.min, found.max) == (3, m, m, m)
        assert (found.verdict, words(found)) == ("changed", f"+{100 * m}")


def test_logarithms_are_compared_by_difference(mapped):
    found = cell(mapped, "path_norms", "log10_l1_path_raw", "neuron")
    assert (found.median, words(found)) == (-4.0, "−4")
    assert words(found._replace(median=-1234.5)) == "−1,234"


def test_what_moves_less_than_a_ten_thousandth_is_invariant(mapped):
    assert cell(mapped, "error", "loss", "layer").verdict == "invariant"
    assert cell(mapped, "norms", "layer_spectral", "layer").verdict == "invariant"
    assert cell(mapped, "basin", "log10_volume", "neuron").verdict == "invariant"


def test_one_run_that_moved_is_enough_not_to_be_invariant(mapped):
    table = mapped.copy()
    moved = (table["reparametrise"] == "layer") & (table["measure"] == "error") & (table["seed"] == 1)
    table.loc[moved & (table["split"] == "train"), "value"] = 0.1 + 2e-5
    assert cell(table, "error", "loss", "layer").verdict == "changed"
    table.loc[moved & (table["split"] == "train"), "value"] = 0.1 + 0.9e-5
    assert cell(table, "error", "loss", "layer").verdict == "invariant"


def test_within_two_standard_errors_of_both(mapped):
    """The rise goes from 1 to 1 + m/10, each with an error of 0.1: 2√2/10 lies between m = 2 and 3."""
    verdicts = [cell(mapped, "perturbation", "mean_loss_rise", how).verdict for how in MAPS]
    assert verdicts == ["within error", "within error", "changed", "changed"]
    assert cell(mapped, "perturbation", "mean_loss_rise", "layer").error == pytest.approx(math.sqrt(0.02))


def test_an_unknown_error_excuses_nothing(mapped):
    table = mapped.copy()
    table.loc[table["quantity"] == "mean_loss_rise", "stderr"] = math.nan
    assert cell(table, "perturbation", "mean_loss_rise", "layer").verdict == "changed"


def test_the_error_over_examples_does_not_count(mapped):
    """They are the same examples before and after, so a margin that moved has moved."""
    assert cell(mapped, "margin", "margin_p05", "layer").verdict == "changed"


def test_train_first_index_and_largest_x(mapped):
    rows = chosen(mapped)
    assert set(rows["split"]) == {"train", ""}
    assert set(rows["index"]) == {-1, 0}
    assert set(rows.loc[rows["measure"] == "perturbation", "x"]) == {0.1}


def test_seeds_are_compared_with_themselves(mapped):
    pairs = changes(chosen(mapped))
    assert len(pairs) == 4 * 3 * 7
    assert (pairs["seed"] == pairs["run_id"].str[0].astype(int)).all()


def test_nothing_to_nothing_is_no_change(mapped):
    table = mapped.copy()
    table.loc[table["quantity"] == "l2_norm", "value"] = 0.0
    assert cell(table, "norms", "l2_norm", "layer").verdict == "invariant"


def test_what_is_not_ok_is_starred_and_counted(mapped):
    figure, drawn = draw(mapped)
    assert drawn.loc[drawn["not_ok"] > 0, "reparametrise"].unique().tolist() == ["permutation"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == len(drawn) == 28
    assert [text for text in texts if "*" in text] == ["invariant*"]
    assert "3 of 105 low_ess" in drawn.attrs["footnote"]


def test_runs_that_are_not_there_are_counted(mapped):
    table = mapped[(mapped["seed"] > 0) | (mapped["reparametrise"] != "layer")]
    drawn = draw(table)[1]
    assert "n = 2 to 3" in drawn.attrs["footnote"]
    assert "1 run diverged or missing" in drawn.attrs["footnote"]
    assert base.absent(table, chosen(table), "reparametrise") == ["reparametrise=layer seed=0"]


def test_a_number_that_is_not_there_is_said(mapped):
    table = mapped.copy()
    table.loc[table["measure"] == "margin", ["value", "status"]] = [math.nan, "not_applicable"]
    assert words(cell(table, "margin", "margin_p05", "layer")) == "no number"


@pytest.mark.parametrize("keep", [["none"], ["layer", "neuron"]])
def test_there_is_something_to_compare(mapped, keep):
    with pytest.raises(InputError, match="compares reparametrise=none with the maps"):
        draw(mapped[mapped["reparametrise"].isin(keep)])


def test_another_knob_is_refused(mapped):
    with pytest.raises(InputError, match="batch_size"):
        draw(mapped.assign(batch_size=mapped["seed"] + 1))


def test_headline_counts_what_stays_and_takes_accuracy_from_runs_without_a_map(mapped):
    said = headline(mapped.assign(poison_factor=0.0))
    assert said[0].startswith("15 runs")
    assert said[1].startswith(
        "Of 7 quantities, invariant under layer 3 (and 1 within error), neuron 3 (and 1"
    )
    assert headline(mapped[mapped["reparametrise"] == "layer"])[0] == "3 runs (seed: 3 values)"


def test_four_files(mapped, tmp_path):
    files = base.draw("invariance", mapped, tmp_path)
    again = pd.read_csv(files[2])
    assert markdown(again) == markdown(cells(changes(chosen(mapped))))


def test_every_quantity_that_is_drawn_exists():
    assert all(quantity in QUANTITIES[measure] for measure, names in SHOWN.items() for quantity in names)


def test_the_page_holds_the_table_of_the_file_that_it_names():
    page = (DOCS / "invariance.md").read_text()
    assert "(invariance.csv)" in page
    assert markdown(pd.read_csv(DOCS / "invariance.csv")) in page
    assert all(f"| `{measure}` | `{name}` |" in page for measure, names in SHOWN.items() for name in names)
