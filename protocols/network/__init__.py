"""Vertical networks whose weights, sums, activations and gradients nobody sees."""

from protocols.network.activations import ACTIVATIONS, Activation, Family
from protocols.network.plan import Plan, Terms
from protocols.network.training import Kept, Trained, arbiter, guest, host

__all__ = ["ACTIVATIONS", "Activation", "Family", "Kept", "Plan", "Terms", "Trained", "arbiter", "guest", "host"]
