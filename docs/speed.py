"""Writes docs/speed.md and its picture from the tables in benchmarks/kept: `make docs`."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from curves import curves, picture
from matplotlib import style
from PIL import Image

from gensweep.figures.base import STYLE

ROOT = Path(__file__).parents[1]
KEPT, PAGE = ROOT / "benchmarks" / "kept", ROOT / "docs" / "speed.md"
PICTURE = ROOT / "docs" / "speed" / "growth.png"
BUG = 1.05  # an exponent above this is a mistake somewhere

HEAD = """\
# Speed

What the measures cost, beside other tools, as the work grows, in memory, and against what the machine can
do. Made by `make docs` from the tables in `benchmarks/kept`; nothing here is typed by hand.

```sh
make bench                                         # exact answers, then the ratios
python benchmarks/growth.py                        # each of these a few minutes on one core
python benchmarks/memory.py
python benchmarks/limits.py
```

Measured on: {machine}. Seconds are processor seconds of one thread, ratios are taken in one process that
runs both ways in turns; either way other work on the machine touches them little. Networks: MLP-20 is
784–20–10 and so on, CNN-8 has two convolutions of 8 and 16 channels.
"""

PEERS = """\
## Beside peers

How many times our processor time a peer takes for the same network, data and answer: median over rounds,
with quartiles. The agreement is the largest relative difference between its answer and ours in the same
run. Peers from PyPI run as they are, a pattern is the way of another project written anew.
"""

RADII = """\
## Losses per radius
"""

GROWTH = """\
## How it grows

Seconds ∝ sizeᵖ: the exponent p of a line through the logarithms of all sizes, with its standard error, and
that of the three largest sizes alone, which no fixed cost makes smaller. Where several processes share a
job, the seconds are those of the busiest one. An exponent above {bug} asks for a reason: {bugs}. The norms
take exact singular values, h²·784 operations and more for a layer of h × 784 weights.

![Processor seconds of the measures against what they are asked for](speed/growth.png)
"""

MEMORY = """\
## Memory

The highest resident memory of a process that does one job with a network of 15 million parameters, less
that of one that holds the network and its data and evaluates the loss once. {limit:,} MiB are allowed.
"""

LIMITS = """\
## Distance to the limit

What this machine does at most, measured in the same minutes on one core:
"""

LOOPS = """\
Arithmetic carried out and bytes touched are counted as the loop runs. The bytes include what stays in a
cache, and their fraction is that of a triad in the cache. *Saved* is how many times the arithmetic a plain
loop would take: all examples through the network for every loss, three times that for a gradient, six times
for a Hessian product.
"""


def kept(name: str, folder: Path = KEPT) -> pd.DataFrame:
    """One of the tables; without rows where it has not been made."""
    path = folder / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def page(folder: Path = KEPT) -> str:
    """The whole page."""
    machine = "; ".join(f"{fact} {value}" for fact, value in kept("machine", folder).values)
    return "\n".join([HEAD.format(machine=machine), *sections(folder)])


def sections(folder: Path) -> Iterator[str]:
    """The parts whose tables are there."""
    if len(found := kept("speed", folder)):
        yield from (PEERS, table(peers(found)))
    if len(found := kept("radii", folder)):
        yield from (RADII, table(plain(found)))
    if len(found := kept("growth", folder)):
        yield from (GROWTH.format(bug=BUG, bugs=bugs(found)), table(growth(found)))
    if len(found := kept("memory", folder)):
        yield from (MEMORY.format(limit=found["limit"].max()), table(memory(found)))
    if len(found := kept("limits", folder)):
        yield from (LIMITS, table(peaks(kept("peaks", folder))), LOOPS, table(loops(found)))


def table(cells: pd.DataFrame) -> str:
    """Texts as Markdown."""
    rows = [list(cells.columns), ["---"] * len(cells.columns), *cells.values.tolist()]
    return (
        "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)
        + "\n"
    )


def short(value: float) -> str:
    """Three digits, or fewer where they say nothing; a dash for what is not there.

    >>> short(1234.5), short(0.01234), short(2.0), short(float("nan"))
    ('1,234', '0.0123', '2', '–')
    """
    if isinstance(value, str) or math.isnan(value):
        return value if isinstance(value, str) else "–"
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def plain(found: pd.DataFrame) -> pd.DataFrame:
    """A table as it is, numbers shortened."""
    return found.rename(columns=lambda name: name.replace("_", " ")).map(short)


def peers(found: pd.DataFrame) -> pd.DataFrame:
    """One line per job and peer."""
    ratio = [f"{short(r)} ({short(lo)}–{short(hi)})" for r, lo, hi in found[["ratio", "low", "high"]].values]
    near = [f"{a:.1g} of {t:.0g}" for a, t in found[["agreement", "tolerance"]].values]
    cells = found[["job", "network", "peer"]].assign(ratio=ratio, n=found["n_rounds"])
    return cells.assign(
        goal=found["goal"].map(short),
        met=found["met"],
        agreement=near,
        note=[n if isinstance(n, str) else "" for n in found["note"]],
    )


def growth(found: pd.DataFrame) -> pd.DataFrame:
    """One line per curve."""
    lines = []
    for (against, measure, network), points in curves(found):
        one = points.iloc[0]
        sizes = f"{points['size'].min():,}–{points['size'].max():,}"
        p = f"{one['exponent']:.2f}".replace("-", "−")
        p += "" if math.isnan(one["stderr"]) else f" ± {one['stderr']:.2f}"
        last = short(round(one["steepest"], 2))
        seconds = f"{short(points['seconds'].iloc[0])}–{short(points['seconds'].iloc[-1])}"
        lines.append([against, measure, network, sizes, seconds, p, last, one["n_rounds"]])
    columns = ["against", "measure", "network", "sizes", "seconds", "exponent", "of the last three", "rounds"]
    return pd.DataFrame(lines, columns=columns)


def bugs(found: pd.DataFrame) -> str:
    """The curves that rise too fast, in words."""
    steep = found[found[["exponent", "steepest"]].max(axis=1) > BUG]
    return "; ".join(f"{m} of {n} against {a}" for (a, m, n), _ in curves(steep)) or "there is none"


def memory(found: pd.DataFrame) -> pd.DataFrame:
    """One line per job."""
    names = {
        "surface": "surface, points per axis",
        "rays": "rays",
        "subspace": "subspace sharpness, dimensions",
    }
    return pd.DataFrame({
        "network": found["network"],
        "parameters": found["parameters"].map("{:,}".format),
        "job": found["job"].replace(names),
        "number": found["count"].map("{:,}".format),
        "MiB": found["mebibytes"].map("{:,}".format),
        "seconds": found["cpu_seconds"].map(short),
    })  # fmt: skip


def peaks(found: pd.DataFrame) -> pd.DataFrame:
    """One line per peak."""
    units = ["GFLOP/s" if "products" in name else "GB/s" for name in found["peak"]]
    rates = [f"{short(rate)} {unit}" for rate, unit in zip(found["rate"], units, strict=True)]
    return pd.DataFrame({"where": found["device"], "what": found["peak"], "rate": rates})


def loops(found: pd.DataFrame) -> pd.DataFrame:
    """One line per hot loop."""
    cells = found[["device", "loop", "network"]].rename(columns={"device": "where"})
    for column, name in {"gflop": "GFLOP", "gigabytes": "GB", "saved": "saved, times"}.items():
        cells[name] = found[column].map(short)
    cells["seconds"] = [
        f"{short(s)} ({short(lo)}–{short(hi)})" for s, lo, hi in found[["seconds", "low", "high"]].values
    ]
    cells["of the product peak"] = found["of_products"].map("{:.0%}".format)
    cells["of the cache's bandwidth"] = found["of_bandwidth"].map("{:.0%}".format)
    return cells


def main() -> None:
    """Draw and write."""
    found = kept("growth")
    PICTURE.parent.mkdir(exist_ok=True)
    with style.context(STYLE):
        drawn = io.BytesIO()
        picture(found).savefig(drawn, format="png", dpi=250)
    Image.open(drawn).convert("RGB").quantize(64).save(PICTURE, optimize=True)
    PAGE.write_text(page())
    print(PAGE, f"{len(found.groupby(['measure', 'network', 'against']))} curves")


if __name__ == "__main__":
    main()
