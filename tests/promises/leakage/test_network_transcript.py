"""Whole transcripts of a network's training and scoring, of two layers with two hosts: everything in the clear is a
one-time pad, declared, or the scores; and each check catches a planted fault."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from protocols._native import PlainVec
from protocols.cipher import Keyring, Paillier
from protocols.message import Disclosure, Message
from protocols.network import first_layer, scoring, stopping
from protocols.network.dealt import Dealt
from protocols.network.plan import Plan, Terms
from tests.harness import TOY, Escrow, Recording, Sent
from tests.promises.attacks.test_opened_epochs import unblinded
from tests.promises.leakage import audit
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import TERMS, run
from tests.unit.protocols.network.test_scoring import Scorer
from tests.unit.protocols.network.test_stopping import STOPS, Trained
from tools.leakage_page import declared

SMALL, WIDTHS = replace(TERMS, hidden=(3, 2), epochs=2, batch_size=12), (2, 2, 1)
PARTIES = ("guest", "host1", "host2", "arbiter")
# what says nothing of a value, by its type: seeds, names, sizes, DPF keys
SIZES = {"Columns", "NetworkStart", "RowOrder", "BatchRows", "BlockTaken", "ScoringStart", "ScoresAdded"}
NAMES = {"ChunkNonce", "ChunkNonces", "TrainingStored", "AllStored", "PublicKeyOffer", "HeldShares", "ChosenShare"}
KEYS = {"MaskKey", "MaskKeys"}  # public ones, of the hosts' masks
SEEDS = {"Deal", "LayerSeed", "ProductDeal"}
PADS: dict[str, int] = {  # bits of the modulus in which its numbers are uniform
    **dict.fromkeys(("PaddedFactor", "LayerProducts", "ErrorShare"), 128),
    **dict.fromkeys(("PaddedFactors", "DealtProducts"), 256),
    "HiddenParts": 64,
    "PaddedPredictor": 47,
}
OPENED = {"EdgeShare", "NetworkScores"}


ONE_STEP = replace(SMALL, epochs=1, batch_size=24)  # after which a fault does no more harm


def trained(terms: Terms = SMALL) -> list[Sent]:
    blocks, y = problem(n=24, widths=WIDTHS)
    transcript = list[Sent]()
    run(blocks, y, terms, TOY, taps={party: [Recording(party, transcript)] for party in PARTIES})
    return transcript


@pytest.fixture(scope="module")
def transcript() -> list[Sent]:
    return trained()


def numbers(transcript: list[Sent], kind: str) -> dict[str, list[int]]:
    """All numbers in the clear of a kind of message, by receiver."""
    found = defaultdict[str, list[int]](list)
    for sent in transcript:
        if sent.kind.kind == kind:
            message = sent.message(Keyring())
            for name, _ in sent.kind.schema():
                found[sent.receiver] += getattr(message, name).to_ints()
    return found


def not_uniform(transcript: list[Sent], pads: dict[str, int]) -> set[str]:
    found = set()
    for kind, bits in pads.items():
        for receiver, values in numbers(transcript, kind).items():
            if audit.not_uniform([v << (256 - bits) for v in values], 256):
                found.add(f"{kind} to {receiver}")
    return found


def test_what_travels_in_training(transcript: list[Sent]) -> None:
    """Ciphertexts to who has no key, uniform numbers, sizes; and how many rows are near the edge."""
    assert audit.undeclared(transcript, declared()) == []
    kinds = {sent.kind for sent in transcript}
    assert {k.kind for k in kinds if k.disclosure is Disclosure.REVEALED} == {"EdgeShare"}
    assert {k.kind for k in kinds if k.disclosure is Disclosure.PUBLIC} <= SIZES | NAMES | KEYS
    clear = {k.kind for k in kinds if k.disclosure is Disclosure.BLINDED}
    pads = {"WeightsLessPad", "MeanLessPad", "ResidualLessPad", "MaskedPads", "MaskedGradientPads"}
    assert clear == pads | SEEDS - {"ProductDeal"} | {"LayerProducts", "PaddedFactor", "PaddedPredictor"} | {
        "LookupIndex",
        "MaskedFactors",
    }


def test_everything_in_the_clear_is_uniform(transcript: list[Sent]) -> None:
    bits = trained_bits()
    pads = dict.fromkeys(("WeightsLessPad", "MeanLessPad", "ResidualLessPad"), bits)
    pads |= {kind: n for kind, n in PADS.items() if any(s.kind.kind == kind for s in transcript)}
    assert len(pads) == 6
    assert not_uniform(transcript, pads) == set()


def trained_bits() -> int:
    return Plan(SMALL, 24, 471).slots[0].g_bits


def test_what_travels_in_scoring() -> None:
    transcript = scored(2)
    assert audit.undeclared(transcript, declared()) == []
    kinds = {sent.kind for sent in transcript}
    assert {k.kind for k in kinds if k.disclosure is Disclosure.REVEALED} == OPENED
    assert {k.kind for k in kinds if k.disclosure is Disclosure.PUBLIC} <= SIZES | NAMES | KEYS
    pads = {kind: n for kind, n in PADS.items() if any(s.kind.kind == kind for s in transcript)}
    assert set(pads) == set(PADS) - {"PaddedPredictor"}
    assert not_uniform(transcript, pads) == set()
    once = scored(1)
    assert not_uniform(once, {"RowPads": 64, "NetworkScores": 128}) == set()
    sums = numbers(once, "ResharedSums")["arbiter"]
    for values, bits in ((sums[:120], 64), (sums[120:], 128)):  # of the first layer, and of the second
        assert not audit.not_uniform([v << (256 - bits) for v in values], 256)


def scored(times: int) -> list[Sent]:
    """Of several scorings of the same rows."""
    transcript, one = list[Sent](), Scorer(SMALL, WIDTHS)
    for _ in range(times):
        one.scores(one.blocks, list(range(40)), {p: [Recording(p, transcript)] for p in PARTIES})
    return transcript


class Held:
    """The sums as the arbiter has them, as 128-bit numbers: its share when they were shared anew."""

    def __init__(self, patch: pytest.MonkeyPatch, *, padded: bool = True) -> None:
        self.values, honest = list[int](), scoring.reshared

        def reshared(session: Any, bits: int, z: PlainVec, pads: PlainVec | None) -> PlainVec:
            pads = pads if padded or pads is None else PlainVec.zeros(len(pads))
            found = honest(session, bits, z, pads)
            self.values += found.shift_left(128 - bits).to_ints() if session.me == "arbiter" else []
            return found

        patch.setattr(scoring, "reshared", reshared)


def test_a_row_that_is_scored_again_repeats_its_pads_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the declarations say: the guest sees that the host's values are the same, the arbiter that all are."""
    held = Held(monkeypatch)
    twice = scored(2)
    told = [numbers([s for s in twice if s.sender == h], "RowPads")["guest"] for h in ("host1", "host2")]
    for values, units in ((told[0], 3), (told[1], 3), (held.values, 3 + 2)):
        assert values[: len(values) // 2] == values[len(values) // 2 :]
        assert len(set(values)) == len(values) // 2 == 40 * units
    for kind in ("PaddedFactor", "HiddenParts", "ErrorShare", "NetworkScores", "ResharedSums"):
        for values in numbers(twice, kind).values():
            assert not set(values[: len(values) // 2]) & set(values[len(values) // 2 :])


def test_the_arbiter_holds_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """And would hold every unit's, where rows had no pads."""
    held = Held(monkeypatch)
    scored(1)
    assert not audit.not_uniform([value << 128 for value in held.values], 256)
    bare = Held(monkeypatch, padded=False)
    scored(1)
    for values in (bare.values[:120], bare.values[120:]):
        assert audit.not_uniform([value << 128 for value in values], 256)


class Stopped:
    """A training that may end early, under a key with room for its signs."""

    def __init__(self) -> None:
        self.transcript, scheme = list[Sent](), Escrow(Paillier(1024))
        taps: dict[str, Any] = {party: [Recording(party, self.transcript)] for party in ("guest", "host1", "arbiter")}
        self.trained = Trained(replace(STOPS, epochs=2), scheme=scheme, taps=taps)
        self.key, self.keys = scheme.keys[0], Keyring()
        self.keys.add(self.key.public)

    def of(self, kind: type[Message]) -> list[Sent]:
        return [sent for sent in self.transcript if sent.kind is kind]

    def told(self, party: str) -> list[str]:
        """The kinds of what a party learns, in their order."""
        return [
            sent.kind.kind
            for sent in self.transcript
            if sent.receiver == party and sent.kind.permit == "loss-verdict-to-parties"
        ]

    @property
    def signs(self) -> list[int]:
        return [v for s in self.of(stopping.EpochSign) for v in self.key.open(s.vectors(self.keys)[0], 960).to_ints()]


def test_what_early_stopping_adds() -> None:
    """One blinded sign per epoch but the first to the arbiter, a bit to the guest; hosts hear whether training ends."""
    one = Stopped()
    assert audit.undeclared(one.transcript, declared()) == []
    assert audit.unrandomised(one.transcript, one.keys) == []
    assert audit.repeated(one.transcript, one.keys) == []
    assert one.told("arbiter") == ["EpochSign"]
    assert one.told("guest") == ["BetterEpoch", "EpochVerdict"] * 2
    assert one.told("host1") == ["EpochVerdict"] * 2
    verdicts = [sent.message(one.keys) for sent in one.of(stopping.EpochVerdict) if sent.receiver == "host1"]
    assert [verdict.best for verdict in verdicts] == [0, one.trained.told[2]]  # type: ignore[attr-defined]
    assert min(abs(value).bit_length() for value in one.signs) > 480  # the factors'
    padded = numbers(one.transcript, "PaddedFactors")
    assert len(padded["arbiter"]) == len(one.trained.known) * 2  # one product for each held-out row and epoch
    assert not any(audit.not_uniform(values, 256) for values in padded.values())


# -- planted faults


def test_a_difference_of_losses_that_is_opened_bare_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "blinded", unblinded)
    assert max(abs(value).bit_length() for value in Stopped().signs) < 100


def test_a_missing_pad_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Dealt.open

    def bare(self: Dealt, channel: Any, **factors: PlainVec) -> None:
        self.pads = {name: pad if name[0] != "D" else PlainVec.zeros(len(pad)) for name, pad in self.pads.items()}
        honest(self, channel, **factors)

    monkeypatch.setattr(Dealt, "open", bare)
    assert not_uniform(trained(ONE_STEP), {"PaddedFactor": 128}) != set()


def test_a_residual_without_its_pad_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    none = property(lambda self: PlainVec.zeros(len(self.predictor)))
    monkeypatch.setattr(first_layer.UnitPads, "residual", none)
    found = not_uniform(trained(ONE_STEP), dict.fromkeys(("MeanLessPad", "ResidualLessPad"), trained_bits()))
    assert "ResidualLessPad to host1" in found
