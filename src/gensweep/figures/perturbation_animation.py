"""H2, H3: what breaks, and when, as the weights of a good and of a bad minimum move along one direction?"""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, flaws, lowest_seed, numbers, settings, vary
from gensweep.figures.poison_boundaries import boundary, marks

TITLE = "Decision boundary, loss, accuracy and curvature along a perturbation"
ALT = (
    "Two rows of square maps of the probability of class 1, a good minimum above a bad one, from left to "
    "right farther and farther along one random direction in weight space. Below, against the distance, one "
    "line per minimum: cross-entropy, accuracy and curvature on the training set, on axes that both share."
)
KEPT = ["run_id", "poison_factor", "seed", "quantity", "index", "x", "y", "value", "unit", "status", "reason"]
SIDES = {
    "loss": "cross-entropy (nats)",
    "accuracy": "accuracy",
    "curvature": "curvature (nats / filter norm²)",
}
LINES = (("-", "C0", "o"), ("--", "C2", "s"))  # of the good and of the bad minimum
STILLS = 4
MILLISECONDS = 250  # of a frame
DPI, COLOURS = 80, 64  # of a frame: a film for a page must be small
Runs = list[tuple[float, pd.DataFrame]]


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Four stills of each network above the three curves, and every row of both.

    Error: One direction and one seed, the lowest, per network; the same direction for both.

    Source: Huang et al. 2019 (1906.03291), the animations beside figure 3. Their curves end at 20 nats and
    1.7e6 of curvature, on linear axes; here curvature has a logarithmic one, and both fit what is drawn.
    """
    runs = both(table)
    drawn = pd.concat([run for _, run in runs], ignore_index=True)
    drawn.attrs.update(said(runs, settings(numbers(table, "perturbed_boundary", "loss"))))
    figure = Figure(figsize=(DOUBLE, 5.9), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3.6, 2.3))[:, 0]
    shown = stills(runs[0][1])
    grid = above.subplots(2, len(shown), sharex=True, sharey=True, squeeze=False)
    for row, (beta, run) in zip(grid, runs, strict=True):
        for axes, k in zip(row, shown, strict=True):
            filled = frame(axes, run, k, beta)
    grid[-1][0].set(xlabel="input x₁", ylabel="input x₂")
    above.colorbar(filled, ax=grid, ticks=(0, 0.5, 1), label="P(class 1)", pad=0.01, aspect=25)
    curves(below.subplots(1, len(SIDES)), runs, shown)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def also(table: pd.DataFrame) -> dict[str, bytes]:
    """The animation as GIF, as MP4 where ffmpeg is installed, and the stills that the figure shows."""
    runs = both(table)
    pictures = [picture(runs, k) for k in steps(runs[0][1])]
    name = "perturbation-animation"
    kept = {f"{name}-{k:03d}.png": png(pictures[k]) for k in stills(runs[0][1])}
    return {f"{name}.gif": gif(pictures), **kept, **mp4(f"{name}.mp4", pictures)}


def both(table: pd.DataFrame) -> Runs:
    """Lowest and highest β, and the rows of the run with the lowest seed of each.

    Raises:
        InputError: The table holds one β, or the two were not measured in the same steps.
    """
    vary(table, "poison_factor")
    rows = pd.concat(
        [numbers(table, "perturbed_boundary", q) for q in (*SIDES, "probability", "train_point")]
    )
    settings(rows)
    betas = sorted(rows["poison_factor"].unique())
    if len(betas) < 2:
        raise InputError(
            "the table holds one poison_factor; this figure compares the lowest with the highest"
        )
    chosen = {beta: lowest_seed(rows, beta) for beta in (betas[0], betas[-1])}
    return [(beta, rows.loc[rows["run_id"] == run, KEPT]) for beta, run in chosen.items()]


def steps(run: pd.DataFrame) -> dict[int, float]:
    """Number of each step → its distance c."""
    losses = run[run["quantity"] == "loss"].sort_values("index")
    return dict(zip(losses["index"].tolist(), losses["x"].tolist(), strict=True))


def stills(run: pd.DataFrame) -> list[int]:
    """The steps that a page shows: the solution, the farthest, and what lies evenly between by number."""
    places = [*steps(run)]
    return [places[i] for i in np.unique(np.linspace(0, len(places) - 1, STILLS).round().astype(int))]


def frame(axes: Axes, run: pd.DataFrame, k: int, beta: float) -> Any:
    """The map of one step, with the training points."""
    here = run[(run["quantity"] == "probability") & (run["index"] == k)]
    filled = boundary(axes, here)
    marks(axes, run)
    axes.set_title(f"β = {beta:g}, c = {steps(run)[k]:.3g}")
    return filled


def curves(panels: Sequence[Axes], runs: Runs, shown: Sequence[int], until: int | None = None) -> None:
    """The three side panels; ``until`` leaves out later steps, while the axes stay those of the whole."""
    for axes, (quantity, label) in zip(panels, SIDES.items(), strict=True):
        values = []
        for (beta, run), (line, colour, mark) in zip(runs, LINES, strict=True):
            points = run[run["quantity"] == quantity].sort_values("index")
            values += points["value"].tolist()
            points = points if until is None else points[points["index"] <= until]
            ends = points["index"].isin(shown if until is None else [until])
            axes.plot(points["x"], points["value"], line, color=colour, label=f"β = {beta:g}")
            axes.plot(points["x"][ends], points["value"][ends], mark, color=colour)
        axes.set(xlabel="distance c (filter norms)", title=label)
        axes.set_xlim(-0.02 * max(steps(runs[0][1]).values()), 1.02 * max(steps(runs[0][1]).values()))
        limits(axes, quantity, np.array(values, dtype=float))
    panels[0].legend(loc="upper left", handlelength=3)


def limits(axes: Axes, quantity: str, values: np.ndarray) -> None:
    """What fits both networks over all steps."""
    finite = values[np.isfinite(values)]
    if quantity == "accuracy":
        axes.set_ylim(0, 1.05)
    elif quantity == "curvature" and (positive := finite[finite > 0]).size:
        axes.set(yscale="log", ylim=(positive.min() / 2, positive.max() * 2))
    elif finite.size:
        axes.set_ylim(-0.03 * finite.max(), 1.05 * finite.max() or 1.0)


def picture(runs: Runs, k: int) -> Image.Image:
    """One frame of the animation: both maps, and the curves as far as they have come."""
    figure = Figure(figsize=(DOUBLE, 5.2))
    figure.set_layout_engine("none")  # the same places in every frame
    grid = figure.add_gridspec(
        2, 6, left=0.08, right=0.98, bottom=0.1, top=0.95, hspace=0.25, wspace=1.6, height_ratios=(3, 2)
    )
    for place, (beta, run) in zip((slice(0, 3), slice(3, 6)), runs, strict=True):
        axes = figure.add_subplot(grid[0, place])
        frame(axes, run, k, beta)
    panels = [figure.add_subplot(grid[1, 2 * i : 2 * i + 2]) for i in range(len(SIDES))]
    curves(panels, runs, (), until=k)
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def gif(pictures: Sequence[Image.Image]) -> bytes:
    """The frames one after the other for ever, in a few colours that all share."""
    first = pictures[-1].quantize(COLOURS)
    frames = [picture.quantize(palette=first, dither=Image.Dither.NONE) for picture in pictures]
    stream = io.BytesIO()
    frames[0].save(
        stream, "GIF", save_all=True, append_images=frames[1:], duration=MILLISECONDS, loop=0, optimize=False
    )
    return stream.getvalue()


def png(picture: Image.Image) -> bytes:
    """One frame."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def mp4(name: str, pictures: Sequence[Image.Image]) -> dict[str, bytes]:
    """The same as a film, under its name; nothing where there is no ffmpeg, or one that cannot."""
    if not (program := shutil.which("ffmpeg")):
        return {}
    width, height = (side // 2 * 2 for side in pictures[0].size)  # H.264 halves the colours
    raw = b"".join(picture.crop((0, 0, width, height)).tobytes() for picture in pictures)
    form = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
        "-r",
        f"{1000 / MILLISECONDS:g}",
    ]
    coding = ["-pix_fmt", "yuv420p", "-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact"]
    wrapped = ["-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "pipe:1"]
    made = subprocess.run(
        [program, "-loglevel", "error", *form, "-i", "pipe:0", *coding, *wrapped],
        input=raw, capture_output=True, check=False,
    )  # fmt: skip
    return {name: made.stdout} if made.returncode == 0 and made.stdout else {}


def said(runs: Runs, asked: dict[str, Any]) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    broken = [first_below(run, 0.9) for _, run in runs]
    where = " and ".join(f"{c:.3g} at β = {beta:g}" for (beta, _), c in zip(runs, broken, strict=True))
    bends = [
        run.loc[(run["quantity"] == "curvature") & (run["index"] == 0), "value"].iloc[0] for _, run in runs
    ]
    seeds = ", ".join(sorted({str(seed) for _, run in runs for seed in run["seed"]}))
    lost = flaws(pd.concat([run for _, run in runs]))
    one = f"one random filter-normalised direction, the same for both; seed {seeds}"
    one += f"; {asked['steps'] + 1} steps"
    return {
        "caption": f"Training accuracy falls below 90 % at c = {where}; curvature at the solution "
        f"{bends[0]:.3g} and {bends[1]:.3g}. {one[0].upper()}{one[1:]}. {lost}".strip(),
        "footnote": one + (f"\n{lost}" if lost else ""),
        "filters": {"measure": "perturbed_boundary", "run_id": [run["run_id"].iloc[0] for _, run in runs]},
        "n": {f"β={beta:g}": 1 for beta, _ in runs},
    }


def first_below(run: pd.DataFrame, least: float) -> float:
    """The first c with a training accuracy below this; NaN where there is none."""
    points = run[run["quantity"] == "accuracy"].sort_values("index")
    fallen = points.loc[points["value"] < least, "x"]
    return float(fallen.iloc[0]) if len(fallen) else np.nan
