"""Pads of sealed trees meet one value each: a party whose folder was rolled back sends the same bytes again, no pad is
stored, and a run that starts afresh has other keys."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols.boosting import keys, prepare, sealed_arbiter, sealed_guest, sealed_host
from protocols.boosting.keys import PairKey, PairKeys
from protocols.boosting.leaves import MaskedLeaves
from protocols.boosting.product import DirectionShare, ShareLessPad
from protocols.boosting.sealed import LevelShares
from protocols.cipher import Identity, Keyring
from protocols.message import Message
from protocols.randomness import Seed
from protocols.recovery.checkpoint import START
from protocols.session import Session
from tests.harness import Recording, Sent
from tests.promises.recovery.interrupted import Interrupted, MemoryKeeper
from tests.promises.recovery.resumed import trees
from tests.unit.protocols.boosting.samples import drawn_from, small
from tests.unit.protocols.boosting.world import bin_blocks, train

PARTIES = ("guest", "host1", "arbiter")
CASES: dict[str, Callable[[], Any]] = {
    "sealed": partial(trees, "sealed", n_estimators=5, max_depth=2),
    "continued": partial(trees, "sealed", n_estimators=6, first=1),
}


@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("case", CASES)
def test_a_party_whose_folder_was_rolled_back_sends_the_same_bytes(case: str, party: str) -> None:
    """After the end, to what it was half-way, or to nothing: all resume from what that party still has, and every
    message is what it was (`Interrupted` compares them)."""
    roles, programs, scheme = CASES[case]()
    whole = Interrupted(roles, programs, scheme)
    expected = whole.attempt()
    seen = whole.killers[party].seen
    for earlier in (None, seen // 2):
        run = Interrupted(roles, programs, scheme)
        old = MemoryKeeper()
        if earlier:
            assert run.attempt(party, earlier) is None
            old = copy.deepcopy(run.keepers[party])
        assert run.attempt() == expected
        latest, run.keepers[party] = max(run.keepers[party].checkpoints), old
        assert run.attempt() == expected
        assert run.goals[-1] < latest
        assert earlier is not None or run.goals[-1] == START
        assert run.hashes == whole.hashes


def test_planted_pads_that_meet_another_value_after_a_rollback_are_found() -> None:
    """A dealer that draws anew under keys that stayed: the first message with another value under the same pad is
    noticed."""
    roles, programs, scheme = CASES["sealed"]()
    run = Interrupted(roles, programs, scheme)
    assert run.attempt("guest", 60) is None
    run.keepers["host1"] = MemoryKeeper()
    run.seeds["host1"] = bytes(32)
    with pytest.raises(AssertionError, match="has another content"):
        run.attempt()


# -- what a stopped party's disk holds


def masks(patch: pytest.MonkeyPatch) -> set[int]:
    """Fills with all numbers, from 2^32 on, that mask something in trainings: pads, masks of sums, guards."""
    found = set[int]()

    def noted(module: Any, name: str) -> None:
        whole = getattr(module, name)

        def noting(*args: Any, **named: Any) -> Any:
            drawn = whole(*args, **named)
            found.update(value for value in drawn.to_ints() if abs(value) >= 1 << 32)
            return drawn

        patch.setattr(module, name, noting)

    for name in ("part_pads", "send_masked", "guards"):
        noted(prepare, name)
    return found


def stored(run: Interrupted) -> tuple[bytes, int]:
    """All that the parties' stores hold, and how many names of pads."""
    arrays = b"".join(packed for keeper in run.keepers.values() for _, packed in keeper.checkpoints.values())
    heard = (data for keeper in run.keepers.values() for stage in keeper.journal.values() for data in stage.values())
    spent = sum(len(keeper.spent) for keeper in run.keepers.values())
    spent += sum(len(pads.files) + len(pads.spent) for pads in run.pads.values())
    return arrays + b"".join(itertools.chain.from_iterable(heard)), spent


def in_store(found: set[int], held: bytes) -> int:
    """How many of the numbers are in it, by their lowest eight bytes."""
    return sum((value & (1 << 64) - 1).to_bytes(8, "little") in held for value in found)


@pytest.mark.parametrize("planted", [False, True])
def test_no_pad_of_sealed_trees_is_stored_so_none_is_marked_as_spent(
    planted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle and resumed.  Planted: a build that keeps a tree's pads with its checkpoint."""
    found = masks(monkeypatch)
    if planted:
        save = sealed_arbiter.ArbiterState.save

        def more(self: Any) -> Any:
            pads = [value & (1 << 64) - 1 for value in itertools.islice(found, 20)]
            return save(self) | {"pads": np.array(pads, dtype=np.uint64)}

        monkeypatch.setattr(sealed_arbiter.ArbiterState, "save", more)
    roles, programs, scheme = CASES["sealed"]()
    run = Interrupted(roles, programs, scheme)
    assert run.attempt("guest", 60) is None
    halfway, _ = stored(run)
    assert run.attempt() is not None
    held, spent = stored(run)
    assert len(found) > 300
    assert (in_store(found, held + halfway) > 0) == planted
    assert spent == 0


# -- a run that starts afresh


def recorded(seed: int) -> list[Sent]:
    """All messages of a small training whose first split is the host's, on one column; seed: of all parties' runs."""
    p, sent = small(n_estimators=1), list[Sent]()
    x = np.random.default_rng(3).normal(size=(80, 3))
    blocks, y = bin_blocks([np.ones((80, 1)), x], p), (x[:, 0] > 0).astype(np.float64)
    train(blocks, y, p, Identity(1024), taps={q: [Recording(q, sent)] for q in PARTIES}, randomness=drawn_from(seed, 1))
    return sent


def numbers(sent: list[Sent], kind: type[Message], receiver: str) -> list[int]:
    """What the first message of a kind to a receiver holds, row by row; of several senders the guest's."""
    to_it = [s for s in sent if s.kind is kind and s.receiver == receiver]
    message: Any = next((s for s in to_it if s.sender == "guest"), to_it[0]).message(Keyring())
    if kind is MaskedLeaves:
        return np.frombuffer(message.values, dtype="<u2")[::3].tolist()
    if kind is LevelShares:
        return list(message.shares.to_ints())
    if kind is DirectionShare:
        return list(message.s.to_ints())
    return np.frombuffer(message.u, dtype="<u2")[::3].tolist()


def repeats(first: list[Sent], second: list[Sent]) -> dict[str, float]:
    """The part of numbers under a pad that differ by 1 at most between both runs, by kind: what the pads hide is a bit,
    or 0."""
    found = {}
    for kind, receiver in (
        (ShareLessPad, "host1"),
        (DirectionShare, "guest"),
        (MaskedLeaves, "guest"),
        (LevelShares, "guest"),
    ):
        one, two = numbers(first, kind, receiver), numbers(second, kind, receiver)
        size = min(len(one), len(two))
        found[kind.kind] = sum(abs(a - b) <= 1 for a, b in zip(one[:size], two[:size], strict=True)) / size
    return found


def test_a_run_that_starts_afresh_has_other_keys_and_pads() -> None:
    first, second = recorded(1), recorded(2)
    pairs = [{s.data for s in sent if s.kind is PairKey} for sent in (first, second)]
    assert len(pairs[0]) == len(pairs[1]) == 3
    assert not pairs[0] & pairs[1]
    assert max(repeats(first, second).values()) < 0.05


@contextmanager
def same_keys() -> Iterator[None]:
    """A build whose keys of pairs do not depend on the run."""

    def agree(session: Session) -> PairKeys:
        honest(session)
        others = [p for p in session.channels if not (p.startswith("host") and session.me.startswith("host"))]
        return PairKeys({p: Seed(p, "".join(sorted((p, session.me))).encode().ljust(32)[:32]) for p in others})

    honest = keys.agree
    with pytest.MonkeyPatch.context() as patch:
        for module in (sealed_guest, sealed_host, sealed_arbiter):
            patch.setattr(module, "agree", agree)
        yield


def test_planted_keys_that_outlive_a_run_are_found() -> None:
    """Shares of the root's rows less the same pad are the same number; directions under the same pad differ by a
    bit."""
    with same_keys():
        found = repeats(recorded(1), recorded(2))
    assert found["ShareLessPad"] == 1
    assert found["DirectionShare"] == 1
    assert found["LevelShares"] < 0.05  # these pads are the arbiter's alone
