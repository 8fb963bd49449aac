"""Scorecards: weight of evidence, logistic regression and points, each party holding the points of its own columns."""
