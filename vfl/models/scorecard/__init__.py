"""Scorecards: logistic regression on weights of evidence, in points."""
