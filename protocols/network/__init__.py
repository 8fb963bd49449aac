"""Vertical networks whose weights, sums, activations and gradients nobody sees."""

from protocols.network.activations import ACTIVATIONS, Activation, Family
from protocols.network.plan import Plan, Terms
from protocols.network.stopping import HeldOut
from protocols.network.training import Kept, Trained, arbiter, guest, host
from protocols.network.watch import End, Stopping

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "End",
    "Family",
    "HeldOut",
    "Kept",
    "Plan",
    "Stopping",
    "Terms",
    "Trained",
    "arbiter",
    "guest",
    "host",
]
