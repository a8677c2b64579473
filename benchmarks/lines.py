"""What is compared: each function asks one group of measures on one network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

import exact
import peers
from gensweep.geometry.lanczos import Hessian, largest
from gensweep.geometry.metric import li_direction
from gensweep.geometry.noise import gaussian, mean_and_stderr
from gensweep.geometry.trace import trace
from gensweep.measures.adaptive_sharpness import AdaptiveSharpness
from gensweep.measures.basin import Basin
from gensweep.measures.box_sharpness import BoxSharpness
from gensweep.measures.error import Error
from gensweep.measures.expected_sharpness import ACCURACY_DROP, ExpectedSharpness
from gensweep.measures.hessian_ratio import HessianRatio
from gensweep.measures.margin import Margin
from gensweep.measures.norms import Norms
from gensweep.measures.path_norms import PathNorms
from gensweep.measures.perturbation import Perturbation
from gensweep.measures.slice import Slice
from gensweep.measures.spectrum import Spectrum
from gensweep.rng import Stream
from gensweep.rows import Row
from line import Line, Number, pick
from nets import Net
from peer import asked

RNG = Stream(0, ("benchmark",))
DRAWS = 2000  # of the plain averages; ours take half as many losses
PROBES, MOMENT_STEPS = 100, 10  # of the density, whose first moments any number of steps above 1 has right
PAIRS = 50


def fit(net: Net) -> Iterator[Line]:
    """`error` and `margin`."""
    rows = list(Error().split(net.solution, net.data, "train"))
    right = sum(m > 0 for m in exact.margins(net)) / len(net.risk)
    yield Line(
        net.name,
        "accuracy",
        Number(right, note="one by one"),
        Number(pick(rows, "accuracy").value),
        1e-6,
        peers=[asked("torchmetrics", lambda: peers.torchmetrics_accuracy(net))],
    )
    yield Line(
        net.name,
        "loss, nats",
        Number(exact.mean_loss(net), note="one by one"),
        Number(pick(rows, "loss").value),
        peers=[asked("sklearn", lambda: peers.sklearn_loss(net))],
    )
    ordered = exact.margins(net)
    found = pick(Margin(quantiles=())(net.solution, net.data, RNG), "margin_p05")
    peer = asked("numpy", lambda: (float(np.quantile(ordered, 0.05, method="higher")), "quantile"))
    at = Number(ordered[math.ceil(0.05 * len(ordered))], note="sorted")
    yield Line(net.name, "margin_p05, logits", at, Number(found.value), peers=[peer])


def norms(net: Net) -> Iterator[Line]:
    """`path_norms` and `norms`."""
    for power in (1, 2):
        for biases in (False, True):
            found = PathNorms(biases=biases).logs(net.solution, net.data)[f"log10_l{power}_path"]
            # Our ℓ1 form is squared, our ℓ2 form is not rooted: both are the square of the norm.
            ours = Number(10 ** (found / 2), note="1 F")
            known = Number(exact.path_norm(net, power, biases), note="dense layers")
            toolkit = [asked("pathnorm", lambda p=power: peers.toolkit_path_norm(net, p))] if biases else []
            name = f"ℓ{power} path norm{', biases too' if biases else ''}"
            yield Line(net.name, name, known, ours, peers=toolkit)
    known = exact.operator_norms(net)
    if len(known):
        rows = [row for row in Norms()(net.solution, net.data, RNG) if row.quantity == "layer_operator"]
        # The layers that are not convolutions come last in these networks.
        ours = Number(np.array([row.value for row in rows[: len(known)]]), note="Lanczos on AᵀA")
        peer = asked("scipy", lambda: peers.scipy_operator_norms(net))
        yield Line(
            net.name, f"operator norms of {len(known)} convs", Number(known, note="SVD"), ours, peers=[peer]
        )


def curvature(net: Net) -> Iterator[Line]:
    """`spectrum` and `hessian_ratio`."""
    dense = exact.hessian(net)
    values = np.linalg.eigvalsh(dense)[::-1]
    size, top = len(values), values[0]
    hessian = Hessian(net.risk.hvp(net.theta_P), net.theta_P)
    found = largest(hessian, 5, RNG)[0]
    by_peers = [
        asked("curvlinops", lambda: peers.curvlinops_top(net, 5)),
        asked("pyhessian", lambda: peers.pyhessian_top(net, 5)),
    ]
    ours = Number(found, note=f"{hessian.products} HVP")
    yield Line(net.name, "5 largest eigenvalues", Number(values[:5], note="dense H"), ours, 1e-6, by_peers)

    hessian = Hessian(net.risk.hvp(net.theta_P), net.theta_P)
    total = trace(hessian, RNG)
    by_peers = [
        asked("curvlinops", lambda: peers.curvlinops_trace(net)),
        asked("pyhessian", lambda: peers.pyhessian_trace(net)),
    ]
    ours = Number(total.value, total.stderr, f"{hessian.products} HVP")
    yield Line(net.name, "trace", Number(values.sum(), note="dense H"), ours, peers=by_peers)

    low = pick(Spectrum()(net.solution, net.data, RNG), "lambda_min", f"{8 * min(80, size)} HVP")
    peer = asked("curvlinops", lambda: peers.curvlinops_smallest(net))
    known = Number(values[-1], note="dense H")
    yield Line(net.name, "λ_min, over λ_max", known, low, 1e-3, [peer], scale=top)
    rows = list(Spectrum(steps=MOMENT_STEPS, probes=PROBES)(net.solution, net.data, RNG))
    yield density(net, rows, 1, Number(values.mean(), note="tr H / P"))
    yield density(net, rows, 2, Number(np.mean(values**2), note="‖H‖²/P"))

    (row, _) = HessianRatio(points=1, span=0.0)(net.solution, net.data, RNG)
    known = Number(abs(values[-1] / top), note="dense H")
    yield Line(net.name, "|λ_min/λ_max|", known, Number(row.value, note="30 HVP"), 1e-3, scale=1.0)


def density(net: Net, rows: Sequence[Row], power: int, known: Number) -> Line:
    """A moment of the spectral density."""
    nodes = [row for row in rows if row.quantity == "density"]
    moments = np.array([sum(r.value * r.x**power for r in nodes if r.index == p) for p in range(PROBES)])
    by_peers = {
        1: lambda: asked("pyhessian", lambda: peers.pyhessian_mean(net)),
        2: lambda: asked("curvlinops", lambda: peers.curvlinops_square(net)),
    }
    ours = Number(*mean_and_stderr(moments), f"{PROBES * MOMENT_STEPS} HVP")
    return Line(net.name, f"density: mean of λ{'²' * (power - 1)}", known, ours, peers=[by_peers[power]()])


def sharpness(net: Net, epsilon: float) -> Iterator[Line]:
    """`box_sharpness`, and `adaptive_sharpness` in its ℓ∞ form, where the loss is convex."""
    base = exact.mean_loss(net)
    box = BoxSharpness(epsilon=epsilon)(net.solution, net.data, RNG)
    worst = AdaptiveSharpness(rho=epsilon, norm="linf", block=None, draws=2)(net.solution, net.data, RNG)
    for quantity, rows, width_P in (
        ("neyshabur_sharpness", box, epsilon * (net.theta_P.abs() + 1)),
        ("worst_linf", worst, epsilon * net.theta_P.abs()),
    ):
        ours = pick(rows, quantity, "105 G")
        height, spent = exact.highest_by_lbfgsb(net, width_P, 5)
        if len(net.theta_P) < 20:
            known = Number(exact.highest_corner(net, width_P) - base, note="2ᴾ corners")
            peer = [asked("scipy", lambda h=height, n=spent: (h - base, f"L-BFGS-B, {n} G"))]
            yield Line(net.name, f"{quantity}, nats", known, Number(ours.value, 0.0, ours.note), 1e-6, peer)
        else:
            known = Number(height - base, note=f"L-BFGS-B, {spent} G")
            yield Line(net.name, f"{quantity}, nats", known, ours, 0.02)


def noise(net: Net) -> Iterator[Line]:
    """`expected_sharpness` and `perturbation`."""
    base, alpha = exact.mean_loss(net), 0.01
    sigma_P = alpha * (10 * net.theta_P.abs() + 1)
    rows = list(ExpectedSharpness(scales=(alpha,), draws=DRAWS // 2)(net.solution, net.data, RNG))
    known = Number(*exact.mean_under_noise(net, sigma_P, DRAWS, lambda x: x - base), f"{DRAWS} draws")
    ours = pick(rows, "expected_sharpness", f"{DRAWS // 2} F")
    yield Line(net.name, "expected_sharpness, nats", known, ours)
    posterior = torch.distributions.Normal(net.theta_P, sigma_P)
    prior = torch.distributions.Normal(torch.zeros_like(sigma_P), sigma_P)
    pairs = zip(net.theta_P.tolist(), sigma_P.tolist(), strict=True)
    known = Number(sum(t * t / (2 * s * s) for t, s in pairs), note="one by one")
    peer = asked("torch", lambda: (torch.distributions.kl_divergence(posterior, prior).sum().item(), ""))
    yield Line(net.name, "kl, nats", known, pick(rows, "kl"), peers=[peer])
    if len(net.theta_P) < 20:
        at = Number(exact.tolerated(net, ACCURACY_DROP, 5000), note="5000 draws")
        yield Line(net.name, "pac_bayes_sigma", at, pick(rows, "pac_bayes_sigma"), 0.02)
    rows = Perturbation(scale=0.1, draws=DRAWS // 2)(net.solution, net.data, RNG)
    spread_P = torch.full_like(net.theta_P, 0.1)
    known = Number(*exact.mean_under_noise(net, spread_P, DRAWS, lambda x: x - base), f"{DRAWS} draws")
    yield Line(net.name, "mean_loss_rise, nats", known, pick(rows, "mean_loss_rise", f"{DRAWS // 2} F"))


def basin(net: Net, cutoff: float, draws: int, particles: int = 50) -> Iterator[Line]:
    """The first radius of `basin`, its trace formula, and the local volume where draws can reach it."""
    measure = Basin(cutoffs=(cutoff,), directions=1, particles=particles, replicates=8 if draws else 0)
    rows = list(measure(net.solution, net.data, RNG))
    base, rms_P = exact.mean_loss(net), exact.filter_rms(net)
    size = int((rms_P > 0).sum())
    draw_P = gaussian(RNG.child("ray", 0), net.theta_P) * (rms_P > 0)
    step_P = math.sqrt(size) * rms_P * draw_P / draw_P.norm()
    known = Number(exact.crossing(net, step_P, base + cutoff, 1.0), note="scan, halving")
    peer = asked(
        "scipy",
        lambda: peers.scipy_crossing(
            lambda r: exact.loss(net, net.theta_P + r * step_P).item() - base - cutoff, 10.0
        ),
    )
    spent = int(pick(rows, "evaluations").value)
    yield Line(net.name, "radius", known, pick(rows, "radius", f"{spent} F"), 1e-5, [peer])

    unit = (size * rms_P * rms_P).numpy()
    at = size / 2 * math.log10(2 * cutoff * size / (unit * np.diag(exact.hessian(net))).sum())
    yield Line(net.name, "log10_volume_trace", Number(at, note="dense H"), pick(rows, "log10_volume_trace"))
    if draws:
        inside, error = exact.mean_under_noise(net, 0.3 * rms_P, draws, lambda x: x <= base + cutoff)
        known = Number(math.log10(inside), error / inside / math.log(10), f"{draws} draws")
        spent = int(pick(rows, "local_evaluations").value)
        yield Line(net.name, "log10_local_volume", known, pick(rows, "log10_local_volume", f"{spent} F"))


def landscape(net: Net) -> Iterator[Line]:
    """`slice`, and the directions that pictures are drawn along."""
    layout, theta_P = net.solution.layout, net.theta_P
    drawn = [li_direction(layout, theta_P, RNG.child("cosine", k)) for k in range(2 * PAIRS)]
    weights, filters = layout.unpack(theta_P), layout.unpack(drawn[0])
    pairs = ((filters[name], w) for name, w in weights.items() if w.dim() > 1)
    ratios = [d.norm() / w.norm() for ds, ws in pairs for d, w in zip(ds, ws, strict=True)]
    peer = asked("loss_landscapes", lambda: peers.landscape_filter_ratio(net))
    ours = Number(float(torch.stack(ratios).mean()))
    yield Line(net.name, "‖filter of d‖/‖filter of θ‖", Number(1.0), ours, peers=[peer])
    cosines = [float(d @ e / (d.norm() * e.norm())) for d, e in zip(drawn[::2], drawn[1::2], strict=True)]
    ours = Number(*mean_and_stderr(np.array(cosines)), f"{PAIRS} pairs")
    peer = asked("loss_landscapes", lambda: peers.landscape_cosine(net, PAIRS))
    known = Number(0.0, note="independent")
    yield Line(net.name, "cosine of two directions", known, ours, 0.0, [peer], scale=1.0)

    rows = Slice(points=3)(net.solution, net.data, RNG)
    curve = {row.x: row.value for row in rows if row.quantity == "loss"}
    draw_P = gaussian(RNG.child("direction", 0), net.theta_P)
    side = net.theta_P + exact.filter_normalised(net, draw_P)
    known = Number(exact.loss(net, side).item(), note="by filter")
    yield Line(net.name, "slice at x = 1, nats", known, Number(curve[1.0]))
    known = Number(exact.mean_loss(net), note="one by one")
    peer = asked("loss_landscapes", lambda: peers.landscape_centre(net))
    yield Line(net.name, "slice at its centre, nats", known, Number(curve[0.0]), peers=[peer])
