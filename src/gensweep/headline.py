"""The numbers of a sweep to remember, in plain lines. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from gensweep.errors import InputError
from gensweep.figures import invariance
from gensweep.figures.base import counted, flaws, moving, runs
from gensweep.figures.volume_gap import correlation, signed

KNOB = "poison_factor"
MAP = "reparametrise"
FITS = 0.99  # train accuracy that counts as fitting


def headline(table: pd.DataFrame) -> list[str]:
    """The numbers to remember, one plain line each."""
    said = [f"{table['run_id'].nunique()} runs" + grid(table)]
    if MAP in moving(table):  # the accuracies are those of one network per seed
        said += invariant(table)
        table = table[table[MAP] == "none"]
    betas = ends(table)
    for split in ("train", "test"):
        places = [f"{mean_sd(table, split, beta)} at β = {beta:g}" for beta in betas]
        said.append(f"{split} accuracy: {', '.join(places)}")
    said += unfit(table)
    if len(betas) == 2:
        said += volume_lines(table, *betas)
    return said


def invariant(table: pd.DataFrame) -> list[str]:
    """How many quantities the maps leave as they are; nothing where there is no run to compare with."""
    try:
        rows = invariance.chosen(table)
        return [invariance.steady(invariance.cells(invariance.changes(rows)))]
    except InputError:
        return []


def grid(table: pd.DataFrame) -> str:
    """The sizes of the sweep: how many values each moving knob takes."""
    sizes = [
        f"{knob}: {runs(table)[knob].nunique(dropna=False)} values"
        for knob in sorted(moving(table), key="seed".__eq__)
    ]
    return f" ({', '.join(sizes)})" if sizes else ""


def ends(table: pd.DataFrame) -> list[float]:
    """The lowest and the highest poison factor; one when it did not move."""
    betas = table[KNOB].dropna() if KNOB in table else pd.Series(dtype=float)
    return sorted({float(betas.min()), float(betas.max())}) if len(betas) else []


def pick(table: pd.DataFrame, measure: str, quantity: str, split: str | None = None) -> pd.DataFrame:
    """The rows of one quantity, possibly none."""
    rows = table[(table["measure"] == measure) & (table["quantity"] == quantity)]
    return rows if split is None else rows[rows["split"] == split]


def mean_sd(table: pd.DataFrame, split: str, beta: float) -> str:
    """Accuracy over the seeds of one poison factor."""
    accuracy = pick(table, "error", "accuracy", split)
    values = accuracy.loc[(accuracy[KNOB] == beta) & (accuracy["status"] == "ok"), "value"]
    if values.empty:
        return "no number"
    sd = f" ± {100 * values.std():.1f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{sd} % (n = {len(values)} seed{'s' * (len(values) > 1)})"


def volume_lines(table: pd.DataFrame, low: float, high: float) -> Iterator[str]:
    """Per cutoff: how many orders of magnitude apart the volumes are, and their correlation with the gap."""
    gap = pick(table, "error", "gap_error").set_index("run_id")["value"]
    for quantity, name in (("log10_volume", "log10 volume"), ("log10_volume_jensen", "Jensen bound")):
        for cutoff, rows in pick(table, "basin", quantity).groupby("x"):
            rho = correlation(rows["run_id"].map(gap), rows["value"])
            apart, error = difference(rows[rows[KNOB] == low], rows[rows[KNOB] == high])
            flag = f"; {flaws(rows)}" if flaws(rows) else ""
            yield (
                f"{name}, cutoff {cutoff:g} nats: β = {low:g} minus β = {high:g} "
                f"is {apart:.0f} ± {error:.0f} orders of magnitude; "
                f"Spearman with the gap over all runs {signed(rho)} (n = {rho.n}){flag}"
            )


def difference(a: pd.DataFrame, b: pd.DataFrame) -> tuple[float, float]:
    """Mean of a minus mean of b, and its standard error over seeds; over rays where there is one seed."""

    def variance(rows: pd.DataFrame) -> float:
        values = rows["value"].dropna()
        return values.var() / len(values) if len(values) > 1 else float((rows["stderr"] ** 2).mean())

    return a["value"].mean() - b["value"].mean(), math.sqrt(variance(a) + variance(b))


def unfit(table: pd.DataFrame) -> list[str]:
    """Runs that do not fit their training set are no minima to compare: one sentence names them."""
    fits = pick(table, "error", "accuracy", "train")
    loose = fits[fits["value"] < FITS]
    named = ", ".join(
        f"{run} ({value:.1%})" for run, value in zip(loose["run_id"], loose["value"], strict=True)
    )
    return [f"{counted(loose, 'ended')} below {FITS:.0%} train accuracy: {named}"] if named else []
