import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.figures.expected_sharpness import at_rise, draw, panels_of
from gensweep.sweep.compose import composed
from gensweep.sweep.grid import grid, typed
from gensweep.sweep.identity import run_id, shards
from tests.figures import networks
from tests.figures.conftest import frame


@pytest.fixture(scope="module")
def table():
    parts = [getattr(networks, name)(frame) for name in ("random_labels", "confusion", "width")]
    return pd.concat(parts, ignore_index=True)


def test_each_panel_has_the_runs_of_its_sweep(table):
    """The runs without a confusion set stand in two: those of 100 examples and true labels."""
    found = {name: set(part["run_id"].str[0]) for name, part in panels_of(table).items()}
    assert found == {"random labels": {"a", "b"}, "confusion": {"a", "b"}, "width": {"c"}}
    confusion = panels_of(table)["confusion"]
    assert set(confusion["train_size"]) == {100}
    assert not confusion["random_labels"].any()
    assert set(panels_of(table)["random labels"]["confusion_size"]) == {0}


def test_a_point_is_a_geometric_mean_over_seeds_at_one_noise_scale(table):
    _, drawn = draw(table)
    here = drawn[(drawn["panel"] == "width") & (drawn["line"] == 64)].set_index("alpha")
    assert here["mean"].to_dict() == pytest.approx({0.01: 5e-4, 0.1: 0.05})
    assert here["kl"].to_dict() == pytest.approx({0.01: 6.4e7, 0.1: 6.4e5})
    assert here["n"].tolist() == [2, 2]
    up = table.assign(value=table["value"].where(table["seed"] != 1, table["value"] * 100))
    here = draw(up[up["quantity"] != "target_reached"])[1].query("panel == 'width' and line == 64")
    assert here.set_index("alpha").loc[0.1, ["mean", "kl"]].tolist() == pytest.approx([0.5, 6.4e6])


def test_kl_at_one_sharpness_is_that_of_the_rows(table):
    kl = at_rise(panels_of(table)["width"])
    assert kl[False].to_dict() == pytest.approx({32: 3.2e5, 64: 6.4e5, 128: 1.28e6})  # 8 missed the target
    assert "width 3.2e+05 at 32, 1.28e+06 at 128" in draw(table)[1].attrs["caption"]


def test_what_is_only_a_bound_is_no_message(table):
    loose = table.assign(status=table["status"].where(table["quantity"] != "kl_at_sharpness", "censored"))
    assert "never reached" in draw(loose)[1].attrs["caption"]
    assert draw(loose)[1]["n"].tolist() == draw(table)[1]["n"].tolist()


def test_a_rise_that_is_not_positive_has_no_logarithm(table):
    table = table.copy()
    at = (table["quantity"] == "expected_sharpness") & (table["x"] == 0.01) & (table["seed"] == 0)
    table.loc[at, "value"] = -1e-6
    _, drawn = draw(table)
    assert drawn[drawn["alpha"] == 0.01]["n"].max() < drawn[drawn["alpha"] == 0.1]["n"].max() + 1
    assert drawn[(drawn["panel"] == "width") & (drawn["alpha"] == 0.01)]["n"].tolist() == [1, 1, 1]


def test_one_sweep_is_enough_and_none_is_refused(table):
    figure, _ = draw(table[table["model.name"] == "mlp_wide"])
    assert [axes.get_title() for axes in figure.axes] == ["widths"]
    with pytest.raises(InputError, match="none of the sweeps"):
        draw(table[table["run_id"].str.startswith("c32")])


def test_runs_that_stand_in_two_experiments_count_once(table):
    twice = pd.concat([table.assign(experiment="confusion-laptop"), table.assign(experiment="width-laptop")])
    pd.testing.assert_frame_equal(draw(twice)[1], draw(table)[1])


@pytest.mark.parametrize("scale", ["smoke", "laptop", pytest.param("paper", marks=pytest.mark.slow)])
def test_its_sweep_is_the_union_of_the_three_and_measures_nothing_anew(scale, monkeypatch):
    """Else the figure would train and measure again what the others have."""

    def jobs(name):
        words = (f"experiment={name}", f"+scale={scale}")
        _, hydra_part = composed(words)
        for line in grid(hydra_part, typed(words)):
            if "seed=0" not in line:
                continue
            config, _ = composed(tuple(line))
            yield run_id(config), shards(config)["expected_sharpness"], shards(config)["error"]

    shared = {job for name in base.module("expected-sharpness").RUNS for job in jobs(name)}
    assert set(jobs("expected-sharpness")) == shared
