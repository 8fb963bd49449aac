"""`vfl run` and `vfl predict` of members, which hold the same columns and average a model."""
