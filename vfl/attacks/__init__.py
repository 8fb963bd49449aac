"""Attacks on what the parties of a run really received: `vfl audit` and `vfl.audit`."""
