"""Ours beside its peers: the same job on the same network and data, timed in turns, answers compared.

A ratio is how many times our processor time a peer takes, on one thread: the median of rounds A B B A and its
quartiles. Peers from PyPI run as they are; a pattern is how another project evaluates, written anew (see
`patterns`). The exit code is 1 when answers are further apart than stated; a goal that is missed says so.

python benchmarks/speed.py                     all jobs
python benchmarks/speed.py surface hessian     these files of benchmarks/jobs
python benchmarks/speed.py -o speed.csv        the rows as CSV too
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

import ratios
from jobs import hessian, noise, norms, sharpness, surface, training

JOBS = {
    "surface": surface.rows,
    "noise": noise.rows,
    "training": training.rows,
    "sharpness": sharpness.rows,
    "hessian": hessian.rows,
    "norms": norms.rows,
}


def main(words: list[str]) -> int:
    """Print the table; 1 when answers disagree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("jobs", nargs="*", help=f"of {', '.join(JOBS)}; all unless named")
    parser.add_argument("-o", type=Path, help="write the rows to this CSV file")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    began, found = time.monotonic(), []
    print(ratios.HEADER, flush=True)
    for name in given.jobs or JOBS:
        for row in JOBS[name]():
            print(ratios.told(row), flush=True)
            found.append(row)
            if given.o:
                ratios.write(found, given.o)
    print("", *ratios.verdict(found), f"{time.monotonic() - began:.0f} s", sep="\n")
    return 0 if all(row.agrees for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
