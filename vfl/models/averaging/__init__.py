"""Averaging over members with the same columns: what is trained, by whom, and the model."""
