"""Holds the ledgers of two parties of one run against each other: what one sent, the other received."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocols.channel import chained
from protocols.errors import ConfigError
from vfl.ledger.reading import Chain, LedgerBroken, read_ledger
from vfl.ledger.witness import FILE, Signed, signatures
from vfl.ledger.writing import Line


@dataclass(frozen=True)
class Reconciled:
    """What two ledgers agree on.

    messages: by (sender, receiver); underway: sent, and not in the receiver's ledger, which ended before; signed: whose
    signature at the end of the run the other keeps, with the certificate under which it holds.
    """

    parties: tuple[str, str]
    messages: dict[tuple[str, str], int]
    underway: dict[tuple[str, str], int]
    signed: dict[str, bytes]


def reconcile(first: str | Path, second: str | Path) -> Reconciled:
    """Compares two ledgers, message by message: number, kind, length and hash.

    Raises LedgerBroken naming the first message that differs, that was received and not sent, or that is missing where
    both runs ended well, and where a ledger is not the one that its party signed at the end of the run, or is missing
    though it signed one (`signatures.json` in the folder of the other's ledger); ConfigError if the ledgers are not of
    one job and two parties.  Without such a signature it trusts both files: check theirs with `verify_ledger`.
    """
    _check_there(Path(first), Path(second))
    _check_there(Path(second), Path(first))
    books = _Book(first), _Book(second)
    if (
        books[0].chain.start.get("job_digest") != books[1].chain.start.get("job_digest")
        or books[0].party == books[1].party
    ):
        raise ConfigError(
            "these are not the ledgers of two parties of one job",
            remedy="Name the folders of the same run at two parties",
        )
    runs = [book.chain.start.get("run") for book in books]
    if None not in runs and runs[0] != runs[1]:
        raise ConfigError(
            "these are the ledgers of two different runs of one job",
            remedy="Name the folders of the same run at two parties; if these are, one ledger was rewritten",
        )
    signed = {
        signer.party: pem
        for signer, holder in (books[::-1], books)
        if (pem := _check_signed(signer, holder)) is not None
    }
    messages, underway = dict[tuple[str, str], int](), dict[tuple[str, str], int]()
    for sender, receiver in (books, books[::-1]):
        sent, received = sender.lines("message", receiver.party), receiver.lines("received", sender.party)
        for line, theirs in zip(sent, received, strict=False):
            for key in ("seq", "message", "bytes", "sha256"):
                if line[key] != theirs[key]:
                    raise _differs(
                        sender,
                        receiver,
                        f"message {line['number']} of {sender.party} differs from what {receiver.party} "
                        f"received ({key})",
                    )
        if len(received) > len(sent):
            raise _differs(
                sender,
                receiver,
                f"{receiver.party} received {len(received) - len(sent)} messages that {sender.party} did not send",
            )
        if len(sent) > len(received) and sender.done and receiver.done:
            raise _differs(
                sender,
                receiver,
                f"{len(sent) - len(received)} messages of {sender.party} did not arrive at {receiver.party}",
            )
        pair = sender.party, receiver.party
        messages[pair], underway[pair] = len(received), len(sent) - len(received)
    return Reconciled((books[0].party, books[1].party), messages, underway, signed)


def _check_there(path: Path, other: Path) -> None:
    """Raises LedgerBroken if the ledger is missing and the other party keeps a signature for it."""
    beside = other.parent / FILE
    if path.exists() or not beside.exists():
        return
    signers = ", ".join(
        f"{name} ({one.statement['sent']} sent, {one.statement['received']} received)"
        for name, one in signatures(beside).items()
    )
    raise LedgerBroken(
        f"the ledger {path} is missing, and {beside} has a signature for it: {signers}",
        remedy="Ask its party for the ledger of this run; a run that ended well has one",
    )


def _check_signed(signer: _Book, holder: _Book) -> bytes | None:
    """Raises LedgerBroken unless both ledgers hold what `signer` signed for `holder`; returns its certificate, None
    where the holder keeps no signature."""
    beside = Path(holder.path).parent / FILE
    signed = signatures(beside).get(signer.party) if beside.exists() else None
    if signed is None:
        return None
    statement = signed.statement
    if not signed.holds or (statement["party"], statement["peer"]) != (signer.party, holder.party):
        raise LedgerBroken(
            f"{beside}: {signer.party}'s signature does not hold", remedy="It was edited: find an unchanged copy"
        )
    if statement["job_digest"] != holder.chain.start.get("job_digest"):
        raise LedgerBroken(
            f"{beside}: {signer.party}'s signature is of another job",
            remedy="Name the folders of the same run at two parties",
        )
    _check_fits(signer, holder.party, signed, beside)
    _check_fits(holder, signer.party, signed, beside)
    return signed.certificate


def _check_fits(book: _Book, peer: str, signed: Signed, beside: Path) -> None:
    """Raises LedgerBroken unless a ledger holds what was signed; peer: of the book's party, in this statement."""
    statement = signed.statement
    own = statement["party"] == book.party
    for kind, what in (("message", "sent" if own else "received"), ("received", "received" if own else "sent")):
        lines = book.lines(kind, peer)[: statement[what]]
        if len(lines) < statement[what] or _chain(lines) != statement[f"{what}_sha256"]:
            raise LedgerBroken(
                f"{book.path} is not the ledger of which {statement['party']} signed {statement['sent']} "
                f"messages sent and {statement['received']} received"
                f" at the end of the run: it was cut or rewritten",
                remedy=f"Keep both files and {beside}, and ask {book.party} for the ledger as the run wrote it",
            )


def partners_signed(path: Path) -> dict[str, bytes]:
    """The certificate of each partner that signed what this ledger says it exchanged (`signatures.json` in the same
    folder; none without the file).

    Raises LedgerBroken where a signature does not hold, or the ledger does not fit it.
    """
    beside, found = path.parent / FILE, dict[str, bytes]()
    if not beside.exists():
        return found
    book = _Book(path)
    for name, signed in signatures(beside).items():
        statement = signed.statement
        who = statement["party"], statement["peer"], statement["job_digest"]
        if not signed.holds or who != (name, book.party, book.chain.start.get("job_digest")):
            raise LedgerBroken(
                f"{beside}: {name}'s signature does not hold", remedy="It was edited: find an unchanged copy"
            )
        _check_fits(book, name, signed, beside)
        found[name] = signed.certificate
    return found


def _chain(lines: list[Line]) -> str:
    """The chained hash of these messages, as `protocols.channel` computes it."""
    head = bytes(32)
    for line in lines:
        try:
            head = chained(head, bytes.fromhex(line["sha256"]))
        except ValueError:
            return ""
    return head.hex()


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
        """The numbered messages to or from `peer`; of what was drawn again those of the last attempt."""
        way, count = ("to", "sent") if kind == "message" else ("from", "received")
        found = list[Line]()
        for line in self._lines:
            if line["type"] == kind and line["seq"] and line[way] == peer:
                found.append(line)
            elif line["type"] == "renewed" and line["peer"] == peer:
                found = [one for one in found if one["seq"] <= line[count]]
        return found


def _differs(sender: _Book, receiver: _Book, what: str) -> LedgerBroken:
    return LedgerBroken(
        f"{sender.path} and {receiver.path} disagree: {what}",
        remedy="Keep both files, check their signatures with `vfl ledger verify --certificate`, and find out "
        "who changed what",
    )
