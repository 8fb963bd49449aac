"""Reads a ledger: what it says of each message, in sum, and whether it is what the run wrote."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from protocols.errors import ConfigError, ProtocolError
from vfl.ledger.writing import FORMAT, START, Line, add_to, encode, signed_part

DIRECTIONS = {"message": "to", "received": "from"}
FIELDS = {
    "message": (("time", "to", "message", "class", "learns", "sha256"), ("bytes", "count", "number", "seq")),
    "received": (("time", "from", "message", "sha256"), ("bytes", "seq")),
    "renewed": (("time", "peer"), ("sent", "received")),
    "queries": (("time", "hour"), ()),
}


class LedgerBroken(ProtocolError):
    """A ledger that was changed, cut or never closed, or that another party signed."""

    code = "ledger-broken"


def read_ledger(path: str | Path) -> Iterator[Line]:
    """The lines of a ledger, unchecked.  Raises ConfigError if it cannot be read, LedgerBroken if a line is no JSON
    object."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the ledger {path} cannot be read ({error.strerror})",
            remedy="Name a run's folder or its ledger: vfl runs PARTY.toml lists the folders",
        ) from None
    for number, raw in enumerate(data.split(b"\n")[:-1], 1):
        yield decode_line(path, number, raw)
    if not data.endswith(b"\n"):
        raise _broken(path, data.count(b"\n") + 1, "is cut off")


def decode_line(path: str | Path, number: int, raw: bytes) -> Line:
    """One line; raises LedgerBroken."""
    try:
        line = json.loads(raw)
        if isinstance(line, dict) and encode(line) == raw and _whole(line):
            return line
    except (ValueError, RecursionError):
        pass
    raise _broken(path, number, "is not a line as the ledger writes it")


def _whole(line: Line) -> bool:
    """Whether a message's line has all that is shown of it."""
    texts, numbers = FIELDS.get(str(line.get("type")), ((), ()))
    if line.get("type") == "queries":
        partners = line.get("partners")
        if not isinstance(partners, dict) or not all(type(n) is int and n > 0 for n in partners.values()):
            return False
    return all(isinstance(line.get(key), str) for key in texts) and all(type(line.get(key)) is int for key in numbers)


def _broken(path: str | Path, number: int, what: str) -> LedgerBroken:
    return LedgerBroken(
        f"the ledger {path}: line {number} {what}",
        remedy=(
            "It is not what the run wrote: do not rely on it, find an unchanged copy, and ask who could write the file"
        ),
    )


def summarise(ledger: str | Path | Iterable[Line]) -> list[Line]:
    """One row for each message kind and receiver, in the order of first sending: report.json's "disclosure".

    ledger: a ledger file, or its lines.  Keys: message, class, to, count, bytes, learns.
    """
    lines = read_ledger(ledger) if isinstance(ledger, str | Path) else ledger
    totals: dict[tuple[str, str, str], Line] = {}
    for line in lines:
        if line.get("type") == "message":
            add_to(totals, line)
    return list(totals.values())


def run_of(ledger: str | Path) -> Line:
    """{"run": the name of the run}, by the ledger's first line: report.json's "run"; empty where it names none."""
    name = next(read_ledger(ledger), {}).get("run")
    return {} if name is None else {"run": name}


@dataclass(frozen=True)
class LedgerCheck:
    """What a sound ledger says of itself; signed: whether its signature was checked against a certificate."""

    job: str
    job_digest: str
    party: str
    outcome: str
    messages: int
    bytes: int
    signed: bool


class Chain:
    """Takes a ledger's lines one by one and raises LedgerBroken at the first that does not follow."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self.previous, self.messages, self.bytes = START, 0, 0
        self._counts: dict[tuple[str, str], int] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self.start: Line = {}
        self.end: Line = {}
        self.queries = dict[int, Line]()  # by number, the lines about an hour of online queries

    def add(self, number: int, line: Line) -> None:
        if self.end:
            raise _broken(self._path, number, "comes after the last line")
        if line.get("previous") != self.previous:
            raise _broken(
                self._path, number, "does not follow from the line before: a line was edited, removed or moved"
            )
        self.previous = hashlib.sha256(encode(line)).hexdigest()
        kind = line.get("type")
        if (kind == "start") != (number == 1):
            raise _broken(
                self._path, number, "is not the first line of a ledger" if number == 1 else "begins a second ledger"
            )
        if kind == "start":
            self.start = line
            if line.get("format") != FORMAT:
                raise _broken(self._path, number, f"is not of format {FORMAT}, which this release reads")
        elif kind in ("message", "received"):
            if not (self._is_next(line) if kind == "received" else self._is_next(line) and self._counts_on(line)):
                raise _broken(self._path, number, "has a wrong number: a line was edited, removed or moved")
        elif kind == "renewed":
            if not self._goes_back(line):
                raise _broken(self._path, number, "goes back to messages that there were not")
        elif kind == "queries":
            self.queries[number] = line
        elif kind == "end":
            self.end = line
        elif kind != "resumed":
            raise _broken(self._path, number, "is of no known type")

    def _is_next(self, line: Line) -> bool:
        """Whether a message has the number after the one before it on its way, or 0: then it is about the run and not
        in it."""
        direction = DIRECTIONS[line["type"]]
        way, seq = (direction, line[direction]), line["seq"]
        if seq:
            self._numbers[way] = self._numbers.get(way, 0) + 1
        return bool(seq == (self._numbers[way] if seq else 0))

    def _goes_back(self, line: Line) -> bool:
        """Whether an attempt begins again after messages that there were; from there on numbers count again."""
        ways = {("to", line["peer"]): line["sent"], ("from", line["peer"]): line["received"]}
        good = all(0 <= count <= self._numbers.get(way, 0) for way, count in ways.items())
        self._numbers |= ways
        return good

    def _counts_on(self, line: Line) -> bool:
        pair = line["to"], line["message"]
        self.messages, self.bytes, self._counts[pair] = (
            self.messages + 1,
            self.bytes + line["bytes"],
            self._counts.get(pair, 0) + 1,
        )
        return bool(line["number"] == self.messages and line["count"] == self._counts[pair])


def verify_ledger(path: str | Path, certificate_pem: bytes | None = None) -> LedgerCheck:
    """Checks every line of a ledger and, with a certificate, that its party signed it.

    Without one, only accidents show: whoever can write the file can write a new chain.
    Raises LedgerBroken that names the first bad line: edited, removed, moved, cut off, never closed, or signed by
    another; ConfigError if the file or the certificate cannot be read.
    """
    chain, number = Chain(path), 0
    for number, line in enumerate(read_ledger(path), 1):
        chain.add(number, line)
    end = chain.end
    if not end:
        raise _broken(
            path,
            number + 1,
            "is missing: the ledger ends before its last line (the run was killed, or the end was cut off)",
        )
    if end.get("messages") != chain.messages or end.get("bytes") != chain.bytes:
        raise _broken(path, number, "has other totals than the lines before")
    if certificate_pem is not None:
        for at, line in (chain.queries | {number: end}).items():
            _check_signature(path, at, line, certificate_pem)
    job, job_digest, party = (str(chain.start.get(key)) for key in ("job", "job_digest", "party"))
    outcome = str(end.get("outcome"))
    return LedgerCheck(job, job_digest, party, outcome, chain.messages, chain.bytes, certificate_pem is not None)


def _check_signature(path: str | Path, number: int, end: Line, certificate_pem: bytes) -> None:
    from vfl.transport.identity import verify  # certificates are slow to import, and only needed here

    if not isinstance(end.get("signature"), str):
        raise _broken(path, number, "bears no signature")
    try:
        signature = base64.b64decode(end["signature"], validate=True)
    except ValueError:
        signature = b""
    if not verify(certificate_pem, signed_part(end), signature):
        raise _broken(
            path, number, "is not signed by the owner of this certificate: it was edited, or another party wrote it"
        )
