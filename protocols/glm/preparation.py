"""Prepares K iterations at once: Paillier makes shares of X u and P^T r for numbers u and r that the arbiter draws, so
that an iteration (prepared.py) multiplies in the clear and opens one-time pads only.

Source: an offline phase by additively homomorphic encryption, as in Damgard et al., SPDZ (CRYPTO 2012), here for
matrices that one party holds.
Adversary: honest but curious; what an arbiter that deviates reads is in docs/threat-model.md.

 data party P (a host, or the guest itself)           guest                                     arbiter (sk)
 0   attempts.py: the attempt has a new name, and is on all disks: these pads are spent
 for the rows of each batch (all rows are one); of the rows whose loss is evaluated (stopping.py), step 1 for these evaluations
 1             <------------------------------------------------------------------------------  PreparedWeights [[U]], u_t uniform, t = 1 to K
                                                   BatchRows n ----------------------------->
     host: [[X U + m]], re-randomised
     PreparedPredictor ------------------------->  [[V]] = [[X_G U_G]] + the hosts'
                                                   M uniform modulo n
                                                   MaskedPads [[V + M]], re-randomised ----->   opens V + M: blind
 2             <------------------------------------------------------------------------------  PreparedResiduals [[R]], r_t uniform; to all the same
     [[P^T R + Q U]], M' uniform modulo n
     MaskedGradientPads [[P^T R + Q U + M']], re-randomised --------------------------------->  opens it: blind
 3   cuts -m, -M, -M' into slots                                                                cuts what it opened
 4   attempts.py, when all trainings are over: from here on nobody repeats a chunk

U, R: the numbers of all K iterations in the slots of one plaintext (slots.py), R where its slots do not fit those of
several groups.  Q: the matrix of the L2 term, if any is prepared.
After that, for each iteration t: modulo B the arbiter's cut of V + M, the guest's of -M and each host's of -m add up to
X u_t; modulo S the arbiter's cut and P's of -M' add up to P^T r_t + Q u_t.

Who learns what: the arbiter how many rows there are; nobody anything else.  What the arbiter opens is uniform, exactly.
A host's m exceeds its X U by 80 bits, so that arbiter and guest together learn nothing of X U either.
Attempts: pads are drawn when the nonces of all parties are there, are kept in memory or under a key that is, and serve the attempt that
drew them.  If a party stops within a chunk, all go back to its beginning and prepare it again: no pad meets two values,
whatever was restored from a copy (docs/adr/0016-prepared-iterations.md).  What the model gives away is opened after step
4 only: a party that claims to have lost its end cannot have a second, slightly different model opened.
Cost per row and iteration: a twelfth of the direct protocol's products modulo n^2 and less (docs/protocols/glm.md).
Error: a unit of z's last place for each share but one, and sum |x| / 2^OVERLAP of them; of gradients the same with |p|,
far below a unit of a weight.
"""  # noqa: E501

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.glm.block import Block
from protocols.glm.slots import Slots
from protocols.kept import KeptVec
from protocols.message import BLINDED, PUBLIC, SEALED, Message
from protocols.parts import parts
from protocols.session import Session


class PreparedWeights(
    Message,
    disclosure=SEALED,
    learns="nothing: uniform numbers of the arbiter for each of the receiver's weights, encrypted",
):
    bases: CipherVec  # (slots.rows digits d_P,)
    moved: CipherVec  # (groups d_P,), none for evaluations of a loss, and without an L2 term


class BatchRows(Message, disclosure=PUBLIC, learns="how many rows the next iterations take", most_bytes=16):
    rows: int


class PreparedPredictor(
    Message,
    disclosure=SEALED,
    learns="nothing: the sender's columns times uniform numbers of the arbiter, masked and encrypted",
    in_blocks=True,
):
    v: CipherVec  # (packs,)


class MaskedPads(
    Message, disclosure=BLINDED, learns="for each pack of rows a number that is uniform modulo n", in_blocks=True
):
    v: CipherVec  # (packs,)


class PreparedResiduals(
    Message,
    disclosure=SEALED,
    learns="nothing: uniform numbers of the arbiter for each row, encrypted",
    in_blocks=True,
):
    r: CipherVec  # (groups n,)


class MaskedGradientPads(
    Message, disclosure=BLINDED, learns="for each of the sender's weights a number that is uniform modulo n"
):
    g: CipherVec  # (groups d_P,)


@dataclass(eq=False)
class Pads:
    """A party's pads of the iterations of a chunk, over the rows of one batch; each is used once.

    predictor: its shares of X u, (n,) each, in units of the digits.  gradient: by data party its shares of P^T r +
    Q u, (d_P,) each; none of evaluations of a loss.  weights, residual: at the arbiter u by data party, (digits d_P,)
    each, and r.
    """

    predictor: list[KeptVec | None] = field(repr=False)
    gradient: dict[str, list[PlainVec]] = field(repr=False)
    weights: dict[str, list[PlainVec]] = field(repr=False, default_factory=dict)
    residual: list[PlainVec] = field(repr=False, default_factory=list)

    def spend(self, t: int) -> Pad:
        """Those of iteration t, which are gone from here then.  Raises LocalProtocolError where they were used."""
        predictor = self.predictor[t]
        if predictor is None:
            raise LocalProtocolError(
                "pads of an iteration would be used twice; nothing was sent",
                remedy="This is a fault of the program: report it",
            )
        self.predictor[t] = None
        gradient = {party: own[t] for party, own in self.gradient.items()}
        weights = {party: own[t] for party, own in self.weights.items()}
        return Pad(predictor, gradient, weights, self.residual[t] if self.residual else None)


@dataclass(frozen=True, eq=False)
class Pad:
    """A party's pads of one iteration, as of `Pads`."""

    predictor: KeptVec = field(repr=False)
    gradient: dict[str, PlainVec] = field(repr=False)
    weights: dict[str, PlainVec] = field(repr=False)
    residual: PlainVec | None = field(repr=False)


def guest(session: Session, slots: Slots, block: Block, name: bytes, *, trains: bool = True) -> Pads:
    """The guest's side, over the rows of `block`; name: of the attempt.  trains: without, predictors alone are
    prepared, for evaluations of a loss."""
    theirs, own = receive_weights(session, slots, block, trains=trains), list[list[KeptVec]]()  # 1
    session.arbiter.send(BatchRows(len(block)))
    for part in parts(slots.packs(len(block))):
        rows = slots.rows_of(part, len(block))
        v = theirs.bases.matmul(slots.laid(block.x, rows))
        for channel in session.hosts:
            host_part = channel.recv(PreparedPredictor, part).v
            check_lengths(channel.peer, len(part), host_part, what="packed predictors")
            v = v + host_part
            row_blocks.taken(channel, part)
        mask = v.key.uniform(session.seed("predictor pad", name + v.digest()), len(v))
        v = v.add_plain(mask)
        v = v.rerandomise(session.seed("masked predictor pads", v.digest()))
        row_blocks.pace([session.arbiter], part)
        session.arbiter.send(MaskedPads(v), part)
        own.append(slots.kept_rows(-mask, rows.stop - rows.start, session.keep))  # 3
    return Pads(joined(own), gradients(session, slots, block, theirs, name, trains=trains))


def host(session: Session, slots: Slots, block: Block, name: bytes, *, trains: bool = True) -> Pads:
    """A host's side."""
    theirs, own = receive_weights(session, slots, block, trains=trains), list[list[KeptVec]]()  # 1
    for part in parts(slots.packs(len(block))):
        rows = slots.rows_of(part, len(block))
        v = theirs.bases.matmul(slots.laid(block.x, rows))
        mask = session.seed("predictor pad", name + v.digest()).integers(len(v), slots.mask_bits)
        v = v.add_plain(mask)
        row_blocks.pace([session.guest], part)
        v = v.rerandomise(session.seed("prepared predictor", v.digest()))
        session.guest.send(PreparedPredictor(v), part)
        own.append(slots.kept_rows(-mask, rows.stop - rows.start, session.keep))  # 3
    return Pads(joined(own), gradients(session, slots, block, theirs, name, trains=trains))


def gradients(
    session: Session, slots: Slots, block: Block, theirs: PreparedWeights, name: bytes, *, trains: bool
) -> dict[str, list[PlainVec]]:
    """A data party's pads of gradients, where it trains on these rows."""
    return {session.me: gradient_pads(session, slots, block, theirs.moved, name)} if trains else {}  # 2


def arbiter(
    session: Session,
    key: DecryptionKey,
    slots: Slots,
    columns: Mapping[str, int],
    bounds: tuple[int, int],
    penalty_shift: int | None,
    name: bytes,
) -> Pads:
    """The arbiter's side.  columns: by data party how many weights it has; bounds: the fewest and the most rows of a
    batch; penalty_shift: None where no L2 term is prepared.  Learns how many rows there are."""
    u, predictor, rows = serve_predictors(session, key, slots, columns, bounds, penalty_shift, name)  # 1
    r = drawn(session, "residual pad", slots.passes, rows, slots.g_bits, name)
    parties = [session.channels[party] for party in columns]
    for part in parts(rows):  # 2
        packed = slots.columns([one.slice(part.first, part.last) for one in r])
        row_blocks.pace(parties, part)
        seed = session.seed("prepared residuals", name)
        broadcast(parties, PreparedResiduals(key.encrypt(packed, seed)), part)
    gradient = dict[str, list[PlainVec]]()
    for channel in parties:
        g = channel.recv(MaskedGradientPads).g
        check_lengths(channel.peer, slots.groups * columns[channel.peer], g, what="gradients")
        gradient[channel.peer] = slots.cut_columns(key.open_whole(g))  # 3
    return Pads(predictor, gradient, u, r)


def evaluations(
    session: Session,
    key: DecryptionKey,
    slots: Slots,
    columns: Mapping[str, int],
    bounds: tuple[int, int],
    name: bytes,
) -> Pads:
    """The arbiter's side of predictors alone, for evaluations of a loss."""
    u, predictor, _ = serve_predictors(session, key, slots, columns, bounds, None, name)
    return Pads(predictor, {}, u)


def serve_predictors(
    session: Session,
    key: DecryptionKey,
    slots: Slots,
    columns: Mapping[str, int],
    bounds: tuple[int, int],
    penalty_shift: int | None,
    name: bytes,
) -> tuple[dict[str, list[PlainVec]], list[KeptVec | None], int]:
    """Step 1 at the arbiter: u, its shares of X u, and the number of rows.  penalty_shift: None without an L2 term."""
    u = {
        party: drawn(session, f"weight pad {party}", slots.passes, slots.digits.count * count, slots.u_bits, name)
        for party, count in columns.items()
    }
    for party, own in u.items():
        moved = PlainVec.zeros(0)
        if penalty_shift is not None:
            first = [one.slice(0, columns[party]) for one in own]
            moved = slots.columns(first).shift_left(penalty_shift + slots.digits.dropped)
        seeds = (session.seed(f"prepared {what} {party}", name) for what in ("weights", "penalty"))
        encrypted = (key.encrypt(v, seed) for v, seed in zip((slots.bases(own), moved), seeds, strict=True))
        session.channels[party].send(PreparedWeights(*encrypted))
    rows, predictor = session.guest.recv(BatchRows).rows, list[list[KeptVec]]()
    if not bounds[0] <= rows <= bounds[1]:
        raise RemoteProtocolError(
            f"{session.roles.guest} prepares another number of rows than was announced", party=session.roles.guest
        )
    for part in parts(slots.packs(rows)):
        masked = session.guest.recv(MaskedPads, part).v
        check_lengths(session.roles.guest, len(part), masked, what="packed predictors")
        here = slots.rows_of(part, rows)
        predictor.append(slots.kept_rows(key.open_whole(masked), here.stop - here.start, session.keep))  # 3
        row_blocks.taken(session.guest, part)
    return u, joined(predictor), rows


def gradient_pads(session: Session, slots: Slots, block: Block, moved: CipherVec, name: bytes) -> list[PlainVec]:
    """Step 2 at a data party: its shares of P^T r + Q u."""
    g = by_group(slots, moved, lambda one: one.matmul(block.penalty))
    for part in parts(len(block)):
        r = session.arbiter.recv(PreparedResiduals, part).r
        check_lengths(session.roles.arbiter, slots.groups * len(part), r)
        rows = block.preconditioned[part.rows]
        g = g + by_group(slots, r, functools.partial(CipherVec.t_matmul, matrix=rows))
        row_blocks.taken(session.arbiter, part)
    mask = g.key.uniform(session.seed("gradient pad", name + g.digest()), len(g))
    g = g.add_plain(mask).rerandomise(session.seed("masked gradient pads", name))
    session.arbiter.send(MaskedGradientPads(g))
    return slots.cut_columns(-mask)


def by_group(slots: Slots, values: CipherVec, of_one: Callable[[CipherVec], CipherVec]) -> CipherVec:
    """What is computed of each group's part of a vector, one after the other."""
    if slots.groups == 1:
        return of_one(values)
    groups = np.split(np.arange(len(values)), slots.groups)
    return functools.reduce(CipherVec.concat, [of_one(values.take(group)) for group in groups])


def joined(blocks: list[list[KeptVec]]) -> list[KeptVec | None]:
    """The pads of each iteration, of all blocks of packs."""
    return [KeptVec.joined(of_all) for of_all in zip(*blocks, strict=True)]


def receive_weights(session: Session, slots: Slots, block: Block, *, trains: bool) -> PreparedWeights:
    theirs = session.arbiter.recv(PreparedWeights)
    each = slots.digits.count * block.width
    check_lengths(session.roles.arbiter, slots.rows * each, theirs.bases, what="weights")
    check_lengths(session.roles.arbiter, slots.groups * block.terms if trains else 0, theirs.moved, what="weights")
    return theirs


def drawn(session: Session, label: str, passes: int, length: int, bits: int, name: bytes) -> list[PlainVec]:
    """For each iteration (length,) numbers, uniform modulo 2^bits."""
    seed = session.seed(label, name)
    return [seed.child(f"{t}").integers(length, bits) for t in range(passes)]
