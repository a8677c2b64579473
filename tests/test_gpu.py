"""What only a GPU can show (D2, NCCL); skipped where there is none."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from gensweep.cli import main
from gensweep.table.store import Store

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
SETTINGS = """
model=cnn train_size=200 poison_size=100 poison_factor=0.3 batch_size=32 augment=true budget.max_epochs=5
measure=[error,norms,spectrum,slice,box_sharpness]
"""
WORDS = SETTINGS.split()


def made(outputs, *words):
    command = [sys.executable, "-m", "gensweep", "run", *WORDS, f"outputs={outputs}", *words]
    subprocess.run(command, check=True, timeout=300)
    (run,) = Store(outputs).runs()
    return load_file(run.folder / "solution.safetensors")


def table_of(outputs):
    with pytest.raises(SystemExit):
        main(["collect", "--outputs", str(outputs)])
    return pd.read_parquet(outputs / "table.parquet").drop(columns=["train_seconds", "seconds"])


def test_one_gpu_makes_the_same_bits_twice(tmp_path):
    first, second = (made(tmp_path / name, "hardware=gpu") for name in "ab")
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    pd.testing.assert_frame_equal(table_of(tmp_path / "a"), table_of(tmp_path / "b"), check_exact=True)


def test_a_gpu_and_a_cpu_agree_in_float64(tmp_path):
    gpu = made(tmp_path / "gpu", "hardware=gpu", "precision=float64")
    cpu = made(tmp_path / "cpu", "precision=float64")
    assert all(np.allclose(gpu[name], cpu[name], atol=1e-9) for name in gpu)


def test_processes_that_meet_over_nccl_agree_with_one(tmp_path):
    gpus = min(torch.cuda.device_count(), 2)
    shared = made(tmp_path / "shared", "hardware=ddp", f"hardware.processes={gpus}", "precision=float64")
    alone = made(tmp_path / "alone", "hardware=gpu", "precision=float64")
    assert all(np.allclose(shared[name], alone[name], atol=1e-9) for name in alone)
