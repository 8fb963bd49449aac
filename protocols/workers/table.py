"""The closed table of operations: nothing else runs on a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocols._native import DpfKeys
from protocols.cipher.operations import CIPHER_OPERATIONS
from protocols.workers import points
from protocols.workers.calls import Answer, Operation, State
from protocols.workers.id_lists import ID_OPERATIONS
from protocols.workers.tag_lists import TAG_OPERATIONS


def drop(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Forgets what is stored under these names."""
    for name in values:
        state.drop(name)
    return Answer()


def place(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Stores an array of integers under a name."""
    name, array = values
    state.put(name, array)
    return Answer()


def look_up(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """One party's shares of every table at its rows of secret points: DpfKeys.look_up."""
    keys, x, tables = values
    return Answer(tuple(v.to_bytes() for v in DpfKeys.from_bytes(keys).look_up(x, state.get(tables))))


OPERATIONS: dict[str, Operation] = {
    "drop": drop,
    "place": place,
    "look_up": look_up,
    "blind": points.blind,
    "reblind": points.reblind,
    "tag": points.tag,
    **ID_OPERATIONS,
    **TAG_OPERATIONS,
    **CIPHER_OPERATIONS,
}
