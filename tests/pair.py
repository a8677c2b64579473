"""Two real processes that meet over gloo and run one function."""

import multiprocessing
import traceback

from gensweep.place import places
from gensweep.ranks import joined


def call(function, arguments, place, results):
    try:
        with joined(place, "cpu") as ranks:
            results.put((place.rank, True, function(ranks, *arguments)))
    except BaseException:
        results.put((place.rank, False, traceback.format_exc()))
        raise


def pair(function, *arguments):
    """What a function of a module returns in each of two processes: [of rank 0, of rank 1]."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gensweep.run", "sklearn.datasets"])
    results = context.Queue()
    processes = [context.Process(target=call, args=(function, arguments, p, results)) for p in places(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(30)
    assert all(fine for _, fine, _ in found), found
    return [result for _, _, result in sorted(found, key=lambda f: f[0])]
