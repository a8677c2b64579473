"""Runs on disk, and the tidy table made of them."""
