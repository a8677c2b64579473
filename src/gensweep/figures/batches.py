"""What the figures on batch sizes share: which knobs move, which batch is the large one, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gensweep.errors import InputError
from gensweep.figures.base import counted, flaws, runs, vary

# What tells these networks and their data apart; batch size and match are what is asked about.
KNOBS = (
    "batch_size",
    "budget.match",
    "budget.keep",
    "budget.check_every",
    "data.name",
    "train_size",
    "model.name",
    "model.width",
    "model.dropout",
    "model.with_dropout",
    "schedule.reference_batch",
    "schedule.batch_rule",
)
NETS = {f"keskar_{net}": net.upper() for net in ("f1", "c1", "c2", "c3", "c4")}
SETS = {"mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN"}
CELL = ["model.name", "budget.match", "batch_size"]
MATCHES = ("epochs", "updates")


def check(table: pd.DataFrame) -> None:
    """Refuse a table in which anything but networks, batch sizes and their match moved.

    Raises:
        InputError: Names the knob.
    """
    vary(table, "batch_size", "budget.match", *(k for k in KNOBS[2:] if k in table))


def nets(table: pd.DataFrame) -> list[str]:
    """The networks, Keskar's first and in their order."""
    there = table["model.name"].unique()
    return [*(n for n in NETS if n in there), *sorted(set(there) - {*NETS})]


def title(rows: pd.DataFrame) -> str:
    """Network and data of these rows, as in ``F1, MNIST``."""
    net, data = rows["model.name"].iloc[0], rows["data.name"].iloc[0]
    return f"{NETS.get(net, net)}, {SETS.get(data, data)}"


def ends(rows: pd.DataFrame) -> tuple[int, int]:
    """The small and the large batch of one network: the smallest, and the largest trained in both matches.

    Without any that was matched in updates the large one is the largest of all.

    Raises:
        InputError: There is one batch size.
    """
    sizes = rows["batch_size"].astype(int)
    if sizes.nunique() < 2:
        raise InputError(f"{title(rows)} has the batch size {sizes.iloc[0]} only; this figure compares two")
    matched = sizes[rows["budget.match"] == "updates"]
    return int(sizes.min()), int((matched if len(matched) else sizes).max())


def over_seeds(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, sd, min and max of the finite values per group, their number, and how many are not ``ok``."""
    finite = rows["value"].where(np.isfinite(rows["value"].astype(float)))
    groups = rows.assign(value=finite, flawed=rows["status"] != "ok").groupby([*by], sort=True)
    found = groups["value"].agg(["mean", "std", "min", "max", "count"]).rename(columns={"count": "n"})
    return found.assign(not_ok=groups["flawed"].sum()).reset_index()


def gone(table: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """The seeds of each network that one of its batch sizes lacks: never started, failed or diverged."""
    first = runs(table)
    cells = first.groupby(CELL).size().index
    there = set(zip(*(rows[c] for c in (*CELL, "seed")), strict=True))
    seeds = first.groupby("model.name")["seed"].unique()
    wanted = [(*cell, seed) for cell in cells for seed in seeds[cell[0]]]
    return [
        f"{net} batch_size={b} match={m} seed={s}" for net, m, b, s in wanted if (net, m, b, s) not in there
    ]


def doubts(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Which numbers are not sound and which runs have none, in words; empty when nothing is amiss."""
    stopped = table[(table["quantity"] == "target_reached") & (table["value"] == 0)]
    parts = [flaws(rows), counted(gone(table, rows), "diverged or missing")]
    parts.append(counted(stopped, "did not reach the target loss"))
    return "; ".join(filter(None, parts))


def many(n: pd.Series) -> str:
    """As in ``n = 5`` or ``n = 3 to 5``."""
    return f"n = {n.min()}" if n.min() == n.max() else f"n = {n.min()} to {n.max()}"


def attributes(caption: str, footnote: str, filters: dict[str, Any], n: dict[str, int]) -> dict[str, Any]:
    """What ``drawn.attrs`` holds."""
    return {"caption": caption, "footnote": footnote, "filters": filters, "n": n}
