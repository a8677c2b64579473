import pytest

from gensweep.errors import InputError
from gensweep.figures.data_sets import by_data, labelled


def test_each_data_set_has_its_rows_and_toys_come_first(pair):
    parts = by_data(pair, "poison_factor")
    assert [*parts] == ["swissroll", "svhn"]
    assert {name: set(rows["data.name"]) for name, rows in parts.items()} == {
        "swissroll": {"swissroll"},
        "svhn": {"svhn"},
    }


def test_what_moves_between_data_sets_may_and_what_moves_within_one_may_not(pair):
    moved = pair.assign(batch_size=pair["seed"].where(pair["data.name"] == "svhn", 64))
    with pytest.raises(InputError, match="batch_size takes several values"):
        by_data(moved, "poison_factor")


def test_a_table_that_does_not_say_what_was_trained_on_is_refused(pair):
    with pytest.raises(InputError, match=r"no column data\.name"):
        by_data(pair.drop(columns="data.name"), "poison_factor")


def test_one_data_set_needs_no_name():
    assert (labelled("svhn", True), labelled("svhn", False)) == ("SVHN: ", "")
