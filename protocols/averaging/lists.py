"""Lists of survivors that enough of them have signed, and the sums that were opened by them; pure, no channel."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.masks import signed
from protocols.averaging.setup import SIGNATURE, Identities, Setup
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.recovery.checkpoint import Arrays


@dataclass(frozen=True)
class Agreed:
    """A turn's survivors, and the signatures of `signers`, in the job's order."""

    turn: int
    survivors: Members
    signers: Members
    signatures: bytes

    def check(self, terms: Terms, identities: Identities, setup: bytes, sender: str) -> None:
        """Raises RemoteProtocolError unless the threshold of the survivors has signed the list; sender: who brought
        it."""
        if not self.signers <= self.survivors or len(self.signers) < terms.threshold:
            raise RemoteProtocolError(
                f"{sender} named a list of survivors that too few of them have signed",
                remedy=f"Nothing was released by this list. Check which software {sender} runs",
                party=sender,
            )
        check_lengths(sender, SIGNATURE * len(self.signers), self.signatures, what="bytes of signatures")
        said = signed("survivors", setup, self.turn, terms.bitmap(self.survivors))
        for k, name in enumerate(name for name in terms.members if name in self.signers):
            identities.check(name, self.signatures[SIGNATURE * k : SIGNATURE * (k + 1)], said, sender)


class OtherRuns:
    """What a party knows of the sums of its other runs, and where it keeps those of this one.  This class knows of
    none and keeps none; `vfl.run.members.sums` does."""

    @property
    def survivors(self) -> tuple[Members, ...]:
        """Of the sums with which those of this run are compared too, each once."""
        return ()

    def keep(self, survivors: Members) -> None:
        """A sum of these members is about to be opened, or was: it is known to later runs when this returns."""


class History:
    """The sums of a run that were opened, as each party counts them.

    chain: a hash of all of them, in order, which members sign with their keys of a turn: who received another sum has
    another chain.  survivors: of the sums that the next one is compared with.  turn: of the last one.
    """

    def __init__(self, terms: Terms, setup: Setup) -> None:
        self._terms, self._seed = terms, setup.seed
        self.chain, self.turn, self._opened = setup.digest, 0, 0
        self.survivors: tuple[Members, ...] = ()
        self.cohort = terms.cohort(self._seed, 0, ())

    def add(self, turn: int, survivors: Members, words: bytes) -> None:
        """A sum that was opened; the next cohort follows from it."""
        said = turn.to_bytes(8, "big") + self._terms.bitmap(survivors) + words
        self.chain = hashlib.sha256(b"vfl averaging opened|" + self.chain + said).digest()
        self.turn, self._opened = turn, self._opened + 1
        self._compare((*self.survivors, survivors))

    def _compare(self, survivors: tuple[Members, ...]) -> None:
        last = self._terms.window - 1
        self.survivors = tuple(dict.fromkeys(survivors)) if self._terms.whole_run else survivors[-last:][:last]
        self.cohort = self._terms.cohort(self._seed, self._opened, self.survivors)

    def save(self) -> Arrays:
        """What must outlast this process."""
        bitmaps = b"".join(self._terms.bitmap(each) for each in self.survivors)
        return {
            "chain": np.frombuffer(self.chain, np.uint8),
            "opened": np.array([self._opened, self.turn]),
            "compared": np.frombuffer(bitmaps, np.uint8),
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Continues after what was saved."""
        self.chain = np.asarray(saved["chain"], np.uint8).tobytes()
        self._opened, self.turn = (int(number) for number in saved["opened"])
        rows = np.asarray(saved["compared"], np.uint8).reshape(-1, len(self._terms.bitmap(frozenset())))
        named = [self._terms.named(row.tobytes()) for row in rows]
        self._compare(tuple(each for each in named if each is not None))
