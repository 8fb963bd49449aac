"""Shares of the blocks X_P^T X_Q between guest and host, computed once, so that an iteration of a linear link works on vectors
as long as the weights (gram_steps.py).

Source: products of one party's matrix with another's encrypted one, masked and opened by the key's holder, as in Gilboa
(CRYPTO 1999) and in preparation.py.
Adversary: honest but curious; what a party that deviates reads is in docs/threat-model.md.

With a linear link d = X w + o, where the guest knows o, so that the gradient of all weights is F w + v:

        | P_G^T X_G + Q_G   P_G^T X_H       |        | P_G^T o |
    F = |                                   |    v = |         |      P: preconditioned columns (block.py); Q: of the L2 term
        | P_H^T X_G         P_H^T X_H + Q_H |        | P_H^T o |

     guest: X_G, P_G, o of each model, its key                      host: X_H, P_H, its key                     arbiter
 0   PublicKeyOffer  <-- key_offer.py, each to the other -->  PublicKeyOffer                                    takes no part
     Columns  ------------------------------------------------->
 1   [[x_G | o | p_G]], one row in a ciphertext
     GramColumns, block after block of rows  ------------------>    P_H^T of the first two, X_H^T of the third
                                                                    M uniform modulo n
                <-----------------------------------------------    GramBlocks [[P_H^T X_G + M | P_H^T o + M | X_H^T P_G + M]]
     opens them: uniform
 2   cuts what it opened into slots (gram_layout.py)                cuts -M
     F_G, v_G: its shares, and its own blocks in F                  F_H, v_H: likewise; F = F_G + F_H
 3   GramShares [[F_G]], under its own key  ------------------->    keeps them
     keeps them <-----------------------------------------------    GramShares [[F_H]], under its own key

The name of the shares is the hash of GramBlocks, which both know: every message of an iteration carries it.

Who learns what: the host how many columns the guest has, the guest nothing.  The arbiter learns nothing, and nothing is
encrypted under its key: with it, arbiter and host together would read all columns of the guest.  With guest or host it learns no
more than this one knows.
Cost per row: one encryption by the key's holder for each ciphertext, and 2 d_H products with integers; the guest's bytes.
Attempts: once a training has begun, the ledgers hold what is repeated against it: a party with other numbers is refused.
Error: none, except with probability 2^-18 for each number one unit of its last place.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.cipher import CipherVec, EncryptionKey, key_offer
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import ahead
from protocols.glm.block import Block
from protocols.glm.gram_layout import Layout, cut, packed
from protocols.glm.links import Linear
from protocols.glm.plan import Plan
from protocols.glm.terms import Announced, Terms
from protocols.message import BLINDED, SEALED, Message
from protocols.parts import Part as Rows
from protocols.parts import parts
from protocols.recovery.checkpoint import Arrays
from protocols.recovery.pad_store import Paused
from protocols.session import Session

Integers = NDArray[np.object_]


class GramColumns(
    Message,
    disclosure=SEALED,
    learns="nothing: the sender's columns and labels, encrypted under a key of its own",
    in_blocks=True,
):
    rows: CipherVec  # (n,)


class GramBlocks(
    Message,
    disclosure=BLINDED,
    learns="for each of the sender's weights and pack of the receiver's columns a number that is uniform modulo n",
):
    values: CipherVec


class GramShares(
    Message,
    disclosure=SEALED,
    learns="nothing: the sender's shares of the matrix, encrypted under a key of its own",
):
    values: CipherVec  # (groups d,)


@dataclass(frozen=True, eq=False)
class Crossed:
    """A party's shares of what guest and host made together, (columns d_H,): of P_H^T X_G and P_H^T o, of X_H^T P_G.
    name: that of both parties' shares."""

    name: bytes
    shares: PlainVec = field(repr=False)

    @classmethod
    def of(cls, layout: Layout, name: bytes, share: PlainVec, *, opened: bool) -> Crossed:
        """From what was opened of GramBlocks, or from the mask."""
        found, at = list[PlainVec](), 0
        for group in layout.groups:
            for columns in _halves(layout, group):
                here = share.slice(at, at + layout.host)
                found += [cut(here, c - group.start, layout.block_width, opened=opened) for c in columns]
                at += layout.host
        return cls(name, PlainVec.join(found).residue(layout.g_bits))

    def save(self) -> Arrays:
        """It is uniform alone."""
        return {"name": np.frombuffer(self.name, np.uint8), "shares": np.frombuffer(self.shares.to_bytes(), np.uint8)}

    @classmethod
    def load(cls, saved: Mapping[str, NDArray[Any]]) -> Crossed:
        return cls(saved["name"].tobytes(), PlainVec.from_bytes(saved["shares"].tobytes()))


@dataclass(frozen=True, eq=False)
class Part:
    """A party's part of F (d, d) and of v (d,) of each model, modulo 2^g_bits; name: of the shares in it."""

    name: bytes
    layout: Layout
    matrix: Integers = field(repr=False)
    constants: list[Integers] = field(repr=False)

    @classmethod
    def of(cls, layout: Layout, crossed: Crossed, block: Block, offsets: Sequence[PlainVec], *, guest: bool) -> Part:
        """From the shares and a party's own columns; offsets: o of each model, at the guest."""
        d_g, d = layout.guest, layout.weights
        shares = np.array(crossed.shares.to_ints(), dtype=object).reshape(layout.columns, layout.host)
        matrix, constants = np.zeros((d, d), dtype=object), list[Integers]()
        matrix[d_g:, :d_g], matrix[:d_g, d_g:] = shares[:d_g].T, shares[layout.plain :]
        own = slice(0, d_g) if guest else slice(d_g, d)
        matrix[own, own] = own_block(block)
        for model in range(layout.models):
            constants.append(np.zeros(d, dtype=object))
            constants[-1][d_g:] = shares[d_g + model]
            if guest:
                constants[-1][:d_g] = block.slope_of(offsets[model]).to_ints()
        return cls(crossed.name, layout, matrix, constants)

    def gradient(self, weights: PlainVec, model: int) -> PlainVec:
        """(d,) this part times weights (d,), and v's."""
        found = self.matrix @ np.array(weights.to_ints(), dtype=object) + self.constants[model]
        return PlainVec.from_ints(found.tolist())

    def packed(self) -> PlainVec:
        """(groups d,) the matrix, a column and group of rows in each."""
        rows = [PlainVec.from_ints(row.tolist()).residue(self.layout.g_bits) for row in self.matrix]
        groups = self.layout.product_groups
        return PlainVec.join([packed([rows[i] for i in group], self.layout.product_width) for group in groups])


def may(terms: Terms, hosts: int) -> bool:
    """Whether the job asks for it and it is possible: a linear link, rows that weigh the same, steps over all rows, no
    loss that is evaluated, and one host."""
    alike = terms.gram and isinstance(terms.link, Linear) and not terms.weighted
    return alike and terms.sgd is None and terms.stopping is None and hosts == 1


def chosen(session: Session, terms: Terms, told: Announced, plan: Plan, columns: Mapping[str, int]) -> Layout | None:
    """The layout, where this is allowed and cheaper; columns: how many weights each data party has.  All parties know
    these facts and choose the same.

    Raises Paused where the run only prepares: there is nothing that it could prepare."""
    if not may(terms, len(session.roles.hosts)):
        return None
    guest, host = (columns[party] for party in session.roles.data_parties)
    layout = Layout.of(plan, guest, host, told.start.models)
    if not layout.pays(plan):
        return None
    begin(session, told.start.model_id)
    return layout


def begin(session: Session, model_id: bytes) -> None:
    """A training on shares of Gram matrices begins, or is repeated.  A run that only prepared has sent something else
    from here on, so the ledger forgets that: once, since it compares everything of a training that is repeated.

    Raises Paused where the run only prepares: there is nothing that it could prepare."""
    begun = hashlib.sha256(b"vfl gram begun|" + model_id).digest()
    first = not (session.course.skips or session.course.is_spent(begun))
    if first:
        session.course.renew()
    if session.ahead is not None:
        if first:
            ahead.all_there(session)
        raise Paused(0, trains=not first)
    if first:
        session.course.spend(begun)


def guest(session: Session, layout: Layout, link: Linear, block: Block, targets: NDArray[np.float64]) -> Part:
    """The guest's side: x, and targets (models, n)."""
    offsets = [link.offset(y) for y in targets]
    meet(session, session.hosts[0])  # 0
    crossed = session.once(lambda: _guest(session, layout, block, offsets), Crossed.save, Crossed.load)
    return Part.of(layout, crossed, block, offsets, guest=True)


def _guest(session: Session, layout: Layout, block: Block, offsets: Sequence[PlainVec]) -> Crossed:
    key, channel = session.own_key(), session.hosts[0]
    for group in layout.groups:
        for rows in parts(len(block)):  # 1
            plain = packed([_column(block, offsets, c, rows) for c in group], layout.block_width)
            row_blocks.pace([channel], rows)
            channel.send(GramColumns(key.encrypt(plain, session.seed("gram columns", plain.to_bytes()))), rows)
    values = channel.recv(GramBlocks).values
    check_lengths(channel.peer, layout.host * sum(len(_halves(layout, g)) for g in layout.groups), values)
    check_key(channel.peer, values, key.public)
    return Crossed.of(layout, name_of(values), key.open_whole(values), opened=True)  # 2


def _column(block: Block, offsets: Sequence[PlainVec], c: int, rows: Rows) -> PlainVec:
    """One of the guest's columns, of some rows: its own, the offsets of each model, or its preconditioned ones."""
    if c >= block.width and (model := c - block.width) < len(offsets):
        return offsets[model].slice(rows.first, rows.last)
    matrix, at = (block.x, c) if c < block.width else (block.preconditioned, c - block.width - len(offsets))
    return PlainVec.from_i64(np.ascontiguousarray(matrix[rows.rows][:, at]))


def host(session: Session, layout: Layout, block: Block) -> Part:
    """A host's side."""
    meet(session, session.guest)  # 0
    crossed = session.once(lambda: _host(session, layout, block), Crossed.save, Crossed.load)
    return Part.of(layout, crossed, block, [], guest=False)


def _host(session: Session, layout: Layout, block: Block) -> Crossed:
    key, sums = partner_key(session), list[CipherVec]()
    for group in layout.groups:
        used = [block.preconditioned if half.start < layout.plain else block.x for half in _halves(layout, group)]
        blocks = list[CipherVec]()
        for part in parts(len(block)):  # 1
            rows = session.guest.recv(GramColumns, part).rows
            check_lengths(session.roles.guest, len(part), rows)
            check_key(session.roles.guest, rows, key)
            matrix = np.ascontiguousarray(np.hstack([one[part.rows] for one in used]))
            blocks.append(rows.t_matmul(matrix))
            row_blocks.taken(session.guest, part)
        sums.append(reduce(operator.add, blocks))
    values = reduce(CipherVec.concat, sums)
    mask = key.uniform(session.seed("gram mask", values.digest()), len(values))
    values = values.add_plain(mask)
    values = values.rerandomise(session.seed("gram blocks", values.digest()))
    session.guest.send(GramBlocks(values))
    return Crossed.of(layout, name_of(values), -mask, opened=False)  # 2


def exchange(session: Session, part: Part) -> list[CipherVec]:
    """Step 3: the partner's encrypted part of F, each group of its rows (d,)."""
    own, channel, layout = part.packed(), partner(session), part.layout
    channel.send(GramShares(session.own_key().encrypt(own, session.seed("gram shares", own.to_bytes()))))
    values, d = channel.recv(GramShares).values, layout.weights
    check_lengths(channel.peer, d * len(layout.product_groups), values)
    check_key(channel.peer, values, partner_key(session))
    return [values.take(np.arange(k * d, (k + 1) * d)) for k in range(len(layout.product_groups))]


def meet(session: Session, channel: Channel) -> None:
    """Step 0: each tells the other its key, once per run."""
    if session.keys.of(channel.peer) is None:
        key_offer.offer(session, session.own_key(), [channel.peer])
        key_offer.accept(session, channel.peer)


def partner(session: Session) -> Channel:
    """The other data party."""
    return session.hosts[0] if session.me == session.roles.guest else session.guest


def partner_key(session: Session) -> EncryptionKey:
    key = session.keys.of(partner(session).peer)
    assert key is not None
    return key


def check_key(sender: str, values: CipherVec, key: EncryptionKey) -> None:
    """Raises RemoteProtocolError where these are under another party's key."""
    if values.key.fingerprint != key.fingerprint:
        raise RemoteProtocolError(f"{sender} sent numbers under another key than the protocol prescribes", party=sender)


def own_block(block: Block) -> Integers:
    """P^T X + Q (d_P, d_P) of a party's own columns."""
    columns = [PlainVec.zeros(block.width)] * block.width
    for part in parts(len(block)):
        x, p = block.x[part.rows], block.preconditioned[part.rows]
        here = (PlainVec.from_i64(np.ascontiguousarray(column)).t_matmul(p) for column in x.T)
        columns = [before + more for before, more in zip(columns, here, strict=True)]
    found = np.array([column.to_ints() for column in columns], dtype=object).reshape(block.width, block.width).T
    return np.asarray(found + block.penalty.astype(object) * (1 << block.penalty_shift))


def name_of(values: CipherVec) -> bytes:
    """Of the shares that come from these."""
    return hashlib.sha256(b"vfl gram shares|" + values.digest()).digest()


def _halves(layout: Layout, group: range) -> list[range]:
    """The columns of a group that are multiplied by preconditioned columns, and those by plain ones."""
    halves = (range(group.start, min(group.stop, layout.plain)), range(max(group.start, layout.plain), group.stop))
    return [half for half in halves if len(half)]
