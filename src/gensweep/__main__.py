"""``python -m gensweep``."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[
        0
    ]  # the current folder, which may be somebody's results: no file there stands in for a package

from gensweep.cli import main

if __name__ == "__main__":
    main()
