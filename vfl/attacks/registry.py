"""Every attack of the audit, by its number."""

from __future__ import annotations

from vfl.attacks.attack import Attack
from vfl.attacks.batches import SmallBatches
from vfl.attacks.bin_events import BinEvents
from vfl.attacks.binary_columns import BinaryColumns
from vfl.attacks.dictionary import Dictionary
from vfl.attacks.directions import Directions
from vfl.attacks.embeddings import Embeddings
from vfl.attacks.first_gradient import FirstGradient
from vfl.attacks.forensics import Forensics
from vfl.attacks.gradients import HostGradients
from vfl.attacks.membership import Membership
from vfl.attacks.one_row import OneRow
from vfl.attacks.partitions import Partitions
from vfl.attacks.repeated_sizes import RepeatedSizes
from vfl.attacks.reverse_products import ReverseProducts
from vfl.attacks.single_updates import SingleUpdates
from vfl.attacks.sums import NodeSums
from vfl.attacks.traffic import Traffic
from vfl.attacks.weights import NoiseColumns

ATTACKS: tuple[Attack, ...] = (
    Dictionary(),
    RepeatedSizes(),
    HostGradients(),
    FirstGradient(),
    SmallBatches(),
    NoiseColumns(),
    ReverseProducts(),
    NodeSums(),
    Partitions(),
    Directions(),
    BinaryColumns(),
    Forensics(),
    OneRow(),
    Embeddings(),
    Membership(),
    Traffic(),
    BinEvents(),
    SingleUpdates(),
)
