"""Scores of rows by a network that nobody knows: the guest learns the last layer's sum of each row, up to a small error
that is always the same, and nobody anything else.

Everything is exact, so that a row's score is a function of the model and of the row alone, in every bit.  Two things
would make it depend on the shares otherwise: in which of two cells a look-up finds a sum, and cuts.  So nothing is cut,
and before a look-up its sums are shared again, by pads that belong to the row.

 host P                                        guest (a data party too)                          arbiter (sk; holds every b_P)
 0             <-----------------------------  ScoringStart: model's name, number of rows  --->
     ChunkNonce, ChunkNonces: a new name for each attempt (glm/attempts.py), so that what is dealt serves one attempt
 1   both shares of all weights move on; products of columns and weights of each unit, masked, to the arbiter (glm/scoring.py)
     X_P a_P - m_P + masks that cancel in the hosts' sum
     HiddenParts  -------------------------->  its share of z_1, modulo 2^64                     its share: sum of X_P b_P + m_P
 2   further weights, shared modulo 2^64, become shares modulo 2^128 by one dealt product for each
 3   RowPads pi_P  -------------------------->  pi modulo 2^64: of the first layer the sum of all parties'
     of each hidden layer:                     pi modulo 2^128: of a further one its own, a function of that sum
                                               ResharedSums: its share of z + pi  ---------------->  its share of z from now on: z + pi
                                               its share from now on: - pi
     deals ---------------------------------->  look-up of the activation, and the product with the next layer's weights (layers.py)
 4   e_P in two shares: ErrorShare  --------->  adds it to its share              and to --->     adds it to its share
 5   TrainingStored, AllStored (glm/attempts.py): all have stored their shares, and repeat no part of the above
 6                                             adds up: the score       <---------------------   NetworkScores
               <-----------------------------  ScoresAdded  ---------------------------------->

pi_P and e_P are pseudo-random functions of the model, the row's id and P's own values of the row, under a key that P
alone has.  A pad of the first layer thus serves one value: where P's part of a row changes, so does its pad, and where it
does not, what it hides has the part that P knows unchanged, and the others' pads hide the rest.  Sums of a further layer
have no part of their own for each party.  Their pads are the guest's alone, and bound to the first layer's: where any
party's values change they do too, so that the arbiter never has two sums under one pad, whoever helps it but the guest and
the dealer (rows.py).  e_P is the host's error, uniform in half a step of 2^-score_bits to both sides.

Adversary: honest but curious.
Who learns what: the guest the scores; the arbiter how many rows are scored, how many sums are near the edge of the table,
which ends the scoring if there are any, and which rows were scored before with the same values; the guest for which of
these a host's values changed.  Hosts nothing.
Error: half a step of 2^-score_bits per host.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel, broadcast
from protocols.cipher import DecryptionKey
from protocols.codec import check_lengths
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm import attempts, dealt_products, pair_masks
from protocols.glm import scoring as products
from protocols.glm.links_on_shares import deal_curves
from protocols.glm.scoring import MAX_ROWS, MAX_SCORE, ScoresAdded, ScoringStart, check_model
from protocols.glm.shares import Moved, WeightShares, Words, integers_of
from protocols.look_up import CUT
from protocols.message import BLINDED, REVEALED, Message
from protocols.network import dealt, layers
from protocols.network.activations import FRACTION, hidden
from protocols.network.dealt import Dealt
from protocols.network.plan import UNIT, forward, further_count
from protocols.network.ring import columns_of, spread
from protocols.network.rows import FINEST, Layers, Own
from protocols.recovery.checkpoint import Arrays
from protocols.session import Session

LIFT = 1 << 62  # further weights are below it


class HiddenParts(
    Message,
    disclosure=BLINDED,
    learns="for each row and unit a uniform number: the sender's share of its part of a sum",
    in_blocks=True,
):
    values: PlainVec  # (units rows,) modulo 2^64


class RowPads(
    Message,
    disclosure=BLINDED,
    learns="for each row and unit a uniform number, the same whenever the sender's values of the row are",
    in_blocks=True,
):
    values: PlainVec  # (units rows,) modulo 2^64, of the first layer


class ResharedSums(
    Message,
    disclosure=BLINDED,
    learns=(
        "for each row and unit a uniform number; its sum with the receiver's share is uniform too, and the same "
        "whenever all parties' values of the row are"
    ),
    in_blocks=True,
):
    values: PlainVec  # (units rows,)


class ErrorShare(
    Message,
    disclosure=BLINDED,
    learns="for each row a uniform number: one of two shares of the sender's error",
    in_blocks=True,
):
    values: PlainVec  # (rows,) modulo 2^128


class NetworkScores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns="for each row, together with the receiver's share, the last layer's sum with the hosts' errors",
    in_blocks=True,
):
    values: PlainVec  # (rows,) modulo 2^128


def guest(session: Session, own: Own) -> tuple[NDArray[np.float64], Moved | None]:
    """The scores (rows, 1), and the guest's share of its weights from now on.  Learns: these scores.

    Raises DataError beyond 2^20, or where a sum is near the edge of the table; ProtocolError.
    """

    others, rows = [*session.hosts, session.arbiter], len(own.x)

    def compute() -> tuple[PlainVec, Moved | None]:
        broadcast(others, ScoringStart(own.model_id, rows))  # 0
        if not rows:
            return PlainVec.zeros(0), None
        attempts.begin(session, scored_name(own.model_id))
        pair_masks.relay(session)
        words, moved = products.part(session, products.Own(own.model_id, own.x, own.shares, True))  # 1
        assert moved is not None
        z = by_unit(words)
        for channel in session.hosts:
            z = z + row_blocks.receive_vector(channel, HiddenParts, len(z))
        further = lifted(session, moved.words[:, own.x.shape[1] :], own.layers)  # 2
        found = [score_block(session, own, z, further, here, rows) for here in own.layers.blocks(rows)]
        return PlainVec.join(found), moved

    def opened() -> NDArray[np.float64]:
        whole = share + row_blocks.receive_vector(session.arbiter, NetworkScores, rows)  # 6
        scores = np.array([value / 2.0**FINEST for value in whole.mod_2_128().to_ints()])
        if not np.all(np.abs(scores) < MAX_SCORE):
            raise DataError("a score is beyond 2^20", remedy="Check the columns for extreme values", party=session.me)
        broadcast(others, ScoresAdded(True))  # 6
        return scores

    share, moved = session.once(
        compute,
        lambda done: {"of scores": kept_share(done[0]), **products.saved(done[1])},
        lambda kept: (loaded_share(kept["of scores"]), products.loaded(kept)),
    )
    if not rows:
        return np.zeros((0, 1)), None
    attempts.end(session, scored_name(own.model_id))  # 5
    return session.once(opened, lambda found: {"scores": found}, lambda kept: kept["scores"])[:, np.newaxis], moved


def host(session: Session, own: Own) -> Moved | None:
    """A host's side.  Raises ModelError if the guest scores another model."""

    def compute() -> Moved | None:
        start = session.guest.recv(ScoringStart)  # 0
        check_model(session, start, own.model_id)
        check_lengths(session.roles.guest, start.rows, own.x)
        if not start.rows:
            return None
        attempts.begin(session, scored_name(own.model_id))
        masks = pair_masks.agree(session, "network score")
        words, moved = products.part(session, products.Own(own.model_id, own.x, own.shares, True))  # 1
        flat = np.ascontiguousarray(words.T).ravel()
        row_blocks.send_vector([session.guest], HiddenParts, integers_of(flat + masks.words(len(flat))))
        dealt_products.deal(session, further_count(own.layers.further))  # 2
        for here in own.layers.blocks(start.rows):
            serve_block(session, own, here)  # 3, 4
        return moved

    moved = session.once(compute, products.saved, products.loaded)
    if len(own.x):
        attempts.end(session, scored_name(own.model_id))  # 5
        session.once(lambda: session.guest.recv(ScoresAdded), lambda _: {}, lambda _: ScoresAdded(True))  # 6
    return moved


def arbiter(
    session: Session, key: DecryptionKey, model_id: bytes, layers_: Layers, held: Mapping[str, WeightShares]
) -> dict[str, Moved]:
    """The arbiter's side.  Learns: how many rows are scored.  Raises DataError where a sum is near the edge of the
    table, ModelError (another model, or shares that do not fit), ProtocolError."""

    def compute() -> tuple[PlainVec, dict[str, Moved]]:
        start = session.guest.recv(ScoringStart)  # 0
        check_model(session, start, model_id)
        if not 0 <= start.rows < MAX_ROWS:
            raise RemoteProtocolError(
                f"{session.roles.guest} scores an impossible number of rows", party=session.roles.guest
            )
        if not start.rows:
            return PlainVec.zeros(0), {}
        attempts.begin(session, scored_name(model_id))
        rows, units = start.rows, layers_.hidden[0]
        behind = -(-further_count(layers_.further) // units)
        widths = {p: one.latest.shape[1] - behind * (p == session.roles.guest) for p, one in held.items()}
        moved = {p: products.serve(session, key, p, one, rows, widths[p]) for p, one in held.items()}  # 1
        each = (products.opened(session.channels[party], key, (units, widths[party]), rows) for party in held)
        total: Words = reduce(np.add, each)
        words = moved[session.roles.guest].words[:, widths[session.roles.guest] :]
        further, z = lifted(session, words, layers_), by_unit(total)  # 2
        found = list[PlainVec]()
        for here in layers_.blocks(rows):
            count = here.stop - here.start
            block = layered(session, layers_, [], columns_of(z, (units, rows), here), further, count)  # 3
            found.append(with_errors(session, block))  # 4
        return PlainVec.join(found), moved

    def opened() -> None:
        row_blocks.send_vector([session.guest], NetworkScores, share)  # 6
        session.guest.recv(ScoresAdded)

    def saved(done: tuple[PlainVec, dict[str, Moved]]) -> Arrays:
        each = ((f"{p} {name}", array) for p, one in done[1].items() for name, array in products.saved(one).items())
        return {"of scores": kept_share(done[0]), **dict(each)}

    def loaded(kept: Arrays) -> tuple[PlainVec, dict[str, Moved]]:
        moved = {p: Moved(kept[f"{p} name"].tobytes(), kept[f"{p} share"]) for p in held if f"{p} name" in kept}
        return loaded_share(kept["of scores"]), moved

    share, moved = session.once(compute, saved, loaded)
    if len(share):
        attempts.end(session, scored_name(model_id))  # 5
        session.once(opened, lambda _: {}, lambda _: None)
    return moved


def scored_name(model_id: bytes) -> bytes:
    """Under which an attempt at a scoring begins: another name than that of the training, which may be over."""
    return hashlib.sha256(b"vfl network scored|" + model_id).digest()


def kept_share(share: PlainVec) -> NDArray[np.uint8]:
    """As a checkpoint stores it."""
    return np.frombuffer(share.to_bytes(), np.uint8)


def loaded_share(kept: NDArray[Any]) -> PlainVec:
    return PlainVec.from_bytes(kept.tobytes())


def by_unit(words: Words) -> PlainVec:
    """(rows, units) words as integers, unit after unit."""
    return integers_of(np.ascontiguousarray(words.T).ravel())


def score_block(
    session: Session, own: Own, z: PlainVec, further: dict[str, PlainVec], here: slice, rows: int
) -> PlainVec:
    """Steps 3 and 4 at the guest: its share of the scores of a block of rows; z: its shares of all rows' sums."""
    count, pads = here.stop - here.start, own.pads(here)
    for channel in session.hosts:
        pads = pads + row_blocks.receive_vector(channel, RowPads, len(pads))
    first, every = columns_of(z, (own.layers.hidden[0], rows), here), [pads, *own.bound_pads(here, pads)]
    return with_errors(session, layered(session, own.layers, every, first, further, count))  # 3, 4


def with_errors(session: Session, share: PlainVec) -> PlainVec:
    """Step 4: a share of scores with the shares of the hosts' errors, modulo 2^128."""
    for channel in session.hosts:
        share = share + row_blocks.receive_vector(channel, ErrorShare, len(share))
    return share.mod_2_128()


def serve_block(session: Session, own: Own, here: slice) -> None:
    """The same at a host."""
    count = here.stop - here.start
    row_blocks.send_vector([session.guest], RowPads, own.pads(here))
    dealt.deal(session, own.layers.scheme(count))
    for units in own.layers.hidden:
        deal_curves(session, units * count, 1)
    first = session.seed("error share").ring(count)  # 4
    row_blocks.send_vector([session.guest], ErrorShare, first)
    row_blocks.send_vector([session.arbiter], ErrorShare, (own.error(here) - first).mod_2_128())


def layered(
    session: Session,
    layers_: Layers,
    pads: list[PlainVec],
    z: PlainVec,
    further: dict[str, PlainVec],
    rows: int,
) -> PlainVec:
    """Step 3 at the guest, with the pads by layer, or at the arbiter, without: its share of the last layer's sums
    (rows,) in units of 2^-FINEST."""
    scheme, guests = layers_.scheme(rows), session.me == session.roles.guest
    products_ = dealt.guest(session, scheme) if guests else dealt.arbiter(session, scheme)
    for layer in range(len(layers_.hidden)):
        z = reshared(session, layers_.bits(layer), z, pads[layer] if guests else None)
        curve = hidden(layers_.activation, FINEST if layer else UNIT).value
        (values,) = layers.look_up(session, z, [curve], whole=True)
        z = summed(products_, layers.opposite(session), layer + 1, values, further, rows)
    return z


def reshared(session: Session, bits: int, z: PlainVec, pads: PlainVec | None) -> PlainVec:
    """This holder's share of the same sums from now on; pads: at the guest."""
    if pads is not None:
        row_blocks.send_vector([session.arbiter], ResharedSums, (z + pads).residue(bits))
        return -pads
    return (z + row_blocks.receive_vector(session.guest, ResharedSums, len(z))).residue(bits)


def summed(
    own: Dealt, other: Channel, layer: int, values: PlainVec, further: dict[str, PlainVec], rows: int
) -> PlainVec:
    """This holder's share of the sums of the layer after the `layer`-th hidden one, from its share of activations."""
    own.open(other, **{f"A{layer}": values, f"W{layer}": further[f"W{layer}"]})
    intercepts = further[f"C{layer}"].shift_left(FRACTION + CUT)
    return (own.multiply(forward(layer)) + spread(intercepts, rows)).mod_2_128()


def lifted(session: Session, words: Words, layers_: Layers) -> dict[str, PlainVec]:
    """Step 2 at the guest or the arbiter: its shares modulo 2^128 of the further weights, by name, from those modulo
    2^64 (units, extra).

    With a + b = w + LIFT + c 2^64 and w below LIFT, c is 1 where either of the two has its highest bit: the sum of both
    bits less their product."""
    count, guests = further_count(layers_.further), session.me == session.roles.guest
    own = words.ravel()[:count] + np.uint64(LIFT if guests else 0)
    high = PlainVec.from_i64((own >> np.uint64(63)).astype(np.int64))
    both = (
        dealt_products.guest(session, high, PlainVec.zeros(count)) if guests else dealt_products.arbiter(session, high)
    )
    numbers = PlainVec.from_ints([int(word) - (LIFT if guests else 0) for word in own])
    whole, found, first = (numbers - (high - both).shift_left(64)).mod_2_128(), dict[str, PlainVec](), 0
    for layer, (units, inputs) in enumerate(layers_.further, 1):
        for name, size in ((f"W{layer}", units * inputs), (f"C{layer}", units)):
            found[name] = whole.slice(first, first + size)
            first += size
    return found
