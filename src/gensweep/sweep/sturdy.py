"""Imported by the fork server alone, which lives as long as the sweep that started it.

A queue that ends a job sends SIGTERM to all its processes. The server would die of it, and with it the
sweep would lose sight of runs that are writing their checkpoints.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
