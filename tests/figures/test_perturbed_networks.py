import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from gensweep.errors import InputError
from gensweep.figures.partial import correlation
from gensweep.figures.perturbed_networks import draw, middle, most_common, pairs, several
from tests.figures import networks
from tests.figures.conftest import frame


@pytest.fixture(scope="module")
def table():
    return networks.perturbed(frame)


def residual(v, controls):
    a = np.column_stack([np.ones(len(v)), *controls])
    return v - a @ np.linalg.lstsq(a, v, rcond=None)[0]


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(2, 60))
    return z[0] + z[1] + rng.normal(size=60), z[0] - z[1] / 2 + rng.normal(size=60), [*z]


def test_a_partial_correlation_is_that_of_the_residuals(sample):
    x, y, z = sample
    ours = correlation(x, y, z, ranks=False)
    assert ours.value == pytest.approx(pearsonr(residual(x, z), residual(y, z)).statistic, abs=1e-8)
    assert ours.low < ours.value < ours.high


def test_without_controls_it_is_scipys(sample):
    x, y, _ = sample
    assert correlation(x, y).value == pytest.approx(spearmanr(x, y).statistic, abs=1e-8)
    assert correlation(x, y, ranks=False).value == pytest.approx(pearsonr(x, y).statistic, abs=1e-8)


def test_a_common_cause_leaves_nothing(sample):
    _, _, (cause, noise) = sample
    x, y = cause + 0.01 * noise, cause - 0.01 * np.roll(noise, 7)
    assert correlation(x, y, ranks=False).value > 0.99
    assert abs(correlation(x, y, [cause], ranks=False).value) < 0.4


def test_ranks_do_not_see_a_monotone_map_and_no_one_sees_the_order_of_runs(sample):
    x, y, z = sample
    same = correlation(np.exp(x), y**3, [10 * z[0], z[1] ** 5])
    assert same == correlation(x, y, z)
    turned = correlation(x[::-1], y[::-1], [v[::-1] for v in z])
    assert turned == correlation(x, y, z)


def test_two_controls_that_are_one_count_once(sample):
    x, y, z = sample
    once, twice = (correlation(x, y, controls).value for controls in ([z[0]], [z[0], 2 * z[0]]))
    assert twice == pytest.approx(once, abs=1e-6)


@pytest.mark.parametrize("constant", [0, 1])
def test_a_constant_side_has_no_correlation(sample, constant):
    sides = [sample[0], sample[1]]
    sides[constant] = np.full(60, 0.3)
    assert np.isnan(correlation(*sides).value)
    assert np.isnan(correlation(sample[2][0], sample[1], [sample[2][0]]).value)  # all of it explained


def test_numbers_that_are_not_there_are_left_out(sample):
    x, y, z = sample
    holed = x.copy()
    holed[:5] = np.nan
    assert correlation(holed, y, z) == correlation(x[5:], y[5:], [v[5:] for v in z])


def test_the_two_families_are_who_they_are(table):
    drawn = pairs(table)
    assert most_common(drawn) == 100
    assert middle(drawn) == 0.1
    family = several(drawn[(drawn["noise"] == "absolute") & (drawn["scale"] == 0.1)])
    assert sorted(zip(family["train_size"], family["seed"], strict=True)) == [
        (size, seed) for size in (10, 30, 100) for seed in range(3)
    ]


def test_the_dots_are_the_rows_and_the_title_their_correlation(table):
    figure, drawn = draw(table)
    left, right = figure.axes[:2]
    alike = drawn[(drawn["train_size"] == 100) & (drawn["noise"] == "relative") & (drawn["scale"] == 0.1)]
    assert left.get_lines()[0].get_xdata().tolist() == alike["rise"].tolist()
    assert left.get_lines()[0].get_ydata().tolist() == alike["gap"].tolist()
    rho = spearmanr(alike["rise"], alike["gap"]).statistic
    assert f"Spearman ρ = {rho:+.2f}".replace("-", "−") in left.get_title()
    assert "n = 12" in left.get_title()
    assert "n = 9" in right.get_title()


def test_numbers_that_are_not_sound_are_said_and_not_drawn(table):
    loose = table.copy()
    at = (loose["quantity"] == "mean_relative_loss_rise") & (loose["seed"] == 11)
    loose.loc[at, ["value", "status"]] = [1e9, "nonfinite"]
    figure, drawn = draw(loose)
    assert "n = 11" in figure.axes[0].get_title()
    assert "3 of 108 nonfinite" in drawn.attrs["footnote"]
    gone = loose[~((loose["measure"] == "perturbation") & (loose["seed"] == 5))]
    assert "1 runs diverged or were not measured" in draw(gone)[1].attrs["footnote"]


def test_one_size_and_another_knob_are_refused(table):
    with pytest.raises(InputError, match="one train_size"):
        draw(table[table["train_size"] == 100])
    with pytest.raises(InputError, match="batch_size"):
        draw(table.assign(batch_size=table["seed"]))


def test_one_network_of_a_kind_has_no_correlation_and_that_is_said(table):
    figure, drawn = draw(table[table["seed"] == 0])
    assert "ρ undefined (n = 1)" in drawn.attrs["caption"]
    assert "1 network trained alike" in drawn.attrs["caption"]
    assert "nan" not in drawn.attrs["caption"] + figure.axes[0].get_title()
