"""Vertical generalised linear models with weights shared between each data party and the arbiter."""

from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, Link
from protocols.glm.plan import Plan
from protocols.glm.training import arbiter, guest, host

__all__ = ["IDENTITY", "LOGISTIC_LINKS", "Link", "Plan", "arbiter", "guest", "host"]
