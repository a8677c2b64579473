"""Every estimator on problems whose answer is known."""
