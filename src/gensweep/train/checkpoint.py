"""Checkpoints that are whole or absent, and known to be whole when they are read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from gensweep.table.plain import content_of

_DIGEST = 32


class SafeCheckpointIO(CheckpointIO):
    """Writes a SHA-256 and then the checkpoint, through ``write``; reads tensors and plain data only.

    Lightning's own writer goes by way of the system's temporary folder, which tears the file when that
    lies on another disk, and nothing in it notices a flipped bit.

    Args:
        write: Puts bytes at a path in one step.
    """

    def __init__(self, write: Callable[[Path, bytes], None]) -> None:
        self.write = write

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it, atomically."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        self.write(Path(path), sealed(buffer.getvalue()))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read it; ``weights_only`` is always on, whatever is asked."""
        return torch.load(io.BytesIO(payload(Path(path))), map_location=map_location, weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        """Nothing: each replaces the one before, and the name that Lightning has may be anybody's."""


def sealed(content: bytes) -> bytes:
    """The content behind its SHA-256."""
    return hashlib.sha256(content).digest() + content


def payload(path: Path) -> bytes:
    """The checkpoint's bytes.

    Raises:
        ValueError: They do not match their hash.
    """
    raw = content_of(path)
    if hashlib.sha256(raw[_DIGEST:]).digest() != raw[:_DIGEST]:
        raise ValueError(f"{path} is damaged: its SHA-256 does not match")
    return raw[_DIGEST:]


def usable(path: Path) -> bool:
    """Whether there is an undamaged checkpoint to resume from."""
    try:
        payload(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


def obstacle(path: Path, module: torch.nn.Module) -> str:
    """Why training of the module cannot go on from a checkpoint; empty where it can, or there is none."""
    try:
        content = torch.load(io.BytesIO(payload(path)), map_location="cpu", weights_only=True)
        theirs = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    except FileNotFoundError:
        return ""
    except Exception as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    mine = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    odd = sorted(name for name in theirs.keys() | mine.keys() if theirs.get(name) != mine.get(name))
    return f"is of another network, with other {', '.join(odd)}" if odd else ""


def completed(path: Path) -> int:
    """The epochs that were done when this checkpoint was written."""
    return torch.load(io.BytesIO(payload(path)), map_location="cpu", weights_only=True)["epoch"] + 1
