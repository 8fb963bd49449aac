"""One run of this party with its peers."""
