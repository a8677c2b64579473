"""How equal is equal: integers everywhere (D0), bits on one machine (D1), ten updates to rounding (D3).

D1 through kills is in test_kill.py, D2 in test_gpu.py, D3 over processes in test_processes.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
GOLDEN = {
    "splits": "0449a907d92e989f",
    "noisy labels": "9c731bec6d9ea737",
    "order of batches": "7ace25cf9805a848",
    "crops": "2b7a84f541379b75",
    "directions": "fc00e48ed8647bac",
}
SCRIPT = Path(__file__).with_name("exactness.py")


def made(folder, threads=1, **environment):
    folder.mkdir()
    names = {**os.environ, "OMP_NUM_THREADS": str(threads), **environment}
    command = [sys.executable, str(SCRIPT), str(folder), str(threads)]
    done = subprocess.run(command, env=names, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """One thread, again, two threads, and the instructions that every processor has."""
    folder = tmp_path_factory.mktemp("exact")
    return [
        made(folder / "one"),
        made(folder / "again"),
        made(folder / "threads", threads=2),
        made(folder / "plain", ATEN_CPU_CAPABILITY="default"),
    ]


def test_d0_integers_are_equal_everywhere_and_for_ever(everywhere):
    assert [found["integers"] for found in everywhere] == [GOLDEN] * 4


def test_d1_the_same_machine_makes_the_same_bits(everywhere):
    one, again, *_ = everywhere
    assert one["weights"] == again["weights"]


def test_d3_ten_updates_in_float64_agree_to_rounding_on_two_threads(everywhere):
    one, _, threads, _ = everywhere
    assert np.allclose(one["weights"], threads["weights"], rtol=1e-10, atol=1e-12)


def test_d3_other_instructions_begin_from_first_weights_of_another_float32_rounding(everywhere):
    """PyTorch draws them in float32, with whatever instructions there are."""
    one, *_, plain = everywhere
    assert one["weights"] != plain["weights"]  # so there is something to tolerate
    assert np.allclose(one["weights"], plain["weights"], rtol=1e-5, atol=1e-6)
