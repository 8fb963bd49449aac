"""The cut of a shared number is the number's, never one unit off: with carries and wraps planted at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting import exact_cut
from protocols.boosting.exact_cut import CutOpening, Cuts, Step, ones, steps_of
from protocols.boosting.rings import BITS, Words
from protocols.cipher import Identity, Keyring
from protocols.errors import RemoteProtocolError
from protocols.local import run_local
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.session import Roles, Session
from tests.harness import Recording, Sent

Ints = NDArray[np.int64]
ROLES = Roles("guest", ("host",), "arbiter")
SEEDS = Seed("host", b"a" * 32), Seed("host", b"b" * 32)
KEYS = Seed("host", b"c" * 32)


def dealt(cells: int, steps: Sequence[Step]) -> tuple[Cuts, Cuts]:
    (mine, theirs), upper = exact_cut.deal(SEEDS, KEYS, cells, steps)
    first = exact_cut.material(SEEDS[0], mine, upper, cells, steps)
    return first, exact_cut.material(SEEDS[1], theirs, None, cells, steps)


def cut(share: tuple[Words, Words], both: tuple[Cuts, Cuts], taps: Any = None) -> Words:
    """The sum of both parties' shares after all steps of one number each, without the unused upper bits."""
    part = Part(0, 1, 0, share[0].shape[1])

    def party(session: Session, own: Words, cuts: Cuts, peer: str) -> Words:
        for k in range(len(cuts.steps)):
            own = cuts.cut(k, own, session.channels[peer], part)
        return own

    programs = {
        "guest": partial(party, own=share[0], cuts=both[0], peer="arbiter"),
        "arbiter": partial(party, own=share[1], cuts=both[1], peer="guest"),
        "host": lambda session: None,
    }
    found = run_local(ROLES, programs, Identity(), taps=taps, deadline=20.0)
    last = both[0].steps[-1]
    return np.asarray((found["guest"] + found["arbiter"]) & ones(last.width - last.drop))


def shared(x: Ints, seed: int = 0) -> tuple[Words, Words]:
    """Uniform shares modulo 2^48, in words whose upper bits mean nothing."""
    words = Seed("test", bytes([seed]) * 32).words(x.size).reshape(x.shape)
    return words, x.view(np.uint64) - words


def planted(drop: int, mask: Words) -> Ints:
    """(cells,) numbers at which a borrow, a carry or a wrap of the ring is decided, given the mask of each cell."""
    unit, top = 1 << drop, 1 << BITS
    rng = np.random.default_rng(drop)
    low = (mask & ones(drop)).astype(np.int64)
    at = rng.integers(-(1 << 20), 1 << 20, len(mask)) << drop
    edges: list[Any] = [0, -1, 1, unit - 1, unit, -unit, top // 2 - 1, -top // 2, at, at - 1, at + unit - 1]
    edges += [-low, -low - 1, unit - low, unit - low - 1]  # y_0 is 0, or 2^drop - 1
    edges += [-mask.astype(np.int64), -mask.astype(np.int64) - 1]  # y is 0, or 2^48 - 1
    whole = np.array([np.broadcast_to(edge, mask.shape) for edge in edges])
    return np.asarray(whole[np.arange(len(mask)) % len(edges), np.arange(len(mask))])


@pytest.mark.parametrize("drop", [1, 5, 10])
def test_one_step_is_exact_where_a_borrow_is_decided(drop: int) -> None:
    cells, steps = 1700, [Step(1, drop, BITS)]
    both = dealt(cells, steps)
    x = planted(drop, (both[0].masks + both[1].masks)[0] & ones(BITS))
    assert np.array_equal(cut(shared(x[np.newaxis]), both)[0], (x >> drop).view(np.uint64) & ones(BITS - drop))


@pytest.mark.parametrize("drop", [10, 11, 13, 20, 30])
def test_several_steps_are_one_cut(drop: int) -> None:
    steps = steps_of(drop, BITS)
    assert sum(step.drop for step in steps) == drop
    assert max(step.drop for step in steps) <= exact_cut.MOST
    both = dealt(1700, steps)
    x = planted(drop, (both[0].masks + both[1].masks)[0] & ones(BITS))
    assert np.array_equal(cut(shared(x[np.newaxis]), both)[0], (x >> drop).view(np.uint64) & ones(BITS - drop))


def test_a_slice_of_the_material_cuts_its_cells() -> None:
    x = np.arange(40, dtype=np.int64)[np.newaxis] * 1000 - 17
    one, other = dealt(40, steps_of(20, BITS))
    for first, last in ((0, 40), (7, 8), (3, 31)):
        here = slice(first, last)
        found = cut(shared(x[:, here]), (one.take(first, last), other.take(first, last)))
        assert np.array_equal(found, (x[:, here] >> 20).view(np.uint64) & ones(BITS - 20))


def test_a_planted_local_cut_is_off_by_one() -> None:
    """Of the same numbers: each holder cuts its own share, as cuts.py does."""
    x = planted(10, SEEDS[0].words(1700))
    mine, theirs = shared(x)
    local = ((mine & ones(BITS)) >> np.uint64(10)) + ((theirs & ones(BITS)) >> np.uint64(10))
    assert 0.2 < ((local & ones(38)) != (x >> 10).view(np.uint64) & ones(38)).mean() < 0.8


def test_nothing_but_uniform_numbers_is_sent_and_words_are_masked_to_their_width() -> None:
    """The words of a share have garbage above its width, which stays at home."""
    sent: list[Sent] = []
    both, x = dealt(500, [Step(1, 8, 28)]), np.zeros((1, 500), dtype=np.int64)
    cut(shared(x), both, taps={q: [Recording(q, sent)] for q in ("guest", "arbiter")})
    assert {s.kind for s in sent} == {CutOpening}
    for message in sent:
        words = np.frombuffer(message.message(Keyring()).masked, np.uint8).reshape(-1, 6)  # type: ignore[attr-defined]
        assert not words[:, 4:].any()
        assert words[:, 3].max() < 16
        assert len(np.unique(words[:, :3], axis=0)) > 490


def test_an_opening_of_another_length_names_its_sender() -> None:
    one, other = dealt(5, [Step(1, 8, 28)])
    short = shared(np.zeros((1, 4), dtype=np.int64))[1]
    with pytest.raises(RemoteProtocolError) as refused:
        cut((shared(np.zeros((1, 5), dtype=np.int64))[0], short), (one, other.take(0, 4)))
    assert refused.value.party in ("guest", "arbiter")
