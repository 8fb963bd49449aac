"""A job from end to end, a dozen lines a role: align, train, score."""
