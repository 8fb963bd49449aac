"""The demo: a bank or a clinic, a partner and an arbiter on one machine, from real or simulated tables."""
