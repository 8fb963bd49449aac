"""Lists of survivors that enough of them have signed: what members know of earlier sums; pure, no channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.masks import signed
from protocols.averaging.setup import SIGNATURE, Identities
from protocols.errors import RemoteProtocolError

_TURN = 8  # bytes


@dataclass(frozen=True)
class Agreed:
    """A turn's survivors, and the signatures of `signers`, in the job's order."""

    turn: int
    survivors: Members
    signers: Members
    signatures: bytes

    def packed(self, terms: Terms) -> bytes:
        """As it is sent and stored."""
        bitmaps = terms.bitmap(self.survivors) + terms.bitmap(self.signers)
        return self.turn.to_bytes(_TURN, "big") + bitmaps + self.signatures

    def check(self, terms: Terms, identities: Identities, setup: bytes, sender: str) -> None:
        """Raises RemoteProtocolError unless the threshold of the survivors has signed the list; sender: who brought
        it."""
        if not self.signers <= self.survivors or len(self.signers) < terms.threshold:
            raise RemoteProtocolError(
                f"{sender} named a list of survivors that too few of them have signed",
                remedy=f"Nothing was released by this list. Check which software {sender} runs",
                party=sender,
            )
        said = signed("survivors", setup, self.turn, terms.bitmap(self.survivors))
        for k, name in enumerate(name for name in terms.members if name in self.signers):
            identities.check(name, self.signatures[SIGNATURE * k : SIGNATURE * (k + 1)], said, sender)


def pack(lists: Sequence[Agreed], terms: Terms) -> bytes:
    """Several lists as they are sent and stored."""
    return b"".join(each.packed(terms) for each in lists)


def unpack(data: bytes, terms: Terms, sender: str) -> list[Agreed]:
    """The same back, signatures unchecked.  Raises RemoteProtocolError unless they are in the order of turns."""
    found = list(_unpacked(data, terms, sender))
    if any(later.turn <= earlier.turn for earlier, later in pairwise(found)):
        raise RemoteProtocolError(f"{sender} named lists of survivors that are not in order", party=sender)
    return found


def _unpacked(data: bytes, terms: Terms, sender: str) -> Iterator[Agreed]:
    bitmap, at = (len(terms.members) + 7) // 8, 0
    while at < len(data):
        head, rest = at + _TURN, at + _TURN + 2 * bitmap
        survivors, signers = terms.named(data[head : head + bitmap]), terms.named(data[head + bitmap : rest])
        end = rest + SIGNATURE * len(signers or ())
        if survivors is None or signers is None or end > len(data):
            raise RemoteProtocolError(f"{sender} sent a malformed list of survivors", party=sender)
        yield Agreed(int.from_bytes(data[at:head], "big"), survivors, signers, data[rest:end])
        at = end
