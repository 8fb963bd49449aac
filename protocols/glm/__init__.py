"""Vertical logistic regression with weights shared between each data party and the arbiter."""

from protocols.glm.plan import Plan
from protocols.glm.training import arbiter, guest, host

__all__ = ["Plan", "arbiter", "guest", "host"]
