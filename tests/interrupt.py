"""A training that is cut off, as far as it knows."""

from lightning import Callback


class Interrupted(Exception):
    """In place of a process that dies."""


class InterruptAt(Callback):
    """Ends training when this epoch begins."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise Interrupted
