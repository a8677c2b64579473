"""Hydra finds sweepers and launchers only in the namespace ``hydra_plugins``."""
