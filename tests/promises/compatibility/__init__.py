"""Whether files and partners of other releases are understood, or refused by name."""
