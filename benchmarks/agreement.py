"""Every measure beside an exact answer and beside other people's code, on five little networks.

Ours that is further from the exact answer than its tolerance makes the exit code 1. A peer that is further
off is a finding, marked with ``!``. Run it with `make bench`, which brings the peers along.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

import lines
import nets
from line import Line
from peer import INSTALL, installed

COLUMNS = (
    ("", 3),
    ("network", 10),
    ("quantity", 29),
    ("exact", 41),
    ("ours ± stderr", 49),
    ("off", 5),
    ("allowed", 0),
)
HEADER = "".join(f"{title:<{width}}" for title, width in COLUMNS)


def convex() -> Iterator[Line]:
    """Softmax regression, where all is exact."""
    net = nets.softmax()
    for group in (lines.fit, lines.norms, lines.curvature, lines.noise, lines.landscape):
        yield from group(net)
    yield from lines.sharpness(net, 0.1)
    yield from lines.basin(net, 0.005, 200_000, particles=100)


def curved() -> Iterator[Line]:
    """A smooth network, one with max-pool and one with batch norm."""
    for net in (nets.tanh(), nets.pooled(), nets.batch_normed()):
        smooth = net.name == "tanh MLP"
        groups = [lines.fit, lines.curvature, lines.noise, lines.landscape]
        for group in groups if smooth else [*groups, lines.norms]:
            yield from group(net)
        yield from lines.sharpness(net, 0.005)
        yield from lines.basin(net, 0.02, 50_000 if smooth else 0)


def deep() -> Iterator[Line]:
    """ResNet-8: what needs no dense Hessian."""
    net = nets.residual()
    yield from lines.fit(net)
    yield from lines.norms(net)


GROUPS = convex, curved, deep


def shown(value: np.ndarray | float | None) -> str:
    """A number, or the first two of several."""
    if value is None:
        return "–"
    if isinstance(value, np.ndarray):
        return " ".join(f"{v:.5g}" for v in value[:2]) + (" …" if len(value) > 2 else "")
    return f"{value:.7g}"


def told(line: Line) -> str:
    """A line of the table, and one below it for each peer."""
    exact, ours = line.exact, line.ours
    error = f" ± {exact.stderr:.1g}" if exact.stderr else ""
    ours_error = f" ± {ours.stderr:.1g}" if ours.stderr else ""
    text = (
        f"{'ok' if line.agrees else 'NO':<3}{line.net:<10}{line.quantity:<29}{shown(exact.value) + error:<24}"
        f"{exact.note:<17}{shown(ours.value) + ours_error:<22}{ours.note:<24}"
        f"{line.off(ours.value):>8.0e}{line.allowed:>9.0e}"
    )
    for peer in line.peers:
        off = "" if peer.value is None else f"{line.off(peer.value):>8.0e}"
        mark = "!" if peer.value is not None and not line.off(peer.value) <= line.allowed else " "
        text += f"\n {mark} {'':<10}  {peer.name:<67} {shown(peer.value):<22}{peer.note:<24}{off}"
    return text


def main() -> int:
    """Print the table; 1 when a line of ours disagrees."""
    torch.set_num_threads(1)
    began = time.monotonic()
    for module, (_, how) in INSTALL.items():
        found = installed(module)
        print(f"{module}: " + (f"NOT INSTALLED ({how})" if found is None else found or "no version stated"))
    print(f"\n{HEADER}\n{'':<3}{'':<10}  peer{'':<62}its value\n")
    found = []
    for group in GROUPS:
        for line in group():
            print(told(line), flush=True)
            found.append(line)
    wrong = [f"{line.net}: {line.quantity}" for line in found if not line.agrees]
    spent = f"{time.monotonic() - began:.0f} s, {time.process_time():.0f} s of them processor time"
    print(f"\n{len(found) - len(wrong)} of {len(found)} quantities agree, in {spent}.")
    print("off: distance from exact over |exact|; allowed: rounding, or solver tolerance, plus 3 stderr.")
    print("\n".join(["Ours disagrees:", *wrong]) if wrong else "", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
