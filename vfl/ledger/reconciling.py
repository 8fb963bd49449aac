"""Holds the ledgers of two parties of one run against each other: what one sent, the other received."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocols.errors import ConfigError
from vfl.ledger.reading import Chain, LedgerBroken, read_ledger
from vfl.ledger.writing import Line


@dataclass(frozen=True)
class Reconciled:
    """What two ledgers agree on.  messages: by (sender, receiver); underway: sent, and not in the receiver's ledger, which ended before."""

    parties: tuple[str, str]
    messages: dict[tuple[str, str], int]
    underway: dict[tuple[str, str], int]


def reconcile(first: str | Path, second: str | Path) -> Reconciled:
    """Compares two ledgers, message by message: number, kind, length and hash.

    Raises LedgerBroken naming the first message that differs, that was received and not sent, or that is missing where both runs ended well; ConfigError
    if the ledgers are not of one job and two parties.  It trusts both files: check the signatures with `verify_ledger`.
    """
    books = _Book(first), _Book(second)
    if books[0].chain.start.get("job_digest") != books[1].chain.start.get("job_digest") or books[0].party == books[1].party:
        raise ConfigError("these are not the ledgers of two parties of one job", remedy="Name the folders of the same run at two parties")
    messages, underway = dict[tuple[str, str], int](), dict[tuple[str, str], int]()
    for sender, receiver in (books, books[::-1]):
        sent, received = sender.lines("message", receiver.party), receiver.lines("received", sender.party)
        for line, other in zip(sent, received, strict=False):
            for key in ("seq", "message", "bytes", "sha256"):
                if line[key] != other[key]:
                    raise _differs(
                        sender, receiver, f"message {line['number']} of {sender.party} differs from what {receiver.party} received ({key})"
                    )
        if len(received) > len(sent):
            raise _differs(
                sender, receiver, f"{receiver.party} received {len(received) - len(sent)} messages that {sender.party} did not send"
            )
        if len(sent) > len(received) and sender.done and receiver.done:
            raise _differs(sender, receiver, f"{len(sent) - len(received)} messages of {sender.party} did not arrive at {receiver.party}")
        pair = sender.party, receiver.party
        messages[pair], underway[pair] = len(received), len(sent) - len(received)
    return Reconciled((books[0].party, books[1].party), messages, underway)


class _Book:
    """A ledger that is in itself sound; it may lack its end."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.chain, self._lines = path, Chain(path), list[Line]()
        for number, line in enumerate(read_ledger(path), 1):
            self.chain.add(number, line)
            self._lines.append(line)
        self.party = str(self.chain.start.get("party"))

    @property
    def done(self) -> bool:
        return self.chain.end.get("outcome") == "done"

    def lines(self, kind: str, peer: str) -> list[Line]:
        """The numbered messages to or from `peer`."""
        return [
            line for line in self._lines if line["type"] == kind and line["seq"] and line["to" if kind == "message" else "from"] == peer
        ]


def _differs(sender: _Book, receiver: _Book, what: str) -> LedgerBroken:
    return LedgerBroken(
        f"{sender.path} and {receiver.path} disagree: {what}",
        remedy="Keep both files, check their signatures with `vfl ledger verify --certificate`, and find out who changed what",
    )
