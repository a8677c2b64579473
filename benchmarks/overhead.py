"""What a sweep adds to each of its runs: seconds of a worker beyond training and measuring.

``python benchmarks/overhead.py`` times two sweeps of the local pool at 2 jobs that differ in their number of
runs alone, so that imports and planning cancel, and takes off what training and measuring took in the runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

JOBS, FEW, MANY = 2, 4, 24
WORDS = (
    "train_size=200 model.widths=[32] measure=[error,norms] budget.max_epochs=20 hardware.jobs=2 "
    "hardware.order=given"
)


def sweep(folder: Path, runs: int) -> tuple[float, float]:
    """Wall seconds of a sweep, and seconds of training and measuring per run."""
    words = [sys.executable, "-m", "gensweep", "run", "-m", "--yes", *WORDS.split(), f"seed=range({runs})"]
    started = time.monotonic()
    subprocess.run([*words, f"outputs={folder}"], check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - started
    collect = [sys.executable, "-m", "gensweep", "collect", "--outputs", folder]
    subprocess.run(collect, check=True, stdout=subprocess.DEVNULL)
    table = pd.read_parquet(folder / "table.parquet")
    trained = table.groupby("run_id")["train_seconds"].first().mean()
    measured = table.groupby(["run_id", "measure"])["seconds"].first().groupby("run_id").sum().mean()
    return wall, float(trained + measured)


def main() -> None:
    """Print the figures of three pairs of sweeps."""
    with tempfile.TemporaryDirectory() as place:
        for pair in range(3):
            few, _ = sweep(Path(place, f"few{pair}"), FEW)
            many, bare = sweep(Path(place, f"many{pair}"), MANY)
            whole = JOBS * (many - few) / (MANY - FEW)
            print(
                f"{whole:.2f} s of a worker per run, {bare:.2f} s of them training and measuring: "
                f"{whole - bare:.2f} s overhead ({MANY} runs in {many:.1f} s, {FEW} in {few:.1f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
