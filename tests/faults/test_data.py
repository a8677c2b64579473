"""F19: data that is not there, half there, or out of reach."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from tests.data.conftest import pictures, write_parquet

pytestmark = [pytest.mark.slow, pytest.mark.faults]
OFFLINE = ["unshare", "-n"]


@pytest.fixture
def offline():
    """Words in front of a command that leave it without a network."""
    if subprocess.run([*OFFLINE, "true"], capture_output=True).returncode:
        pytest.skip("the network cannot be taken away here: unshare -n is refused")
    return OFFLINE


@pytest.mark.fault("F19")
def test_embedded_data_needs_no_network(study, fault, offline):
    fault.happened(
        subprocess.run([*offline, "cat", "/proc/net/route"], capture_output=True, text=True).stdout.count(
            "\n"
        )
        <= 1
    )
    command = fault.recovers(before=offline)
    fault.ended(command, 0)


@pytest.mark.fault("F19")
@pytest.mark.parametrize("words", ["data=mnist", "data=mnist data.download=true"])
def test_missing_data_is_named_with_its_place_before_anything_is_made(
    finished, fault, offline, tmp_path, words
):
    (tmp_path / "data").mkdir()
    fault.happened()
    command = finished.run(*words.split(), f"data_dir={tmp_path / 'data'}", before=offline, seconds=60)
    fault.ended(command, 2)
    fault.says(
        command.text,
        "mnist",
        f"{tmp_path / 'data'}|huggingface_hub",
        "data.download=true",
        "by hand|pip install|fetch",
    )
    fault.recovers()


@pytest.mark.fault("F19")
@pytest.mark.parametrize("keep", [0, 0.5, 0.999])
def test_a_file_that_was_not_copied_whole_is_named(finished, fault, tmp_path, keep):
    for split in ("train", "test"):
        path = tmp_path / "data" / "mnist" / f"{split}-00000-of-00001.parquet"
        write_parquet(path, *pictures(60, (1, 28, 28)))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    fault.happened(path.stat().st_size < len(content))
    command = finished.run("data=mnist", f"data_dir={tmp_path / 'data'}", "train_size=20")
    fault.ended(command, 2)
    fault.says(command.text, "gensweep: ", str(path), "cannot be read", "fetch it again")
    fault.recovers()


@pytest.mark.fault("F19")
def test_eight_processes_that_need_one_file_decode_it_once_and_agree(study, fault, tmp_path):
    x, y = pictures(60, (1, 28, 28))
    for split in ("train", "test"):
        write_parquet(tmp_path / "data" / "mnist" / f"{split}-00000-of-00001.parquet", x, y)
    words = [
        "data=mnist",
        f"data_dir={tmp_path / 'data'}",
        "seed=0,1,2,3,4,5,6,7",
        "hardware.jobs=8",
        "budget.max_epochs=1",
    ]
    env = {"GENSWEEP_CACHE": str(tmp_path / "cache")}
    command = study.run(*words, env=env)
    fault.ended(command, 0)
    assert "8 done, 0 diverged, 0 failed" in command.text
    assert not list((tmp_path / "cache").rglob("*.tmp"))
    assert pd.Series([run.manifest()["splits.safetensors"] for run in study.runs()]).nunique() == 8
    assert np.all([run.has(*run.manifest()) for run in study.runs()])
