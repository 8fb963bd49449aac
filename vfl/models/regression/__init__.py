"""Logistic, linear and Poisson regression."""
