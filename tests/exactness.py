"""Prints what must be equal everywhere, and what may differ by rounding; run by test_exactness.py."""

import hashlib
import json
import sys

import torch

from gensweep.data.corrupt import draw
from gensweep.data.digits import Digits
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.ranks import Ranks
from gensweep.rng import Stream
from gensweep.table.store import write_atomically
from gensweep.train.batches import Batches
from gensweep.train.fit import fit
from gensweep.train.protocol import Protocol
from gensweep.train.task import Task


def sha(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def main(folder, threads):
    torch.set_num_threads(threads)
    rng = Stream(3)
    source = Digits().load(folder, rng.child("data", "source"))
    sizes = {"train_size": 90, "confusion_size": 20, "random_labels": False, "poison_size": 50}
    data = draw(source, rng.child("data", "splits"), **sizes)
    places = torch.arange(110), torch.arange(110)
    batches = Batches(
        places, (places[0][:50], places[1][:50]), 16, rng.child("train"), lambda: 4 * 7, Ranks()
    )
    met = [torch.cat([b.y, b.poison_y]).numpy() for b in batches]
    integers = {
        "splits": sha(*(s.index for s in data.splits().values())),
        "noisy labels": sha(data.confusion.y),
        "order of batches": sha(*met),
        "crops": sha(rng.child("train", "augment", 7).integers(162, 66)),
        "directions": sha(Stream(0).child("measure", "slice", 0).normal(1000).view("<i4")),
    }
    model = drawn(lambda: CNN((1, 8, 8), 10, width=4), rng.child("model")).double()
    protocol = Protocol(0.3, 16, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), 10**6, 10, augment=True)
    task = Task(model, data, protocol, rng.child("train"))
    fit(task, folder, write_atomically, [], logger=False)
    weights = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    print(json.dumps({"integers": integers, "weights": weights.tolist()}))


if __name__ == "__main__":
    from pathlib import Path

    main(Path(sys.argv[1]), int(sys.argv[2]))
