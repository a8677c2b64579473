"""Imported first by the server that runs are forked from: it ends with the sweep that started it.

It takes seconds to import torch, and would hear nothing of the sweep's death so long.
"""

from gensweep.sweep.orphans import die_with_maker

die_with_maker()
