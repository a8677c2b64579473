"""Which measures go with the generalisation gap, within each sweep and over all of them?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gensweep.claims.claim import MOST_UNSOUND
from gensweep.claims.granulated import interval, psi, worst
from gensweep.claims.statistic import estimate
from gensweep.claims.units import moving
from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, counted, numbers, runs

TITLE = "Rank correlation of every measure with the gap"
ALT = (
    "A matrix of Kendall's tau, a row per measure, a column per knob that moved; one colour where "
    "a measure rises with the generalisation gap, another where it falls, the number in each cell; beside "
    "it the granulated tau of each measure with its interval, and the share of pairs of runs that it orders "
    "wrongly where it does so most often. Grey names and hollow dots: most of the "
    "measure's numbers are not sound."
)
# Label: measure, quantity, and −1 where a small value is said to be bad.
MEASURES = {
    "train loss": ("error", "loss", 1),
    "1 / margin": ("margin", "margin_p05", -1),
    "ℓ₂ norm ‖θ‖": ("norms", "l2_norm", 1),
    "distance ‖θ − θ₀‖": ("norms", "l2_distance", 1),
    r"$\prod\Vert W\Vert_F^2\,/\,γ^2$": ("norms", "log10_l2", 1),
    r"$\prod\Vert W\Vert_2^2\,/\,γ^2$": ("norms", "log10_spectral", 1),
    "ℓ₁ path / γ²": ("path_norms", "log10_l1_path", 1),
    "ℓ₂ path / γ²": ("path_norms", "log10_l2_path", 1),
    "box sharpness": ("box_sharpness", "neyshabur_sharpness", 1),
    "expected sharpness": ("expected_sharpness", "expected_sharpness", 1),
    "PAC-Bayes 1/σ": ("expected_sharpness", "pac_bayes_sigma", -1),
    "adaptive, worst ℓ₂": ("adaptive_sharpness", "worst_l2", 1),
    "adaptive, worst ℓ∞": ("adaptive_sharpness", "worst_linf", 1),
    "adaptive, average": ("adaptive_sharpness", "average_l2", 1),
    "adaptive, average, logits normalised": ("adaptive_sharpness", "average_l2_logit_normalised", 1),
    "magnitude-aware 1/α′²": ("magnitude_sharpness", "inverse_alpha_squared", 1),
    "magnitude-aware 1/σ′²": ("magnitude_sharpness", "inverse_sigma_squared", 1),
    "relative loss rise": ("perturbation", "mean_relative_loss_rise", 1),
    "gradient variance": ("gradient", "gradient_variance", 1),
    "Fisher–Rao norm": ("gradient", "fisher_rao", 1),
    "largest eigenvalue": ("spectrum", "eigenvalue", 1),
    "trace of the Hessian": ("spectrum", "trace", 1),
    "1 / volume": ("basin", "log10_volume", -1),
    "1 / volume, Jensen": ("basin", "log10_volume_jensen", -1),
    "1 / volume, trace": ("basin", "log10_volume_trace", -1),
}
SPOKEN = {
    "batch_size": "batch", "optim.lr": "rate", "optim.weight_decay": "decay", "model.widths": "width",
    "train_size": "size", "confusion_size": "confusion", "poison_factor": "poison", "model.depth": "depth",
    "model.width": "width",
}  # fmt: skip
TOGETHER = (
    "seed",
    "data_seed",
    "poison_size",
)  # never a sweep of its own; the last goes with the poison factor
GREY = "0.55"


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and one row per measure and sweep: τ with its interval, or the worst sign error.

    Error: Intervals resample groups that differ in one knob; the pooled τ, runs.

    Source: Jiang et al. 2020 (1912.02178), granulated τ; Dziugaite et al. 2020 (2010.11924), worst case.
    """
    fitted, missed = of_target(table)
    drawn = pd.DataFrame(rows(fitted))
    drawn.attrs.update(said(drawn, fitted, missed))
    knobs = [s for s in drawn["sweep"].unique() if s not in ("granulated", "worst")]
    labels = list(drawn["label"].unique())
    figure = Figure(figsize=(DOUBLE, 0.205 * len(labels) + 1.5), layout="constrained")
    matrix, dots, errors = figure.subplots(1, 3, sharey=True, width_ratios=(len(knobs) * 0.62, 2, 1.5))
    cells(matrix, drawn, knobs, labels)
    doubted = set(drawn.loc[drawn["unsound"] > MOST_UNSOUND, "label"])
    for name in matrix.get_yticklabels():
        name.set_color(GREY if name.get_text() in doubted else "black")
    bars(dots, drawn[drawn["sweep"] == "granulated"], labels, "granulated τ [95 %]", 0.0)
    bars(errors, drawn[drawn["sweep"] == "worst"], labels, "worst sign error", 0.5)
    dots.set_xlim(-1, 1)
    errors.set_xlim(-0.03, 1.03)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def of_target(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The runs that came down to their target loss, and how many did not."""
    target = numbers(table, "error", "target_reached")
    missed = set(target.loc[target["value"] != 1, "run_id"])
    return table[~table["run_id"].isin(missed)], len(missed)


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """All numbers of the figure."""
    first = runs(table)
    knobs = [k for k in moving(first) if k not in TOGETHER]
    if not knobs:
        raise InputError("nothing but the seed moves in this table; this figure compares sweeps")
    gap = numbers(table, "error", "gap_error").set_index("run_id")
    first = first[[*knobs, "seed"]].assign(gap=gap["value"], gap_stderr=gap["stderr"])
    return [row for label in MEASURES for row in of_measure(table, first, label, knobs)]


def of_measure(
    table: pd.DataFrame, first: pd.DataFrame, label: str, knobs: list[str]
) -> list[dict[str, Any]]:
    """τ of one measure within each sweep, pooled and granulated, and its worst environment."""
    picked = one_each(table, label)
    if picked is None:
        return []
    here = first.assign(**picked)[lambda r: np.isfinite(r["value"]) & np.isfinite(r["gap"])]
    alike = [*knobs, "seed"]
    taus = {knob: psi(here, knob, alike) for knob in knobs}
    found = {SPOKEN.get(k, k): interval([t]) for k, t in taus.items()}
    found["pooled"] = estimate("kendall", here["value"].to_numpy(), here["gap"].to_numpy())
    found["granulated"] = interval(list(taus.values()))
    bad = worst(here, knobs, alike)
    found["worst"] = bad.error
    measure, quantity, _ = MEASURES[label]
    where = SPOKEN.get(bad.knob, bad.knob)
    return [
        {"label": label, "measure": measure, "quantity": quantity, "sweep": sweep}
        | e._asdict()
        | {"environment": where if sweep == "worst" else "", "unsound": (here["status"] != "ok").mean()}
        for sweep, e in found.items()
    ]


def one_each(table: pd.DataFrame, label: str) -> pd.DataFrame | None:
    """Value and status of each run, larger where the gap ought to be; of several scales the largest."""
    measure, quantity, sign = MEASURES[label]
    found = table[(table["measure"] == measure) & (table["quantity"] == quantity)]
    found = found[found["split"].isin(("train", ""))].sort_values(["index", "x"])
    if found["value"].notna().sum() < 3:
        return None
    found = found[found["value"].notna()].drop_duplicates(
        "run_id", keep="first" if quantity == "eigenvalue" else "last"
    )
    return found.set_index("run_id")[["value", "status"]].assign(value=lambda r: sign * r["value"])


def cells(axes: Axes, drawn: pd.DataFrame, knobs: list[str], labels: list[str]) -> None:
    """The matrix: a colour and a number per measure and sweep."""
    table = drawn.pivot(index="label", columns="sweep", values="value").loc[labels, knobs]
    axes.imshow(table, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    for (row, column), tau in np.ndenumerate(table.to_numpy()):
        text = "–" if np.isnan(tau) else f"{tau:+.2f}".replace("-", "−")
        axes.text(
            column, row, text, ha="center", va="center", fontsize=6,
            color="white" if abs(tau) > 0.7 else "black",
        )  # fmt: skip
    axes.set_xticks(range(len(knobs)), knobs, rotation=40, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def bars(axes: Axes, points: pd.DataFrame, labels: list[str], title: str, chance: float) -> None:
    """A dot and its interval per measure, hollow where in doubt, and where chance would put it."""
    found = points.set_index("label").loc[labels]
    place, colour = np.arange(len(labels)), matplotlib.colormaps["PuOr"](0.95)
    axes.axvline(chance, color="0.7", linewidth=0.8, zorder=0)
    axes.hlines(place, found["low"], found["high"], color=colour, linewidth=1)
    for loose, face in ((False, colour), (True, "white")):
        here = (found["unsound"] > MOST_UNSOUND) == loose
        axes.plot(found["value"][here], place[here], "o", color=colour, mfc=face, markersize=3.5)
    if found["value"].isna().all():
        axes.text(0.5, 0.5, "too few pairs", transform=axes.transAxes, ha="center", rotation=90)
    axes.set_xlabel(title)
    axes.tick_params(left=False)


def said(drawn: pd.DataFrame, fitted: pd.DataFrame, missed: int) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    doubted = drawn[drawn["unsound"] > MOST_UNSOUND]["label"].nunique()
    unsound = (
        f"grey name, hollow: most of its numbers are bounds, not converged or carried by few rays "
        f"({doubted} of {drawn['label'].nunique()} measures)"
    )
    n = fitted["run_id"].nunique()
    footnote = (
        f"Kendall’s τ with the gap (test − train error), n = {n} runs; 95 % intervals"
        + (f"; {counted(range(missed), 'did not reach the target loss')}" if missed else "")
        + "\nworst sign error: share of the pairs ordered wrongly, of the knob where it is largest; in a "
        "pair that knob alone moves, and\nthe gaps lie two standard errors apart"
        + f"\n{unsound}"
        * bool(doubted)
    )
    return {
        "caption": f"{message(drawn)} {footnote}",
        "footnote": footnote,
        "filters": {"target_reached": 1, "quantities": [f"{m}.{q}" for m, q, _ in MEASURES.values()]},
        "n": {s: int(g["n"].max()) for s, g in drawn.groupby("sweep")},
    }


def message(drawn: pd.DataFrame) -> str:
    """The ends of the granulated τ and how many measures are robust, of those whose numbers are sound."""
    sound = drawn[drawn["unsound"] <= MOST_UNSOUND]
    granulated = sound[sound["sweep"] == "granulated"].set_index("label")["value"].dropna()
    if granulated.empty:
        return (
            "No measure has mostly sound numbers in enough runs, so that none can be said to go with the gap."
        )
    errors = sound[sound["sweep"] == "worst"].set_index("label")["value"].dropna()
    best, least = granulated.idxmax(), granulated.idxmin()
    robust = int((errors < 0.5).sum())
    return (
        f"Granulated τ: {granulated[least]:+.2f} ({least}) to {granulated[best]:+.2f} ({best}). Measures "
        f"with mostly sound numbers: {len(granulated)}; of these with a worst sign error "
        f"below one half: {robust}."
    ).replace("-", "−")
