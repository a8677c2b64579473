"""One file, one figure, drawn from the table alone."""
