"""Which property of a minimum says that it generalises?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gensweep.api import measure

__all__ = ["measure"]


def __getattr__(name: str) -> Any:
    """``measure``, imported when somebody asks for it: the command line starts without torch."""
    if name == "measure":
        from gensweep.api import measure

        return measure
    raise AttributeError(f"module 'gensweep' has no attribute {name!r}")
