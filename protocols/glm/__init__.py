"""Vertical generalised linear models with weights shared between each data party and the arbiter."""

from protocols.glm.label_noise import LabelNoise
from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, POISSON, Link
from protocols.glm.plan import Penalty, Plan, Sgd
from protocols.glm.progress import End, Stopping
from protocols.glm.shares import WeightShares
from protocols.glm.terms import Terms
from protocols.glm.training import HeldOut, Kept, Trained, arbiter, guest, host

__all__ = [
    "IDENTITY",
    "LOGISTIC_LINKS",
    "POISSON",
    "End",
    "HeldOut",
    "Kept",
    "LabelNoise",
    "Link",
    "Penalty",
    "Plan",
    "Sgd",
    "Stopping",
    "Terms",
    "Trained",
    "WeightShares",
    "arbiter",
    "guest",
    "host",
]
