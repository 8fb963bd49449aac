"""Vertical logistic regression with weights shared between each data party and the arbiter."""

from protocols.logistic.plan import Plan
from protocols.logistic.training import arbiter, guest, host

__all__ = ["Plan", "arbiter", "guest", "host"]
