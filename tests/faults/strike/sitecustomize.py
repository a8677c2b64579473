"""Lets a process of a test do something at the k-th call of a function; the product knows nothing of it.

Python runs this file when it starts with this folder on PYTHONPATH. ``GENSWEEP_STRIKE`` names what is to
happen, ``module:function@k=action``, several with blanks between; ``GENSWEEP_STRUCK`` the folder where each
leaves a file as evidence. Of several processes the first that comes to its k-th call is struck, no other.
"""

import ctypes
import errno
import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time

STRUCK = os.environ.get("GENSWEEP_STRUCK", "")


def wait(evidence):
    while os.path.exists(evidence):
        time.sleep(0.01)


def full(evidence):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file of the test")


def memory(evidence):
    raise MemoryError


ACTIONS = {
    "wait": wait,  # as long as the evidence lies there
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda _: os._exit(0),
    "segv": lambda _: ctypes.string_at(0),
    "hang": lambda _: time.sleep(3600),
    "stop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "full": full,
    "memory": memory,
}


def first(path):
    """Whether this process is the first to leave this file, with its number in it."""
    try:
        with open(path, "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def struck(function, name, last, action):
    """The function, which counts its calls; ``count`` writes each into a file, all else acts at call k."""
    calls = 0

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        nonlocal calls
        calls += 1
        if action == "count":
            with open(os.path.join(STRUCK, f"count-{name}"), "a") as lines:
                lines.write(f"{os.getpid()}\n")
        elif calls == last:
            evidence = os.path.join(STRUCK, f"{action}-{name}")
            if first(evidence):
                ACTIONS[action](evidence)
        return function(*args, **kwargs)

    return wrapped


class Loader(importlib.abc.Loader):
    """Executes a module as always, then puts the strikes into it."""

    def __init__(self, loader, strikes):
        self.loader, self.strikes = loader, strikes

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        for name, last, action in self.strikes:
            *path, function = name.split(".")
            place = functools.reduce(getattr, path, module)
            if action == "zero":  # for a constant
                setattr(place, function, 0)
                continue
            setattr(place, function, struck(getattr(place, function), name, last, action))


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that are to be struck."""

    def __init__(self, strikes):
        self.strikes = strikes

    def find_spec(self, name, path=None, target=None):
        if name not in self.strikes:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Loader(spec.loader, self.strikes[name])
        return spec


def read(text):
    """Module → (function, k, action)."""
    strikes = {}
    for word in text.split():
        place, _, action = word.partition("=")
        module, _, rest = place.partition(":")
        name, _, last = rest.partition("@")
        strikes.setdefault(module, []).append((name, int(last or 0), action))
    return strikes


if os.environ.get("GENSWEEP_STRIKE"):
    sys.meta_path.insert(0, Finder(read(os.environ["GENSWEEP_STRIKE"])))
