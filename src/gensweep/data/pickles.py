"""Reads the pickles that CIFAR comes in, and nothing else that a pickle can do."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np


class _Pixels:
    """Takes an array's place while a pickle is read, so that NumPy's own, trusting, unpickling never runs."""

    array: np.ndarray

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: tuple[int, tuple[int, ...], _DType, bool, bytes]) -> None:
        _, shape, _, fortran, data = state
        self.array = np.frombuffer(data, dtype=np.uint8).reshape(shape, order="F" if fortran else "C")


class _DType:
    """Takes a dtype's place: bytes are the only kind that there is in these files."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"an array of kind {code!r} has no place in a file of images")

    def __setstate__(self, state: tuple[Any, ...]) -> None: ...


def _bytes(text: str, encoding: str) -> bytes:
    """The bytes that Python 3 hides in a text when it writes a pickle of protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding} has no place in a file of images")
    return text.encode("latin1")


# A pickle calls what it names, so what is not named here is not called.
ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Pixels,
    ("numpy._core.multiarray", "_reconstruct"): _Pixels,
    ("numpy", "ndarray"): None,  # an argument of the one above, never called
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _bytes,
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names, if it is on the list; nothing is imported."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks to run {module}.{name}, which a file of images never does")
        return ALLOWED[module, name]


def load(data: bytes) -> dict[str, Any]:
    """The dictionary in a pickle: plain values, and arrays of uint8.

    Args:
        data: The pickle, by Python 2 or 3.

    Raises:
        pickle.UnpicklingError: It asks for more than that. Nothing of it was run.

    >>> load(pickle.dumps({"labels": [1, 2]}))
    {'labels': [1, 2]}
    """
    try:
        content = _Restricted(io.BytesIO(data), encoding="bytes").load()
    except MemoryError:
        raise pickle.UnpicklingError("it claims to hold more than any file of images") from None
    if not isinstance(content, dict):
        raise pickle.UnpicklingError(f"a {type(content).__name__} instead of a dictionary")
    return {
        key.decode() if isinstance(key, bytes) else key: value.array if isinstance(value, _Pixels) else value
        for key, value in content.items()
    }
