"""Tables of known numbers in the shape of Neyshabur et al.'s three sweeps."""

from itertools import product

import pandas as pd

from gensweep.rows import Row

NORMS = {
    "norms": ("log10_l2", "log10_spectral"),
    "path_norms": ("log10_l1_path", "log10_l2_path"),
}
SCALES = (0.01, 0.1)


def network(
    frame, run_id, knobs, *, norm=3.0, sharpness=0.1, error=(0.0, 0.2), reached=True, kl=1e5, union=None
):
    """The rows of one run; ``norm`` is log10 of the first norm, the others lie 1, 2 and 3 above it.

    Expected sharpness and KL are powers of the noise scale α: rise = 5 α², kl = kl·(0.1/α)².
    """
    plain = {"seed": 0, "train_size": 100, "confusion_size": 0, "random_labels": False}
    knobs = plain | {"model.name": "vgg_neyshabur", "model.widths": None} | knobs
    rows = {
        "error": [
            *(Row("error", e, 0.01, split) for split, e in zip(("train", "test"), error, strict=True)),
            *(Row("accuracy", 1 - e, 0.01, split) for split, e in zip(("train", "test"), error, strict=True)),
            Row("target_reached", float(reached), split="train"),
        ],
        "margin": [Row("margin_p05", 2.0, 0.1, "train")],
        "box_sharpness": [Row("neyshabur_sharpness", sharpness, 0.01, "train", x=5e-4)],
        "expected_sharpness": [
            *(Row("expected_sharpness", 5 * a * a, 0.0, "train", x=a) for a in SCALES),
            *(Row("kl", kl * (0.1 / a) ** 2, x=a) for a in SCALES),
            Row("kl_at_sharpness", kl, 0.0, "train", x=0.05),
        ],
    }
    if union is not None:
        rows["margin"].append(Row("margin_p05", union, 0.1, "clean"))
    for i, (measure, quantity) in enumerate((m, q) for m, names in NORMS.items() for q in names):
        rows.setdefault(measure, []).append(Row(quantity, norm + i, 0.01, "train"))
    return pd.concat(
        [frame(run_id.ljust(12, "e"), knobs, measure, found) for measure, found in rows.items()],
        ignore_index=True,
    )


def random_labels(frame):
    """2 sizes × true and random labels × 3 seeds: norms of random ones stand 0.5 and 1 order above."""
    found = []
    for i, noisy, seed in product((0, 1), (False, True), range(3)):
        knobs = {"train_size": 100 * (i + 1), "random_labels": noisy, "seed": seed}
        numbers = {
            "norm": 3 + i + 0.1 * seed**2 + (i + 1) / 2 * noisy,
            "sharpness": 0.2 + (0.1 if i else -0.1) * noisy,
            "error": (0.0, 0.9 if noisy else 0.3 - 0.1 * i),
            "kl": 1e5 * (2 ** (i + 1) if noisy else 1),
        }
        found.append(network(frame, f"a{i}{int(noisy)}{seed}", knobs, **numbers))
    return pd.concat(found, ignore_index=True)


def confusion(frame):
    """3 sizes × 2 seeds: norms rise by an order each; the union's margin is half that of the true labels."""
    found = []
    for i, seed in product(range(3), range(2)):
        numbers = {
            "norm": 3.0 + i + seed,
            "sharpness": 0.3 - 0.1 * i,
            "error": (0.0, 0.2 + 0.1 * i + 0.01 * seed),
            "kl": 1e5 * (1 + i),
            "union": 1.0 if i else None,
        }
        found.append(network(frame, f"b{i}{seed}", {"confusion_size": 50 * i, "seed": seed}, **numbers))
    return pd.concat(found, ignore_index=True)


def width(frame):
    """4 widths × 2 seeds; the narrowest did not reach the target loss, norms are lowest at 64."""
    found = []
    for h, seed in product((8, 32, 64, 128), range(2)):
        knobs = {"model.name": "mlp_wide", "model.widths": f"[{h}]", "seed": seed}
        numbers = {
            "norm": 3.0 + (h - 64) ** 2 / 1e4,
            "sharpness": 0.01 * h,
            "reached": h > 8,
            "kl": 1e4 * h,
            "error": (0.05 if h == 8 else 0.0, 1 / h),
        }
        found.append(network(frame, f"c{h}{seed}", knobs, **numbers))
    return pd.concat(found, ignore_index=True)


def perturbed(frame):
    """12 seeds on 100 examples, of which 3 on 10 and 30 too: rise s² + seed/100, and a gap that is known."""
    found = []
    for size, seeds in ((100, 12), (10, 3), (30, 3)):
        for seed in range(seeds):
            run_id, knobs = f"d{size}n{seed}".ljust(12, "e"), {"seed": seed, "train_size": size}
            rise = (seed + 1) / 100 + 1 / size
            error = [
                Row("loss", 0.1 + 0.01 * (seed * 7 % 5), 0.0, "train"),
                Row("accuracy", 0.95, 0.0, "test"),
                Row("gap_loss", 0.1 * ((seed * 5) % 12) + 100 / size),
            ]
            rows = [
                Row(f"mean_{kind}", rise * s, 0.1 * rise * s, "train", x=s)
                for kind in ("loss_rise", "relative_loss_rise")
                for s in (0.03, 0.1, 0.3)
            ]
            found.append(frame(run_id, knobs, "error", error))
            found.append(frame(run_id, knobs, "norms", [Row("l2_norm", 5.0 + seed * 3 % 4)]))
            found.append(frame(run_id, knobs, "perturbation", rows, {"draws": 20, "scale": [0.03, 0.1, 0.3]}))
    return pd.concat(found, ignore_index=True)
