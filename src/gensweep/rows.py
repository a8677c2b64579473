"""A row is one number with its unit, its error and its status. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STATUSES = ("ok", "censored", "low_ess", "not_converged", "nonfinite", "not_applicable")

# measure -> quantity -> unit. A quantity that is not here cannot be written.
QUANTITIES: dict[str, dict[str, str]] = {
    "error": {
        "loss": "nats",
        "error": "fraction",
        "accuracy": "fraction",
        "gap_error": "fraction",
        "gap_loss": "nats",
        "target_reached": "0 or 1",
    },
    "margin": {"margin_p05": "logits", "margin_quantile": "logits"},
    "norms": {
        "l2_norm": "weight",
        "l2_distance": "weight",
        "layer_frobenius": "weight",
        "layer_spectral": "weight",
        "layer_operator": "weight",
        "frobenius_over_spectral": "rank",
        "log10_l2": "orders of magnitude",
        "log10_l2_bound": "orders of magnitude",
        "log10_spectral": "orders of magnitude",
        "log10_spectral_bound": "orders of magnitude",
        "log10_operator": "orders of magnitude",
    },
    "path_norms": {
        "log10_l1_path": "orders of magnitude",
        "log10_l1_path_raw": "orders of magnitude",
        "log10_l2_path": "orders of magnitude",
        "log10_l2_path_raw": "orders of magnitude",
    },
    "box_sharpness": {
        "keskar_sharpness": "%",
        "keskar_sharpness_lbfgsb": "%",
        "keskar_sharpness_subspace": "%",
        "neyshabur_sharpness": "nats",
        "start_spread": "nats",
        "at_bound": "fraction",
        "evaluations": "gradients",
        "evaluations_lbfgsb": "gradients",
        "evaluations_subspace": "gradients",
    },
    "expected_sharpness": {
        "expected_sharpness": "nats",
        "kl": "nats",
        "kl_at_sharpness": "nats",
        "pac_bayes_sigma": "weight",
        "pac_bayes_sigma_low": "weight",
        "pac_bayes_sigma_high": "weight",
        "evaluations": "accuracies",
    },
    "adaptive_sharpness": {
        "worst_l2": "nats",
        "worst_l2_spread": "nats",
        "worst_l2_per_block": "nats",
        "worst_l2_per_block_spread": "nats",
        "average_l2": "nats",
        "worst_linf": "nats",
        "worst_linf_spread": "nats",
        "worst_linf_per_block": "nats",
        "worst_linf_per_block_spread": "nats",
        "average_linf": "nats",
        "worst_l2_logit_normalised": "nats",
        "worst_l2_spread_logit_normalised": "nats",
        "worst_l2_per_block_logit_normalised": "nats",
        "worst_l2_per_block_spread_logit_normalised": "nats",
        "average_l2_logit_normalised": "nats",
        "worst_linf_logit_normalised": "nats",
        "worst_linf_spread_logit_normalised": "nats",
        "worst_linf_per_block_logit_normalised": "nats",
        "worst_linf_per_block_spread_logit_normalised": "nats",
        "average_linf_logit_normalised": "nats",
    },
    "perturbation": {
        "loss_rise": "nats",
        "mean_loss_rise": "nats",
        "relative_loss_rise": "nats",
        "mean_relative_loss_rise": "nats",
    },
    "slice": {"loss": "nats", "accuracy": "fraction"},
    "surface": {"loss": "nats", "accuracy": "fraction"},
    "interpolation": {"loss": "nats", "accuracy": "fraction", "barrier": "nats"},
    "curve": {"loss": "nats", "accuracy": "fraction", "early_stopping_gain": "fraction"},
    "trajectory": {
        "pca_1": "weight",
        "pca_2": "weight",
        "explained": "fraction",
        "tsne_1": "arbitrary",
        "tsne_2": "arbitrary",
        "distance": "weight",
    },
    "basin": {
        "rollout_loss": "nats",
        "radius": "metric unit",
        "log10_volume": "orders of magnitude",
        "log10_volume_jensen": "orders of magnitude",
        "log10_volume_preconditioned": "orders of magnitude",
        "log10_volume_trace": "orders of magnitude",
        "log10_local_volume": "orders of magnitude",
        "ess": "rays",
        "ess_preconditioned": "rays",
        "censored_fraction": "fraction",
        "dimensions": "scalars",
        "evaluations": "losses",
        "local_evaluations": "losses",
        "preconditioned_evaluations": "losses",
        "products": "HVPs",
    },
    "spectrum": {
        "eigenvalue": "nats/weight²",
        "lambda_min": "nats/weight²",
        "trace": "nats/weight²",
        "density": "fraction",
        "residual": "fraction",
        "products": "HVPs",
    },
    "hessian_ratio": {"ratio": "fraction", "products": "HVPs"},
    "gradient": {
        "gradient_norm": "nats/weight",
        "gradient_variance": "nats²/weight²",
        "fisher_rao": "nats",
        "fisher_rao_model": "nats",
    },
    "magnitude_sharpness": {
        "magnitude_sigma": "fraction",
        "magnitude_sigma_low": "fraction",
        "magnitude_sigma_high": "fraction",
        "inverse_sigma_squared": "dimensionless",
        "pac_bayes_init": "nats",
        "pac_bayes_orig": "nats",
        "magnitude_alpha": "fraction",
        "magnitude_alpha_low": "fraction",
        "magnitude_alpha_high": "fraction",
        "inverse_alpha_squared": "dimensionless",
        "evaluations": "accuracies",
        "evaluations_worst": "gradients",
    },
    "llc": {
        "llc": "dimensionless",
        "acceptance": "fraction",
        "r_hat": "ratio",
        "equipartition": "fraction",
        "evaluations": "gradients",
    },
    "boundary": {"probability": "fraction", "train_point": "class"},
    "perturbed_boundary": {
        "loss": "nats",
        "accuracy": "fraction",
        "curvature": "nats/metric unit²",
        "probability": "fraction",
        "train_point": "class",
    },
}

KEY = ("run_id", "measure", "quantity", "split", "index", "x", "y")
COLUMNS = (*KEY, "value", "unit", "stderr", "status")


@dataclass(frozen=True)
class Row:
    """One measured number.

    Args:
        quantity: A name listed for its measure in ``QUANTITIES``, which fixes the unit.
        value: The number; NaN only with a status other than ``ok``.
        stderr: Its standard error in the same unit; 0 when exact, NaN when unknown.
        split: The data it was taken on: ``train``, ``confusion``, ``clean``, ``poison``,
            ``test`` or empty.
        index: Which ray, layer or draw; −1 when there is only one.
        x: First coordinate (scale, cutoff, quantile, position); NaN when there is none.
        y: Second coordinate.
        status: One of ``STATUSES``.
        reason: Why the status is not ``ok``, in words.
    """

    quantity: str
    value: float
    stderr: float = 0.0
    split: str = ""
    index: int = -1
    x: float = math.nan
    y: float = math.nan
    status: str = "ok"
    reason: str = ""


def not_applicable(quantity: str, reason: str, **place) -> Row:
    """The row of a number that does not exist here, and why."""
    return Row(quantity, math.nan, math.nan, status="not_applicable", reason=reason, **place)


def checked(measure: str, rows: Iterable[Row]) -> list[Row]:
    """The rows as a list, each finite or flagged, known to the schema, and under a key of its own.

    A number that came out NaN or infinite without a word is flagged ``nonfinite`` here.

    Raises:
        ValueError: A quantity or status that the schema lacks, or two rows under one key.
    """
    done, seen = [], set()
    for row in rows:
        if row.quantity not in QUANTITIES.get(measure, {}):
            raise ValueError(f"{measure}.{row.quantity} is not in the schema (gensweep/rows.py)")
        if row.status not in STATUSES:
            raise ValueError(f"{measure}.{row.quantity}: unknown status {row.status!r}")
        key = (row.quantity, row.split, row.index, repr(float(row.x)), repr(float(row.y)))
        if key in seen:
            raise ValueError(f"{measure}: two rows under the key {key}")
        seen.add(key)
        done.append(_flagged(row))
    return done


def _flagged(row: Row) -> Row:
    if row.status != "ok" or math.isfinite(row.value):
        return row
    return Row(**{**vars(row), "status": "nonfinite", "reason": row.reason or "the loss is not finite here"})
