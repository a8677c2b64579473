"""A table on batch sizes whose every number is known."""

from __future__ import annotations

import math

import pandas as pd

from gensweep.rows import Row
from tests.figures.conftest import frame

SMALL, MIDDLE, LARGE = 10, 40, 100
SEEDS = (0, 1, 2)
BOX = {"epsilon": [5e-4, 1e-3], "steps": 10, "starts": 2, "subspace": 20}
BASIN = {"cutoffs": [0.5, 1.0], "relative": True, "directions": 16, "metric": "filter"}
EPOCHS = {"epochs": (0, 1, 4), "updates": (0, 10, 40)}  # kept; an epoch has 1000 / batch updates


def accuracy_on_test(batch, match, seed):
    """Falls by 0.1 per decade of the batch, or by 0.01 after as many updates."""
    return 0.9 - (0.1 if match == "epochs" else 0.01) * math.log10(batch / SMALL) - 0.01 * seed


def sharpness(batch, match, seed, epsilon):
    """Ten times as large per decade of the batch, or twice after as many updates."""
    return (
        epsilon * 1e3 * (1 + seed) * (batch / SMALL if match == "epochs" else 2 ** math.log10(batch / SMALL))
    )


def jensen(batch, match, seed, cutoff):
    """Falls by 100 orders of magnitude per decade, whatever was matched."""
    return -1000 + 100 * cutoff - 100 * math.log10(batch / SMALL) - seed


def rows(batch, match, seed):
    """Measure → rows of one run."""
    test = accuracy_on_test(batch, match, seed)
    yield "error", [
        Row("accuracy", 1.0, 0.001, "train"),
        Row("accuracy", test, 0.01, "test"),
        Row("gap_error", 1 - test, 0.01),
    ], {}  # fmt: skip
    curve = [
        Row("accuracy", end * (i + 1) / 3, split=split, x=x)
        for split, end in (("train", 1.0), ("test", test))
        for i, x in enumerate(EPOCHS[match])
    ]
    yield "curve", [*curve, Row("early_stopping_gain", 0.0, split="test")], {}
    found = []
    for epsilon in BOX["epsilon"]:
        here = sharpness(batch, match, seed, epsilon)
        for share, name in ((1.0, ""), (0.9, "_lbfgsb"), (0.01, "_subspace")):
            found.append(Row(f"keskar_sharpness{name}", share * here, 0.1, "train", x=epsilon))
    yield "box_sharpness", found, BOX


def basin(batch, match, seed):
    """The volume itself is a lower bound, as it is for all nets of this size."""
    found = [Row("dimensions", 1000)]
    for cutoff in BASIN["cutoffs"]:
        value = jensen(batch, match, seed, cutoff)
        thin = {"status": "low_ess", "reason": "1.5 of 16 rays carry it: a lower bound"}
        found += [
            Row("log10_volume_jensen", value, 5.0, "train", x=cutoff),
            Row("log10_volume", value + 50, 20.0, "train", x=cutoff, **thin),
        ]
    return found


def line(seed):
    """From the large batch at x = 0 to the small one at x = 1: a bowl around each split's own place."""
    for step in range(-8, 17):
        x = step / 8
        for split, place in (("train", 0.25), ("test", 0.5)):
            yield Row("loss", 0.01 + (x - place) ** 2 + 0.001 * seed, split=split, x=x)
            yield Row("accuracy", 1 / (1 + (x - place) ** 2), split=split, x=x)


def one(net, batch, match, seed):
    """The frames of one run."""
    run_id = f"{net[-2]}{batch}{match[0]}{seed}".ljust(12, "e")
    knobs = {
        "seed": seed, "batch_size": batch, "budget.match": match, "budget.keep": str([*EPOCHS[match]]),
        "budget.check_every": 20, "data.name": "mnist" if net == "keskar_f1" else "cifar10",
        "train_size": 1000, "model.name": net, "model.width": 16, "schedule.reference_batch": SMALL,
        "schedule.batch_rule": "fixed",
    }  # fmt: skip
    for measure, found, settings in rows(batch, match, seed):
        yield frame(run_id, knobs, measure, found, settings)
    if net == "keskar_f1":
        yield frame(run_id, knobs, "basin", basin(batch, match, seed), BASIN)
    if batch == LARGE:
        other = f"{net[-2]}{SMALL}e{seed}".ljust(12, "e")
        settings = {"other": other, "steps": 8, "beyond": 8, "batch_norm": "batch"}
        yield frame(run_id, knobs, "interpolation", line(seed), settings)


def known() -> pd.DataFrame:
    """2 nets × (3 batches matched in epochs, 1 in updates) × 3 seeds."""
    cells = [(SMALL, "epochs"), (MIDDLE, "epochs"), (LARGE, "epochs"), (LARGE, "updates")]
    nets = ("keskar_f1", "keskar_c1")
    table = pd.concat(
        [f for net in nets for b, m in cells for s in SEEDS for f in one(net, b, m, s)], ignore_index=True
    )
    epochs = table["budget.match"].map({match: kept[-1] for match, kept in EPOCHS.items()})
    return table.assign(epochs=epochs, updates=epochs * 1000 // table["batch_size"])
