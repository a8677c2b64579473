"""Everything stored, hashed again; each problem with what to do about it. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gensweep.sweep.spoken import count
from gensweep.table.atomic import sha256
from gensweep.table.history import ASKED
from gensweep.table.plain import content_of, from_json, printable
from gensweep.table.store import TRAINED, WORKING, Run, Store

# What lies in the folder of a run beside what it commits; LAST and KEEPING of a training under way.
BESIDE, LAST, KEEPING = (
    (".lock", ".lease", "state.json", "manifest.json", "log.txt", ASKED),
    "last.ckpt",
    "kept",
)
DIGEST = 32
AGAIN = "the next `gensweep run` of the same command"


@dataclass(frozen=True)
class Finding:
    """Something about a file.

    Args:
        path: Which.
        what: What is wrong with it.
        advice: What to do, or what will be done.
        damage: Whether anything stored is lost; else it is only in the way.
    """

    path: Path
    what: str
    advice: str
    damage: bool = True

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.what}; {self.advice}")


def show(outputs: Path) -> int:
    """Print each problem and a summary; returns the exit code, 1 where something stored is damaged."""
    store, found, files = Store(outputs), list[Finding](), 0
    for run in store.runs():
        found += check(run)
        files += len(run.manifest())
    found += [*_experiments(outputs), *_foreign(outputs)]
    for finding in sorted(found, key=lambda f: not f.damage):
        print(finding)
    damaged = sum(finding.damage for finding in found)
    rest = f", {count(len(found) - damaged, 'note')}" if len(found) > damaged else ""
    said = count(damaged, "problem") if damaged else "no problem"
    print(f"{count(len(store.runs()), 'run')}, {count(files, 'file')} hashed: {said}{rest}")
    return 1 if damaged else 0


def check(run: Run) -> list[Finding]:
    """What is wrong with the files of a run, and what lies there that nobody declared."""
    if not run.folder.is_dir():
        return [Finding(run.folder, "is no folder", f"move it away, then {AGAIN} makes it anew")]
    found = [*_manifest(run), *_committed(run), *_under_way(run)]
    return [*found, *_leftovers(run)]


def _manifest(run: Run) -> Iterator[Finding]:
    path = run.folder / "manifest.json"
    there = (run.folder / "outcome.json").exists() or (run.folder / "rows").exists()
    if path.is_dir():
        yield Finding(path, "is a folder", f"move it away, then {AGAIN} trains it again")
    elif not run.manifest() and (path.exists() or (there and run.state()["state"] not in WORKING)):
        what = "cannot be read" if path.exists() else "is missing"
        yield Finding(path, what, f"nothing of this run counts without it: {AGAIN} trains it again")


def _committed(run: Run) -> Iterator[Finding]:
    for name, expected in run.manifest().items():
        what = _wrong(run, name, expected)
        if what and run.manifest().get(name) != expected:  # it was replaced just now
            what = _wrong(run, name, run.manifest().get(name, ""))
        if what:
            yield Finding(run.folder / name, what, _remedy(run, name))


def _wrong(run: Run, name: str, expected: str) -> str:
    """What is wrong with a committed file; nothing when it is as it was."""
    path = run.folder / name
    try:
        content = content_of(path)
    except FileNotFoundError:
        return "is missing"
    except NotADirectoryError:
        return "lies in what is no folder"
    except IsADirectoryError:
        return "is a folder"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if sha256(content) == expected:
        return ""
    return "is damaged: its SHA-256 is not the one that was committed" if content else "is empty"


def _remedy(run: Run, name: str) -> str:
    """What becomes of it."""
    path = run.folder / name
    first = "move it away, then " if path.is_dir() or path.parent.is_file() else ""
    if path.is_symlink() or run.folder.resolve() not in path.resolve().parents:
        first = "do not trust this folder; "
    if name.startswith("rows/"):
        measure = name.removeprefix("rows/").rpartition("-")[0]
        return f"{first}{AGAIN} measures {measure} again, without training"
    if name in TRAINED or name == "kept.safetensors":
        return f"{first}{AGAIN} trains it again, to the same bits on the same machine"
    return f"{first}{AGAIN} forgets it"


def _under_way(run: Run) -> Iterator[Finding]:
    """The checkpoint and the weights kept by a training that has not ended: each begins with its SHA-256."""
    sealed = [run.folder / LAST, *(run.folder / KEEPING).glob("*.safetensors")]
    for path in sealed:
        if path.exists() and not _sealed(path):
            yield Finding(
                path, "is damaged: its SHA-256 does not match", f"{AGAIN} trains from the beginning"
            )


def _sealed(path: Path) -> bool:
    try:
        raw = content_of(path)
    except OSError:
        return False
    return len(raw) > DIGEST and hashlib.sha256(raw[DIGEST:]).digest() == raw[:DIGEST]


def _leftovers(run: Run) -> Iterator[Finding]:
    """What nobody declared; while the run is under way, that may be what is being written."""
    if run.state()["state"] in WORKING:
        return
    halves = list(run.folder.rglob(".*.tmp"))
    if halves:
        what = f"{count(len(halves), 'temporary file')} of a process that died"
        yield Finding(run.folder, what, "harmless: the next process that takes the run deletes them", False)
    known = {*run.manifest(), *BESIDE, LAST}
    for path in sorted(run.folder.rglob("*")):
        name = path.relative_to(run.folder)
        mine = str(name) in known or name.parts[0] in (KEEPING, "log", ".blocks")
        if path.is_file() and not mine and path not in halves:
            yield Finding(path, "was never committed", "harmless: it counts for nothing", False)


def _experiments(outputs: Path) -> Iterator[Finding]:
    for path in sorted((outputs / "experiments").glob("*.json")):
        try:
            members = from_json(content_of(path))
        except (OSError, ValueError):
            members = {}
        if not members:
            yield Finding(
                path, "is damaged", f"experiment={path.stem.rpartition('-')[0]} run again makes it anew"
            )


def _foreign(outputs: Path) -> Iterator[Finding]:
    """What lies between the runs and is none."""
    mine = {run.folder for run in Store(outputs).runs()}
    places = [*(outputs / "runs").glob("*"), *(outputs / "experiments").glob("*")]
    for path in sorted(places):
        if path not in mine and path.suffix != ".json":
            yield Finding(path, "is none of gensweep's", "harmless: it is passed over", False)
