"""Data sets, and what a run draws from them."""
