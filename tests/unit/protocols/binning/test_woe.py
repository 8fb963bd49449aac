"""The protocol against the joined table: equal bins, WOE and IV; what is sent, and planted faults that each check
catches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols.binning import by_label as woe
from protocols.binning.merging import BinningRule, MergedBins, merge
from protocols.cipher import CipherVec, Identity, Keyring, Scheme
from protocols.errors import RemoteProtocolError, UnfreshCiphertext
from protocols.local import run_local
from protocols.randomness import Seed
from protocols.session import Roles, Session
from tests.harness import TOY, Escrow, Recording, Sent
from tests.unit.protocols.binning.test_woe_bins import formula

ROWS = 400
RULE = BinningRule(max_n_prebins=8, min_bin_rows=20)
ROLES = Roles("guest", ("host1", "host2"), "arbiter")


def fine(seed: int, columns: int) -> woe.FineBins:
    """Columns of 8 bins, the last of the first one for missing values, the last column without order."""
    bins = np.random.default_rng(seed).permuted(np.tile(np.arange(ROWS) % 8, (columns, 1)), axis=1).T
    return woe.FineBins(
        bins.astype(np.int64), (8,) * columns, (1,) + (0,) * (columns - 1), (True,) * (columns - 1) + (columns == 1,)
    )


def labels() -> Any:
    rng = np.random.default_rng(3)
    return (rng.random(ROWS) < 0.1 + 0.08 * fine(1, 3).bins[:, 1]).astype(np.int64)


TABLES = {"guest": fine(0, 2), "host1": fine(1, 3), "host2": fine(2, 1)}


def run(
    scheme: Scheme, *, tell: bool = True, names: bool = False, hosts: Callable[..., Any] = woe.host, **more: Any
) -> dict[str, Any]:
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": partial(woe.guest, y=labels(), own=TABLES["guest"], rule=RULE, tell=tell, open_names=names),
        "arbiter": lambda session: None,
    }
    for h in ROLES.hosts:
        columns = [f"{h} column {k}" for k in range(len(TABLES[h].width))]
        programs[h] = partial(hosts, fine=TABLES[h], rule=RULE, tell=tell, names=columns if names else None)
    return run_local(ROLES, programs, scheme, deadline=60.0, **more)


def joined(name: str) -> list[MergedBins]:
    table, y = TABLES[name], labels()
    return [
        merge(RULE, rows, np.array([y[column == b].sum() for b in range(w)]), apart=a, ordered=o)
        for column, rows, w, a, o in zip(table.bins.T, table.rows, table.width, table.apart, table.ordered, strict=True)
    ]


def same(a: MergedBins, b: MergedBins) -> bool:
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in ("group", "rows", "events"))


@pytest.mark.parametrize("scheme", [TOY, Identity()])
def test_bins_woe_and_iv_equal_the_joined_table(scheme: Scheme) -> None:
    found = run(scheme)
    own, theirs = found["guest"]
    assert all(same(a, b) for a, b in zip(own, joined("guest"), strict=True))
    for h in ROLES.hosts:
        expected = joined(h)
        assert all(same(column.merged, e) for column, e in zip(theirs[h], expected, strict=True))
        assert all(same(column, e) for column, e in zip(found[h], expected, strict=True))
        assert [column.name for column in theirs[h]] == [f"column {k + 1}" for k in range(len(expected))]
        for column in found[h]:
            weights, iv = formula(column.rows.tolist(), column.events.tolist())
            assert column.woe == pytest.approx(weights, abs=1e-9)
            assert column.iv == pytest.approx(iv, abs=1e-9)


def test_a_host_that_is_told_nothing_receives_nothing_but_ciphertexts() -> None:
    transcript: list[Sent] = []
    found = run(TOY, tell=False, taps={p: [Recording(p, transcript)] for p in ROLES.all})
    assert found["host1"] is found["host2"] is None
    assert {s.kind for s in transcript if s.receiver != "guest"} == {woe.key_offer.PublicKeyOffer, woe.BinnedLabels}
    assert {s.kind.permit for s in transcript} == {None, "bin-events-to-guest"}


def test_names_are_opened_on_demand() -> None:
    transcript: list[Sent] = []
    _, theirs = run(Identity(), names=True, taps={p: [Recording(p, transcript)] for p in ROLES.all})["guest"]
    assert [c.name for c in theirs["host1"]] == ["host1 column 0", "host1 column 1", "host1 column 2"]
    assert {s.kind.permit for s in transcript} == {None, "bin-events-to-guest", "column-names-to-guest", "woe-to-host"}


def test_every_ciphertext_is_randomised_once() -> None:
    transcript, scheme = list[Sent](), Escrow(TOY)
    run(scheme, taps={p: [Recording(p, transcript)] for p in ROLES.all})
    keys = woe_keys(scheme)
    for receiver in ROLES.all:
        residues = [r for s in transcript if s.receiver == receiver for v in s.vectors(keys) for r in v.raw.residues()]
        assert len(set(residues)) == len(residues)
        assert 1 not in residues


def test_the_key_of_the_labels_is_for_nothing_else() -> None:
    """Nobody accepts anything under it afterwards; labels under another key that a host knows are refused."""
    left: dict[str, bytes] = {}
    other = TOY.generate("arbiter", Seed("arbiter", bytes(32))).public

    def keen(session: Session, **more: Any) -> Any:
        session.keys.add(other)
        result = woe.host(session, **more)
        left[session.me] = b"".join(session.keys._keys)
        return result

    run(TOY, hosts=keen)
    assert set(left.values()) == {other.fingerprint}

    def swapped(key: Any, plain: Any, seed: Seed) -> CipherVec:
        return other.encrypt(plain, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protocols.cipher.keys.DecryptionKey.encrypt", swapped)
        with pytest.raises(RemoteProtocolError, match="labels under another key"):
            run(TOY, hosts=keen)


def woe_keys(scheme: Escrow) -> Keyring:
    keys = Keyring()
    for key in scheme.keys:
        keys.add(key.public)
    return keys


def test_planted_sums_that_are_not_randomised_cannot_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(self: CipherVec, seed: Seed) -> CipherVec:
        return self

    monkeypatch.setattr(CipherVec, "rerandomise", lazy)
    with pytest.raises(UnfreshCiphertext):
        run(TOY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: woe.FineBins(np.where(f.bins == 3, 2, f.bins), f.width, f.apart, f.ordered),
            "numbers of rows",
        ),  # an empty bin
        (lambda f: woe.FineBins(f.bins, f.width, (3,) * len(f.width), f.ordered), "numbers of bins"),
    ],
)
def test_planted_bins_that_break_the_rules_are_refused(
    change: Callable[[woe.FineBins], woe.FineBins], words: str
) -> None:
    def planted(session: Session, fine: woe.FineBins, **more: Any) -> Any:
        return woe.host(session, change(fine), **more)

    with pytest.raises(RemoteProtocolError, match=words):
        run(Identity(), hosts=planted)


def test_planted_sums_that_are_no_sums_of_the_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = CipherVec.histogram
    monkeypatch.setattr(
        CipherVec, "histogram", lambda self, bins, n: honest(self, bins, n).mul_plain(woe.PlainVec.from_ints([2]))
    )
    with pytest.raises(RemoteProtocolError, match="sums of events"):
        run(Identity())


def test_planted_answer_of_more_events_than_rows_is_refused() -> None:
    table = TABLES["host2"]
    bad = woe.MergedCounts(np.zeros(8, np.int32), np.array([ROWS + 1], np.int32))
    with pytest.raises(RemoteProtocolError, match="sums of events"):
        woe.merged_columns("guest", bad, table, table.rows)
    gap = woe.MergedCounts(np.full(8, 2, np.int32), np.array([1], np.int32))
    far = woe.MergedCounts(np.full(8, 2**31 - 1, np.int32), np.array([1], np.int32))  # as many bins take 16 GB
    for wrong in (gap, far):
        with pytest.raises(RemoteProtocolError, match="final bins"):
            woe.merged_columns("guest", wrong, table, table.rows)
