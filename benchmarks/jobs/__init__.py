"""The rows of `benchmarks/speed.py`, a file per job; each holds one function that yields them."""
