"""The sum of the members' numbers, of which the aggregator sees nothing else, even if members drop out at any message.

Source: Bonawitz et al., Practical secure aggregation (CCS 2017), figure 4, with its signatures and its consistency
check.
Adversary: the aggregator and up to a third of the cohort may deviate, as far as secrecy is concerned; a member that
deviates can make the sum wrong.  An aggregator that keeps to the protocol, with fewer members than the threshold, learns
nothing of another member but the sum.

     member P, numbers x_P                                          aggregator
                              <----------------------------------   TurnBegins
 1   new mask key             TurnKey, signed with a hash of all opened sums  ----->
                              <----------------------------------   TurnKeys, of all that answered
 2   new seed b_P; Shamir shares of b_P and of the mask key, one box for each other member
                              SealedShares      ----------------->
                              <----------------------------------   RelayedShares: the boxes for P
 3   x_P + G(b_P) + sum of +-G(pair seeds)
                              MaskedUpdate      ----------------->  who answered so far survives
                              <----------------------------------   Survivors
 4   checks and signs the list
                              SurvivorsSigned   ----------------->
                              <----------------------------------   SurvivorSignatures, of the threshold at least
 5   of each survivor the share of its seed; of each other one the share of its mask key
                              UnmaskingShares   ----------------->
 6                                                                  seeds of survivors, pair seeds of the others: the sum
                              <----------------------------------   OpenedSum and the signed list, to all members

G expands a seed by ChaCha20.  In the sum the pair seeds cancel, but for those with members that did not survive: their
mask keys are rebuilt in step 6.  A member's seed b_P stays secret if it did not survive, so that its update, if it still
arrives, remains masked: the reason for two masks.
Never are both released of one member: a member answers each step of a turn once, signs one list, and releases shares
only by a list that the threshold has signed (cohorts.py).  A turn that is broken off is never resumed: the next one has
new keys and new masks.

Of the same numbers one list at most is opened: a member that released shares of them signs no other list, and takes no
sum of another list, until their sum is opened.  Members know all opened sums.  They refuse a list whose sum would,
together with earlier ones, involve fewer than `min_members` members.  A member accepts an OpenedSum only if it has the
length that is due, is of the cohort, and if the threshold has signed the list.  Its numbers are not authenticated: the
aggregator can send all members the same wrong sum.  Sending them different ones ends the run before another update is
sent, since keys of a turn are signed with a hash of all sums that their sender received.

Who learns what: all parties the sum of the survivors' numbers, and who survived.
Cost per member, in a cohort of k: k X25519 exchanges and 2 k signatures to check, k shares of 2 secrets; bytes: 430 k,
and the numbers once.  The aggregator: as many exchanges as survivors times dropped members.
A restarted aggregator begins a turn with a number above all earlier ones.  Messages of earlier turns, and repeated ones,
change nothing.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.averaging import masks, shamir
from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.lists import Agreed, History, OtherRuns
from protocols.averaging.masks import BOX, Words
from protocols.averaging.setup import KEY, MOST_MEMBERS, SIGNATURE, Identities, Keys, Setup
from protocols.averaging.shamir import SHARE
from protocols.codec import check_lengths
from protocols.errors import DisclosureRefused, LocalProtocolError, RemoteProtocolError
from protocols.message import BLINDED, PUBLIC, REVEALED, SEALED, Message
from protocols.randomness import Seed
from protocols.session import Session

_BITMAP = MOST_MEMBERS // 8


class TurnBegins(Message, disclosure=PUBLIC, learns="that a turn begins", most_bytes=64):
    turn: int


class TurnKey(Message, disclosure=PUBLIC, learns="the sender's public key of this turn", most_bytes=256):
    turn: int
    public: bytes  # (32,) X25519
    signature: bytes  # (64,)


class TurnKeys(
    Message,
    disclosure=PUBLIC,
    learns="who takes part in this turn, and their public keys",
    most_bytes=64 + _BITMAP + (KEY + SIGNATURE) * MOST_MEMBERS,
):
    turn: int
    senders: bytes  # bitmap
    keys: bytes  # (senders, 96) key and signature


class SealedShares(
    Message,
    disclosure=SEALED,
    learns="a hash of the seed by which the sender masks its update, and boxes that other members can open",
    most_bytes=128 + BOX * MOST_MEMBERS,
):
    turn: int
    commitment: bytes  # (32,) hash of the self-mask seed
    boxes: bytes  # (senders - 1, 82)


class RelayedShares(
    Message,
    disclosure=SEALED,
    learns="one share of each other member's mask secrets, of which as many as the threshold say something",
    most_bytes=64 + _BITMAP + BOX * MOST_MEMBERS,
):
    turn: int
    senders: bytes  # bitmap
    boxes: bytes  # (senders - 1, 82)


class MaskedUpdate(Message, disclosure=BLINDED, learns="nothing: the sender's numbers under two masks"):
    turn: int
    words: bytes  # (length,) modulo 2^word_bits


class Survivors(Message, disclosure=PUBLIC, learns="whose updates are to be summed", most_bytes=64 + _BITMAP):
    turn: int
    survivors: bytes  # bitmap


class SurvivorsSigned(Message, disclosure=PUBLIC, learns="that the sender agrees to this list", most_bytes=128):
    turn: int
    signature: bytes  # (64,)


class SurvivorSignatures(
    Message,
    disclosure=PUBLIC,
    learns="which members agree to this list",
    most_bytes=64 + _BITMAP + SIGNATURE * MOST_MEMBERS,
):
    turn: int
    signers: bytes  # bitmap
    signatures: bytes  # (signers, 64)


class UnmaskingShares(
    Message,
    disclosure=REVEALED,
    permit="averages-to-parties",
    learns="with those of the threshold: the sum of the survivors' numbers, which are of columns, updates or measures, "
    "and of how many rows it is",
    most_bytes=64 + SHARE * MOST_MEMBERS,
):
    turn: int
    shares: bytes  # (senders of shares, 33): of the seed of a survivor, of the mask key of another one


class OpenedSum(
    Message,
    disclosure=REVEALED,
    permit="averages-to-parties",
    learns="who survived, the sum of their numbers, which are of columns, updates or measures, and of how many rows it "
    "is",
):
    turn: int
    survivors: bytes  # bitmap
    signers: bytes  # bitmap
    signatures: bytes  # (signers, 64)
    words: bytes  # (length,) modulo 2^word_bits


ASKED = (TurnBegins, TurnKeys, RelayedShares, Survivors, SurvivorSignatures)  # of a member, in this order
ANSWERED = (TurnKey, SealedShares, MaskedUpdate, SurvivorsSigned, UnmaskingShares)


@dataclass(frozen=True)
class Sum:
    """What a turn opened: the sum of the survivors' numbers, modulo 2^word_bits."""

    turn: int
    survivors: Members
    words: Words


class Member:
    """A member's side: answers what the aggregator asks, turn by turn."""

    def __init__(
        self,
        me: str,
        aggregator: str,
        terms: Terms,
        setup: Setup,
        identities: Identities,
        keys: Keys,
        draw: Callable[[str], Seed],
        numbers: Callable[[int], Words],
        due: Callable[[], int],
        other_runs: OtherRuns | None = None,
    ) -> None:
        """draw: makes secret seeds; numbers: this member's numbers for a turn, unsigned words of `terms.word_bits`, the
        same until their sum is opened; due: how many; other_runs: of this member, with whose sums those of this run are
        compared."""
        self.me, self._aggregator, self.terms, self._setup = me, aggregator, terms, setup
        self._identities, self._keys, self._draw, self._numbers = identities, keys, draw, numbers
        self._due, self._history = due, History(terms, setup)
        self._other_runs = other_runs or OtherRuns()
        self._boxes = masks.Boxes(me, keys.box, setup.boxes, setup.digest)
        self._released: Members | None = None  # the list by which it released shares of the numbers that are due
        self._signed: Members | None = None  # the list that it signed in this turn
        self._turn, self._heard, self._last = 0, list[bytes](), b""
        self._secrets: _TurnSecrets | None = None
        self._steps: dict[type[Any], Callable[[Any], Message]] = dict(
            zip(ASKED, (self._begin, self._share, self._mask, self._sign, self._release), strict=True)
        )

    def answer(self, message: Message) -> Message | None:
        """What is sent back; None for what is repeated or belongs to an earlier turn.  Raises RemoteProtocolError,
        DisclosureRefused."""
        kind, turn = type(message), int(getattr(message, "turn"))  # noqa: B009
        if turn < self._turn or turn <= self._history.turn:
            return None
        if turn > self._turn:
            if kind is not TurnBegins:
                raise self._broken("sent a step of a turn that has not begun")
            self._turn, self._heard, self._secrets, self._signed = turn, [], None, None
        step, content = ASKED.index(kind), _content(message)
        if step < len(self._heard):
            if self._heard[step] != content:
                raise self._broken("asked the same step of a turn twice, with different content")
            return None
        if step > len(self._heard):
            raise self._broken("left out a step of a turn")
        answer = self._steps[kind](message)
        self._heard.append(content)
        return answer

    def opened(self, message: OpenedSum) -> Sum | None:
        """The sum in a message; None if it is repeated.  Raises RemoteProtocolError."""
        if self._last == (content := _content(message)):
            return None
        survivors, signers = self.terms.named(message.survivors), self.terms.named(message.signers)
        if survivors is None or signers is None or len(message.words) != self._due() * self.terms.word_bits // 8:
            raise self._broken("sent a sum that is malformed, or has another length than is due")
        if message.turn < self._turn or message.turn <= self._history.turn or not survivors <= self._history.cohort:
            raise self._broken("sent a sum that is not due")
        agreed = Agreed(message.turn, survivors, signers, message.signatures)
        agreed.check(self.terms, self._identities, self._setup.digest, self._aggregator)
        signed = self._signed if message.turn == self._turn else None
        if any(known not in (None, survivors) for known in (signed, self._released)):
            raise self._broken("sent a sum of other members than this one has agreed to")
        self._other_runs.keep(survivors)
        self._history.add(message.turn, survivors, message.words)
        self._last, self._released, self._secrets = content, None, None
        return Sum(message.turn, survivors, masks.words_of(message.words, self.terms.word_bits))

    # -- the steps of a turn

    def _begin(self, message: TurnBegins) -> TurnKey:
        if self.me not in self._history.cohort:
            raise self._broken("asked a member that is not of the cohort")
        mask_key = X25519PrivateKey.from_private_bytes(self._draw("averaging mask key").secret)
        self._secrets, public = _TurnSecrets(mask_key), mask_key.public_key().public_bytes_raw()
        signature = self._keys.identity.sign(self._said(public))
        return TurnKey(self._turn, public, signature)  # 1

    def _said(self, public: bytes) -> bytes:
        """What is signed of a key of this turn: with it, all sums that the signer received."""
        return masks.signed("turn key", self._setup.digest, self._turn, self._history.chain + public)

    def _share(self, message: TurnKeys) -> SealedShares:
        own, sender = self._own, self._aggregator
        names = self._enough(message.senders, self._history.cohort)
        check_lengths(sender, (KEY + SIGNATURE) * len(names), message.keys, what="bytes of keys")
        for k, name in enumerate(names):
            piece = message.keys[(KEY + SIGNATURE) * k : (KEY + SIGNATURE) * (k + 1)]
            own.publics[name] = piece[:KEY]
            self._identities.check(name, piece[KEY:], self._said(piece[:KEY]), sender)
        same = own.publics[self.me] == own.mask_key.public_key().public_bytes_raw()
        if not same or len(set(own.publics.values())) < len(names):
            raise self._broken("relayed other keys than the members sent")
        own.self_seed = self._draw("averaging self mask")
        seed_shares = self._split(own.self_seed.secret, names)
        key_shares = self._split(own.mask_key.private_bytes_raw(), names)
        pairs = {name: (seed_shares[name], key_shares[name]) for name in names}
        own.shares[self.me] = pairs.pop(self.me)
        boxes = b"".join(self._boxes.seal(self._turn, name, pair) for name, pair in pairs.items())
        return SealedShares(self._turn, committed(own.self_seed.secret), boxes)  # 2

    def _split(self, secret: bytes, names: Sequence[str]) -> dict[str, int]:
        numbers, seed = [self.terms.number(name) for name in names], self._draw("averaging shares")
        return dict(zip(names, shamir.split(secret, self.terms.threshold, numbers, seed), strict=True))

    def _mask(self, message: RelayedShares) -> MaskedUpdate:
        own = self._own
        own.senders = self._enough(message.senders, frozenset(own.publics))
        others = [name for name in own.senders if name != self.me]
        check_lengths(self._aggregator, BOX * len(others), message.boxes, what="bytes of shares")
        for k, name in enumerate(others):
            box = message.boxes[BOX * k : BOX * (k + 1)]
            own.shares[name] = self._boxes.open(self._turn, name, box, self._aggregator)
        numbers, bits = self._numbers(self._turn), self.terms.word_bits
        masked = numbers + masks.self_mask(own.self_seed, len(numbers), bits)
        masked = masked + masks.pair_mask(own.mask_key, own.publics, self.me, others, self._turn, numbers)
        return MaskedUpdate(self._turn, masked.tobytes())  # 3

    def _sign(self, message: Survivors) -> SurvivorsSigned:
        own = self._own
        own.survivors = frozenset(self._enough(message.survivors, frozenset(own.senders)))
        if self._released not in (None, own.survivors):
            what = f"{self._aggregator} asks for two different sums of the same numbers"
            raise self._refused(what, "it should have named the same members again")
        if not self.terms.may_open(own.survivors, self._history.survivors, self._other_runs.survivors):
            raise self._refused(
                f"with earlier sums of this run and of others, the sum that {self._aggregator} asks for involves fewer "
                f"than {self.terms.min_members} members",
                "it should have left out more members",
            )
        self._signed = own.survivors
        said = masks.signed("survivors", self._setup.digest, self._turn, message.survivors)
        return SurvivorsSigned(self._turn, self._keys.identity.sign(said))  # 4

    def _release(self, message: SurvivorSignatures) -> UnmaskingShares:
        own, sender = self._own, self._aggregator
        signers = frozenset(self._enough(message.signers, own.survivors, me=False))
        agreed = Agreed(self._turn, own.survivors, signers, message.signatures)
        agreed.check(self.terms, self._identities, self._setup.digest, sender)
        self._other_runs.keep(own.survivors)
        self._released = own.survivors
        shares = [own.shares[name][0 if name in own.survivors else 1] for name in own.senders]
        self._secrets = None
        return UnmaskingShares(self._turn, b"".join(s.to_bytes(SHARE, "big") for s in shares))  # 5

    # -- checks

    @property
    def _own(self) -> _TurnSecrets:
        if self._secrets is None:
            raise LocalProtocolError("a turn has no secrets before it has begun", party=self.me)
        return self._secrets

    def _enough(self, bitmap: bytes, among: Members, *, me: bool = True) -> list[str]:
        """The members that a bitmap names, in the job's order: the threshold at least, all among these, and this one
        too."""
        names = self.terms.named(bitmap)
        if names is None or not names <= among or (me and self.me not in names):
            raise self._broken("named members that do not take part in this step")
        if len(names) < self.terms.threshold:
            raise self._broken("continued a turn with fewer members than the threshold")
        return [name for name in self.terms.members if name in names]

    def _refused(self, what: str, due: str) -> DisclosureRefused:
        remedy = f"Check which software {self._aggregator} runs: {due}"
        return DisclosureRefused(what, about="averaging.min_members", remedy=remedy, party=self._aggregator)

    def _broken(self, what: str) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"{self._aggregator} {what}",
            remedy=f"Nothing of this turn was released. Check which software {self._aggregator} runs",
            party=self._aggregator,
        )

    def __repr__(self) -> str:
        return f"<Member {self.me}: secrets not shown>"


@dataclass(repr=False)
class _TurnSecrets:
    """What a member holds during one turn."""

    mask_key: X25519PrivateKey
    self_seed: Seed = field(default_factory=lambda: Seed("", b""))
    publics: dict[str, bytes] = field(default_factory=dict)
    senders: list[str] = field(default_factory=list)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)
    survivors: Members = frozenset()


def take_part(session: Session, side: Member, opened: Callable[[Sum], bool]) -> None:
    """Answers turns; `opened` receives each sum, and returns whether another one follows."""
    aggregator, more = session.arbiter, True
    while more:
        message = aggregator.recv_of((*ASKED, OpenedSum))
        if isinstance(message, OpenedSum):
            found = side.opened(message)
            more = opened(found) if found is not None else more
        elif (answer := side.answer(message)) is not None:
            aggregator.send(answer)


def committed(seed: bytes) -> bytes:
    """By what the aggregator recognises a rebuilt seed."""
    return hashlib.sha256(b"vfl averaging self mask|" + seed).digest()


def _content(message: Message) -> bytes:
    """A hash of all fields."""
    framed = hashlib.sha256()
    for name, _ in message.schema():
        value = getattr(message, name)
        data = value if isinstance(value, bytes) else int(value).to_bytes(8, "big")
        framed.update(len(data).to_bytes(8, "big") + data)
    return framed.digest()
