"""What an arbiter keeps on its disk: sealed, whole or refused, and moved on so that an interrupted run, or two at a
time, leave shares that fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from protocols.errors import ModelError
from protocols.glm.shares import Moved, WeightShares
from tests.parts import words
from vfl.models.part_files import add_shares, drop_shares, load_part, save_part
from vfl.models.shared_weights import SharedWeights
from vfl.transport.identity import Identity, create_identity

FIRST = b"f" * 16


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return create_identity(tmp_path_factory.mktemp("trustco") / "identity", "trustco")


@pytest.fixture
def folder(tmp_path: Path, identity: Identity) -> Path:
    shares = {p: WeightShares((FIRST,), words([[1.0, k]])[np.newaxis]) for k, p in enumerate(("bank", "telecom"))}
    part = SharedWeights("trustco", bytes(16), "logistic-regression", shares)
    save_part(part, tmp_path / "model", kind="shared-weights", job_digest=bytes(32), identity=identity)
    return tmp_path / "model"


def names(folder: Path, identity: Identity, party: str = "bank") -> tuple[bytes, ...]:
    part, _ = load_part(folder, identity)
    return tuple(part.shares[party].names)


def moved(name: bytes) -> Moved:
    return Moved(name * 16, words([[2.0, 3.0]]))


def test_it_comes_back_as_it_was_and_only_for_its_owner(folder: Path, identity: Identity, tmp_path: Path) -> None:
    part, head = load_part(folder, identity)
    assert (head.kind, part.kind, set(part.shares)) == ("shared-weights", "logistic-regression", {"bank", "telecom"})
    assert np.array_equal(part.shares["telecom"].latest, words([[1.0, 1.0]]))
    assert words([[1.0, 1.0]]).tobytes() not in (folder / "weights.safetensors").read_bytes()
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}
    shown, _ = load_part(folder)
    assert (dict(shown.shares), dict(shown.counts)) == ({}, {"bank": 2, "telecom": 2})
    with pytest.raises(ModelError, match="were not sealed by this party's key") as caught:
        load_part(folder, create_identity(tmp_path / "other", "trustco"))
    assert caught.value.party == "trustco"


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_bit_that_was_changed_is_refused(folder: Path, identity: Identity, at: int) -> None:
    content = load_file(folder / "weights.safetensors")
    content["sealed"][at] ^= 1
    save_file(content, folder / "weights.safetensors")
    with pytest.raises(ModelError, match="sealed by this party's key, or are damaged"):
        load_part(folder, identity)


def test_the_sealed_shares_of_another_model_are_refused(folder: Path, identity: Identity) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("0" * 32, "1" * 32, 1))
    with pytest.raises(ModelError, match="sealed by this party's key"):
        load_part(folder, identity)


def test_new_shares_stand_beside_old_ones_until_these_are_dropped(folder: Path, identity: Identity) -> None:
    add_shares(folder, {"bank": moved(b"n")}, identity)
    add_shares(folder, {"bank": moved(b"n")}, identity)  # a run that resumed says so again
    assert names(folder, identity) == (FIRST, b"n" * 16)
    assert names(folder, identity, "telecom") == (FIRST,)
    drop_shares(folder, {"bank": frozenset({FIRST})}, identity)
    assert names(folder, identity) == (b"n" * 16,)
    drop_shares(folder, {"bank": frozenset({b"n" * 16})}, identity)
    assert names(folder, identity) == (b"n" * 16,)  # never the last one


def test_two_runs_at_a_time_leave_both_holders_a_share_of_one_name(
    tmp_path: Path, folder: Path, identity: Identity
) -> None:
    """In either order at either holder, and if the second run dies between the two."""
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    before = {"bank": frozenset({FIRST})}
    add_shares(folder, {"bank": moved(b"a")}, identity)
    add_shares(folder, {"bank": moved(b"b")}, identity)
    add_shares(other, {"bank": moved(b"a")}, identity)
    drop_shares(folder, before, identity)
    drop_shares(other, before, identity)
    assert {*names(folder, identity)} & {*names(other, identity)} == {b"a" * 16}  # the second run died
    add_shares(other, {"bank": moved(b"b")}, identity)
    drop_shares(other, before, identity)
    assert {*names(folder, identity)} == {*names(other, identity)} == {b"a" * 16, b"b" * 16}
