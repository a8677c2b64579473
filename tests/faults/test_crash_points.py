"""F03: a process that dies at its k-th call to the system, for every k, leaves nothing half done."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
# Fewer deaths than this, and the harness did not look at the writer's calls.
DEATHS = {"store": 80, "checkpoint": 12, "blocks": 30, "table": 12, "figure": 24}
LATER = pytest.mark.faults
MUTANTS = [
    ("store", "in_place"),
    ("store", "manifest_first"),
    pytest.param("store", "unlinked_first", marks=LATER),
    ("checkpoint", "in_place"),
    pytest.param("checkpoint", "unlinked_first", marks=LATER),
    pytest.param("blocks", "in_place", marks=LATER),
    pytest.param("table", "in_place", marks=LATER),
    pytest.param("figure", "in_place", marks=LATER),
]


ROOT = Path(__file__).parents[2]


def here():
    """An environment in which the tests can be imported, wherever gensweep has left the path."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def crashed(*words):
    line = [sys.executable, "-m", "tests.faults.crash", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, env=here())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.fault("F03", "O1", "O3", "O4")
@pytest.mark.parametrize(
    "scenario", [pytest.param(s, marks=[LATER] * (s in ("table", "figure"))) for s in DEATHS]
)
def test_at_every_crash_point_files_are_old_or_new_and_a_rerun_finishes(tmp_path, scenario):
    found = crashed(scenario, tmp_path)
    assert found["deaths"] > DEATHS[scenario]
    assert found["violations"] == []


@pytest.mark.fault("F03")
@pytest.mark.parametrize(("scenario", "mutant"), MUTANTS)
def test_a_wrong_way_to_write_is_caught(tmp_path, scenario, mutant):
    assert crashed(scenario, tmp_path, mutant)["violations"]


STRACE = "strace -f -qq -o /dev/null -e trace={0} -e inject={0}:{1}:when={2}"


@pytest.fixture
def traced():
    """Words that let a command meet something at its k-th call of a kind."""
    if not shutil.which("strace") or subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"]).returncode:
        pytest.skip("FAULT NOT SEEN: processes cannot be traced here (apt-get install strace)")
    return lambda *what: STRACE.format(*what).split()


COMMIT = """
import sys
from pathlib import Path
from tests.faults.writers import Store
folder, scenario = Path(sys.argv[1]), Store()
(Path(sys.argv[1]) / "runs").exists() or scenario.before(folder)
print("AT commit", flush=True)
scenario.act(folder)
"""


@pytest.mark.faults
@pytest.mark.fault("F03", "O1", "O3", "O4")
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "unlink", "mkdir"])
def test_kills_by_the_kernel_itself_find_nothing_half_done(tmp_path, traced, call):
    from tests.faults.writers import Store

    scenario, deaths, env = Store(), 0, here()
    for k in range(1, 200):
        folder = tmp_path / f"{k:012x}"
        folder.mkdir()
        scenario.before(folder)
        line = [*traced(call, "signal=KILL", k), sys.executable, "-c", COMMIT, str(folder)]
        done = subprocess.run(line, capture_output=True, text=True, env=env)
        if done.returncode == 0:
            break
        assert done.returncode in (-9, 137), done.stderr
        deaths += 1
        assert scenario.torn(folder) == []
        kept = scenario.kept(folder)
        subprocess.run([sys.executable, "-c", COMMIT, str(folder)], check=True, capture_output=True, env=env)
        assert kept.items() <= scenario.kept(folder).items()
        assert scenario.unfinished(folder) == []
    assert deaths >= {"mkdir": 2, "unlink": 2}.get(call, 5)


@pytest.mark.faults
@pytest.mark.fault("F03")
def test_a_sweep_killed_inside_a_write_finishes(study, fault, traced):
    for k in (3, 8, 15):
        driver = study.start(before=traced("fsync", "signal=KILL", k))
        assert driver.ended() in (1, -9), "a run was killed, or the driver when it noted that"
        fault.leaves_nobody()
        fault.files_whole()
        fault.happened()
    fault.recovers()


@pytest.mark.faults
@pytest.mark.fault("F03")
def test_a_run_killed_between_a_write_and_its_name_is_told_of(study, fault):
    driver = study.run(env=study.strikes("gensweep.table.atomic:_sync_folder@20=kill"))
    fault.ended(driver, 1)
    fault.happened(study.evidence("kill"))
    fault.says(driver.text, "[0-9a-f]{12} failed", "killed by SIGKILL", "log: .*log.txt")
    fault.files_whole()
    fault.recovers()


@pytest.mark.faults
@pytest.mark.fault("F06")
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT"])
@pytest.mark.parametrize("k", [2, 9])
def test_an_error_at_the_kth_write_is_a_sentence_and_the_same_command_finishes(
    study, fault, traced, error, k
):
    driver = study.run(before=traced("fsync", f"error={error}", k))
    fault.ended(driver, 1)
    wanted = "Input/output error" if error == "EIO" else "disk full"
    fault.happened(wanted in driver.text)
    fault.says(driver.text, "[0-9a-f]{12} failed", wanted, str(study.outputs), "make room|log: .*log.txt")
    fault.files_whole()
    fault.recovers()
