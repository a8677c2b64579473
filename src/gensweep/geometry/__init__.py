"""Mathematics on flat parameter vectors."""
