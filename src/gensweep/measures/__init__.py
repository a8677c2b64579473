"""One file, one measure: a solution in, rows out."""
