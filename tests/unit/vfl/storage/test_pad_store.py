"""Stored pads: what comes back, what is as good as lost, and what is gone for good."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.errors import ConfigError
from vfl.storage import pad_store
from vfl.storage.pad_store import DAY, DAYS, PADS, SPENT, PadFolder, Sealing, expired
from vfl.transport.identity import Identity, create_identity

NAME, OTHER, BELONGS = b"n" * 32, b"o" * 32, b"b" * 32
NOW = 1_800_000_000.0
PADS_OF = {"0|predictor|0": np.frombuffer(b"a pad that nobody may read" * 4, np.uint8)}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return create_identity(tmp_path_factory.mktemp("own") / "identity", "bank")


@pytest.fixture
def at(tmp_path: Path, identity: Identity) -> Callable[..., PadFolder]:
    def folder(days: float = 0.0, binding: bytes = b"run", who: Identity = identity) -> PadFolder:
        (tmp_path / "run").mkdir(exist_ok=True)
        sealing = Sealing(who.seal, who.unseal)
        return PadFolder(tmp_path / "run", tmp_path, binding, sealing, lambda: NOW + days * DAY)

    return folder


def same(found: Any) -> bool:
    return (
        found is not None and found.keys() == PADS_OF.keys() and all((found[k] == v).all() for k, v in PADS_OF.items())
    )


def file(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "run" / PADS).iterdir()
    return found


def test_pads_come_back_as_they_were_to_their_own_run_alone(at: Callable[..., PadFolder], tmp_path: Path) -> None:
    store = at()
    store.put(NAME, BELONGS, PADS_OF)
    assert same(store.get(NAME, BELONGS))
    assert same(at(DAYS - 0.01).get(NAME, BELONGS))
    assert file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "run" / PADS).stat().st_mode & 0o777 == 0o700
    taken, until = store.total()
    assert (taken, until) == (file(tmp_path).stat().st_size, NOW + DAYS * DAY)
    stranger = create_identity(tmp_path / "stranger", "bank")
    assert store.get(OTHER, BELONGS) is None
    assert store.get(NAME, OTHER) is None
    assert at(binding=b"another run").get(NAME, BELONGS) is None
    assert at(who=stranger).get(NAME, BELONGS) is None


def test_several_frames(at: Callable[..., PadFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, and all of them."""
    monkeypatch.setattr(pad_store, "FRAME", 64)
    store = at()
    store.put(NAME, BELONGS, PADS_OF)
    assert same(store.get(NAME, BELONGS))
    path, whole = file(tmp_path), file(tmp_path).read_bytes()
    head, size = pad_store.HEADER, 64 + pad_store.TAG
    frames = [whole[head + k : head + k + size] for k in range(0, len(whole) - head, size)]
    assert len(frames) >= 3
    for changed in (frames[:-1], [frames[1], frames[0], *frames[2:]], [*frames, frames[-1]], []):
        path.write_bytes(whole[:head] + b"".join(changed))
        assert store.get(NAME, BELONGS) is None


def test_every_changed_byte_is_found(at: Callable[..., PadFolder], tmp_path: Path) -> None:
    store = at()
    store.put(NAME, BELONGS, PADS_OF)
    path, whole = file(tmp_path), file(tmp_path).read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert store.get(NAME, BELONGS) is None, place
    path.write_bytes(whole)
    assert same(store.get(NAME, BELONGS))


@pytest.mark.parametrize("days", [DAYS, 30, -1])
def test_pads_expire(at: Callable[..., PadFolder], tmp_path: Path, days: float) -> None:
    """Also where this machine's clock was set back."""
    at().put(NAME, BELONGS, PADS_OF)
    later = at(days)
    assert not later.holds(NAME)
    assert later.get(NAME, BELONGS) is None
    assert later.total() == (0, 0.0)
    assert expired(tmp_path / "run" / PADS, NOW) == []
    assert later.drop_expired() == 1
    assert not list((tmp_path / "run" / PADS).iterdir())


def test_spent_pads_do_not_come_back_with_a_copy_of_the_folder(at: Callable[..., PadFolder], tmp_path: Path) -> None:
    at().put(NAME, BELONGS, PADS_OF)
    path, copy = file(tmp_path), file(tmp_path).read_bytes()
    assert at().spend(NAME)
    assert not path.exists()
    path.write_bytes(copy)
    assert not at().holds(NAME)
    assert at().get(NAME, BELONGS) is None
    assert not at().spend(NAME)
    assert (tmp_path / SPENT).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("days", [61, 4000])
def test_a_clock_that_was_ahead_for_a_while_brings_no_pad_back(
    at: Callable[..., PadFolder], tmp_path: Path, days: float
) -> None:
    """Then back again, and the pads' file restored.  Planted: a list that deletes old names finds the pads again."""
    at().put(NAME, BELONGS, PADS_OF)
    path, copy = file(tmp_path), file(tmp_path).read_bytes()
    assert at().spend(NAME)
    assert at(days).spend(OTHER)
    path.write_bytes(copy)
    assert at().get(NAME, BELONGS) is None
    assert not at().spend(NAME)
    path.write_bytes(copy)
    with contextlib.closing(sqlite3.connect(tmp_path / SPENT)) as store, store:
        store.execute("DELETE FROM spent WHERE at < ?", (NOW + (days - 60) * DAY,))
    assert same(at().get(NAME, BELONGS))


def test_pads_are_worthless_under_another_list_of_names(
    at: Callable[..., PadFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the list was lost or the run's folder copied elsewhere: else spent pads were valid again.  Planted: lists
    that all have one id."""
    at().put(NAME, BELONGS, PADS_OF)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")

    def restored(*, with_list: bool) -> PadFolder:
        shutil.rmtree(tmp_path / "run")
        shutil.copytree(tmp_path / "copy", tmp_path / "run")
        if not with_list:
            (tmp_path / SPENT).unlink()
        return at()

    assert same(restored(with_list=True).get(NAME, BELONGS))  # the positive control
    assert at().spend(NAME)
    assert restored(with_list=True).get(NAME, BELONGS) is None
    store = restored(with_list=False)
    assert not store.holds(NAME)
    assert store.get(NAME, BELONGS) is None
    assert store.total()[0] > 0  # they have not expired
    store.put(OTHER, BELONGS, PADS_OF)  # and the new list serves new pads
    assert same(store.get(OTHER, BELONGS))
    path, first = tmp_path / "run" / PADS / f"{NAME.hex()}.pads", len(pad_store.MAGIC) + 8 + pad_store.NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:first] + list_id(tmp_path) + whole[first + pad_store.LIST :])
    assert store.holds(NAME)  # a header that was changed to name the new list
    assert store.get(NAME, BELONGS) is None
    monkeypatch.setattr(pad_store, "salt", lambda: bytes(32))
    (tmp_path / SPENT).unlink()
    at().put(NAME, BELONGS, PADS_OF)
    shutil.rmtree(tmp_path / "copy")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert at().spend(NAME)
    assert same(restored(with_list=False).get(NAME, BELONGS))


def list_id(tmp_path: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(tmp_path / SPENT)) as store:
        return bytes(store.execute("SELECT id FROM list").fetchone()[0])


def test_no_pad_lies_in_clear(at: Callable[..., PadFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a cipher that does nothing is found."""
    at().put(NAME, BELONGS, PADS_OF)
    assert b"nobody may read" not in file(tmp_path).read_bytes()

    class Nothing:
        def __init__(self, key: bytes) -> None: ...
        def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
            return data

    monkeypatch.setattr(pad_store, "AESGCM", Nothing)
    at().put(NAME, BELONGS, PADS_OF)
    assert b"nobody may read" in file(tmp_path).read_bytes()


def test_a_full_disk_and_a_damaged_list_of_names_are_said(
    at: Callable[..., PadFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leave nothing half-written under a pad's name."""
    (tmp_path / SPENT).write_bytes(b"no database, but longer than a header of one would be" * 20)
    with pytest.raises(ConfigError, match="names of spent pads"):
        at().spend(NAME)
    (tmp_path / SPENT).unlink()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        at().put(NAME, BELONGS, PADS_OF)
    assert not (tmp_path / "run" / PADS / f"{NAME.hex()}.pads").exists()


def test_lost_pads_are_told_of_once(at: Callable[..., PadFolder], caplog: pytest.LogCaptureFixture) -> None:
    """However many there are, in words of a user; pads that are used are no reason for a line."""
    store = at()
    store.put(NAME, BELONGS, PADS_OF)
    assert same(store.get(NAME, BELONGS))
    assert not caplog.messages
    for _ in range(3):
        assert store.get(OTHER, BELONGS) is None
    (line,) = caplog.messages
    assert "iterations are prepared again while this run trains" in line
    assert "chunk" not in line
