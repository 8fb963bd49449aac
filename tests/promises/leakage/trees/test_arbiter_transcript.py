"""All that the arbiter of sealed trees can compute from its own transcript, and what it could with another party's: the
first is the declared list, no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from protocols.binning.quantile import Binned
from protocols.boosting import prepare, product, rings
from protocols.boosting.held_out import HeldOutSign
from protocols.boosting.keys import PairKey
from protocols.boosting.params import Params
from protocols.boosting.prepare import MaskedPadSums, Prepared
from protocols.boosting.product import DirectionShare, Level
from protocols.boosting.sealed import Blocks, MaskedSums, RootSums
from protocols.boosting.sealed_parts import GUEST, NO_SPLIT
from protocols.boosting.split import Offer, choose, leaf_values
from protocols.cipher import DecryptionKey, Keyring
from protocols.glm.sealed_link import EdgeShare
from protocols.marked import Marked
from protocols.message import Disclosure, Message
from protocols.parts import Part
from protocols.randomness import Seed
from tests.harness import TOY, Escrow, Recording, Sent
from tests.promises.attacks.trees.attacks import Bits, Floats, Ints
from tests.unit.protocols.boosting.samples import drawn_from
from tests.unit.protocols.boosting.world import Trained, bin_blocks, roles_of, train

ROWS, DEPTH, TREES = 160, 3, 4
REVEALED = {"RootSums", "MaskedSums", "EdgeShare", "HeldOutSign"}


@dataclass
class Run:
    """A training under Paillier, with early stopping; prepared: the arbiter's pads and opened masks, by group of trees;
    memberships: the guest's own shares, by level."""

    transcript: list[Sent]
    keys: Keyring
    key: DecryptionKey
    trained: Trained
    prepared: list[Prepared]
    blocks: list[Binned]
    y: Floats
    held: Bits
    shares: list[tuple[str, Ints, rings.Shares]]

    def to(self, receiver: str, kind: type[Message], sender: str | None = None) -> list[Any]:
        """Decoded by the receiver's keys."""
        chosen = [
            s for s in self.transcript if s.receiver == receiver and s.kind is kind and sender in (None, s.sender)
        ]
        return [s.message(self.keys) for s in chosen]

    @property
    def opened(self) -> Any:
        assert self.trained.opened.scale is not None
        return self.trained.opened

    @property
    def bins(self) -> list[Binned]:
        """In the order of training."""
        return [Binned(b.binner, b.bins[self.opened.order]) for b in self.blocks]

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.trained.roles.hosts

    def place(self, tree: int) -> tuple[int, int]:
        """Where a tree's pads are: which group of trees, and its number there."""
        return divmod(tree, self.prepared[0].layout.trees)

    def pads(self, tree: int, level: int) -> Any:
        """(rows,) as the arbiter drew them."""
        group, number = self.place(tree)
        return self.prepared[group].pads(number, level, 0, self.prepared[group].rows)

    def gradients(self, tree: int) -> tuple[Ints, Ints]:
        """(rows,) rounded g and h, 0 for rows held out; in the order of training."""
        g, h = self.opened.rounded(tree, ROWS, ~self.held[self.opened.order])
        return g[0][self.opened.order], h[0][self.opened.order]


@pytest.fixture(scope="module", params=[1, 2], ids=["1 host", "2 hosts"])
def run(request: pytest.FixtureRequest) -> Run:
    hosts = request.param
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ROWS, 6))
    y = (x[:, :5].sum(axis=1) + 0.5 * rng.logistic(size=ROWS) > 0).astype(np.float64)
    p = Params(n_estimators=TREES, max_depth=DEPTH, max_bin=6, min_bin_rows=5, early_stopping_rounds=TREES)
    blocks = bin_blocks([x[:, :2], x[:, 2:]] if hosts == 1 else [x[:, :2], x[:, 2:4], x[:, 4:]], p)
    scheme, transcript, prepared, held = Escrow(TOY), list[Sent](), list[Prepared](), np.arange(ROWS) % 4 == 0
    shares, honest, left = list[tuple[str, Ints, rings.Shares]](), prepare.arbiter, product.guest

    def preparing(*args: Any) -> Prepared:
        prepared.append(honest(*args))
        return prepared[-1]

    def going(session: Any, keys: Any, level: Level, own: Any, owners: Ints, *rest: Any) -> Any:
        shares.append((level.label, owners, own.within(Part(0, 1, 0, ROWS), level.sampled)))
        return left(session, keys, level, own, owners, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "arbiter", preparing)
        patch.setattr(product, "guest", going)
        taps = {q: [Recording(q, transcript)] for q in roles_of(hosts).all}
        trained = train(blocks, y, p, scheme, taps=taps, randomness=drawn_from(8, hosts), held_out=held)
    keys = Keyring()
    keys.add(scheme.keys[0].public)
    made = Run(transcript, keys, scheme.keys[0], trained, prepared, blocks, y, held, shares)
    assert trained.arbiter is not None
    assert len(made.to("arbiter", RootSums)) == TREES
    return made


def computed(run: Run, tree: int, level: int, party: int) -> tuple[Ints, Ints]:
    """Out of the arbiter's messages, its key and the seats alone: sums of g and h (nodes, candidates) left of a party's
    candidates."""
    name, (group, number) = run.trained.roles.data_parties[party], run.place(tree)
    layout = run.prepared[group].layout
    block = layout.blocks[number][level]
    masked = run.to("arbiter", MaskedPadSums, name)[
        sum(p.layout.planes for p in run.prepared[:group]) + block.plane
    ].sums
    opened = block.window(run.key.open_whole(masked))
    answer = run.to("arbiter", MaskedSums, name)[tree * DEPTH + level].sums
    lefts = run.opened.scale.slots.split(block.unguarded(opened + answer), layout.nodes(level))
    if not level:
        return lefts
    order, parents = run.trained.sealed.shape.level(level)[1][tree], computed(run, tree, level - 1, party)
    g, h = (np.stack([q, p - q], axis=1).reshape(1 << level, -1)[order] for q, p in zip(lefts, parents, strict=True))
    return g, h


def root(run: Run, tree: int) -> tuple[int, int]:
    """The same of all rows that a tree is trained on."""
    total = run.to("arbiter", RootSums)[tree].sums + run.pads(tree, 0).sum()
    g, h = run.opened.scale.slots.split(total.residue(run.prepared[0].layout.bits(0)), 1)
    return int(g[0, 0]), int(h[0, 0])


def nodes(run: Run, tree: int) -> Iterator[tuple[Bits, list[Any]]]:
    """Of each level, from all parties' parts: which rows each seat holds (seats, rows), and the directions of its split
    (None without one); then the leaves."""
    shape, part, every = run.trained.sealed.shape, run.trained.sealed, np.arange(ROWS)
    handles = [dict(zip(map(tuple, splits.seat), range(len(splits)), strict=True)) for splits in run.trained.hosts]
    held = np.ones((1, ROWS), dtype=np.bool_)
    for level in range(DEPTH):
        owners = shape.level(level)[0][tree]
        lefts: list[Any] = []
        for seat, owner in enumerate(owners.tolist()):
            if owner == NO_SPLIT:
                lefts.append(None)
            elif owner == GUEST:
                lefts.append(part.goes_left(run.bins[GUEST], every, tree, (1 << level) - 1 + seat))
            else:
                lefts.append(
                    run.trained.hosts[owner - 1].goes_left(
                        run.bins[owner], every, handles[owner - 1][tree, level, seat]
                    )
                )
        yield held, lefts
        below = np.array(
            [
                c
                for rows, left in zip(held, lefts, strict=True)
                for c in ((rows & left, rows & ~left) if left is not None else (rows, rows & False))
            ]
        )
        held = below[shape.level(level + 1)[1][tree]] if level + 1 < DEPTH else below
    yield held, []


def true_sums(run: Run, tree: int, held: Bits, party: int) -> tuple[Ints, Ints]:
    """What is left of each candidate of a party at each node, from everybody's data."""
    binned = run.bins[party]
    c = binned.candidates(range(binned.columns))
    left = np.array(
        [
            binned.goes_left(
                np.arange(ROWS), *(f(line[k]) for f, line in zip((int, int, bool), c_lines(c), strict=True))
            )
            for k in range(len(c))
        ]
    )
    both = [held.astype(np.int64) * q @ left.T.astype(np.int64) for q in run.gradients(tree)]
    return both[0], both[1]


def c_lines(c: Any) -> tuple[Any, Any, Any]:
    return c.feature, c.cut, c.missing_left


def unnamed(sums: tuple[Ints, Ints]) -> list[tuple[int, ...]]:
    """Of each candidate its sums at all nodes, in no order."""
    return sorted(map(tuple, np.vstack(sums).T.tolist()))


@pytest.mark.parametrize("tree", range(2))
def test_the_arbiter_computes_sums_of_unnamed_candidates_and_of_all_rows(run: Run, tree: int) -> None:
    """bin-sums-to-arbiter: at every node what stands left of every party's candidates, and the whole; nothing more
    precise, and no candidate's name."""
    assert root(run, tree) == tuple(int(q.sum()) for q in run.gradients(tree))
    for level, (held, lefts) in enumerate(nodes(run, tree)):
        for party in range(len(run.blocks)) if lefts else ():
            assert unnamed(computed(run, tree, level, party)) == unnamed(true_sums(run, tree, held, party))


def test_all_else_that_the_arbiter_has_follows_from_these_sums(run: Run) -> None:
    """Shapes, owners and leaf values: it computes them from the sums, and receives nothing for them."""
    arbiter, p = run.trained.arbiter, run.trained.sealed.params
    assert arbiter is not None
    for tree in range(len(arbiter.shape)):
        total = np.array(root(run, tree))[:, None]
        for level in range(DEPTH):
            offers = [Offer(*computed(run, tree, level, party)) for party in range(len(run.blocks))]
            choices = choose(p, run.opened.scale.units, offers, *total)
            assert arbiter.shape.level(level)[0][tree].tolist() == [NO_SPLIT if c is None else c.party for c in choices]
            held = list(nodes(run, tree))[level + 1][0]
            total = np.array([held.astype(np.int64) @ q for q in run.gradients(tree)])
        exact = leaf_values(
            p,
            *(
                t * u
                for t, u in zip(total, (run.opened.scale.units.g_unit, run.opened.scale.units.h_unit), strict=True)
            ),
        )
        assert np.array_equal(np.rint(exact / run.opened.scale.margin_unit).astype(np.int64), arbiter.value[tree])


def test_the_arbiter_receives_nothing_else_that_is_not_uniform(run: Run) -> None:
    """The kinds of messages to it that tell something; all others are uniform to it (test_transcript.py) or follow from
    the job."""
    told = {s.kind.kind for s in run.transcript if s.receiver == "arbiter" and s.kind.disclosure is Disclosure.REVEALED}
    assert told == REVEALED
    assert {s.kind.permit for s in run.transcript if s.kind.kind in told} == {
        "bin-sums-to-arbiter",
        "edge-count-to-arbiter",
        "loss-verdict-to-parties",
    }
    assert len(run.to("arbiter", HeldOutSign)) == TREES - 1  # of the first loss there is nothing to compare
    assert len(run.to("arbiter", EdgeShare)) == 2 * TREES  # of gradients, and of losses


# -- with another party


def test_with_what_one_host_received_the_arbiter_reads_labels(run: Run) -> None:
    """arbiter + host: the host was sent xi = block - r, and the arbiter knows r."""
    block = run.to("host1", Blocks)[0].xi + run.pads(0, 0)
    g, _ = run.opened.scale.slots.split(block.residue(run.prepared[0].layout.bits(0)), 1)
    inside = ~run.held[run.opened.order]
    auc = roc_auc_score(run.y[run.opened.order][inside], -g[0])
    print(f"arbiter + host: labels with AUC {auc:.3f}")
    assert auc > 0.95


def test_with_what_the_guest_received_the_arbiter_reads_the_directions_of_all_rows(run: Run) -> None:
    """arbiter + guest: the guest was sent s_A - s, and the arbiter drew s_A with the host."""
    read = 0
    for k, host in enumerate(run.hosts, 1):
        pair, sent = (
            Seed("arbiter", run.to(host, PairKey, "arbiter")[0].key),
            iter(run.to("guest", DirectionShare, host)),
        )
        for tree in range(len(run.trained.sealed.shape)):
            for level, (_, lefts) in zip(range(DEPTH), nodes(run, tree), strict=False):
                true = [
                    left
                    for left, owner in zip(lefts, run.trained.sealed.shape.level(level)[0][tree], strict=True)
                    if owner == k
                ]
                if true:
                    last, message = level + 1 == DEPTH, next(sent)
                    job = Level(f"round {tree} level {level}", ROWS, None)
                    shares = job.share_of_bits(pair.child(f"{job.label} own"), len(true))
                    less = (
                        rings.from_bytes(message.low, shares.shape, host)
                        if last
                        else message.s.to_i64().view(np.uint64).reshape(shares.shape)
                    )
                    assert np.array_equal(rings.signed(shares - less), np.array(true))
                    read += len(true)
    assert read > len(run.hosts)


def test_guest_and_first_host_read_who_is_at_the_guests_own_nodes(run: Run) -> None:
    """With one host they hold all data anyway; with two it is what the other host's splits did to the rows above such a
    node."""
    pair, sent = (
        Seed("arbiter", run.to("host1", PairKey, "arbiter")[0].key),
        iter(run.to("guest", product.ShareLessPad, "arbiter")),
    )
    read = 0
    for label, owners, shares in run.shares:
        mine = np.flatnonzero(owners == GUEST)
        if len(mine):
            message, last = next(sent), label.endswith(f"level {DEPTH - 1}")
            tree, level = (int(word) for word in label.split()[1::2])
            job = Level(label, ROWS, None if last else Marked(~run.held[run.opened.order]))
            pads, _ = product.helper_pads(job, pair.child(f"{label} helper"), len(mine))
            u = shares.u[mine] + rings.from_bytes(message.u, (len(mine), ROWS), "arbiter") + pads.u
            if tree < len(run.trained.sealed.shape):
                assert np.array_equal(rings.signed(u), list(nodes(run, tree))[level][0][mine])
                read += len(mine)
    assert read > 0
