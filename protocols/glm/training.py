"""Vertical generalised linear models whose weights nobody holds: shared between each data party P and the arbiter, w_P
= a_P + b_P.

Source: the vertical setting and its roles are those of Hardy et al. 2017 (arXiv 1711.10677) and Yang et al. 2019;
unlike there, no gradient and no intermediate weight is opened to anybody (why that matters: docs/threat-model.md).
Adversary: honest but curious; collusions are named in docs/threat-model.md.

 step    data party P (a host, or the guest itself)       guest                                arbiter (sk; holds every b_P)
  0      checks n                <-----------------------------------------------------------  PublicKeyOffer (key_offer.py)
                                 <----------------------  TrainingStart: ceil(log2 n) -------> for the scale of steps
                                 <----------------------  LabelScale (where needed) ---------> for the curvature's bound, and how many passes
                                                          (noise: adds it to its labels, label_noise.py)
                                 <----------------------  RowOrder (mini-batches), to hosts    batches.py
         Columns: how many weights it has  (hosts) ->  and  ---------------------------------->
 each model (one, or with one-vs-rest one per class), each step: over all rows, or a batch of them
  1                              <-----------------------------------------------------------  WeightShare [[b_P]], to each P alone
         [[z_P]] = X_P w_P, masked  Predictor -----------> [[z]] = [[z_G]] + sum of [[z_P]]     predictors.py
  2                              <-----------------------  Residual [[d]] = [[mean(z) - y]] by the link (links.py); to every host
  3      [[g_P]] = P_P^T [[d]] + L2 term
         MaskedGradient [[g_P + M_P]], packed, M_P uniform modulo n, re-randomised ---------->  opens g_P + M_P: uniform
         (steps 1 and 2 take block after block of rows: row_blocks.py; gradients are of all rows)
         both cut at the slots' borders (cuts.py): M_P gives m_P, what was opened g_P + m_P, as integers but with probability 2^-80
  4      a_P += step (m_P >> shift)                                                        b_P -= step ((g_P + m_P) >> shift)
         every ten iterations, where the job allows it: all learn whether the weights have settled, which ends training (settling.py)
         or, if the job asks for it, every few iterations: all learn how the loss compares with the lowest so far, which ends training (stopping.py)
 when all models are trained, one after the other (no message between two of them, so that each resumes from its own last iterations)
  5      keeps a_P                                                                          keeps b_P, modulo 2^64 (shares.py): rows are scored from shares (scoring.py)
         only where the job reveals P's weights to P:
                                 <-----------------------------------------------------------  GuestWeights, HostWeights: b_P modulo 2^(SCORE + 1), rounded, to P alone

Who learns what: the arbiter and the guest each party's number of columns, the arbiter ceil(log2 n) and the number of
models, and what the link declares; all, where the job allows it, after how many iterations the weights had settled; hosts and arbiter up to three powers of two where the job has counts, row weights or
planned iterations; nobody any gradient, residual, predictor or intermediate weight, and a final weight only its owner,
where the job reveals it.
Cost per iteration over n rows: hosts n re-randomisations and about 2 n d_P products modulo n^2 in step 1 and 3 each;
the guest those products; the link; a few decryptions.
Error: the weights equal those of the same integer arithmetic in the clear within 3 units of 2^-24 per step
(docs/protocols/glm.md).
"""  # noqa: E501

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, key_offer
from protocols.codec import Int64s, check_lengths
from protocols.cuts import cut_packed
from protocols.errors import RemoteProtocolError
from protocols.glm import (
    attempts,
    batches,
    chunks,
    gram,
    gram_steps,
    pair_masks,
    predictors,
    prepared,
    sealed_link,
    settling,
    stopping,
)
from protocols.glm.ahead import Ahead
from protocols.glm.block import Block, Share, Standardised
from protocols.glm.label_noise import noisy
from protocols.glm.links import Linear, Link, Weighted
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import SCORE, WEIGHT, Plan, Step, rows_log2
from protocols.glm.progress import Comparing, End, Judging, Progress
from protocols.glm.sealed_link import refuse_beyond
from protocols.glm.shares import WeightShares, Words, words_of
from protocols.glm.slots import Slots
from protocols.glm.stored_pads import digest_of
from protocols.glm.terms import Announced, Terms, announce, receive_start
from protocols.group_size import check_weights
from protocols.message import BLINDED, PUBLIC, REVEALED, SEALED, Message
from protocols.parts import parts
from protocols.row_blocks import AHEAD
from protocols.session import Session

MAX_COLUMNS = 1 << 16
NO_VERDICT = "use more rows, or leave out what ends training early (tol, early_stopping, convergence-to-parties)"


@dataclass(frozen=True)
class HeldOut:
    """At the guest: x (m, d), targets (models, m), weights (models, m) or None, of rows that nothing is trained on."""

    x: Standardised
    targets: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None

    def of(self, model: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Targets and weights of one model."""
        return self.targets[model], None if self.weights is None else self.weights[model]


class Trained(NamedTuple):
    """A data party's own shares of its final weights, or these themselves where they are revealed to it, the name of
    the model, after how many iterations each training ended, and how, and at the guest how many weights each host
    has."""

    shares: WeightShares  # of (models, d)
    model_id: bytes
    passes: tuple[int, ...]
    ends: tuple[End, ...]
    columns: dict[str, int]

    @property
    def weights(self) -> NDArray[np.float64]:
        """(models, d), of a party that knows them."""
        return self.shares.weights()


@dataclass(frozen=True)
class Kept:
    """What the arbiter keeps: the model's name, and by party its share of the weights that stay shared."""

    model_id: bytes
    shares: dict[str, WeightShares] = field(default_factory=dict)


class Columns(Message, disclosure=PUBLIC, learns="how many weights the sender's part of the model has"):
    count: int


class Residual(Message, disclosure=SEALED, learns="nothing: the residuals, encrypted", in_blocks=True):
    d: CipherVec  # (n,)


class MaskedGradient(
    Message,
    disclosure=BLINDED,
    learns="a number that is uniform modulo n for each pack of the sender's weights",
):
    packed: CipherVec  # (ceil(d_P / slots),)


class GuestWeights(
    Message, disclosure=REVEALED, permit="guest-weights-to-guest", learns="its own final weights, rounded"
):
    share: Int64s  # (models * d_P,) modulo 2^(SCORE + 1 + weight_bits), in units of 2^-weight_bits


class HostWeights(Message, disclosure=REVEALED, permit="host-weights-to-host", learns="its own final weights, rounded"):
    share: Int64s  # as of GuestWeights


def reveals(terms: Terms, session: Session, party: str) -> bool:
    """Whether this party learns its own final weights."""
    return ("guest" if party == session.roles.guest else "hosts") in terms.reveal


def guest(
    session: Session,
    x: Standardised,
    targets: NDArray[np.float64],
    terms: Terms,
    model_id: bytes,
    weights: NDArray[np.float64] | None = None,
    held_out: HeldOut | None = None,
) -> Trained:
    """x (n, d) float64, standardised and clipped; targets (models, n) as the link wants them; weights (models, n),
    positive, where terms are `weighted`;
    model_id (16,) bytes, the same for all parts; held_out: the rows that decide when training ends, where terms say so.
    Returns shares of the weights (models, d + 1), the intercept last (without one: d).

    Learns: how many weights each host has, and where terms reveal it its own final weights.  Raises ConfigError
    (head-room), DataError (labels and weights out of bounds), InvalidKey, ProtocolError.
    """
    key, targets = accepted_key(session), noisy(session, targets, terms.noise)
    looked = covered(session, terms, held_out or HeldOut(np.zeros((0, 0)), targets, weights))
    told = announce(session, terms, targets, model_id, weights)
    plan, link = told.plan(key), told.link
    layouts = chunks.layouts(plan, link, told.stopping) if terms.prepared else []
    block = Block.of(x, plan, intercept=terms.intercept, models=len(targets), keep=session.keep)
    del x  # the caller's, if that holds it no more
    order = batches.announce(session, plan, len(block), held(layouts))
    look = stopping.Look.of(session, told.stopping, plan, told.link, block, None if held_out is None else held_out.x)
    also = session.hosts if gram.may(terms, len(session.hosts)) else []
    broadcast([session.arbiter, *also], Columns(block.width))
    columns = {host: receive_columns(session, host) for host in session.roles.hosts}
    for name, count in columns.items():
        session.allowance.partner_columns(name, count)
    numbers = label_numbers(terms, told, columns, len(targets), model_id)
    session.allowance.training(numbers, len(block), begins=session.ahead is None)
    pair_masks.relay(session)
    each = [None] * len(targets) if weights is None else list(weights)
    firsts = [first_weights(terms, link, block, y, own) for y, own in zip(targets, each, strict=True)]
    if (layout := gram.chosen(session, terms, told, plan, {session.me: block.width, **columns})) is not None:
        assert isinstance(link, Linear)
        found = gram_steps.guest(session, terms, plan, layout, link, block, targets, firsts, key, model_id)
        return Trained(own_shares(session, terms, found.shares, model_id), model_id, *how(found.ended, plan), columns)
    trained, ended = list[Share](), list[Comparing]()
    every = chunks.of_models(plan, layouts, len(targets), told.stopping)
    prepare = prepared.of_guest(session, plan, block, order, rows_of(look))
    ahead = Ahead.of(
        session, plan, every, prepare, lambda: key.fingerprint + digest_of(block, order, rows_of(look)), model_id
    )
    for model, y in enumerate(targets):
        if isinstance(link, Weighted):
            link = replace(link, weights=each[model])
        share = Share.start(firsts[model])
        progress = Comparing({session.me: share}, told.stopping, settles=terms.settles, key=key, name=(model_id, model))
        for planned, ready in chunks.iterate(session, plan, progress, *ahead.model(model)):
            rows, step = order.of(planned), progress.step(planned)
            here = link.take(rows), block.take(rows), share, y[rows]
            if ready is not None:
                prepared.guest(session, plan, ready, *here, step)  # 1 to 4
            else:
                descend(session, plan, block, share, *tell_residuals(session, *here), step)  # 1 to 4
            if look is not None and look.due(planned):
                stopping.guest(session, look, progress, planned, *looked.of(model), ready and ready.loss)
            if terms.settles and settling.due(planned):
                settling.guest(session, plan, progress, planned, block.penalised)
        trained.append(share)
        ended.append(progress)
    if layouts:
        attempts.end(session, model_id)
    return Trained(own_shares(session, terms, trained, model_id), model_id, *how(ended, plan), columns)  # 5


def covered(session: Session, terms: Terms, rows: HeldOut) -> HeldOut:
    """The rows that verdicts are about.  Raises TooFewHeldOut where their weights make them too few."""
    if terms.stopping is not None or terms.settles:
        check_weights(rows.weights, session.me, NO_VERDICT)
    return rows


def first_weights(
    terms: Terms, link: Link, block: Block, y: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> PlainVec:
    """(d,) where the guest starts from; weights (n,): of rows."""
    first = np.zeros(block.width, dtype=np.int64)
    if terms.intercept:
        first[-1] = round(link.start(y, weights) * 2**WEIGHT)
    return PlainVec.from_i64(first)


def label_numbers(
    terms: Terms, told: Announced, columns: Mapping[str, int], models: int, model_id: bytes
) -> dict[str, dict[str, int]]:
    """What the training tells each host of the guest's labels, by what it is; nothing with noise, which is counted as
    epsilon."""
    found = dict[str, dict[str, int]]()
    if terms.noise is not None:
        return found
    if "hosts" in terms.reveal:
        found["weights"] = {name: count * models for name, count in columns.items()}
    if terms.settles or told.stopping is not None:
        found[f"the number of iterations of model {model_id[:4].hex()}"] = dict.fromkeys(columns, models)
    return found


def host(session: Session, x: Standardised, terms: Terms, held_out: Standardised | None = None) -> Trained:
    """x (n, d) float64, standardised and clipped, rows in the shared order; held_out (m, d), as at the guest.  Returns
    shares of the weights (models, d).

    Learns: where terms reveal it its own final weights.  Raises ConfigError (head-room), InvalidKey, ProtocolError.
    """
    key = accepted_key(session)
    told = receive_start(session, terms)
    if told.start.rows_log2 != rows_log2(len(x)):
        raise RemoteProtocolError(f"{session.roles.guest} trains on another number of rows", party=session.roles.guest)
    plan = told.plan(key)
    layouts = chunks.layouts(plan, told.link, told.stopping) if terms.prepared else []
    block = Block.of(x, plan, intercept=False, models=told.start.models, keep=session.keep)
    del x  # as the guest
    order = batches.receive(session, plan, len(block), held(layouts))
    broadcast([session.guest, session.arbiter], Columns(block.width))
    look = stopping.Look.of(session, told.stopping, plan, told.link, block, held_out)
    masks, model_id = pair_masks.agree(session, "predictor"), told.start.model_id
    if gram.may(terms, len(session.roles.hosts)):
        columns = {session.roles.guest: receive_columns(session, session.roles.guest), session.me: block.width}
        if (layout := gram.chosen(session, terms, told, plan, columns)) is not None:
            found = gram_steps.host(session, terms, plan, layout, block, masks)
            return Trained(own_shares(session, terms, found.shares, model_id), model_id, *how(found.ended, plan), {})
    trained, ended = list[Share](), list[Progress]()
    every = chunks.of_models(plan, layouts, told.start.models, told.stopping)
    prepare = prepared.of_host(session, plan, block, order, rows_of(look))
    ahead = Ahead.of(
        session, plan, every, prepare, lambda: key.fingerprint + digest_of(block, order, rows_of(look)), model_id
    )
    for model in range(told.start.models):
        share = Share.start(PlainVec.zeros(block.width))
        progress = Progress({session.me: share}, told.stopping, settles=terms.settles)
        for planned, ready in chunks.iterate(session, plan, progress, *ahead.model(model)):
            use, step = model * plan.passes * plan.batches + planned.number, progress.step(planned)
            between = masks if ready is None else masks.apart(ready.name.hex())
            here = told.link, block.take(order.of(planned)), share, between, use
            if ready is not None:
                prepared.host(session, plan, ready, *here, step)  # 1 to 4
            else:
                descend(session, plan, block, share, *hear_residuals(session, *here), step)  # 1 to 4
            if look is not None and look.due(planned):
                stopping.host(session, look, progress, planned, between, use, ready and ready.loss)
            if terms.settles and settling.due(planned):
                settling.host(session, plan, progress, planned, between, use)
        trained.append(share)
        ended.append(progress)
    if layouts:
        attempts.end(session, model_id)
    return Trained(own_shares(session, terms, trained, model_id), model_id, *how(ended, plan), {})  # 5


def arbiter(session: Session, key: DecryptionKey, terms: Terms) -> Kept:
    """Opens masked gradients and keeps its share of every party's weights, except of those whose weights terms reveal:
    these get it, `weight_bits` fractional bits of it.

    Learns: sizes only, and what the link declares.  Raises DataError (as the link does), ProtocolError."""
    if session.keys.of(session.me) is None:
        key_offer.offer(session, key)
    told = receive_start(session, terms)
    plan, model_id = told.plan(key.public), told.start.model_id
    layouts = chunks.layouts(plan, told.link, told.stopping) if terms.prepared else []
    parties = [session.channels[p] for p in session.roles.data_parties]
    columns = {channel.peer: receive_columns(session, channel.peer) for channel in parties}
    penalised = {party: count - (terms.intercept and party == session.roles.guest) for party, count in columns.items()}
    if gram.chosen(session, terms, told, plan, columns) is not None:
        given = gram_steps.arbiter(session, key, terms, plan, columns, penalised, told.start.models, model_id)
        return keep(session, terms, given, model_id)
    trained = []
    every = chunks.of_models(plan, layouts, told.start.models, told.stopping)
    prepare = prepared.of_arbiter(session, key, plan, columns, stopping.rows_of(plan, told.stopping))
    ahead = Ahead.of(session, plan, every, prepare, lambda: key.public.fingerprint, model_id)
    for model in range(told.start.models):
        shares = {party: Share.start(PlainVec.zeros(count)) for party, count in columns.items()}
        progress = Judging(shares, told.stopping, settles=terms.settles, name=(model_id, model))
        for planned, ready in chunks.iterate(session, plan, progress, *ahead.model(model)):
            step = progress.step(planned)
            if ready is not None:
                settling.meet(
                    session, progress, prepared.arbiter(session, plan, ready, told.link, shares, step), planned
                )
            else:
                predictors.serve(session, key, shares)  # 1
                settling.meet(session, progress, told.link.serve(session, plan.batch_rows, key), planned)  # 2
                open_gradients(session, key, plan, shares, step)  # 3, 4
            if told.stopping is not None and told.stopping.due(planned):
                stopping.arbiter(session, key, plan, told.link, progress, planned, penalised, ready and ready.loss)
            if terms.settles and settling.due(planned):
                settling.arbiter(session, key, plan, progress, planned, penalised)
            if planned.last or progress.over:
                refuse_beyond(session, progress.beyond)
        trained.append(shares)
    if layouts:
        attempts.end(session, model_id)
    return keep(session, terms, trained, model_id)


def keep(session: Session, terms: Terms, trained: Sequence[Mapping[str, Share]], model_id: bytes) -> Kept:
    """Step 5 at the arbiter, of all its models."""
    kept = dict[str, WeightShares]()
    for channel in (session.channels[p] for p in session.roles.data_parties):
        own = [shares[channel.peer].point for shares in trained]
        if reveals(terms, session, channel.peer):
            kind = GuestWeights if channel.peer == session.roles.guest else HostWeights
            channel.send(kind(rounded(own, terms.weight_bits)))  # 5
        else:
            kept[channel.peer] = WeightShares.first(np.stack([words_of(point) for point in own]), model_id)
    return Kept(model_id, kept)


def rows_of(look: stopping.Look | None) -> Block | None:
    """A data party's block of the rows whose loss is evaluated, if it is."""
    return None if look is None else look.block


def held(layouts: Sequence[Slots]) -> int:
    """How many epochs keep an order of mini-batches: those that are prepared together."""
    return layouts[0].passes if layouts else 1


def open_gradients(session: Session, key: DecryptionKey, plan: Plan, shares: Mapping[str, Share], step: Step) -> None:
    """Steps 3 and 4 at the arbiter."""
    for party, share in shares.items():
        packed, count = session.channels[party].recv(MaskedGradient).packed, len(share.point)
        check_lengths(party, -(-count // plan.slots), packed, what="packed gradients")
        share.step(cut_gradients(plan, key.open_whole(packed), count), plan.shift, step)


def how(ended: Sequence[Progress], plan: Plan) -> tuple[tuple[int, ...], tuple[End, ...]]:
    """After how many iterations each training ended, and how."""
    return tuple(one.passes(plan.passes) for one in ended), tuple(one.ended for one in ended)


def tell_residuals(
    session: Session, link: Link, block: Block, share: Share, y: NDArray[np.float64]
) -> tuple[CipherVec, CipherVec]:
    """Steps 1 and 2 at the guest, over the rows of a step: sends [[d]], and returns [[P^T d]] of its own columns and
    [[b]] of its own weights."""
    theirs, slopes, edges = predictors.receive_share(session, block.width), list[CipherVec](), list[PlainVec]()
    for part in parts(len(block)):
        here = block.take(part.rows)
        z = predictors.guest(session, here, share, theirs, part)
        d, edge = link.take(part.rows).residual(session, z, y[part.rows], part)
        broadcast(session.hosts, Residual(d), part)
        slopes.append(here.slope(d))
        edges += edge
    sealed_link.tell_edge(session, edges)
    return reduce(operator.add, slopes), theirs


def hear_residuals(
    session: Session, link: Link, block: Block, share: Share, masks: PairMasks, use: int
) -> tuple[CipherVec, CipherVec]:
    """The same at a host: [[d]] of a block says that the guest has read its predictors, so that a few more may be on
    their way."""
    theirs, slopes, blocks = predictors.receive_share(session, block.width), list[CipherVec](), parts(len(block))
    for sent in range(len(blocks) + AHEAD):
        if sent < len(blocks):
            part = blocks[sent]
            predictors.host(session, block.take(part.rows), share, theirs, masks, use, part)
            link.deal(session, part)
        if sent >= AHEAD and sent - AHEAD < len(blocks):
            part = blocks[sent - AHEAD]
            d = session.guest.recv(Residual, part).d
            check_lengths(session.roles.guest, len(part), d)
            slopes.append(block.take(part.rows).slope(d))
    return reduce(operator.add, slopes), theirs


def descend(
    session: Session, plan: Plan, block: Block, share: Share, slope: CipherVec, theirs: CipherVec, step: Step
) -> None:
    """Steps 3 and 4 at a data party, from [[P^T d]] and [[b]]: sends its masked gradient and updates its share."""
    packed = block.gradient(slope, theirs, share.point).pack(plan.width, plan.slots)
    mask = packed.key.uniform(session.seed("gradient mask", packed.digest()), len(packed))
    packed = packed.add_plain(mask)
    packed = packed.rerandomise(session.seed("masked gradient", packed.digest()))
    session.arbiter.send(MaskedGradient(packed))
    share.step(-cut_gradients(plan, mask, block.width), plan.shift, step)


def cut_gradients(plan: Plan, share: PlainVec, count: int) -> PlainVec:
    """The gradients (count,) in a share of their packs."""
    return cut_packed(share, plan.width, plan.slots, count)


def own_shares(session: Session, terms: Terms, trained: list[Share], model_id: bytes) -> WeightShares:
    """Step 5 at a data party, of all its models."""
    words = np.stack([words_of(share.point) for share in trained])
    if not reveals(terms, session, session.me):
        return WeightShares.first(words, model_id)
    guests = session.me == session.roles.guest
    theirs = session.arbiter.recv(GuestWeights).share if guests else session.arbiter.recv(HostWeights).share
    check_lengths(session.roles.arbiter, words.size, theirs, what="weights")
    if theirs.min() < 0 or theirs.max() >= 1 << (SCORE + 1 + terms.weight_bits):
        raise RemoteProtocolError(
            f"{session.roles.arbiter} sent an invalid share of the weights", party=session.roles.arbiter
        )
    return WeightShares.known(whole(words, theirs.reshape(words.shape), terms.weight_bits))


def rounded(shares: list[PlainVec], bits: int) -> NDArray[np.int64]:
    """The nearest multiples of 2^-bits modulo 2^(SCORE + 1), in units of 2^-bits, model after model: the owner's own
    share keeps its last bits, so that its weights are right to half of 2^-bits.  What is left of a share is as much as
    a weight can hold, so that no other number fits in."""
    half = np.uint64((1 << (WEIGHT - bits)) >> 1)
    words: Words = np.concatenate([words_of(share) for share in shares])
    return np.asarray(
        ((words + half) >> np.uint64(WEIGHT - bits)) & np.uint64((1 << (SCORE + 1 + bits)) - 1), dtype=np.int64
    )


def whole(own: Words, theirs: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The weights, in units of 2^-WEIGHT and in [-2^SCORE, 2^SCORE), from the own share and what `rounded` left of the
    arbiter's."""
    span = SCORE + 1 + WEIGHT
    total = (own + (theirs.view(np.uint64) << np.uint64(WEIGHT - bits))) << np.uint64(64 - span)
    return np.asarray(total.view(np.int64) >> (64 - span))


def accepted_key(session: Session) -> EncryptionKey:
    """The arbiter's key, offered before the first training of a run."""
    return session.keys.of(session.roles.arbiter) or key_offer.accept(session)


def receive_columns(session: Session, party: str) -> int:
    count = session.channels[party].recv(Columns).count
    if not 1 <= count <= MAX_COLUMNS:
        raise RemoteProtocolError(f"{party} announced an impossible number of columns", party=party)
    return count
