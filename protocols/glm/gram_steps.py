"""Iterations of a training on shares of Gram matrices (gram.py): vectors as long as the weights, whatever the number of
rows.  It takes the place of steps 1 to 4 of training.py.

Adversary: honest but curious.  All weights are w = s + t, s at the guest and t at the host: so w_G has its a_G = s_G at
the guest and its b_G = t_G at the host, and w_H its a_H = t_H at the host and its b_H = s_H at the guest.

     guest: F_G, v_G, s; [[F_H]] under the host's key           host: F_H, v_H, t; [[F_G]] under the guest's key        arbiter
 1   [[F_H s + M]], M uniform modulo n, re-randomised           [[F_G t + M']], M' likewise
     GramProducts  ------------------------------------------>  opens F_H s + M: uniform
     opens F_G t + M'  <--------------------------------------  GramProducts
 2   F_G s + v_G + what it opened - M: its share of F w + v     F_H t + v_H + what it opened - M'
 3   s -= step (share >> shift)                                 t -= step (share >> shift)
     every ten iterations, where the job allows it
 4   OthersWeights s_H  -------------------------------------------------------------------------------------------->   b_H
                                                                OthersWeights t_G  --------------------------------->   b_G
                                                                                                                        then settling.py
 when all models are trained
 5   HandedOver s_H, r_G  ------------------------------------------------------------------------------------------>   b_H - r_H, b_G - r_G
                                                                HandedOver t_G, r_H  ------------------------------->
     keeps s_G + r_G                                            keeps t_H + r_H

Who learns what: nobody anything.  What guest and host open is uniform.  The arbiter's numbers are shares whose other half is at
the partner of the one that sends them.  The last step makes the arbiter's final shares unknown to guest and host.
Shares modulo 2^g_bits add up as integers, as in prepared.py, except with probability 2^-41 per weight and iteration.
Cost per iteration: d multiplications of ciphertexts for each group of rows of F and party, of which each is masked and opened
once; no row.  Nothing of it is drawn before there is a value to mask: a run that resumes sends the same bytes.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.cipher.keys import beyond_head_room
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import gram, settling
from protocols.glm.block import Block, Share
from protocols.glm.gram import Part
from protocols.glm.gram_layout import LIMB, Layout, cut, limbs_of
from protocols.glm.links import Linear
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import Plan, Step
from protocols.glm.progress import Comparing, Judging, Progress
from protocols.glm.shares import integers_of, moving
from protocols.glm.terms import Terms
from protocols.message import BLINDED, Message
from protocols.session import Session

MOVE = 32  # bytes


class GramProducts(Message, disclosure=BLINDED, learns="for each pack of weights a number that is uniform modulo n"):
    values: CipherVec  # (groups,)
    name: bytes  # (32,) of the shares that were multiplied


class OthersWeights(
    Message, disclosure=BLINDED, learns="for each weight of the sender's partner a share of it, which is uniform alone"
):
    share: PlainVec


class HandedOver(
    Message,
    disclosure=BLINDED,
    learns=(
        "for each weight of the sender's partner a share of it, which is uniform alone, and the random number by "
        "which both shares of the sender's own weights are moved"
    ),
):
    share: PlainVec  # (models d,)
    move: bytes  # (32,)


@dataclass(frozen=True, eq=False)
class Ready:
    """What a data party needs for iterations: its part of F and v, and the partner's, encrypted by group of rows."""

    part: Part
    theirs: Sequence[CipherVec] = field(repr=False)

    @classmethod
    def of(cls, session: Session, part: Part) -> Ready:
        return cls(part, gram.exchange(session, part))


def gradient(session: Session, ready: Ready, shares: Mapping[str, Share], model: int) -> PlainVec:
    """Steps 1 and 2 at a data party: its share of the gradient of all weights (d,), from its shares of these.  Raises
    PlaintextOverflow, RemoteProtocolError."""
    part, channel, key = ready.part, gram.partner(session), session.own_key()
    layout, own = part.layout, PlainVec.join([shares[p].point for p in session.roles.data_parties])
    if own.max_bits() > layout.share_bits:
        raise beyond_head_room()
    product = reduce(CipherVec.concat, (times(group, limbs_of(own, layout.limbs)) for group in ready.theirs))
    mask = product.key.uniform(session.seed("gram product mask", product.digest()), len(product))  # 1
    product = product.add_plain(mask)
    product = product.rerandomise(session.seed("gram product", product.digest()))
    channel.send(GramProducts(product, part.name))
    told = channel.recv(GramProducts)
    check_lengths(channel.peer, len(layout.product_groups), told.values)
    gram.check_key(channel.peer, told.values, key.public)
    if told.name != part.name:
        raise RemoteProtocolError(
            f"{channel.peer} and {session.me} computed with shares of a Gram matrix that do not belong together",
            remedy="One of the two has an old copy of its run folder: start all parties again with --fresh",
            party=channel.peer,
        )
    found = part.gradient(own, model) + spread(part, key.open_whole(told.values), opened=True)  # 2
    return (found + spread(part, -mask, opened=False)).residue(layout.g_bits)


def times(columns: CipherVec, limbs: NDArray[np.int64]) -> CipherVec:
    """[[sum of c_j w_j]] (1,) of [[c_j]] (d,) and numbers w in limbs (d, limbs)."""
    powers = PlainVec.from_ints([1 << (LIMB * k) for k in range(limbs.shape[1])])
    return columns.t_matmul(limbs).mul_plain(powers).sum()


def spread(part: Part, share: PlainVec, *, opened: bool) -> PlainVec:
    """(d,) the numbers in a share of GramProducts."""
    layout, found = part.layout, list[PlainVec]()
    for k, group in enumerate(layout.product_groups):
        one = share.slice(k, k + 1)
        found += [cut(one, slot, layout.product_width, opened=opened) for slot in range(len(group))]
    return PlainVec.join(found)


def spans(plan: Plan) -> list[list[Step]]:
    """The iterations between two verdicts, which are one step of the run."""
    steps = plan.steps()
    return [steps[k : k + settling.EVERY] for k in range(0, len(steps), settling.EVERY)]


class Found(NamedTuple):
    """What a data party has when its models are trained: its shares of its own weights, and how each training ended."""

    shares: list[Share]
    ended: Sequence[Progress]


def guest(
    session: Session,
    terms: Terms,
    plan: Plan,
    layout: Layout,
    link: Linear,
    block: Block,
    targets: NDArray[np.float64],
    firsts: Sequence[PlainVec],
    key: EncryptionKey,
    model_id: bytes,
) -> Found:
    """The guest's side of all its models; firsts: where its own weights start from; key: the arbiter's."""
    ready, ended = Ready.of(session, gram.guest(session, layout, link, block, targets)), list[Comparing]()
    (peer,) = session.roles.hosts
    for model, first in enumerate(firsts):
        shares = {session.me: Share.start(first), peer: Share.start(PlainVec.zeros(layout.host))}
        progress = Comparing(shares, None, settles=terms.settles, key=key, name=(model_id, model))
        verdict = partial(settling.guest, session, plan, progress, penalised=block.penalised)
        train(session, plan, ready, progress, model, verdict)
        ended.append(progress)
    return Found(hand_over(session, ended), ended)


def host(session: Session, terms: Terms, plan: Plan, layout: Layout, block: Block, masks: PairMasks) -> Found:
    """The same at the host; masks: none, since it is the only one."""
    ready, ended = Ready.of(session, gram.host(session, layout, block)), list[Progress]()
    for model in range(layout.models):
        widths = {session.roles.guest: layout.guest, session.me: layout.host}
        progress = Progress(
            {party: Share.start(PlainVec.zeros(width)) for party, width in widths.items()}, settles=terms.settles
        )
        train(
            session, plan, ready, progress, model, partial(settling.host, session, plan, progress, masks=masks, use=0)
        )
        ended.append(progress)
    return Found(hand_over(session, ended), ended)


def arbiter(
    session: Session,
    key: DecryptionKey,
    terms: Terms,
    plan: Plan,
    columns: Mapping[str, int],
    penalised: Mapping[str, int],
    models: int,
    model_id: bytes,
) -> list[dict[str, Share]]:
    """The arbiter's shares of all weights, of each model; columns, penalised: how many weights each party has, and of
    how many the penalty is."""
    session.absent()  # from gram.py
    for model in range(models):
        shares = {party: Share.start(PlainVec.zeros(count)) for party, count in columns.items()}
        progress = Judging(shares, settles=terms.settles, name=(model_id, model))
        serve(session, plan, progress, partial(settling.arbiter, session, key, plan, progress, penalised=penalised))
    return receive(session, columns, models)


def train(
    session: Session, plan: Plan, ready: Ready, progress: Progress, model: int, verdict: Callable[[Step], None]
) -> None:
    """The iterations of a model at a data party, whose `progress` has shares of all weights."""
    layout = ready.part.layout
    for span in session.steps("train", spans(plan), progress, progress.is_over, size=len):
        for planned in span:
            session.observer.step("train", planned.number, plan.passes)
            found, step, at = gradient(session, ready, progress.shares, model), progress.step(planned), 0
            for party, width in zip(session.roles.data_parties, (layout.guest, layout.host), strict=True):
                progress.shares[party].step(found.slice(at, at + width), plan.shift, step)  # 3
                at += width
        if progress.settles:
            session.arbiter.send(OthersWeights(progress.shares[gram.partner(session).peer].point))  # 4
            verdict(span[-1])


def serve(session: Session, plan: Plan, progress: Judging, verdict: Callable[[Step], None]) -> None:
    """The same at the arbiter, which has no part in iterations."""
    if not progress.settles:
        session.absent()
        return
    for span in session.steps("train", spans(plan), progress, progress.is_over, size=len):
        for sender, owner in _pairs(session):
            share = session.channels[sender].recv(OthersWeights).share  # 4
            check_lengths(sender, len(progress.shares[owner].point), share, what="weights")
            if share.max_bits() > plan.share_bits:
                raise RemoteProtocolError(f"{sender} sent shares of weights out of range", party=sender)
            progress.shares[owner].point = share
        verdict(span[-1])


def hand_over(session: Session, trained: Sequence[Progress]) -> list[Share]:
    """Step 5 at a data party: its own final shares, of each model."""
    move = session.seed("weight share move").secret
    theirs = PlainVec.join([one.shares[gram.partner(session).peer].point for one in trained])
    session.arbiter.send(HandedOver(theirs.residue(64), move))
    own = [one.shares[session.me].point for one in trained]
    return [Share.start(point + one) for point, one in zip(own, moves(move, len(own), len(own[0])), strict=True)]


def receive(session: Session, columns: Mapping[str, int], models: int) -> list[dict[str, Share]]:
    """The same at the arbiter: its final shares of all parties' weights, of each model."""
    said = {channel: session.channels[channel].recv(HandedOver) for channel in columns}
    found = [dict[str, Share]() for _ in range(models)]
    for sender, owner in _pairs(session):
        share, width = said[sender].share, columns[owner]
        check_lengths(sender, models * width, share, what="weights")
        check_lengths(owner, MOVE, said[owner].move, what="bytes of a seed")
        for k, own in enumerate(moves(said[owner].move, models, width)):
            found[k][owner] = Share.start(share.slice(k * width, (k + 1) * width) - own)
    return [{party: shares[party] for party in columns} for shares in found]


def moves(seed: bytes, models: int, width: int) -> list[PlainVec]:
    """By what both shares of a party's weights move, of each model."""
    return [integers_of(words) for words in moving(seed, (models, width))]


def _pairs(session: Session) -> tuple[tuple[str, str], tuple[str, str]]:
    """Who sends a share of whose weights."""
    guest, host = session.roles.data_parties
    return (guest, host), (host, guest)
