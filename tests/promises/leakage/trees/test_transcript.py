"""Whole transcripts of training and scoring: everything is declared, randomised and unrepeated, what is called uniform
is, nothing goes where it should not; and each check catches a planted fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from protocols import look_up
from protocols._native import PlainVec
from protocols.boosting import blocks, exact_cut, opening, prepare, product, rounding
from protocols.boosting.open import BinSums
from protocols.boosting.sealed import Owners, Wins
from protocols.boosting.sealed_parts import GUEST
from protocols.channel import Channel, MemoryWire
from protocols.cipher import CipherVec, DecryptionKey
from protocols.cipher.vector import Factor
from protocols.errors import UnfreshCiphertext
from protocols.glm.sealed_link import EdgeShare
from protocols.message import Disclosure, Message
from protocols.parts import Part
from protocols.randomness import Seed
from tests.harness import Sent
from tests.promises.attacks.trees import recorded
from tests.promises.attacks.trees.recorded import DEPTH, ROWS, UNIFORM, Run, blinded, not_uniform, record, without
from tests.promises.leakage import audit
from tools.leakage_page import declared

PRESCRIBED = {
    "open": {"BinSums", "OwnWins", "Directions", "NodeRows", "AllDirections"},
    "sealed": {
        *("RootSums", "MaskedSums", "Owners", "Wins", "EdgeShare", "HelpOrder", "OpenedScores"),
        *("TargetScale", "HeldOutSign", "LowerLoss", "MoreRounds", "RoundsKept"),  # with weights and early stopping
    },
}
TO_HOST = {
    "open": {"RowGradients", "OwnWins", "NodeRows"},
    "sealed": {
        *(
            "EncryptedPads",
            "PairKey",
            "TreeRowOrder",
            "Blocks",
            "Wins",
            "ShareLessPad",
            "DirectionShare",
            "FactorShare",
        ),
        *("TargetScale", "MoreRounds", "RoundsKept", "HelpOrder"),
    },
}
TO_ARBITER = {
    *(
        "MaskedPadSums",
        "Deal",
        "LookupIndex",
        "MaskedFactors",
        "EdgeShare",
        "CutShare",
        "RootSums",
        "MaskedSums",
        "MaskedMembership",
    ),
    *("DealtLeaves", "TargetScale", "HeldOutSign", "DealtRounding", "MaskedNumbers", "CutOpening"),
}


@pytest.fixture(scope="module", params=[("open", 1), ("open", 2), ("sealed", 1), ("sealed", 2)], ids=str)
def run(request: pytest.FixtureRequest) -> tuple[str, Run]:
    membership, hosts = request.param
    return membership, record(membership, hosts, every=membership == "sealed")


@pytest.fixture(scope="module")
def whole() -> Run:
    """With every kind of message."""
    return record(every=True)


def test_an_honest_transcript_has_no_finding(run: tuple[str, Run]) -> None:
    membership, r = run
    both = [*r.transcript, *r.scored]
    assert audit.undeclared(both, declared()) == []
    assert audit.unrandomised(both, r.keys) == []
    assert audit.repeated(r.transcript, r.keys) == []
    assert audit.in_clear(both, PRESCRIBED[membership]) == []
    assert any(len(part) for part in r.trained.hosts)


def test_parties_receive_what_is_prescribed(run: tuple[str, Run]) -> None:
    """No leaf value, gain or count in any message to a host, and nothing by row to the arbiter but uniform numbers: no
    other kinds, none of which has a field for them."""
    membership, r = run
    both = [*r.transcript, *r.scored]
    hidden = [s for s in both if s.kind.disclosure > Disclosure.PUBLIC]
    assert {s.kind.kind for s in hidden if s.receiver.startswith("host")} <= TO_HOST[membership] | {"AllDirections"}
    assert {s.kind.kind for s in hidden if s.receiver == "arbiter"} <= (TO_ARBITER if membership == "sealed" else set())
    assert [name for s in both for name, kind in s.kind.schema() if kind is float] == []
    if membership == "open":
        assert not any("arbiter" in (s.sender, s.receiver) for s in r.transcript)


def test_sums_hold_no_product_of_what_an_owner_received(run: tuple[str, Run]) -> None:
    """Who made the ciphertexts knows their factors: sums carry another one, of |n| + 128 bits, which `release` demands (a raw sum is refused)."""  # noqa: E501
    _, r = run
    made, summed = (opening.RowGradients, prepare.EncryptedPads), (BinSums, prepare.MaskedPadSums)
    inputs = {
        residue for s in r.transcript if s.kind in made for v in s.vectors(r.keys) for residue in v.raw.residues()
    }
    sums = [v for s in r.transcript if s.kind in summed for v in s.vectors(r.keys)]
    assert inputs
    assert sums
    assert not inputs & {residue for v in sums for residue in v.raw.residues()}


# -- uniform numbers


def test_every_blinded_number_is_uniform(whole: Run) -> None:
    assert blinded(whole) == {*UNIFORM, prepare.MaskedPadSums}
    assert not_uniform(whole) == set()


@contextmanager
def built(module: Any, name: str, instead: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, instead)
        yield


def zero_pads() -> Any:
    return built(blocks, "pads", lambda seed, block, rows: PlainVec.zeros(rows))


@contextmanager
def zero_link() -> Iterator[None]:
    """Nothing random in what is dealt for look-ups, but how products are shared."""
    positions, factors = look_up._positions, look_up._factors
    with (
        built(look_up, "_positions", lambda seed, rows: np.zeros_like(positions(seed, rows))),
        built(look_up, "_factors", lambda seed, rows, n: PlainVec.zeros(len(factors(seed, rows, n)))),
    ):
        yield


@contextmanager
def zero_rounding() -> Iterator[None]:
    """Nothing random in what is dealt for roundings, and numbers and key are 0, which are uniform themselves."""
    masks, pads, hashed = exact_cut.masks, rounding.pads_of, rounding.hashed
    with (
        built(exact_cut, "masks", lambda seed, cells, steps: np.zeros_like(masks(seed, cells, steps))),
        built(rounding, "pads_of", lambda seed, count: np.zeros_like(pads(seed, count))),
        built(rounding, "hashed", lambda *given: np.zeros_like(hashed(*given))),
    ):
        yield


FAULTS: dict[str, tuple[str, str]] = {  # what is missing in a build -> in which message that shows
    "keys of pairs": (r"key: ^pair key \w+$", "PairKey"),
    "the order of rows": ("row order", "TreeRowOrder"),
    "a dealer's seed": ("key: link deal/(first|second)$", "Deal"),
    "the arbiter's pad of looked-up values": (r"rho \d", "Reshared"),
    "a fresh share of the cut": (r"fresh \d", "CutShare"),
    "a pad of a factor": (r"weights a\d", "FactorLessPad"),
    "a share of a factor": ("weights w", "FactorShare"),
    "a pad of its product": (r"weights c\d", "FactorProduct"),
    "a pad of shares that go down": (r"a1$|a1/", "ShareLessPad"),
    "a share of directions": ("/s$", "DirectionShare"),
    "a pad of products": ("/c", "ProductShare"),
    "dealt pads of leaves": (r"leaves .*/[Pc]$", "DealtLeaves"),
    "a pad of membership": (r"leaves .*/P$", "MaskedMembership"),
    "a pad of leaf values": (r"leaves .* b$", "MaskedLeaves"),
    "masks of sums of pads": ("pad masks", "MaskedPadSums"),
    "a dealer's seed for roundings": ("key: rounding deal/(guest|arbiter)$", "DealtRounding"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_build_without_a_pad_is_found(fault: str) -> None:
    missing, shows = FAULTS[fault]
    with without(missing):
        assert shows in not_uniform(
            record(every=shows != "Reshared")
        )  # a weighted value's share is uniform without a pad


@pytest.mark.parametrize(
    ("faults", "shows"),
    [
        ((zero_pads(),), {"Blocks"}),
        ((zero_pads(), without(r"(rho|tau|fresh) \d")), {"LevelShares", "Blocks", "CutShare"}),
        ((zero_link(),), {"LookupIndex", "MaskedFactors"}),
        ((zero_rounding(),), {"MaskedNumbers", "MaskedKey", "CutOpening"}),
    ],
    ids=["pads", "pads and cut", "link", "rounding"],
)
def test_other_planted_builds_are_found(faults: tuple[Any, ...], shows: set[str]) -> None:
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault)
        assert not_uniform(record(every=True)) >= shows


def test_every_check_of_uniformity_has_a_planted_fault() -> None:
    others = {"Blocks", "LevelShares", "LookupIndex", "MaskedFactors", "MaskedNumbers", "MaskedKey", "CutOpening"}
    assert {kind.kind for kind in UNIFORM} | {"MaskedPadSums"} == {shows for _, shows in FAULTS.values()} | others


# -- shapes

SIZED_BY_WINS = ("ShareLessPad", "DirectionShare", "ProductShare")  # of as many places as splits were won: below


def shapes(transcript: list[Sent], receiver: str) -> Counter[tuple[str, str, int]]:
    """What a receiver sees of a transcript without its contents, and without what wins, which are declared, make longer
    or shorter."""
    seen = [s for s in transcript if s.receiver == receiver and s.kind.kind not in SIZED_BY_WINS]
    lengths = [0 if s.kind is EdgeShare else len(s.data) for s in seen]  # one random number, of any length
    return Counter((s.sender, s.kind.kind, length) for s, length in zip(seen, lengths, strict=True))


@pytest.mark.parametrize("hosts", [1, 2])
def test_sealed_trees_look_the_same_to_hosts_and_arbiter_whatever_the_labels(hosts: int) -> None:
    first, second = record(hosts=hosts), record(hosts=hosts, flip=True)
    for receiver in (*first.trained.roles.hosts, "arbiter"):
        assert shapes(first.transcript, receiver) == shapes(second.transcript, receiver)
        assert shapes(first.scored, receiver) == shapes(second.scored, receiver)


def test_open_trees_do_not() -> None:
    assert shapes(record("open").transcript, "host1") != shapes(record("open", flip=True).transcript, "host1")


def test_the_length_of_products_follows_from_wins(whole: Run) -> None:
    """Of each level of training: places as won, 6 bytes for each row and place."""
    won = [int((m.positions >= 0).sum()) for m in whole.of(Wins)]
    helped = [m.helps for m in whole.of(Wins)]
    assert helped == [int((m.owners == GUEST).sum()) for m in whole.of(Owners)]
    level = [s for s in whole.transcript if s.kind is product.ShareLessPad]
    to_host = [len(s.message(whole.keys).u) for s in level if s.receiver == "host1"]  # type: ignore[attr-defined]
    to_guest = [len(s.message(whole.keys).u) for s in level if s.receiver == "guest"]  # type: ignore[attr-defined]
    assert to_host[::2] == to_host[1::2] == [6 * ROWS * places for places in won if places]
    assert to_guest == [6 * ROWS * places for places in helped if places]
    assert len(won) == 3 * DEPTH


# -- what goes over the wire


def measured(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Bytes that wires carry from each party to each other."""
    found: Counter[tuple[str, str]] = Counter()
    honest = MemoryWire.send

    def send(self: MemoryWire, data: bytes) -> None:
        found[self.me, self.peer] += len(data)
        honest(self, data)

    monkeypatch.setattr(MemoryWire, "send", send)
    return found


def totals(run: Run) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for s in [*run.transcript, *run.scored]:
        found[s.sender, s.receiver] += len(s.data)
    return found


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_a_transcript_holds_every_byte_that_wires_carry(membership: str, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = measured(monkeypatch)
    assert totals(record(membership, 2)) == carried
    assert set(carried) >= {("guest", "host1"), ("host1", "guest"), ("guest", "host2"), ("host2", "guest")}


def test_planted_bytes_beside_the_transcript_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    carried, honest = measured(monkeypatch), Channel.send

    def send(self: Channel, message: Message, part: Part | None = None) -> None:
        honest(self, message, part)
        if message.kind == "HelpOrder":
            self.wire.send(b"by the way")
            raise RuntimeError

    monkeypatch.setattr(Channel, "send", send)
    sent = list[Sent]()
    monkeypatch.setattr(recorded, "Recording", lambda party, into: tap_of(party, sent))
    with pytest.raises(RuntimeError):
        record()
    counted: Counter[tuple[str, str]] = Counter()
    for s in sent:
        counted[s.sender, s.receiver] += len(s.data)
    assert carried["arbiter", "host1"] == counted["arbiter", "host1"] + len(b"by the way")


def tap_of(party: str, into: list[Sent]) -> Any:
    from tests.harness import Recording

    return Recording(party, into)


# -- planted faults in what is sent


def test_planted_undeclared_message_is_found(run: tuple[str, Run]) -> None:
    class Hint(Message, disclosure=Disclosure.PUBLIC, learns="nothing"):
        x: int

    assert audit.undeclared([*run[1].transcript, Sent("guest", "host1", Hint, b"")], declared()) == ["Hint"]


@pytest.mark.parametrize(
    ("membership", "expected"),
    [
        ("open", {"RowGradients to host1", "BinSums to guest"}),
        ("sealed", {"EncryptedPads to host1", "EncryptedPads to guest", "MaskedPadSums to arbiter"}),
    ],
)
def test_planted_sums_that_are_not_randomised_are_refused_and_found(
    membership: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CipherVec, "rerandomise", lambda self, seed: self)
    with pytest.raises(UnfreshCiphertext):
        record(membership)
    monkeypatch.setattr(CipherVec, "release", lambda self, to, where: self.raw.to_bytes())
    monkeypatch.setattr(
        DecryptionKey, "encrypt", lambda self, plain, seed: CipherVec(self.public, self.public.raw.lift(plain))
    )  # type: ignore[attr-defined]
    found = record(membership)
    assert set(audit.unrandomised(found.transcript, found.keys)) == expected


@pytest.mark.parametrize(
    ("membership", "kind"), [("open", "RowGradients to host1"), ("sealed", "EncryptedPads to host1")]
)
def test_planted_reuse_of_randomness_is_found(membership: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seed, "into", lambda self, digest: b"again".ljust(32))
    found = record(membership)
    assert kind in audit.repeated(found.transcript, found.keys)


def test_planted_sums_with_the_short_factor_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arbiter knows the factors of its own ciphertexts: the factor must be as long as the holder of the key
    needs."""

    def short(self: CipherVec, seed: Seed) -> CipherVec:
        bits = self.key.exponent_bits(to_holder=False)
        raw = self.raw.rerandomise(seed.into(self.digest()), bits)
        return CipherVec(self.key, raw, {Factor(seed.maker, bits)})

    monkeypatch.setattr(CipherVec, "rerandomise", short)
    with pytest.raises(UnfreshCiphertext):
        record()


def test_planted_gains_in_a_message_would_be_seen(run: tuple[str, Run]) -> None:
    class Told(Message, disclosure=Disclosure.REVEALED, permit="wins-to-owners", learns="the gain"):
        gain: float

    planted = [*run[1].transcript, Sent("guest", "host1", Told, b"")]
    assert audit.in_clear(planted, PRESCRIBED[run[0]]) == ["Told"]
