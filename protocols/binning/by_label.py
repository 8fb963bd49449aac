"""Binning by the label across parties: weight of evidence and information value of every column, while the label stays
at the guest.

Adversary: honest but curious.  A guest that encrypts other numbers than its labels could read from the sums which rows
a bin holds; a host that cuts bins of other rows than it says could read their labels from the answer
(docs/threat-model.md).

 step    guest (labels, sk)                                      host P (features, cut into fine bins of at least min_bin_rows rows)
  0      makes n   PublicKeyOffer                  ------------>  checks n
  1                BinnedLabels [[y]], in blocks   ------------>  (row_blocks.py)
  2                                                <------------  FineCounts: rows of each fine bin, and [[events]], packed, re-randomised
                                                                  (ColumnNames, if the job opens them: else columns are numbers)
  3      (noise: adds it to the events of fine bins, noise.py)
         merges fine bins, by the trend; WOE, IV
         (tell)    MergedCounts: which fine bins   ------------>  WOE of its own bins
                   are one, and their events       <------------  BinsReceived: nobody continues before all have theirs

Who learns what: the guest, of every fine bin of a host's column, how many rows and events it holds; with `tell` a host how many events its merged bins hold,
which counts as a number computed from labels for each fine bin, since the label chooses which of them are merged.  With noise all that hosts
learn is computed from events with noise, and depends on each label no more than `epsilon` says.
Cost: n encryptions at the guest; n products per column; one decryption per about |n| / log2(rows) bins.  Exact: all sums are integers.
"""  # noqa: E501

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.binning.counts import Counted, impossible, layout, merged_columns, numbers_told, opened_columns
from protocols.binning.merging import BinningRule, Ints, MergedBins, from_arrays, merge, to_arrays
from protocols.binning.noise import CountNoise, of_both
from protocols.channel import Channel, broadcast
from protocols.cipher import CipherVec, EncryptionKey, key_offer
from protocols.codec import Int32s, check_lengths
from protocols.message import PUBLIC, REVEALED, SEALED, Message
from protocols.one_noise import reveal_once
from protocols.parts import parts
from protocols.recovery.checkpoint import Arrays
from protocols.row_blocks import pace, taken
from protocols.session import Session


class BinnedLabels(Message, disclosure=SEALED, learns="nothing: labels, encrypted", in_blocks=True):
    y: CipherVec  # (rows,)


class FineCounts(
    Message,
    disclosure=REVEALED,
    permit="bin-events-to-guest",
    learns=(
        "for every fine bin of each of the sender's columns, how many rows and how many events it holds (columns "
        "have numbers in place of names); which columns are ordered, and which have special or missing values"
    ),
):
    bins: Int32s  # (columns,) fine bins of each column
    apart: Int32s  # (columns,) how many of the last bins are of special and missing values
    ordered: Int32s  # (columns,) 0: bins are categories, in no order
    rows: Int32s  # (all bins,)
    events: CipherVec  # (ceil(all bins / slots),)


class ColumnNames(
    Message, disclosure=REVEALED, permit="column-names-to-guest", learns="the names of the sender's columns"
):
    names: str  # one a line


class MergedCounts(
    Message,
    disclosure=REVEALED,
    permit="woe-to-host",
    learns=(
        "which of its own fine bins are merged, and how many events each merged bin holds; hence the bin's weight of "
        "evidence, and the total number of events (with privacy: all of it computed from events with noise)"
    ),
):
    group: Int32s  # (all fine bins,) the final bin of each, from 0 in every column
    events: Int32s  # (all final bins,)


class BinsReceived(Message, disclosure=PUBLIC, learns="that the sender has its bins"):
    columns: int


@dataclass(frozen=True, eq=False)
class FineBins:
    """A party's training rows in fine bins: bins (n, d); of each column how many there are, how many of the last ones
    are special bins, whether the others are ordered."""

    bins: NDArray[np.int64]
    width: tuple[int, ...]
    apart: tuple[int, ...]
    ordered: tuple[bool, ...]

    @property
    def rows(self) -> list[Ints]:
        """Rows of each bin, by column."""
        return [np.bincount(column, minlength=w) for column, w in zip(self.bins.T, self.width, strict=True)]


@dataclass(frozen=True, eq=False)
class HostColumn:
    """What the guest knows of a host's column: a name, or a number for one; its final bins; possible: whether the
    host's sums of events can be (counts.py)."""

    name: str
    merged: MergedBins
    apart: int
    possible: bool = True


Found = tuple[list[MergedBins], dict[str, list[HostColumn]]]


def guest(
    session: Session,
    y: Ints,
    own: FineBins,
    rule: BinningRule,
    *,
    tell: bool,
    open_names: bool = False,
    noise: CountNoise | None = None,
) -> Found:
    """The guest's side: y (n,) 0 or 1, both present; own: its own columns.  Returns its own final bins, and by host
    theirs.

    Learns: see the figure.  tell: hosts get the merged bins' events; noise: on them.  Raises RemoteProtocolError for
    counts that cannot be; of events where hosts get them without noise, otherwise the columns are marked.
    """

    def save(found: Found) -> Arrays:
        arrays = to_arrays(found[0], "own.")
        for name, columns in found[1].items():
            arrays |= to_arrays([c.merged for c in columns], f"{name}.") | {
                f"{name}.apart": np.array([c.apart for c in columns], dtype=np.int64),
                f"{name}.possible": np.array([c.possible for c in columns], dtype=np.bool_),
            }
            arrays[f"{name}.names"] = np.frombuffer("\n".join(c.name for c in columns).encode(), dtype=np.uint8)
        return arrays

    def load(saved: Arrays) -> Found:
        hosts = {}
        for name in session.roles.hosts:
            names = saved[f"{name}.names"].tobytes().decode().split("\n")
            flags = (saved[f"{name}.{what}"].tolist() for what in ("apart", "possible"))
            rest = zip(names, from_arrays(saved, f"{name}."), *flags, strict=True)
            hosts[name] = [HostColumn(*one) for one in rest]
        return from_arrays(saved, "own."), hosts

    rest = {"tell": tell, "open_names": open_names}
    return session.once(lambda: _guest(session, y, own, rule, noise, **rest), save, load)


def _guest(
    session: Session,
    y: Ints,
    own: FineBins,
    rule: BinningRule,
    noise: CountNoise | None,
    *,
    tell: bool,
    open_names: bool,
) -> Found:
    mine = [
        merge(rule, rows, np.bincount(column, weights=y, minlength=len(rows)).astype(np.int64), apart=a, ordered=o)
        for column, rows, a, o in zip(own.bins.T, own.rows, own.apart, own.ordered, strict=True)
    ]
    key = session.scheme.generate(session.me, session.seed("key of labels"))
    key_offer.offer(session, key, session.roles.hosts)  # 0
    for part in parts(len(y)):  # 1
        plain = PlainVec.from_i64(np.ascontiguousarray(y[part.rows], dtype=np.int64))
        pace(session.hosts, part)
        broadcast(session.hosts, BinnedLabels(key.encrypt(plain, session.seed("labels", plain.to_bytes()))), part)
    theirs = {}
    for channel in session.steps("bin", session.hosts):
        counts = channel.recv(FineCounts)  # 2
        session.allowance.partner_columns(channel.peer, len(counts.bins))
        opened = opened_columns(channel.peer, counts, key, y, rule, stops=tell and noise is None)
        columns = [
            merge(rule, column.rows, column.events, apart=int(apart), ordered=bool(ordered))
            for column, apart, ordered in zip(
                _noised(session, opened, noise), counts.apart, counts.ordered, strict=True
            )
        ]
        numbered = [f"column {k + 1}" for k in range(len(columns))]
        names = received_names(channel, len(columns)) if open_names else numbered
        theirs[channel.peer] = [
            HostColumn(name, m, int(apart), one.possible)
            for name, m, apart, one in zip(names, columns, counts.apart, opened, strict=True)
        ]
        if tell:  # 3
            if noise is None:  # else epsilon counts what is told
                told = {channel.peer: numbers_told(counts.bins)}
                session.allowance.label_numbers(f"bins of {channel.peer}", told, len(y))
            answer = MergedCounts(_joined([m.group for m in columns]), _joined([m.events for m in columns]))
            if noise is not None:
                content = answer.group.tobytes() + answer.events.tobytes()
                reveal_once(session, f"events of bins to {channel.peer}", content)
            channel.send(answer)
    for channel in session.hosts if tell else ():
        if channel.recv(BinsReceived).columns != len(theirs[channel.peer]):
            raise impossible(channel.peer, "a number of columns")
    session.keys.remove(key.public)
    return mine, theirs


def host(
    session: Session,
    fine: FineBins,
    rule: BinningRule,
    *,
    tell: bool,
    names: Sequence[str] | None = None,
    noisy: bool = False,
) -> list[MergedBins] | None:
    """A host's side: fine: bins of at least rule.min_bin_rows rows each; names: of its columns, if the job opens them;
    noisy: whether the events that it learns have noise.

    With `tell` it learns the events of its final bins, and returns them; else nothing.  Raises RemoteProtocolError for
    counts that cannot be.
    """
    rest: dict[str, Any] = {"tell": tell, "names": names, "noisy": noisy}
    found = session.once(lambda: _host(session, fine, rule, **rest) or [], to_arrays, from_arrays)
    return found if tell else None


def arbiter(session: Session) -> None:
    """The arbiter takes no part; it only takes the same checkpoint as the others."""
    session.once(lambda: None, lambda _: {}, lambda _: None)


def _host(
    session: Session, fine: FineBins, rule: BinningRule, *, tell: bool, names: Sequence[str] | None, noisy: bool
) -> list[MergedBins] | None:
    key = key_offer.accept(session, session.roles.guest)  # 0
    n, rows = len(fine.bins), fine.rows
    widest = max(fine.width)
    cells = received_cells(session, np.ascontiguousarray(fine.bins, dtype=np.int64), widest, key)  # 1
    session.keys.remove(key)  # it is for labels, and for nothing that comes later
    used = np.concatenate([np.arange(w) + k * widest for k, w in enumerate(fine.width)])
    width, slots = layout(key, n)
    packed = cells.take(used).pack(width, slots)
    events = packed.rerandomise(session.seed("bin events", packed.digest()))
    flags = (np.array(fine.width, np.int32), np.array(fine.apart, np.int32), np.array(fine.ordered, np.int32))
    session.guest.send(FineCounts(*flags, _joined(rows), events))  # 2
    if names is not None:
        session.guest.send(ColumnNames("\n".join(names)))
    if not tell:
        return None
    merged = merged_columns(session.roles.guest, session.guest.recv(MergedCounts), fine, rows, noisy=noisy)  # 3
    session.guest.send(BinsReceived(len(merged)))
    return merged


def received_cells(session: Session, bins: Ints, widest: int, key: EncryptionKey) -> CipherVec:
    """Step 1 at a host: labels, all under `key`, added up by column and bin as they arrive."""
    cells = list[CipherVec]()
    for part in parts(len(bins)):
        y = session.guest.recv(BinnedLabels, part).y
        check_lengths(session.roles.guest, len(part), y)
        if y.key.fingerprint != key.fingerprint:
            raise impossible(session.roles.guest, "labels under another key")
        cells.append(y.histogram(bins[part.rows], widest))
        taken(session.guest, part)
    return reduce(operator.add, cells)


def _noised(session: Session, columns: list[Counted], noise: CountNoise | None) -> list[Counted]:
    """Step 3 at the guest, of one host."""
    if noise is None or not columns:
        return columns
    rows, events = (np.concatenate(each) for each in ([c.rows for c in columns], [c.events for c in columns]))
    noised = noise.added(events, rows, len(columns), session.seed("noise on events", events.tobytes()))
    ends = np.cumsum([len(column.rows) for column in columns])[:-1]
    each = zip(columns, np.split(noised, ends), strict=True)
    return [column._replace(events=of_both(found, column.rows)) for column, found in each]


def _joined(parts: Sequence[Ints]) -> NDArray[np.int32]:
    return np.concatenate(parts).astype(np.int32)


def received_names(channel: Channel, columns: int) -> list[str]:
    names = channel.recv(ColumnNames).names.split("\n")
    check_lengths(channel.peer, columns, names, what="names of columns")
    if not all(name.isprintable() and 0 < len(name) <= 200 for name in names):
        raise impossible(channel.peer, "names of columns")
    return names
