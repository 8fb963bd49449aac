"""Vertical networks (perceptrons with one or two hidden layers) whose weights, sums, activations and gradients nobody
sees.

Source: the vertical setting of Yang et al. 2019; the gradient steps of Rumelhart, Hinton, Williams 1986 by mini-batches
with momentum, as scikit-learn's MLPClassifier makes them.  Unlike split learning, no embedding and no gradient is opened.
Adversary: honest but curious; collusions are named in docs/threat-model.md.

 step    data party P (a host, or the guest itself)    guest                                    arbiter (sk; holds every b_P)
  0      checks n             <--------------------------------------------------------------  PublicKeyOffer (key_offer.py)
         Columns (hosts) ->  and  ---------------------------------------------------------->
                              <-----------------------  NetworkStart: n, all columns, name -->
                              <-----------------------  RowOrder (mini-batches), to hosts       batches.py
 each chunk of epochs: ChunkNonce, ChunkNonces (attempts.py); then for the first epoch's batches the pads of all its epochs (preparation.py)
 each epoch and batch:
  1      the first layer's sums, shared by guest and arbiter                                    first_layer.py
  2                                                     activations, further layers, back       layers.py
  3      its share of its first-layer gradients                                                 its shares of all of them
  4      weights move, at every holder of a share                                               descent.py
     where the job stops early: a verdict on held-out rows when an epoch is over                stopping.py
 at the end: TrainingStored, AllStored (attempts.py); all keep their shares modulo 2^64 (shares.py), from which rows are scored (scoring.py)

First-layer weights are shared between their data party and the arbiter, further ones between guest and arbiter.  Initial
ones are drawn as two shares, so that nobody knows them.
Who learns what: guest and arbiter each party's number of columns, hosts that of all together, all the number of rows;
the arbiter after each look-up how many rows are near the table's edge, which ends training if there is one; nobody
anything else.
Cost per row, unit and epoch: that of a prepared regression's iteration, and a second curve of its look-up.
Error: docs/protocols/network.md.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import DecryptionKey, EncryptionKey, key_offer
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import attempts, pair_masks
from protocols.glm.batches import SEED, Batches, RowOrder, Rows
from protocols.glm.plan import Step
from protocols.glm.preparation import Pads
from protocols.glm.shares import WeightShares, Words, words_of
from protocols.glm.training import Columns, accepted_key, receive_columns
from protocols.message import PUBLIC, Message
from protocols.network import first_layer, layers, stopping
from protocols.network.descent import Descent, Share, initial, without
from protocols.network.first_layer import UnitPads
from protocols.network.plan import UNIT, Chunk, Plan, Terms, check, further_count
from protocols.network.stopping import HeldOut, Look
from protocols.network.watch import End, Watch
from protocols.randomness import Seed
from protocols.session import Session


class NetworkStart(
    Message,
    disclosure=PUBLIC,
    learns=(
        "the number of training rows, the number of columns of all parties together, and a random name for the model"
    ),
):
    rows: int
    columns: int
    model_id: bytes  # (16,)


@dataclass(frozen=True)
class Trained:
    """A data party's shares of its weights, the name of the model, after how many epochs training ended, how, and after
    which of them the weights are from; at the guest how many weights each host has in each unit.

    shares: (1, units, width) of first-layer weights; at the guest each unit's row ends in its intercept, and
    `further` stands behind it, laid into rows of one length (`laid`)."""

    shares: WeightShares
    model_id: bytes
    columns: dict[str, int]
    epochs: int
    end: End
    best: int


@dataclass(frozen=True)
class Kept:
    """What the arbiter keeps: the model's name, and by party its shares, as of Trained."""

    model_id: bytes
    shares: dict[str, WeightShares] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Turn:
    """One iteration: the rows of a batch, by their places and their number, and this party's pads; held_out: those of
    held-out rows, where it ends an epoch and these decide when training ends."""

    number: int
    rows: Rows
    count: int
    pads: UnitPads
    held_out: UnitPads | None = None


def guest(
    session: Session,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    terms: Terms,
    model_id: bytes,
    weights: NDArray[np.float64] | None = None,
    held_out: HeldOut | None = None,
) -> Trained:
    """x (n, d) float64, standardised and limited to terms.clip; y (n,) 0 and 1, or standardised numbers; model_id (16,)
    bytes; weights (n,) of rows, above 0, where terms say that they have any; held_out: what decides when training ends,
    where terms say that anything does.

    Learns: how many columns each host has; with held_out which epochs were better.  Raises ConfigError (sizes,
    head-room), DataError (a training that diverges), InvalidKey, ProtocolError, TooFewHeldOut.
    """
    check(terms, len(x))
    decide = (0, None) if held_out is None else (len(held_out.x), held_out.weights)
    stopping.check_held_out(session, terms, *decide)
    key = accepted_key(session)
    block = first_layer.block_of(x, intercept=True)
    session.arbiter.send(Columns(block.width))
    columns = {host: receive_columns(session, host) for host in session.roles.hosts}
    for name, count in columns.items():
        session.allowance.partner_columns(name, count)
    session.allowance.training(label_numbers(terms, columns, model_id), len(x), begins=session.ahead is None)
    everywhere = block.width - 1 + sum(columns.values())
    broadcast([*session.hosts, session.arbiter], NetworkStart(len(x), everywhere, model_id))
    plan = Plan(terms, len(x), key.plain_bits)
    order = plan.order(announce_order(session, plan))
    pair_masks.relay(session)
    share = first_weights(session, terms, block.width, everywhere)
    descent = Descent({session.me: share, **further_weights(session, terms)}, watch_of(terms, key))
    look = None if held_out is None else Look.of(plan, held_out)

    def prepare(rows: Rows | None, _: int, name: bytes) -> list[Pads]:
        if rows is not None:
            return first_layer.prepare_guest(session, plan, block.take(rows), name)
        return [] if look is None else first_layer.prepare_guest(session, plan, look.block, name, trains=False)

    for turn, _ in turns(session, plan, order, descent, model_id, prepare):
        here, own = block.take(turn.rows), descent.shares[session.me]
        _, z = first_layer.forward_guest(session, plan, turn.pads, here, own)  # 1
        own_weights = None if weights is None else weights[turn.rows]
        found = layers.propagate(session, plan, z, descent.shares, y[turn.rows], own_weights)  # 2
        e = first_layer.propagate_guest(session, plan, found.to_first)
        gradient = first_layer.gradient(session, plan, turn.pads, here, e)  # 3
        own.step(plan, turn.count, gradient, UNIT, without(own.weights, block.width, 1))  # 4
        descend_further(plan, turn.count, descent, found)
        if look is not None and turn.held_out is not None:
            stopping.guest(session, look, descent, turn.held_out, model_id)
    attempts.end(session, model_id)
    words = np.concatenate([matrix(descent.shares[session.me], terms), laid(descent, terms)], axis=1)
    return Trained(WeightShares.first(words, model_id), model_id, columns, *how(terms, descent))


def host(
    session: Session, x: NDArray[np.float64], terms: Terms, held_out: NDArray[np.float64] | None = None
) -> Trained:
    """x (n, d) float64, standardised and limited, rows in the shared order; held_out (m, d), as at the guest.

    Learns: nothing but sizes; with held_out when training ended and which epoch was best.  Raises ConfigError,
    InvalidKey, ProtocolError, TooFewHeldOut.
    """
    check(terms, len(x))
    stopping.check_held_out(session, terms, 0 if held_out is None else len(held_out))
    key = accepted_key(session)
    block = first_layer.block_of(x, intercept=False)
    broadcast([session.guest, session.arbiter], Columns(block.width))
    start = receive_start(session)
    if start.rows != len(x) or start.columns < block.width:
        raise RemoteProtocolError(f"{session.roles.guest} trains on other rows or columns", party=session.roles.guest)
    plan = Plan(terms, len(x), key.plain_bits)
    order = plan.order(receive_order(session, plan))
    masks = pair_masks.agree(session, "network predictor")
    descent = Descent({session.me: first_weights(session, terms, block.width, start.columns)}, watch_of(terms))
    look = None if held_out is None else Look(plan, first_layer.block_of(held_out, intercept=False))

    def prepare(rows: Rows | None, _: int, name: bytes) -> list[Pads]:
        if rows is not None:
            return first_layer.prepare_host(session, plan, block.take(rows), name)
        return [] if look is None else first_layer.prepare_host(session, plan, look.block, name, trains=False)

    for turn, name in turns(session, plan, order, descent, start.model_id, prepare):
        here, own = block.take(turn.rows), descent.shares[session.me]
        between = masks.apart(name.hex())
        first_layer.forward_host(session, plan, turn.pads, here, own, between, turn.number)  # 1
        layers.deal(session, plan, turn.count)  # 2
        e = first_layer.propagate_host(session, plan, turn.count)
        gradient = first_layer.gradient(session, plan, turn.pads, here, e)  # 3
        own.step(plan, turn.count, gradient, UNIT, own.weights)  # 4
        if look is not None and turn.held_out is not None:
            stopping.host(session, look, descent, turn.held_out, between)
    attempts.end(session, start.model_id)
    words = matrix(descent.shares[session.me], terms)
    return Trained(WeightShares.first(words, start.model_id), start.model_id, {}, *how(terms, descent))


def arbiter(session: Session, key: DecryptionKey, terms: Terms) -> Kept:
    """Opens masked numbers only, and keeps its shares.

    Learns: sizes; where training may end early which epochs were better.  Raises DataError where the training diverges,
    ProtocolError."""
    if session.keys.of(session.me) is None:
        key_offer.offer(session, key)
    columns = {party: receive_columns(session, party) for party in session.roles.data_parties}
    start = receive_start(session)
    check(terms, start.rows)
    if start.columns != sum(columns.values()) - 1:
        raise RemoteProtocolError(f"{session.roles.guest} announced other columns", party=session.roles.guest)
    plan = Plan(terms, start.rows, key.public.plain_bits)
    first = {party: first_weights(session, terms, count, start.columns) for party, count in columns.items()}
    descent = Descent({**first, **further_weights(session, terms)}, watch_of(terms))

    def prepare(rows: Rows | None, count: int, name: bytes) -> list[Pads]:
        if rows is not None:
            return first_layer.prepare_arbiter(session, key, plan, columns, count, name)
        return [] if terms.stopping is None else stopping.prepare_arbiter(session, key, plan, columns, name)

    for turn, _ in turns(session, plan, plan.order(EMPTY), descent, start.model_id, prepare):
        own = {party: descent.shares[party] for party in columns}
        z = first_layer.forward_arbiter(session, plan, turn.pads, own)  # 1
        found = layers.propagate(session, plan, z, descent.shares, None)  # 2
        first_layer.propagate_arbiter(session, plan, turn.pads, found.to_first)
        for party, share in own.items():
            penalised = without(share.weights, columns[party], int(party == session.roles.guest))
            share.step(plan, turn.count, turn.pads.gradient(party), UNIT, penalised)  # 3, 4
        descend_further(plan, turn.count, descent, found)
        if turn.held_out is not None:
            stopping.arbiter(session, key, plan, descent, turn.held_out, start.model_id)
    attempts.end(session, start.model_id)
    words = {party: matrix(descent.shares[party], terms) for party in columns}
    words[session.roles.guest] = np.concatenate([words[session.roles.guest], laid(descent, terms)], axis=1)
    kept = {party: WeightShares.first(one, start.model_id) for party, one in words.items()}
    return Kept(start.model_id, kept)


EMPTY = Seed("", bytes(32))  # the arbiter takes no row: only the batches' sizes matter to it


def turns(
    session: Session,
    plan: Plan,
    order: Batches,
    descent: Descent,
    model_id: bytes,
    prepare: Callable[[Rows | None, int, bytes], list[Pads]],
) -> Iterator[tuple[Turn, bytes]]:
    """Every iteration, and the name of its attempt.  A chunk is one step of the run: a party that stops within it
    resumes from its beginning, and all prepare other pads.  prepare: for the rows of a batch, and their number, or
    without rows for those that are held out."""
    total = plan.terms.epochs * plan.batches

    def size(chunk: Chunk) -> int:
        return chunk.epochs * plan.batches

    for chunk in session.steps("train", plan.chunks, descent, descent.is_over, size=size):
        name, _ = attempts.begin(session, model_id)
        ready, held_out = dict[int, list[Pads]](), prepare(None, 0, name)
        for epoch in range(chunk.epochs):
            for batch in range(0 if descent.is_over() else plan.batches):
                number = (chunk.first + epoch) * plan.batches + batch
                rows = order.of(Step(0, 0, False, number))
                session.observer.step("train", number, total)
                count = plan.rows * (batch + 1) // plan.batches - plan.rows * batch // plan.batches
                if epoch == 0:
                    ready[batch] = prepare(rows, count, name)
                ends = bool(held_out) and batch + 1 == plan.batches
                evaluated = first_layer.spend(plan, held_out, epoch) if ends else None
                yield Turn(number, rows, count, first_layer.spend(plan, ready[batch], epoch), evaluated), name
                if epoch + 1 == chunk.epochs:
                    del ready[batch]


def announce_order(session: Session, plan: Plan) -> Seed | None:
    """The guest's side of the order of rows, of several batches: public where the job names it, else a secret that the
    data parties share."""
    if plan.batches == 1:
        return None
    if plan.terms.order is not None:
        return of_job(plan.terms.order)
    seed = session.seed("row order")
    broadcast(session.hosts, RowOrder(seed.secret))
    return seed


def receive_order(session: Session, plan: Plan) -> Seed | None:
    """A host's side."""
    if plan.batches == 1:
        return None
    if plan.terms.order is not None:
        return of_job(plan.terms.order)
    seed = session.guest.recv(RowOrder).seed
    check_lengths(session.roles.guest, SEED, seed, what="bytes of a seed")
    return Seed(session.roles.guest, seed)


def of_job(number: int) -> Seed:
    """The order that a number of the job stands for."""
    return Seed("", hashlib.sha256(b"vfl network order|%d" % number).digest())


def receive_start(session: Session) -> NetworkStart:
    start = session.guest.recv(NetworkStart)
    if not (1 <= start.rows < 1 << 40 and 1 <= start.columns < 1 << 26 and len(start.model_id) == 16):
        raise RemoteProtocolError(f"{session.roles.guest} announced an impossible training", party=session.roles.guest)
    return start


def label_numbers(terms: Terms, columns: Mapping[str, int], model_id: bytes) -> dict[str, dict[str, int]]:
    """What the training tells each host of the guest's labels: when it ended, from which the best epoch follows."""
    if terms.stopping is None:
        return {}
    return {f"the number of epochs of model {model_id[:4].hex()}": dict.fromkeys(columns, 1)}


def watch_of(terms: Terms, key: EncryptionKey | None = None) -> Watch | None:
    """Where training may end early; key: the arbiter's, at the guest."""
    return None if terms.stopping is None else Watch(terms.stopping, terms.epochs, key=key)


def how(terms: Terms, descent: Descent) -> tuple[int, End, int]:
    """After how many epochs training ended, how, and after which of them the weights are from."""
    watch = descent.watch
    return (terms.epochs, "planned", terms.epochs) if watch is None else (watch.made, watch.ended, watch.best)


def first_weights(session: Session, terms: Terms, width: int, columns: int) -> Share:
    """A holder's share of a data party's initial weights in the first layer (units width,), unit after unit."""
    seed = session.seed("initial weights")
    return Share.start(initial(seed, terms.units * width, terms.bound(0, columns)))


def further_weights(session: Session, terms: Terms) -> dict[str, Share]:
    """The same of the further layers, at the guest and the arbiter."""
    found = dict[str, Share]()
    for layer, (units, inputs) in enumerate(terms.further, 1):
        seed, bound = session.seed("initial weights"), terms.bound(layer, 0)
        found[f"W{layer}"] = Share.start(initial(seed.child("weights"), units * inputs, bound))
        found[f"C{layer}"] = Share.start(initial(seed.child("intercepts"), units, bound))
    return found


def descend_further(plan: Plan, rows: int, descent: Descent, found: layers.Propagated) -> None:
    """Step 4 of the further layers' weights, at the guest and the arbiter."""
    for name, (gradient, unit) in found.gradients.items():
        share = descent.shares[name]
        share.step(plan, rows, gradient, unit, share.weights if name.startswith("W") else None)


def matrix(share: Share, terms: Terms) -> Words:
    """A holder's share of first-layer weights (units, width) modulo 2^64, in units of 2^-WEIGHT."""
    return words_of(share.used).reshape(terms.units, -1)


def laid(descent: Descent, terms: Terms) -> Words:
    """A holder's shares of all further weights, one layer after the other, in as many rows as there are units in the
    first (units, extra)."""
    names = [f"{what}{layer}" for layer in range(1, terms.last + 1) for what in "WC"]
    flat = words_of(PlainVec.join([descent.shares[name].used for name in names]))
    extra = further_width(terms)
    return np.concatenate([flat, np.zeros(extra * terms.units - len(flat), np.uint64)]).reshape(terms.units, extra)


def further_width(terms: Terms) -> int:
    """How many further weights stand behind each unit's own at the guest."""
    return -(-further_count(terms.further) // terms.units)
