"""``python -m gensweep``."""

from gensweep.cli import main

if __name__ == "__main__":
    main()
