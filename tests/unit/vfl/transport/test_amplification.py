"""A partner's message of 30 MB takes less than 100 MB at a real process that reads it over TLS, whatever it holds.

Two copies of it are the transport's own.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from protocols._native import DpfKeys, PlainVec
from protocols.codec import MAX_MESSAGE_BYTES, most_bytes
from protocols.message import registry
from tests.places import ROOT
from tests.unit.vfl.transport.reading import key
from tests.unit.vfl.transport.world import World, meet
from tools.leakage_page import declared

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
REFUSED = "remote-protocol of bank"
SIZE, LIMIT = 30_000_000, 97_000  # bytes sent; kilobytes taken at most
ENVIRONMENT = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what one message took is given back before the next


def packed(*fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


def elements(count: int) -> bytes:
    """An array of so many nils, one byte each."""
    return b"\xdd" + struct.pack(">I", count) + b"\xc0" * count


def crafted(size: int) -> list[tuple[str, str, bytes]]:
    """(awaited kind, how reading it must end, bytes)."""
    nils, blob = elements(size), b"\x01" * size
    row = len(DpfKeys.deal(b"d" * 32, np.zeros(2, np.int64), 6)[0].to_bytes()) - len(
        DpfKeys.deal(b"d" * 32, np.zeros(1, np.int64), 6)[0].to_bytes()
    )
    small = PlainVec.zeros(1).to_bytes()
    deal = DpfKeys.deal(b"d" * 32, np.zeros(size // row, np.int64), 6)[0].to_bytes()
    return [
        ("Finished", REFUSED, nils),
        ("Finished", REFUSED, b"\x92" + packed("Finished")[1:] + nils),
        ("Finished", REFUSED, packed("Finished", blob)),
        ("Finished", REFUSED, b"\xdd\xff\xff\xff\xff" + packed("Finished")[1:] + b"\xc0" * size),
        ("Finished", REFUSED, b"\x91" * size),
        ("Finished", REFUSED, packed(blob)),
        ("Residual", REFUSED, b"\x92" + packed("Residual")[1:] + nils),
        ("Residual", REFUSED, packed("Residual", "\U0001f600" * (size // 4))),
        ("ColumnNames", REFUSED, packed("ColumnNames", "\U0001f600" * (size // 4))),
        ("BlindedIds", REFUSED, packed("BlindedIds", blob, 0)),
        ("Residual", "Residual", packed("Residual", key().fingerprint + blob[: size // 128 * 128])),
        ("Scores", "Scores", packed("Scores", blob[: size // 8 * 8])),
        ("EdgeShare", "EdgeShare", packed("EdgeShare", PlainVec.from_ints([1 << 40] * (size // 8)).to_bytes())),
        ("Deal", "Deal", packed("Deal", bytes(32), deal, small)),
    ]


def read(world: World, cases: list[tuple[str, str, bytes]], *options: str) -> list[tuple[str, int]]:
    """What the other process says of each message."""
    network = world.network("bank", {"telecom": None})
    identity, pin = world.identity("telecom"), world.identity("bank").certificate_path
    told = {
        "name": "telecom",
        "folder": str(identity.certificate_path.parent),
        "pin": str(pin),
        "port": network.bound_port,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.unit.vfl.transport.reading", *options],
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as party:
        assert party.stdin is not None
        assert party.stdout is not None
        party.stdin.write(json.dumps(told | {"awaits": [kind for kind, _, _ in cases]}) + "\n")
        party.stdin.flush()
        (wires,) = meet(network)
        found = []
        for _, _, data in cases:
            wires["telecom"].send(data)
            wires["telecom"].recv(60)
            ended, kilobytes = json.loads(party.stdout.readline())
            found.append((ended, kilobytes))
        network.close()
        assert party.wait(30) == 0
    return found


@pytest.mark.slow
def test_thirty_megabytes_of_anything_take_less_than_a_hundred(world: World) -> None:
    cases = crafted(SIZE)
    for (kind, expected, _), (ended, kilobytes) in zip(cases, read(world, cases), strict=True):
        assert (kind, ended) == (kind, expected)
        assert kilobytes < LIMIT, (kind, kilobytes)


def test_planted_fault_a_codec_that_decodes_the_array_is_found(world: World) -> None:
    ((ended, kilobytes),) = read(world, [("Finished", REFUSED, elements(4_000_000))], "--planted")
    assert ended == REFUSED
    assert kilobytes > LIMIT


def test_every_kind_has_a_limit_and_only_what_a_table_fills_has_the_largest() -> None:
    fixed = [kind for kind in declared() if all(field in (int, bool, float) for _, field in kind.schema())]
    assert len(fixed) > 10
    assert all(most_bytes(kind) < 200 for kind in fixed)
    assert all(most_bytes(kind) <= MAX_MESSAGE_BYTES for kind in declared())
    for small in (
        "BlindedIds",
        "SortedTags",
        "UnmatchedTags",
        "RelayedIds",
        "ReblindedIds",
        "PublicKeyOffer",
        "ColumnNames",
        "MaskKeys",
    ):
        assert most_bytes(registry()[small]) < 2 << 20, small
