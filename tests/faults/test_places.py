"""F20 and F21: folders that take no files, names that are odd, and clocks that are wrong."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def can(*words):
    """Run a command of the system, or skip the test."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(map(str, words))} is refused here: {done.stderr.strip()}")


@contextlib.contextmanager
def read_only(folder):
    """A mount that takes no files."""
    can("mount", "--bind", folder, folder)
    try:
        can("mount", "-o", "remount,ro,bind", folder)
        yield []
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def immutable(folder):
    """A folder that even root cannot change."""
    can("chattr", "+i", folder)
    try:
        yield []
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


@contextlib.contextmanager
def of_another_user(folder):
    """A folder of root's, met by somebody else."""
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    can(*words, sys.executable, "-c", "import torch, lightning")
    yield words


@pytest.mark.fault("F20")
@pytest.mark.parametrize("closed", [read_only, immutable, of_another_user])
@pytest.mark.parametrize("begun", [False, True])
def test_a_folder_that_takes_no_files_is_refused_before_training(study, fault, closed, begun, undisturbed):
    if begun:  # a store that was written to once
        shutil.copytree(undisturbed(study.words), study.outputs)
        next(study.outputs.rglob("rows/error*")).unlink()
    else:
        study.outputs.mkdir()
    with closed(study.outputs) as before:
        if not before:
            with pytest.raises(OSError, match=r"Read-only|not permitted"):
                (study.outputs / "x").touch()
        fault.happened()
        command = study.run(before=before)
        fault.ended(command, 2)
        fault.says(command.text, "^gensweep: ", str(study.outputs), "takes no files", "choose another folder")
    fault.recovers()


@pytest.mark.fault("F20")
@pytest.mark.parametrize("kind", ["loop", "long", "a file"])
def test_a_place_that_cannot_be_is_refused(finished, fault, tmp_path, kind):
    place = tmp_path / {"loop": "round", "long": "x" * 256, "a file": "file/below"}[kind]
    if kind == "loop":
        place.symlink_to(place)
    (tmp_path / "file").touch()
    fault.happened()
    command = finished.run(f"outputs={place}")
    fault.ended(command, 2)
    fault.says(
        command.text,
        "^gensweep: ",
        str(place)[:60],
        "takes no files|too long|levels of symbolic",
        "choose another",
    )
    fault.recovers()


@pytest.mark.fault("F20")
@pytest.mark.parametrize("name", ["my runs", "Läufe", "it's", "a=b", "x" * 200])
def test_odd_names_of_folders_are_names(tmp_path, undisturbed, fault, name):
    fault.study.outputs = tmp_path / name
    study = fault.study
    quoted = "outputs='" + str(study.outputs).replace("'", "\\'") + "'"
    command = study.command("run", "-m", *study.words, quoted)
    assert command.ended() == 0, command.text
    fault.happened(len(study.runs()) == 3)


def faked(offset):
    """Words in front of a command for which the clock is wrong, and durations are right."""
    if not shutil.which("faketime"):
        pytest.skip("FAULT F21 NOT SEEN: there is no faketime here (apt-get install faketime)")
    return ["faketime", "--exclude-monotonic", "-f", offset]


@pytest.mark.fault("F21")
@pytest.mark.parametrize(("first", "then"), [("+365d", "-365d"), ("-365d", "+365d")])
def test_a_clock_that_jumps_changes_no_number_and_no_run_is_forgotten(study, fault, first, then):
    env = study.strikes("gensweep.train.task:Task.update@20=kill")
    driver = study.run(before=faked(first), env=env)
    fault.ended(driver, 1)
    fault.happened(study.evidence("kill"))
    times = [run.state()["time"] for run in study.runs()]
    here = os.stat(study.struck).st_mtime
    assert all(abs(abs(t - here) / 86400 - 365) < 1 for t in times), "the clock was a year off"
    fault.says(driver.text, "killed by SIGKILL", "2 done, 0 diverged, 1 failed", "log: ")
    future = here + 400 * 86400
    for path in study.outputs.rglob("*"):
        os.utime(path, (future, future))
    fault.recovers(before=faked(then))
    assert "3 done, 0 to do" in study.run().text
