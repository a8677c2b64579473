"""What a test of a fault uses: a small study, and one object that knows the fault and its oracles."""

import hashlib
import shutil

import pytest
from filelock import FileLock

from tests.faults import oracles
from tests.faults.study import Study

DIVERGED = 1  # the exit code of a sweep in which every run is done or has diverged


@pytest.fixture
def study(tmp_path):
    """A sweep of three short runs, in a folder of its own; what a failed test leaves running is ended."""
    study = Study(tmp_path / "outputs")
    yield study
    study.stop()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Words → outputs of the sweep with these words, made once for all workers and never disturbed."""
    shared = tmp_path_factory.getbasetemp().parent

    def made(words):
        place = shared / f"undisturbed-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}"
        with FileLock(f"{place}.lock"):
            if not (place / "done").exists():
                place.mkdir()
                command = Study(place / "outputs", list(words)).run()
                assert command.ended() in (0, DIVERGED), command.text
                (place / "done").touch()
        return place / "outputs"

    return made


@pytest.fixture
def finished(study, undisturbed):
    """The study after its sweep has ended: a copy of the undisturbed one."""
    shutil.copytree(undisturbed(study.words), study.outputs)
    return study


class Fault:
    """One fault in one test: each check that holds is noted for the table fault × oracle.

    Args:
        name: ``F01`` to ``F28``.
        study: What is disturbed.
        undisturbed: Words → outputs of the sweep without the fault.
        note: Takes ``F01 O1`` for a check that held.
    """

    def __init__(self, name, study, undisturbed, note):
        self.name, self.study, self.undisturbed, self.note = name, study, undisturbed, note
        self.before = {}

    def held(self, oracle):
        self.note("seen", f"{self.name} {oracle}")

    def happened(self, evidence=True):
        """The fault was really there, and what is committed now must not be lost any more."""
        assert evidence, f"{self.name} did not happen"
        self.before = self.study.rows()

    def ended(self, command, *codes):
        """O6: how the disturbed command ended."""
        oracles.exit_code(command.ended(), *codes)
        self.held("O6")

    def says(self, text, *parts):
        """O8: patterns for what, which, why, what next."""
        oracles.message(text, *parts)
        self.held("O8")

    def leaves_nobody(self):
        """O7."""
        oracles.nobody_left(self.study)
        self.held("O7")

    def files_whole(self):
        """O3: right after the fault, before anything is mended."""
        oracles.files_whole(self.study.outputs)

    def recovers(self, code=0, **how):
        """The same command again, and with it O1 to O5 and O7; returns it."""
        command = self.study.start(**how)
        oracles.finishes(command, code)
        self.held("O4")
        oracles.nothing_lost(self.before, self.study.rows())
        self.held("O1")
        oracles.no_duplicates(self.study.outputs)
        self.held("O2")
        oracles.files_whole(self.study.outputs)
        self.held("O3")
        expected = oracles.table(self.undisturbed(self.study.words))
        oracles.same_table(oracles.table(self.study.outputs), expected)
        self.held("O5")
        self.leaves_nobody()
        return command


@pytest.fixture
def fault(request, study, undisturbed, record_property):
    """The fault that the test's marker names."""
    return Fault(request.node.get_closest_marker("fault").args[0], study, undisturbed, record_property)
