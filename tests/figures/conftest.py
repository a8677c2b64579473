import json
import math

import pandas as pd
import pytest

from gensweep.rows import COLUMNS, QUANTITIES, Row, checked

BETAS, SEEDS = (0.0, 0.02, 0.1, 0.5), (0, 1, 2)
BASIN = {"cutoffs": [0.5, 1.0], "relative": True, "directions": 5, "metric": "filter"}


def frame(run_id, knobs, measure, rows, settings=None):
    """The rows of one run in the columns of the table."""
    table = pd.DataFrame([vars(row) for row in checked(measure, rows)])
    table = table.assign(
        run_id=run_id, measure=measure, unit=table["quantity"].map(QUANTITIES[measure]), **knobs
    )
    provenance = {
        "state": "trained", "epochs": 10, "train_seconds": 1.5, "seconds": 0.5,
        "git_sha": "c0ffee" * 6, "git_dirty": False,
        "gensweep_version": "0.1.0", "torch_version": "2.10", "machine": "x86_64",
        "settings": json.dumps(settings or {}), "data_note": "",
    }  # fmt: skip
    return table.assign(**provenance)[[*COLUMNS, *knobs, *provenance, "reason"]]


def error_rows(train, test):
    for split, accuracy in (("train", train), ("test", test)):
        yield Row("loss", 1 - accuracy, 0.01, split)
        yield Row("accuracy", accuracy, 0.01, split)
    yield Row("gap_error", train - test, 0.014)
    yield Row("target_reached", 1.0, split="train")


def basin_rows(scale):
    """Five rays whose loss is (radius / scale)²; the volume at the lower cutoff is only a lower bound."""
    for ray in range(5):
        for radius in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0):
            yield Row("rollout_loss", 0.1 + (radius / scale / (1 + ray / 10)) ** 2, 0.0, "train", ray, radius)
    yield Row("dimensions", 1000)
    for cutoff in BASIN["cutoffs"]:
        for ray in range(5):
            yield Row("radius", scale * (1 + ray / 10) * math.sqrt(cutoff), 0.0, "train", ray, cutoff)
        thin = (
            {"status": "low_ess", "reason": "1.5 of 5 rays carry it: a lower bound"} if cutoff == 0.5 else {}
        )
        volume = 1000 * math.log10(scale * math.sqrt(cutoff))
        yield Row("log10_volume", volume + 50, 20.0, "train", x=cutoff, **thin)
        yield Row("log10_volume_jensen", volume, 10.0, "train", x=cutoff)


def run_frames(beta, seed):
    """All measures of one run: test accuracy and radius fall as β grows, each seed a little lower."""
    run_id = f"{BETAS.index(beta)}{seed}".ljust(12, "e")
    knobs = {"seed": seed, "poison_factor": beta, "batch_size": 64, "data.name": "digits", "optim.lr": 0.01}
    yield frame(run_id, knobs, "error", error_rows(1.0 - beta / 100, 0.95 - beta - 0.01 * seed))
    yield frame(run_id, knobs, "basin", basin_rows(0.3 / (1 + 4 * beta + 0.1 * seed)), BASIN)
    yield frame(run_id, knobs, "margin", [Row("margin_p05", 3 - beta, 0.1, "train")])
    loose = {"status": "not_converged", "reason": "the starts differ by 0.2 nats"} if beta == 0.5 else {}
    yield frame(
        run_id, knobs, "box_sharpness", [Row("keskar_sharpness", 1 + beta, 0.1, "train", x=1e-3, **loose)]
    )


def known_sweep():
    """4 β × 3 seeds, every number known."""
    frames = [f for beta in BETAS for seed in SEEDS for f in run_frames(beta, seed)]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="session")
def sweep():
    return known_sweep()


@pytest.fixture(scope="session")
def plane():
    """3 β × 1 seed on two inputs: a boundary at x = 10 β, and a bowl for a surface."""
    frames = []
    for i, beta in enumerate((0.0, 0.2, 0.8)):
        knobs = {"seed": 0, "poison_factor": beta, "data.name": "swissroll"}
        axis = [-18.0, -6.0, 6.0, 18.0]
        rows = [Row("probability", 1 / (1 + math.exp(10 * beta - x)), x=x, y=y) for x in axis for y in axis]
        rows += [Row("train_point", k % 2, split="train", index=k, x=k - 5.0, y=5.0 - k) for k in range(10)]
        frames.append(frame(f"plane{i}", knobs, "boundary", rows, {"points": 4, "span": 18.0}))
        bowl = [
            Row("loss", (1 + beta) * (x * x + y * y), 0.0, "train", x=x, y=y)
            for x in (-1.0, 0.0, 1.0)
            for y in (-1.0, 0.0, 1.0)
        ]
        bowl += [Row("accuracy", 0.5, 0.0, "train", x=row.x, y=row.y) for row in bowl]
        frames.append(frame(f"plane{i}", knobs, "surface", bowl, {"points": 3, "span": 1.0}))
    return pd.concat(frames, ignore_index=True)


MAPS = ("none", "layer", "neuron", "batch_norm", "permutation")


def mapped_rows(seed, how):
    """What each map does to a few quantities, by its number m in MAPS; measure → rows."""
    m = MAPS.index(how)
    loose = {"status": "low_ess", "reason": "1.5 of 5 rays carry it: a lower bound"} if m == 4 else {}
    yield "error", [Row("loss", 0.1, 0.02, "train"), Row("loss", 0.4 + m, 0.02, "test")]
    yield "margin", [Row("margin_p05", 2.0 + 0.01 * m, 0.5, "train")]
    yield (
        "norms",
        [
            Row("l2_norm", 10.0 * (seed + 1) * (1 + m)),
            *(Row("layer_spectral", 3.0 + i, index=i) for i in (0, 1)),
        ],
    )
    yield "path_norms", [Row("log10_l1_path_raw", 8.0 - 2 * m, split="")]
    yield (
        "perturbation",
        [Row("mean_loss_rise", v, 0.1, "train", x=x) for x, v in ((0.01, 9.0 * m), (0.1, 1 + m / 10))],
    )
    yield "basin", [Row("log10_volume", -500.0 + 1e-5 * m, 20.0, "train", x=0.5, **loose)]


@pytest.fixture(scope="session")
def mapped():
    """5 maps × 3 seeds; some quantities stay, some move by a known amount."""
    frames = [
        frame(
            f"{seed}{how}".ljust(12, "e"),
            {"seed": seed, "reparametrise": how, "model.name": "cnn"},
            measure,
            rows,
        )
        for seed in SEEDS
        for how in MAPS
        for measure, rows in mapped_rows(seed, how)
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="session")
def pair(sweep):
    """The sweep on two data sets, on the second with another step size and a tenth of the accuracy less."""
    lower = (sweep["measure"] == "error") & (sweep["quantity"] == "accuracy")
    svhn = sweep.assign(
        **{"run_id": "s" + sweep["run_id"].str[:-1], "data.name": "svhn", "optim.lr": 0.1},
        value=sweep["value"].where(~lower, sweep["value"] - 0.1),
    )
    return pd.concat([svhn, sweep.assign(**{"data.name": "swissroll"})], ignore_index=True)


def walk_rows(beta):
    """Three steps of a map of 3 × 3 points, of a network that is the worse and the sharper the larger β."""
    for k, c in enumerate((0.0, 0.1, 0.4)):
        yield Row("loss", c * (1 + 10 * beta), split="train", index=k, x=c)
        yield Row("accuracy", 1 - c * (0.5 + beta), split="train", index=k, x=c)
        yield Row("curvature", 10.0 ** (1 + 4 * beta + k), split="train", index=k, x=c)
        for x in (-18.0, 0.0, 18.0):
            for y in (-18.0, 0.0, 18.0):
                yield Row("probability", 1 / (1 + math.exp(10 * c - x)), index=k, x=x, y=y)
    for k in range(6):
        yield Row("train_point", k % 2, split="train", index=k, x=k - 3.0, y=3.0 - k)


@pytest.fixture(scope="session")
def walked():
    """A good and a bad network along one direction."""
    frames = [
        frame(
            f"walk{beta}", {"seed": 0, "poison_factor": beta, "data.name": "swissroll"},
            "perturbed_boundary", walk_rows(beta), {"steps": 2, "reach": 0.4},
        )
        for beta in (0.0, 0.5)
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


BRANCHES = (0.0, 10.0, 20.0)


def field_rows(seed):
    """A path along the first axis, one unit in ten epochs, and minima that stand ``seed + 3`` above it."""
    path = [(float(i), 0.0) for i in range(4)]
    places = [*path, *((branch / 10, seed + 3.0) for branch in BRANCHES)]
    for i, (x, y) in enumerate(places):
        yield Row("tsne_1", x, index=i)
        yield Row("tsne_2", y, index=i)
        yield from (
            Row("distance", math.hypot(x - a, y - b), index=i, x=float(j))
            for j, (a, b) in enumerate(places)
            if j > i
        )


@pytest.fixture(scope="session")
def minefield():
    """Two good paths of 30 epochs, kept every tenth, and three minima that branch off each."""
    frames = []
    for seed in (0, 1):
        bad = {branch: f"bad{seed}{branch:g}".ljust(12, "e") for branch in BRANCHES}
        path = f"good{seed}".ljust(12, "e")
        knobs = {"seed": seed, "poison_factor": 0.0, "budget.keep": 10.0, "budget.max_epochs": 30}
        knobs |= {"start.run": None, "start.epoch": math.nan}
        told = {"perplexity": 5.0, "ends": [*bad.values()]}
        frames.append(frame(path, knobs, "trajectory", field_rows(seed), told))
        frames.append(frame(path, knobs, "error", error_rows(1.0, 0.98)))
        for branch, run in bad.items():
            own = knobs | {"poison_factor": 0.5, "budget.keep": math.nan, "budget.max_epochs": 400}
            own |= {"start.run": path, "start.epoch": branch}
            frames.append(frame(run, own, "error", error_rows(0.9, 0.3 + branch / 100)))
            lines = [
                Row("loss", rise * x * (1 - x), split=split, x=x)
                for split, rise in (("train", 4.0 + seed), ("test", 2.0))
                for x in (0.0, 0.5, 1.0)
            ]
            lines += [Row("barrier", 1.0 + seed, split="train"), Row("barrier", 0.5, split="test")]
            frames.append(frame(run, own, "interpolation", lines, {"other": path}))
    return pd.concat(frames, ignore_index=True)
