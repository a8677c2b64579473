"""T11: does training pass close by bad minima, and what lies between them and where it ends?"""

from __future__ import annotations

import json
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, flaws, numbers, runs, settings

TITLE = "A good path among bad minima"
ALT = (
    "Four panels. A t-SNE map of weights: the path of one training as a line of dots that darken with the "
    "epoch, a star at its end, and bad minima as squares that darken with test accuracy. Distances of each "
    "bad minimum to where it branched off, to the nearest point of the path, to its end and to the nearest "
    "other bad one. Loss on the line from each bad minimum to the end of the path. Barriers on these lines."
)
APART = {
    "to its branch point": ("o", "C0"),
    "to the nearest point of the path": ("^", "C1"),
    "to the end of the path": ("s", "C2"),
    "to the nearest bad minimum": ("D", "C3"),
}
SEEDS = "osD^v"
PATH = ListedColormap(matplotlib.colormaps["PuRd"](np.linspace(0.25, 1, 256)))  # on white


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points: those of the map, distances (weight), losses and barriers (nats).

    Error: Map, distances and lines are of one seed, the lowest; barriers are of all. Weights have more than
    one place for the same function, so a distance is no distance of functions.

    Source: Huang et al. 2019 (1906.03291), figure 1, which is the t-SNE map alone; outliers stay here.
    """
    good = ends_of_paths(table)
    first = good.index[0]
    rows = table[(table["run_id"] == first) & (table["measure"] == "trajectory")]
    ends = settings(rows)["ends"]
    points = placed(rows, good.loc[first], ends, table)
    apart = distances(rows, points)
    lines = numbers(table, "interpolation", "loss")
    barriers = between(table)
    drawn = pd.concat(
        [points, apart, lines.loc[lines["run_id"].isin(ends), KEPT], barriers], ignore_index=True
    )
    drawn.attrs.update(said(points, apart, barriers, good, flaws(pd.concat([rows, barriers, lines]))))
    figure = Figure(figsize=(DOUBLE, 6.2), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    tsne(figure, a, points)
    spread(b, apart)
    walks(c, lines[lines["run_id"].isin(ends)])
    heights(d, barriers)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


KEPT = ["run_id", "seed", "quantity", "split", "x", "value", "unit", "status", "reason"]


def ends_of_paths(table: pd.DataFrame) -> pd.DataFrame:
    """One row per good path: the runs whose trajectory knows minima that branch off it, by seed.

    Raises:
        InputError: There is none.
    """
    rows = numbers(table, "trajectory", "distance")
    told = rows.drop_duplicates("run_id").set_index("run_id")
    told = told[told["settings"].str.contains('"ends": ["', regex=False)]
    if told.empty:
        raise InputError(
            "the trajectory in this table has no ends; name the minima that branch off it in "
            "measure.trajectory.ends, as conf/experiment/minefield.yaml does"
        )
    return told.sort_values("seed")


def placed(rows: pd.DataFrame, path: pd.Series, ends: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """Each point of the map: its place, its epoch, and for a bad minimum both accuracies."""
    place = rows[rows["quantity"].isin(["tsne_1", "tsne_2"]) & rows["value"].notna()]
    place = place.pivot(index="index", columns="quantity", values="value")
    if place.empty:
        raise InputError("the trajectory in this table has no t-SNE map: fewer points than its perplexity")
    count = len(place) - len(ends)
    every = path["budget.keep"]
    epochs = np.minimum(np.arange(count) * float(every), path["budget.max_epochs"])
    accuracy = numbers(table, "error", "accuracy").pivot(index="run_id", columns="split", values="value")
    began = runs(table)["start.epoch"]
    return place.assign(
        kind=["path"] * count + ["bad"] * len(ends),
        run_id=[path.name] * count + ends,
        epoch=[*epochs, *(float(began.get(end, np.nan)) for end in ends)],
        test=[np.nan] * count + [accuracy["test"].get(end, np.nan) for end in ends],
        train=[np.nan] * count + [accuracy["train"].get(end, np.nan) for end in ends],
    ).reset_index()


def distances(rows: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Of each bad minimum to four places, one row each, in units of a weight."""
    size = len(points)
    apart_TT = np.zeros((size, size))
    pairs = rows[rows["quantity"] == "distance"]
    i, j = pairs["index"].to_numpy(int), pairs["x"].to_numpy(int)
    apart_TT[i, j] = apart_TT[j, i] = pairs["value"]
    path = np.flatnonzero(points["kind"] == "path")
    bad = np.flatnonzero(points["kind"] == "bad")
    found = []
    for k in bad:
        branch = path[np.abs(points["epoch"][path] - points["epoch"][k]).argmin()]
        others = bad[bad != k]
        values = (apart_TT[k, branch], apart_TT[k, path].min(), apart_TT[k, path[-1]])
        nearest = apart_TT[k, others].min() if len(others) else np.nan
        for quantity, value in zip(APART, (*values, nearest), strict=True):
            found.append((points["run_id"][k], points["epoch"][k], quantity, value, "weight", "distance"))
    columns = ["run_id", "epoch", "quantity", "value", "unit", "kind"]
    table = pd.DataFrame(found, columns=columns)
    table.attrs["path"] = apart_TT[path[0], path[-1]]
    return table


def between(table: pd.DataFrame) -> pd.DataFrame:
    """Barriers between each bad minimum and the end of its path, per split, of all seeds."""
    found = numbers(table, "interpolation", "barrier")
    return found[[*KEPT, "start.epoch"]].rename(columns={"start.epoch": "epoch"}).assign(kind="barrier")


def tsne(figure: Figure, axes: Axes, points: pd.DataFrame) -> None:
    """The map; a path that darkens with the epoch, minima that darken with their test accuracy."""
    path, bad = (points[points["kind"] == kind] for kind in ("path", "bad"))
    axes.plot(path["tsne_1"], path["tsne_2"], color="0.8", linewidth=0.6, zorder=1)
    dots = axes.scatter(path["tsne_1"], path["tsne_2"], 9, c=path["epoch"], cmap=PATH, zorder=2)
    marks = axes.scatter(
        bad["tsne_1"], bad["tsne_2"], 22, c=bad["test"], cmap="Blues", vmin=0, vmax=0.6, marker="s",
        edgecolors="black", linewidths=0.4, zorder=3,
    )  # fmt: skip
    axes.plot(*path[["tsne_1", "tsne_2"]].iloc[-1], "*", color="#f89c20", markersize=12, mec="black", mew=0.5)
    axes.set(title="t-SNE of the weights", xticks=[], yticks=[])
    axes.grid(visible=False)
    figure.colorbar(dots, ax=axes, location="bottom", label="path: epoch; star: its end", aspect=30, pad=0.01)
    figure.colorbar(marks, ax=axes, location="left", label="bad minima: test accuracy", aspect=25, pad=0.01)


def spread(axes: Axes, apart: pd.DataFrame) -> None:
    """Distances against the epoch at which the minimum branched off."""
    for quantity, (mark, colour) in APART.items():
        here = apart[apart["quantity"] == quantity].sort_values("epoch")
        axes.plot(here["epoch"], here["value"], mark, color=colour, label=quantity, markersize=3.5)
    whole = apart.attrs["path"]
    axes.axhline(whole, color="0.4", linewidth=0.9, linestyle=(0, (4, 2)), label="path: beginning to end")
    axes.set(xlabel="branched off after epoch", title="distance of a bad minimum, ‖Δθ‖₂")
    axes.set_ylim(0, 1.75 * max(whole, apart["value"].max()))
    axes.legend(loc="upper right", labelspacing=0.2)


def walks(axes: Axes, lines: pd.DataFrame) -> None:
    """Loss on each line; the training set solid, the test set dashed, and their means in bold."""
    for split, line, colour in (("train", "-", "C0"), ("test", "--", "C2")):
        here = lines[lines["split"] == split].sort_values(["run_id", "x"])
        every = [walk[["x", "value"]].to_numpy() for _, walk in here.groupby("run_id")]
        axes.add_collection(LineCollection(every, colors=colour, linewidths=0.5, alpha=0.35, linestyles=line))
        mean = here.groupby("x")["value"].mean()
        axes.plot(mean.index, mean, line, color=colour, linewidth=2, label=split)
    axes.set(xlabel="bad minimum (0) to the end of the path (1)", title="loss on the line (nats)")
    axes.set_ylim(bottom=0)
    axes.legend(loc="best", handlelength=3)


def heights(axes: Axes, barriers: pd.DataFrame) -> None:
    """Barriers of all seeds; filled on the training set, hollow on the test set."""
    for (seed, here), mark in zip(barriers.groupby("seed"), SEEDS, strict=False):
        for split, colour in (("train", "C0"), ("test", "C2")):
            points = here[here["split"] == split].sort_values("epoch")
            face = colour if split == "train" else "white"
            label = f"{split}, seed {seed}"
            axes.plot(
                points["epoch"], points["value"], mark, color=colour, mfc=face, label=label, markersize=4
            )
    axes.set(xlabel="branched off after epoch", title="barrier on that line (nats)")
    axes.set_ylim(0, 1.5 * max(barriers["value"].max(), 1e-9))
    axes.legend(
        loc="upper right",
        ncols=max(1, barriers["seed"].nunique()),
        labelspacing=0.2,
        columnspacing=0.5,
        handletextpad=0.1,
        fontsize=6,
    )


def said(
    points: pd.DataFrame, apart: pd.DataFrame, barriers: pd.DataFrame, good: pd.DataFrame, lost: str
) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    bad = points[points["kind"] == "bad"]
    train = barriers[barriers["split"] == "train"]
    asked = json.loads(good["settings"].iloc[0])["perplexity"]
    middle = apart.groupby("quantity")["value"].median()
    seed = good["seed"].iloc[0]
    one = f"seed {seed}, {len(bad)} bad minima"
    seeds = f"{(count := barriers['seed'].nunique())} seed{'s' * (count > 1)}"
    caption = (
        f"{one} with test accuracy {bad['test'].min():.0%} to {bad['test'].max():.0%} and training accuracy "
        f"{bad['train'].min():.0%} to {bad['train'].max():.0%}.",
        f"Median distance {middle['to its branch point']:.3g} to the branch point, "
        f"{middle['to the end of the path']:.3g} to the end of the path, which is {apart.attrs['path']:.3g} "
        "from its beginning.",
        f"Median barrier on the training set {train['value'].median():.3g} nats over {len(train)} lines of "
        f"{seeds}. {lost}",
    )
    told = f"map, distances and lines: {one}; barriers: on {len(train)} lines, of {seeds}\n"
    told += f"perplexity {asked:g}; a t-SNE map keeps neighbours, not distances\n{lost}"
    return {
        "caption": " ".join(caption).strip(),
        "footnote": told.strip(),
        "filters": {
            "measure": ["trajectory", "interpolation", "error"],
            "run_id": sorted(points["run_id"].unique()),
        },
        "n": {"bad minima": len(bad), "barriers": len(train)},
    }
