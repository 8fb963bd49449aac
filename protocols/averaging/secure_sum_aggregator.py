"""The aggregator's side of a secure sum (figure, messages and members: secure_sum.py).

`Aggregator` holds no channel: it says whom to ask what, takes answers in any order, and closes a step when its caller
waits no longer.  `add_up` runs it over channels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.averaging import masks, shamir
from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.lists import Agreed, History, OtherRuns
from protocols.averaging.masks import BOX
from protocols.averaging.secure_sum import (
    ANSWERED,
    MaskedUpdate,
    OpenedSum,
    RelayedShares,
    SealedShares,
    Sum,
    Survivors,
    SurvivorSignatures,
    SurvivorsSigned,
    TurnBegins,
    TurnKey,
    TurnKeys,
    UnmaskingShares,
    committed,
)
from protocols.averaging.setup import Identities, Setup
from protocols.averaging.shamir import SHARE
from protocols.cipher import Keyring
from protocols.codec import check_lengths, decode, encode
from protocols.errors import PeerAborted, PeerTimeout, RemoteProtocolError, TooFewMembers, TransportError, VFLError
from protocols.message import Message
from protocols.randomness import Seed
from protocols.recovery.checkpoint import Arrays
from protocols.session import Session

TRIES = 3  # turns for one sum


class Aggregator:
    """Turns, one after the other: `begin`, then `take` answers and `close` each step, until `total` holds the sum."""

    def __init__(
        self,
        me: str,
        terms: Terms,
        setup: Setup,
        identities: Identities,
        keep: Callable[[Arrays], None] = lambda arrays: None,
        other_runs: OtherRuns | None = None,
        left: dict[str, VFLError] | None = None,
    ) -> None:
        """keep: stores what must outlast this process (`save`), and is called before anything that depends on it
        leaves; other_runs: with whose sums those of this run are compared; left: gets, by member that is gone, why."""
        self.me, self.terms, self._setup, self._identities = me, terms, setup, identities
        self._length, self._keep, self._other_runs = 0, keep, other_runs or OtherRuns()
        self.left = {} if left is None else left
        self._turn, self._step = 0, len(ANSWERED)
        self._history = History(terms, setup)
        self._pending: Members | None = None  # the list that was agreed for the sum that is due
        self._agreed: Agreed | None = None
        self.opened: OpenedSum | None = None  # the last one, for members that have not heard it
        self._answers: list[dict[str, Any]] = []
        self.waiting: set[str] = set()  # members that have not answered the step
        self._survivors: Members = frozenset()
        self.total: Sum | None = None

    def save(self) -> Arrays:
        """What must outlast this process: the last turn, what was opened, and the list that was agreed since."""
        pending = b"" if self._pending is None else self.terms.bitmap(self._pending)
        opened = b"" if self.opened is None else encode(self.opened, self.terms.members, self.me)
        texts = {"pending": pending, "last": opened}
        arrays = {name: np.frombuffer(value, np.uint8) for name, value in texts.items()}
        return self._history.save() | {"turn": np.array(self._turn)} | arrays

    def load(self, saved: Mapping[str, Any]) -> None:
        """Continues after what was saved: a turn that had begun is never resumed."""
        self._turn, self._step = int(saved["turn"]), len(ANSWERED)
        self._history.load(saved)
        pending, last = (np.asarray(saved[name], np.uint8).tobytes() for name in ("pending", "last"))
        self._pending = self.terms.named(pending) if pending else None
        self.opened = decode(last, OpenedSum, self.me, Keyring()) if last else None

    def begin(self, length: int) -> dict[str, Message]:
        """A new turn, that adds up vectors of this length: what to send to whom."""
        self._length = length
        self._turn, self._step, self._answers, self.total = self._turn + 1, 0, [{}], None
        self._keep(self.save())
        self.waiting = set(self._history.cohort)
        return dict.fromkeys(sorted(self.waiting), TurnBegins(self._turn))

    def take(self, sender: str, message: Message) -> None:
        """An answer; one that is late, repeated or of an earlier turn changes nothing.  Raises RemoteProtocolError."""
        turn, kind = int(getattr(message, "turn")), type(message)  # noqa: B009
        if turn > self._turn or kind not in ANSWERED:
            raise RemoteProtocolError(f"{sender} answered a turn that has not begun", party=sender)
        if turn == self._turn and ANSWERED.index(kind) == self._step and sender in self.waiting:
            self._check(sender, message)
            self._answers[-1][sender] = message
            self.waiting.discard(sender)

    def lost(self, sender: str, error: VFLError | None = None) -> None:
        """A member is not waited for any more in this step; error: why, if it is gone for good."""
        self.waiting.discard(sender)
        if error is not None:
            self.left.setdefault(sender, error)

    def close(self) -> dict[str, Message]:
        """Who has not answered is out of the turn: what to send to whom next, nothing once `total` is there.  Raises
        TooFewMembers, after which another turn may begin, and RemoteProtocolError."""
        answers, step = self._answers[-1], self._step
        if len(answers) < self.terms.threshold:
            self._step = len(ANSWERED)
            raise TooFewMembers(
                f"{len(answers)} members took part in turn {self._turn} up to {ANSWERED[step].kind}",
                expected=f"at least {self.terms.threshold}",
                found=len(answers),
                remedy="Nothing of this turn was opened. Check which members run, and start the run again",
                party=self.me,
            )
        following = (self._keys, self._relay, self._list, self._agree, self._open)[step](self._in_order(answers))
        self._step, self._answers = step + 1, [*self._answers, {}]
        self.waiting = set(following)
        return following

    def _in_order(self, answers: Mapping[str, Any]) -> dict[str, Any]:
        return {name: answers[name] for name in self.terms.members if name in answers}

    def _check(self, sender: str, message: Message) -> None:
        """Raises RemoteProtocolError for an answer that cannot be used."""
        if isinstance(message, TurnKey):
            content = self._history.chain + message.public
            said = masks.signed("turn key", self._setup.digest, self._turn, content)
            self._identities.check(sender, message.signature, said, sender)
        elif isinstance(message, SealedShares):
            check_lengths(sender, BOX * (len(self._answers[0]) - 1), message.boxes, what="bytes of shares")
        elif isinstance(message, MaskedUpdate):
            bytes_each = self.terms.word_bits // 8
            check_lengths(sender, bytes_each * self._length, message.words, what="bytes of an update")
        elif isinstance(message, SurvivorsSigned):
            said = masks.signed("survivors", self._setup.digest, self._turn, self.terms.bitmap(self._survivors))
            self._identities.check(sender, message.signature, said, sender)
        elif isinstance(message, UnmaskingShares):
            check_lengths(sender, SHARE * len(self._answers[1]), message.shares, what="bytes of shares")

    # -- the steps, each after the answers to the one before

    def _keys(self, answers: dict[str, TurnKey]) -> dict[str, Message]:
        relayed = b"".join(each.public + each.signature for each in answers.values())
        return dict.fromkeys(answers, TurnKeys(self._turn, self.terms.bitmap(frozenset(answers)), relayed))

    def _relay(self, answers: dict[str, SealedShares]) -> dict[str, Message]:
        keyed = [name for name in self.terms.members if name in self._answers[0]]
        boxes: dict[str, list[bytes]] = {name: [] for name in answers}
        for sender, message in answers.items():
            for k, receiver in enumerate(name for name in keyed if name != sender):
                if receiver in boxes:
                    boxes[receiver].append(message.boxes[BOX * k : BOX * (k + 1)])
        senders = self.terms.bitmap(frozenset(answers))
        return {name: RelayedShares(self._turn, senders, b"".join(of)) for name, of in boxes.items()}

    def _list(self, answers: dict[str, MaskedUpdate]) -> dict[str, Message]:
        order = self.terms.order(self._setup.seed, self._turn, "left out")
        if self._pending is None:
            before, others = self._history.survivors, self._other_runs.survivors
            found = self.terms.survivors(frozenset(answers), before, order, others)
        else:  # members have released shares of the same numbers by this list, and sign no other one
            found = self._pending if self._pending <= set(answers) else None
        if found is None:
            self._step = len(ANSWERED)
            raise TooFewMembers(
                f"no sum of turn {self._turn} may be opened: with earlier sums, of this run or of others, each would "
                f"involve fewer than {self.terms.min_members} members, or not the members of the turn before, which "
                "was broken off",
                remedy="Nothing of this turn was opened. Agree on a larger fraction, or wait until more members run",
                party=self.me,
            )
        self._survivors = found
        return dict.fromkeys(self._in_order(dict.fromkeys(found)), Survivors(self._turn, self.terms.bitmap(found)))

    def _agree(self, answers: dict[str, SurvivorsSigned]) -> dict[str, Message]:
        signers, signatures = frozenset(answers), b"".join(each.signature for each in answers.values())
        self._agreed = Agreed(self._turn, self._survivors, signers, signatures)
        self._pending = self._survivors
        self._other_runs.keep(self._survivors)
        self._keep(self.save())
        message = SurvivorSignatures(self._turn, self.terms.bitmap(signers), signatures)
        return dict.fromkeys(answers, message)

    def _open(self, answers: dict[str, UnmaskingShares]) -> dict[str, Message]:
        senders = [name for name in self.terms.members if name in self._answers[1]]
        helpers = dict(list(answers.items())[: self.terms.threshold])
        numbers = [self.terms.number(name) for name in helpers]
        factors = dict(zip(numbers, shamir.at_zero(numbers), strict=True))
        publics = {name: answer.public for name, answer in self._answers[0].items()}
        bits = self.terms.word_bits
        total = masks.zeros(self._length, bits)
        for name in self._survivors:
            total = total + masks.words_of(self._answers[2][name].words, bits)
        for k, name in enumerate(senders):
            pieces = (message.shares[SHARE * k : SHARE * (k + 1)] for message in helpers.values())
            shares = {x: int.from_bytes(piece, "big") for x, piece in zip(numbers, pieces, strict=True)}
            secret = shamir.join(shares, factors)
            if name in self._survivors:
                if secret is None or committed(secret) != self._answers[1][name].commitment:
                    raise self._wrong(name)
                total = total - masks.self_mask(Seed(self.me, secret), self._length, bits)
            else:
                key = None if secret is None else X25519PrivateKey.from_private_bytes(secret)
                if key is None or key.public_key().public_bytes_raw() != publics[name]:
                    raise self._wrong(name)
                total = total + masks.pair_mask(key, publics, name, self._survivors, self._turn, total)
        self._end(Sum(self._turn, self._survivors, total))
        return {}

    def _end(self, total: Sum) -> None:
        agreed, words = self._agreed, total.words.tobytes()
        assert agreed is not None
        names = (self.terms.bitmap(agreed.survivors), self.terms.bitmap(agreed.signers))
        self.opened = OpenedSum(total.turn, *names, agreed.signatures, words)
        self._history.add(total.turn, total.survivors, words)
        self._pending, self.total = None, total
        self._keep(self.save())

    def _wrong(self, name: str) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"the shares of {name}'s mask secrets do not fit each other: a member sent wrong ones",
            remedy="Nothing of this turn is used. Check which software the members run",
            party=name,
        )


def add_up(session: Session, side: Aggregator, length: int, patience: float) -> Sum:
    """The sum of vectors of this length, by up to TRIES turns; all members learn it.  patience: seconds for each step.
    Raises TooFewMembers, RemoteProtocolError."""
    for left in reversed(range(TRIES)):
        try:
            found = _turn(session, side, length, patience)
        except TooFewMembers:
            if not left:
                raise
            continue
        assert side.opened is not None
        _tell(session, side, dict.fromkeys(side.terms.members, side.opened))
        return found
    raise AssertionError


def _turn(session: Session, side: Aggregator, length: int, patience: float) -> Sum:
    following = side.begin(length)
    while side.total is None:
        _tell(session, side, following)
        _collect(session, side, patience)
        following = side.close()
    return side.total


def _tell(session: Session, side: Aggregator, messages: Mapping[str, Message]) -> None:
    """Sends each message, if its receiver is still there."""
    for name, message in messages.items():
        try:
            session.channels[name].send(message)
        except (TransportError, PeerAborted) as error:
            side.lost(name, error)


def _collect(session: Session, side: Aggregator, patience: float) -> None:
    """Answers, until nobody is waited for or the time is over."""
    end = time.monotonic() + patience
    for name in sorted(side.waiting):
        while name in side.waiting:
            try:
                side.take(name, session.channels[name].recv_of(ANSWERED, max(0.0, end - time.monotonic())))
            except PeerTimeout:
                side.lost(name)  # it may only be slow
            except (TransportError, PeerAborted) as error:
                side.lost(name, error)
