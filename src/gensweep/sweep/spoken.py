"""Numbers as people say them."""

from __future__ import annotations


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "run"), count(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {what}" + "s" * (number != 1)


def runs(number: float) -> str:
    """A number of runs, some of which may be done in part.

    >>> runs(1), runs(5.4)
    ('1 run', '5.4 runs')
    """
    return f"{number:.3g} run" + "s" * (number != 1)


def span(seconds: float) -> str:
    """A time as people say it.

    >>> [span(s) for s in (0.04, 4.2, 130, 700, 7261, 200000)]
    ['0.04s', '4.2s', '2m10s', '11m40s', '2h01m', '2d07h']
    """
    if seconds < 60:
        return f"{seconds:.2g}s" if seconds < 9.95 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24:02d}h"


def amount(size: float) -> str:
    """Bytes as people say them.

    >>> [amount(s) for s in (812, 45_000, 2_400_000, 74e9)]
    ['812 B', '45 kB', '2.4 MB', '74 GB']
    """
    units = iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= 999.5 and unit != "TB":
        size, unit = size / 1000, next(units)
    return f"{size:.3g} {unit}"
