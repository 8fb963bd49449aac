"""What an arbiter keeps of a sealed network: the kind `network-shares`, its shares of all weights, sealed on its disk
as those of a regression are (vfl/models/shared_weights.py), and the layers that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from numpy.typing import NDArray

from protocols.network import Activation
from protocols.network.rows import Layers
from vfl.models.content import Body, Head, check
from vfl.models.network.part import KINDS, check_layers
from vfl.models.shared_weights import SharedWeights, SharedWeightsKind
from vfl.screen.shown import Shown
from vfl.transport.identity import Identity


@dataclass(frozen=True, eq=False, repr=False)
class NetworkShares(SharedWeights):
    """The arbiter's part of a network: by data party its shares of the weights of that party's columns, at the guest's
    those of all further layers too, and the layers."""

    STORED: ClassVar[str] = "network-shares"

    layers: Layers = Layers((1,), "tanh")  # noqa: RUF009


class Shape(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of manifest.json that the arbiter's part of a network adds to those of shared weights."""

    hidden: tuple[int, ...]
    activation: Activation


class NetworkSharesKind(SharedWeightsKind):
    """The arbiter's shares of the weights of a network."""

    name: ClassVar[str] = NetworkShares.STORED

    def pack(self, part: SharedWeights, identity: Identity) -> Body:
        assert isinstance(part, NetworkShares)
        plain = super().pack(part, identity)
        return Body(
            {**plain.rest, **msgspec.to_builtins(Shape(part.layers.hidden, part.layers.activation))}, plain.tensors
        )

    def unpack(
        self, head: Head, rest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], identity: Identity | None
    ) -> NetworkShares:
        names = Shape.__struct_fields__
        told = msgspec.convert({name: rest.get(name) for name in names}, Shape)
        check_layers(told.hidden)
        plain = super().unpack(head, {k: v for k, v in rest.items() if k not in names}, tensors, identity)
        check(plain.kind in KINDS.values())
        check(all(one.latest.shape[0] == told.hidden[0] for one in plain.shares.values()))
        return NetworkShares(
            plain.party,
            plain.model_id,
            plain.kind,
            plain.shares,
            plain.counts,
            layers=Layers(told.hidden, told.activation),
        )

    def shown(self, part: SharedWeights) -> Shown:
        assert isinstance(part, NetworkShares)
        units = " and ".join(map(str, part.layers.hidden))
        plain = super().shown(part)
        facts = {"hidden layers": f"{units} units, {part.layers.activation}"}
        return Shown(facts=facts, tables=plain.tables, notes=plain.notes)
