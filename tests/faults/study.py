"""A tiny sweep as a real process: what it says, what it has stored, and whom it leaves behind."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from gensweep.sweep.plan import plan
from gensweep.table.shards import decoded
from gensweep.table.store import Store
from tests.waiting import wait_for

# Three runs of a second each; a test that needs time to strike makes one of them longer. A convolutional
# network is evaluated point by point, so that a measure can be struck at a point.
WORDS = (
    "train_size=40 model=cnn model.width=2 measure=[error,slice] measure.slice.points=8 "
    "budget.max_epochs=30 seed=0,1,2 hardware.jobs=2"
)
STRIKE = Path(__file__).parent / "strike"
TAG = "GENSWEEP_STUDY"  # in the environment of all its processes, fork server and children too


class Command:
    """``gensweep`` with these words, under way.

    Args:
        words: After the program's name.
        log: Takes what it prints, stdout and stderr alike.
        tag: By which its processes are known.
        before: Words in front of the program: strace, setpriv, …
        env: More for its environment.
        cwd: Where it starts; here by default.
    """

    def __init__(self, words, log, tag, before=(), env=None, cwd=None):
        self.log, self.words = log, list(words)
        line = [*before, sys.executable, "-m", "gensweep", *self.words]
        whole = os.environ | {"OMP_NUM_THREADS": "1", TAG: tag} | (env or {})
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=whole,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def text(self):
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, text):
        """Until it prints this; fails when it ends without."""
        wait_for(lambda: text in self.text or self.process.poll() is not None)
        assert text in self.text, (
            f"it ended with {self.process.returncode} and never said {text!r}:\n{self.text}"
        )

    def ended(self, seconds=120):
        """Its exit code, once it has ended; negative for a signal."""
        return self.process.wait(timeout=seconds)

    def send(self, number, to_all=False):
        """A signal to it, or as the terminal's Ctrl+C to all of its group."""
        (os.killpg if to_all else os.kill)(self.process.pid, number)


@dataclass
class Study:
    """A folder of outputs and the words of the sweep that fills it.

    Args:
        outputs: The folder.
        words: Of ``gensweep run -m``, without outputs.
        logs: Folder of what its commands print; elsewhere when the disk of outputs is what fails.
    """

    outputs: Path
    words: list[str] = field(default_factory=WORDS.split)
    logs: Path | None = None
    count: int = 0
    commands: list = field(default_factory=list)

    def start(self, *more, verb=("run", "-m"), words=None, **how):
        """The command, under way; ``more`` words come last and win."""
        chosen = self.words if words is None else words
        return self.command(*verb, *chosen, f"outputs={self.outputs}", *more, **how)

    def command(self, *words, **how):
        """Any verb, under way."""
        self.count += 1
        log = (self.logs or self.outputs.parent) / f"{self.outputs.name}-{self.count}.log"
        self.commands.append(Command(words, log, str(self.outputs), **how))
        return self.commands[-1]

    def run(self, *more, seconds=120, **how):
        """The command, ended."""
        command = self.start(*more, **how)
        command.ended(seconds)
        return command

    def plain(self, *words, seconds=120, **how):
        """Any other verb, ended."""
        command = self.command(*words, **how)
        command.ended(seconds)
        return command

    def jobs(self, *more):
        """What the words plan, in the order of the grid."""
        return plan([*self.words, f"outputs={self.outputs}", *more], True).jobs

    def runs(self):
        """All that is stored."""
        return Store(self.outputs).runs()

    def rows(self):
        """Every committed row: (run, shard) → its values as text, which tells NaN from NaN too."""
        return {
            (run.run_id, name): [repr(row) for row in decoded(run.read(name))[0].to_pylist()]
            for run in self.runs()
            for name in run.manifest()
            if name.startswith("rows/") and run.has(name)
        }

    def processes(self):
        """Numbers of all that still run for this study, wherever they hang."""
        mine = f"{TAG}={self.outputs}\0".encode()
        return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/environ") if mine in _content(p)]

    def strikes(self, *where):
        """The environment in which processes do what ``strike/sitecustomize.py`` describes."""
        self.struck.mkdir(exist_ok=True)
        path = os.pathsep.join(filter(None, [str(STRIKE), os.environ.get("PYTHONPATH")]))
        return {"PYTHONPATH": path, "GENSWEEP_STRIKE": " ".join(where), "GENSWEEP_STRUCK": str(self.struck)}

    @property
    def struck(self):
        """Where strikes leave their evidence."""
        return (self.logs or self.outputs.parent) / f"{self.outputs.name}-struck"

    def evidence(self, action):
        """The files that this action left."""
        return sorted(self.struck.glob(f"{action}-*"))

    def counted(self, place):
        """How often the function was called that was told to count."""
        path = self.struck / f"count-{place.partition(':')[2]}"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def waits(self):
        """Until a process has come to where it was told to wait; its number."""
        (path,) = wait_for(lambda: self.evidence("wait"))
        return int(wait_for(path.read_text))

    def go_on(self):
        """Let the waiting process go on."""
        for path in self.evidence("wait"):
            path.unlink()

    def stop(self):
        """End what a failed test left behind."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for command in self.commands:
            command.process.kill()
            command.process.wait()


def _content(path):
    try:
        return path.read_bytes() + b"\0"
    except OSError:
        return b""
