"""F06: disks that are full, small or broken."""

import contextlib
import shutil
import subprocess

import pytest

from tests.faults.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.faults]
ROOM = 60_000  # bytes that a sweep finds, enough for a part of it


@contextlib.contextmanager
def mounted(folder, *options):
    """A disk of its own in the folder."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path):
    """Two megabytes."""
    with mounted(tmp_path / "disk", "-o", "size=2m") as folder:
        yield folder


@pytest.fixture
def study(disk, tmp_path):
    """The sweep on the small disk; what it prints goes elsewhere."""
    study = Study(disk / "outputs", logs=tmp_path)
    yield study
    study.stop()


def fill(disk, leave):
    """Leave so many bytes."""
    with open(disk / "ballast", "wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - leave))


@pytest.mark.fault("F06")
@pytest.mark.parametrize("room", [0, ROOM, 2 * ROOM])
def test_a_full_disk_is_a_sentence_and_the_sweep_finishes_when_there_is_room(study, fault, disk, room):
    fill(disk, room)
    driver = study.start()
    fault.ended(driver, 1)
    fault.leaves_nobody()
    fault.happened(shutil.disk_usage(disk).free < ROOM / 2)
    fault.says(
        driver.text,
        "disk full",
        str(disk),
        "bytes needed, [0-9,]+ free",
        "make room.* the same command goes on",
    )
    fault.files_whole()
    (disk / "ballast").unlink()
    fault.recovers()


@pytest.mark.fault("F06")
def test_after_a_full_disk_no_more_runs_are_started(study, fault, disk):
    more = "seed=0,1,2,3,4,5,6,7"
    fill(disk, ROOM)
    driver = study.start(more)
    fault.ended(driver, 1)
    fault.happened("disk full" in driver.text)
    assert "runs are not started" in driver.text
    started = [run for run in study.runs() if (run.folder / "log.txt").exists()]
    assert len(started) <= 4, "two at a time, and perhaps one that still had room"


@pytest.mark.fault("F06")
def test_a_full_folder_for_temporary_files_is_nothing_to_a_sweep(tmp_path, undisturbed, record_property):
    with mounted(tmp_path / "tmp", "-o", "size=64k") as folder:
        fill(folder, 0)
        with pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(b"x" * 5000)
        study = Study(tmp_path / "outputs")
        command = study.run(env={"TMPDIR": str(folder)})
        assert command.ended() == 0, command.text
