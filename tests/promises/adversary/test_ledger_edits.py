"""Ten thousand random edits, deletions, truncations and re-orderings of a ledger, each of them found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tools.leakage_page import declared
from vfl.ledger import LedgerBroken, LedgerWriter, verify_ledger
from vfl.ledger.writing import START, encode
from vfl.transport.identity import Identity, create_identity

Rng = np.random.Generator
Lines = list[bytes]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return create_identity(tmp_path_factory.mktemp("bank"), "bank")


@pytest.fixture
def honest(tmp_path: Path, bank: Identity) -> bytes:
    """A signed ledger of a dozen messages."""
    path = tmp_path / "honest.jsonl"
    with LedgerWriter(path, job="credit-risk", job_digest=bytes(32), party="bank", sign=bank.sign) as writer:
        for place, kind in enumerate(declared()[:12]):
            writer.record(("telecom", "trustco")[place % 2], kind, bytes([place]) * (place + 1))
    return path.read_bytes()


def lines_of(data: bytes) -> Lines:
    return data.split(b"\n")[:-1]


def joined(lines: Lines) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def change_bytes(data: bytes, rng: Rng) -> bytes:
    at, count = int(rng.integers(len(data))), int(rng.integers(1, 9))
    return data[:at] + rng.bytes(count) + data[at + count :]


def flip_a_bit(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]


def insert_bytes(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]


def remove_bytes(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + data[at + int(rng.integers(1, 400)) :]


def cut_off(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data)))]


def remove_lines(data: bytes, rng: Rng) -> bytes:
    lines = lines_of(data)
    gone = set(rng.choice(len(lines), int(rng.integers(1, 4)), replace=False).tolist())
    return joined([line for place, line in enumerate(lines) if place not in gone])


def move_lines(data: bytes, rng: Rng) -> bytes:
    lines = lines_of(data)
    a, b = rng.choice(len(lines), 2, replace=False).tolist()
    lines[a], lines[b] = lines[b], lines[a]
    return joined(lines)


def repeat_a_line(data: bytes, rng: Rng) -> bytes:
    lines = lines_of(data)
    lines.insert(int(rng.integers(len(lines) + 1)), lines[int(rng.integers(len(lines)))])
    return joined(lines)


def shuffle(data: bytes, rng: Rng) -> bytes:
    lines = lines_of(data)
    return joined([lines[i] for i in rng.permutation(len(lines))])


def edit_a_value(data: bytes, rng: Rng) -> bytes:
    lines = lines_of(data)
    place = int(rng.integers(len(lines)))
    line = json.loads(lines[place])
    key = list(line)[int(rng.integers(len(line)))]
    line[key] = line[key] + 1 if isinstance(line[key], int) else f"{line[key]}x"
    lines[place] = encode(line)
    return joined(lines)


def write_anew(data: bytes, rng: Rng) -> bytes:
    """As somebody who can write the file, knows its format and lacks the key: edits, repairs numbers and chain, keeps
    the old signature."""
    rows = [json.loads(line) for line in lines_of(data)]
    place = int(rng.integers(1, len(rows) - 1))
    match int(rng.integers(3)):
        case 0:
            rows.pop(place)
        case 1:
            rows[place]["sha256"] = rng.bytes(32).hex()
        case 2:
            rows[place]["bytes"] += 1 + int(rng.integers(99))
    counts: dict[tuple[str, str], int] = {}
    previous, out, messages, size = START, b"", 0, 0
    for row in rows:
        if row["type"] == "message":
            pair = row["to"], row["message"]
            counts[pair] = counts.get(pair, 0) + 1
            messages, size = messages + 1, size + row["bytes"]
            row |= {"number": messages, "count": counts[pair]}
        if row["type"] == "end":
            row |= {"messages": messages, "bytes": size}
        row["previous"] = previous
        previous = hashlib.sha256(encode(row)).hexdigest()
        out += encode(row) + b"\n"
    return out


EDITS: list[Callable[[bytes, Rng], bytes]] = [
    change_bytes, flip_a_bit, insert_bytes, remove_bytes, cut_off, remove_lines, move_lines, repeat_a_line, shuffle, edit_a_value, write_anew,  # noqa: E501
]  # fmt: skip


def undetected(honest: bytes, folder: Path, bank: Identity, count: int, certificate: bytes | None) -> list[str]:
    """The names of the edits that pass."""
    rng, passed, path = np.random.default_rng(8), [], folder / "edited.jsonl"
    for place in range(count):
        edit = EDITS[place % len(EDITS)]
        edited = honest
        while edited == honest:
            edited = edit(honest, rng)
        path.write_bytes(edited)
        try:
            verify_ledger(path, certificate)
            passed.append(edit.__name__)
        except LedgerBroken:
            pass
    return passed


def test_random_edits_are_found(honest: bytes, tmp_path: Path, bank: Identity) -> None:
    assert undetected(honest, tmp_path, bank, 220, bank.certificate_pem) == []


@pytest.mark.slow
def test_ten_thousand_random_edits_are_found(honest: bytes, tmp_path: Path, bank: Identity) -> None:
    assert undetected(honest, tmp_path, bank, 10_000, bank.certificate_pem) == []


def test_planted_fault_without_the_signature_a_ledger_written_anew_passes(
    honest: bytes, tmp_path: Path, bank: Identity
) -> None:
    assert "write_anew" in undetected(honest, tmp_path, bank, 110, None)


def test_planted_fault_a_signature_that_fits_everything_is_noticed(
    honest: bytes, tmp_path: Path, bank: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfl.transport.identity.verify", lambda *_: True)
    assert "write_anew" in undetected(honest, tmp_path, bank, 110, bank.certificate_pem)
