"""Vertical gradient-boosted trees: `shared` (fast) and `hidden` (hosts never learn a row's node), their scoring, and
the plaintext twin."""
