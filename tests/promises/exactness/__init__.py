"""On real tables federated equals centralised: bit for bit for trees, to the documented bound for regressions."""
