"""Every attack of the audit, by its number."""

from __future__ import annotations

from vfl.attacks.attack import Attack
from vfl.attacks.batches import SmallBatches
from vfl.attacks.dictionary import Dictionary
from vfl.attacks.first_gradient import FirstGradient
from vfl.attacks.forensics import Forensics
from vfl.attacks.gradients import HostGradients
from vfl.attacks.traffic import Traffic

ATTACKS: tuple[Attack, ...] = (
    Dictionary(),
    HostGradients(),
    FirstGradient(),
    SmallBatches(),
    Forensics(),
    Traffic(),
)
