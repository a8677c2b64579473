"""Claims held against tables whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gensweep.claims.claim import Claim, decided, judge, span
from gensweep.claims.sheet import check_place, lines, sheet
from gensweep.claims.statistic import Estimate, estimate, kendall, spearman
from gensweep.claims.written import claims, read
from gensweep.cli import main
from gensweep.errors import InputError
from gensweep.figures import base

ENTRY = {
    "id": "falls",
    "figure": "poison-accuracy",
    "source": "nobody 2026",
    "statement": "Test accuracy falls.",
    "theirs": "it does",
    "experiment": "made-up",
    "y": {"measure": "error", "quantity": "accuracy", "split": "test"},
    "statistic": "spearman",
    "x": "poison_factor",
    "claimed": "< -0.5",
}


def made(value, betas=(0.0, 0.2, 0.5, 0.9), seeds=range(4), batches=(8, 64), **more):
    """A table with one accuracy per run: value(β, seed, batch)."""
    rows = [
        {
            "run_id": f"{i}{seed}{batch}", "measure": "error", "quantity": "accuracy", "split": "test",
            "index": math.nan, "x": math.nan, "y": math.nan, "value": value(beta, seed, batch),
            "stderr": 0.01, "status": "ok", "poison_factor": beta, "seed": seed, "batch_size": batch,
            "experiment": "made-up-laptop", **more,
        }
        for i, beta in enumerate(betas) for seed in seeds for batch in batches
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    reached = table.assign(quantity="target_reached", split="train", value=1.0)
    return pd.concat([table, reached], ignore_index=True)


def claim(**changes):
    return read({**ENTRY, **changes}, pd.io.common.Path("made.yaml"))


def noise(beta, seed, batch):
    return math.sin(100 * beta + 37 * seed + batch)


def test_correlations_are_those_of_scipy():
    rng = np.random.default_rng(1)
    x, y = rng.integers(6, size=(2, 5, 30))
    for row in range(5):
        assert spearman(x, y)[row] == pytest.approx(stats.spearmanr(x[row], y[row]).statistic)
        assert kendall(x, y)[row] == pytest.approx(stats.kendalltau(x[row], y[row]).statistic)


def test_the_interval_of_a_mean_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for n in (4, 10):
        found = [estimate("mean", rng.normal(size=n)) for _ in range(400)]
        assert 0.91 < np.mean([e.low <= 0 <= e.high for e in found]) < 0.985


def test_the_interval_of_a_correlation_covers_the_true_one():
    rng = np.random.default_rng(0)
    true = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman's ρ of normal pairs with correlation 0.8
    found = []
    for _ in range(200):
        x = rng.normal(size=40)
        found.append(estimate("spearman", 0.8 * x + 0.6 * rng.normal(size=40), x))
    assert 0.88 < np.mean([e.low <= true <= e.high for e in found]) < 0.99


def test_a_share_of_all_is_not_certain():
    every = estimate("share", np.ones(5))
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(0.5655, abs=1e-4)  # Wilson


def test_a_few_points_on_a_line_are_no_proof():
    x = np.arange(4.0)
    assert estimate("spearman", x, x) == (1.0, -1.0, 1.0, 4)
    assert estimate("kendall", np.arange(5.0), np.arange(5.0)).low == -1.0
    assert 0.3 < estimate("spearman", np.arange(9.0), np.arange(9.0)).low < 0.5
    rng = np.random.default_rng(0)
    for n in (5, 6, 9):
        found = [estimate("spearman", rng.normal(size=n), np.arange(n)) for _ in range(200)]
        assert np.mean([e.low > 0 or e.high < 0 for e in found]) < 0.08


def test_an_experiment_at_two_scales_is_refused():
    table = made(noise)
    both = pd.concat([table, table.assign(experiment="made-up-smoke")])
    with pytest.raises(InputError, match="at the scales laptop and smoke"):
        judge(claim(), both)


def test_an_entry_that_is_no_entry_is_one_sentence():
    with pytest.raises(InputError, match="an entry has keys"):
        read("text", pd.io.common.Path("made.yaml"))


def test_order_and_infinities_do_not_count():
    x, y = np.arange(12.0), np.arange(12.0) ** 2
    mixed = np.random.default_rng(3).permutation(12)
    assert estimate("spearman", y[mixed], x[mixed]) == estimate("spearman", y, x)
    assert estimate("mean", np.array([1.0, 2, 3, np.nan, np.inf])).n == 3
    assert math.isnan(estimate("mean", np.array([1.0, 2.0])).value)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ((-0.9, -0.95, -0.6, 9), "reproduced"),
        ((-0.6, -0.9, -0.4, 9), "inconclusive"),
        ((0.2, -0.3, 0.4, 9), "not reproduced"),
        ((math.nan, math.nan, math.nan, 2), "inconclusive"),
    ],
)
def test_the_verdict_is_that_of_the_interval(ours, verdict):
    assert decided(Estimate(*ours), *span("< -0.5"))[0] == verdict


def test_a_null_claim_needs_an_interval_within_its_bounds():
    low, high = span("-0.3 to 0.3")
    assert decided(Estimate(0.0, -0.2, 0.2, 99), low, high)[0] == "reproduced"
    assert decided(Estimate(0.0, -0.2, 0.4, 9), low, high) == ("inconclusive", "the interval holds 0.3")
    assert decided(Estimate(0.8, 0.7, 0.9, 99), low, high)[0] == "not reproduced"


def test_a_claim_that_holds_that_does_not_and_that_cannot_be_told():
    assert judge(claim(), made(lambda b, s, k: 1 - b)).verdict == "reproduced"
    assert judge(claim(), made(lambda b, s, k: b)).verdict == "not reproduced"
    assert judge(claim(claimed="> 0"), made(noise)).verdict == "inconclusive"
    constant = judge(claim(), made(lambda b, s, k: 1.0))
    assert (constant.verdict, constant.why) == ("inconclusive", "one side of it does not vary")


def test_a_contrast_pairs_what_is_alike_otherwise():
    table = made(lambda b, s, k: 100 * b + s + (3 if k == 64 else 1))
    found = judge(claim(statistic="mean", x=None, contrast={"batch_size": [64, 8]}, claimed="> 1.9"), table)
    assert (found.ours.value, found.ours.n, found.verdict) == (2.0, 16, "reproduced")
    ratio = judge(
        claim(
            statistic="median", x=None, contrast={"batch_size": [64, 8]}, claimed="1 to 3",
            y={**ENTRY["y"], "log": True}, where={"poison_factor": 0.0, "seed": 0},
        ),
        table,
    )  # fmt: skip
    assert ratio.why.startswith("too few runs")


def test_of_a_contrast_only_the_runs_of_its_sides_are_doubted():
    table = made(lambda b, s, k: k - b, batches=(8, 16, 64))
    accuracy = table["quantity"] == "accuracy"
    table.loc[accuracy & (table["batch_size"] == 16), ["value", "status"]] = [math.nan, "nonfinite"]
    asked = claim(statistic="mean", x=None, contrast={"batch_size": [64, 8]}, claimed="> 0")
    assert judge(asked, table)[2:4] == ("reproduced", "")
    table.loc[accuracy & (table["batch_size"] == 64) & (table["seed"] == 0), "status"] = "low_ess"
    assert judge(asked, table).why == "4 of 32 numbers low_ess (accuracy)"
    table.loc[accuracy & (table["batch_size"] != 16), "status"] = "low_ess"  # all that are compared
    assert judge(asked, table).verdict == "inconclusive"


def test_runs_that_missed_their_target_do_not_count_and_are_counted():
    table = made(lambda b, s, k: 1 - b)
    spoilt = table["seed"] == 3
    table.loc[spoilt & (table["quantity"] == "accuracy"), "value"] = 7.0
    table.loc[spoilt & (table["quantity"] == "target_reached"), "value"] = 0.0
    found = judge(claim(reached=True), table)
    assert (found.ours.value, found.ours.n) == (pytest.approx(-1), 24)
    assert found.why == "8 of 32 runs did not reach their target loss"


def test_numbers_that_are_missing_or_not_sound_are_counted():
    table = made(lambda b, s, k: 1 - b)
    table.loc[table.index[:2], ["value", "status"]] = [math.nan, "nonfinite"]
    table.loc[table.index[2:5], "status"] = "low_ess"
    said = "2 of 32 runs have no accuracy; 3 of 30 numbers low_ess (accuracy)"
    assert judge(claim(), table).why == said
    table.loc[table["quantity"] == "accuracy", "status"] = "censored"
    found = judge(claim(), table)
    assert found.verdict == "inconclusive"
    assert found.why.startswith("most of its numbers are not sound")


def test_several_rows_of_a_run_are_reduced_or_refused():
    table = made(lambda b, s, k: 1 - b)
    more = table[table["quantity"] == "accuracy"].assign(x=1.0)
    both = pd.concat([table.assign(x=0.0), more.assign(value=2 * more["value"])], ignore_index=True)
    assert "pick one, or reduce them" in judge(claim(), both).why
    highest = judge(claim(y={**ENTRY["y"], "reduce": "range"}, statistic="mean", x=None, claimed="> 0"), both)
    assert highest.ours.value == pytest.approx(np.mean([1, 0.8, 0.5, 0.1]))
    picked = judge(claim(y={**ENTRY["y"], "x": 1.0}, statistic="mean", x=None, claimed="> 0"), both)
    assert picked.ours.value == pytest.approx(2 * np.mean([1, 0.8, 0.5, 0.1]))
    less = {**ENTRY["y"], "x": 1.0, "minus": {"x": 0.0}}
    risen = judge(claim(y=less, statistic="mean", x=None, claimed="> 0"), both)
    assert risen.ours.value == pytest.approx(np.mean([1, 0.8, 0.5, 0.1]))
    orders = judge(claim(y={**less, "log": True}, statistic="mean", x=None, claimed="> 0"), both)
    assert orders.ours.value == pytest.approx(math.log10(2))


def test_within_a_knob_the_trend_of_the_rest_counts():
    table = made(lambda b, s, k: -b + 100 * s, betas=(0.0, 0.1, 0.2, 0.3))
    assert abs(judge(claim(), table).ours.value) < 0.5
    found = judge(claim(within="seed"), table)
    assert found.ours.value == pytest.approx(-1)
    assert (found.statistic, found.ours.n) == ("spearman within 4 seeds", 32)
    assert "ours    spearman within 4 seeds −1 [" in "\n".join(lines([found]))
    assert sheet([found]).loc[0, ["statistic", "within", "groups"]].tolist() == ["spearman", "seed", 4]
    table.loc[table["seed"] == 3, "value"] = math.nan
    assert judge(claim(within="seed"), table).statistic == "spearman within 3 seeds"
    assert judge(claim(), table).statistic == "spearman"


def test_without_rows_a_claim_is_open_and_says_why():
    table = made(noise)
    assert judge(claim(experiment="absent"), table).why == "no rows of absent"
    assert judge(claim(where={"depth": 3}), table).why == "the table has no column depth"
    assert judge(claim(where={"batch_size": 5}), table).why == "no runs with {'batch_size': 5}"
    assert judge(claim(y={"measure": "norms", "quantity": "l2_norm"}), table).why.startswith("no rows with")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"claimed": "about 3"}, "claimed: about 3 is neither"),
        ({"statistic": "slope"}, "statistic=slope is none of"),
        ({"statistic": "mean"}, "a correlation needs x"),
        ({"x": None}, "a correlation needs x"),
        ({"colour": "red"}, "colour is no part of a claim"),
        ({"y": {**ENTRY["y"], "reduce": "sum"}}, "reduce=sum is none of"),
        ({"y": {**ENTRY["y"], "redoce": "mean"}}, "y and x know measure, quantity"),
        ({"y": "error"}, "y and x pick rows by columns"),
        ({"y": {"measure": "error"}}, "y and x name measure and quantity"),
        ({"claimed": 5}, "claimed is no text"),
        ({"claimed": "> ."}, "claimed: > . is neither"),
        ({"claimed": "3 to 1"}, "claimed: 3 to 1 is neither"),
        ({"claimed": "> 1" + 400 * "0"}, "is no bound"),
        ({"where": "x"}, "where is no mapping"),
        ({"contrast": {"batch_size": [1]}}, "contrast has two values"),
        ({"contrast": 3}, "contrast is no mapping"),
        ({"pair": "seed"}, "pair is no list"),
        ({"experiment": None}, "experiment is neither"),
        ({"reached": "no"}, "reached is neither"),
        ({"source": None}, "source is no text"),
    ],
)
def test_a_claim_that_is_written_wrongly_is_one_sentence(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        claim(**changes)


def test_the_published_claims_can_be_read_and_name_figures_that_there_are():
    found = claims()
    assert all(isinstance(one, Claim) for one in found)
    assert {one.figure for one in found} <= {*base.names()}


def test_the_verb_prints_every_claim_and_the_tally(tmp_path, capsys):
    found = [judge(claim(), made(lambda b, s, k: 1 - b))]
    assert "REPRODUCED     Test accuracy falls." in "\n".join(lines(found))
    absent = judge(claim(id="absent", experiment="absent"), made(noise))
    *_, last, tally = lines([*found, absent])
    assert last == "INCONCLUSIVE   1 claims for want of rows of absent"
    assert tally == "2 claims: 1 reproduced, 0 not reproduced, 1 inconclusive"
    assert sheet(found)["verdict"].tolist() == ["reproduced"]
    with pytest.raises(SystemExit) as left:
        main(["claims", "--table", str(tmp_path / "none")])
    assert left.value.code == 2
    assert "no table at" in capsys.readouterr().err


def test_a_table_of_nothing_in_particular_is_one_sentence():
    with pytest.raises(InputError, match="does not say which experiment its rows belong to"):
        judge(claim(), made(noise).assign(experiment=""))


def test_a_place_that_cannot_hold_the_verdicts_is_refused(tmp_path):
    check_place(tmp_path / "new" / "verdicts.csv")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file.csv").touch()
    for place, said in (
        (tmp_path, "is a folder; name a file in it"),
        (tmp_path / "verdicts.xlsx", "ends in .csv"),
        (tmp_path / "verdicts", "ends in .csv"),
        (tmp_path / "file.csv" / "verdicts.csv", "takes no files"),
        (pd.io.common.Path("/proc/verdicts.csv"), "/proc takes no files"),
    ):
        with pytest.raises(InputError, match=said):
            check_place(place)


def test_a_claim_on_all_poison_factors_reads_the_worst_one():
    tables = pd.io.common.Path(__file__).parents[2] / "docs" / "tables"
    rows = base.numbers(base.load(tables, ["poison-accuracy"]), "error", "accuracy", split="train")
    asked = [one for one in claims() if one.id.startswith("poison-train-accuracy")]
    assert len(asked) == 2
    for one in asked:
        here = rows[rows["data.name"] == one.where["data.name"]]
        assert here.groupby("poison_factor")["value"].mean().idxmin() == one.where["poison_factor"]
