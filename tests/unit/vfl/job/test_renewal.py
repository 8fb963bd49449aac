"""A partner's second pin, and a party's own new certificate: models and sealed parts stay readable."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.errors import ConfigError, ModelError
from protocols.glm.shares import WeightShares
from vfl.job import load_party, starter_party
from vfl.job.renewal import renew_identity
from vfl.job.setup import init_party, trust_peer
from vfl.models.part_files import load_part, save_part
from vfl.models.shared_weights import SharedWeights
from vfl.transport.identity import Identity, create_identity, verify

NO_PASSPHRASE = lambda: None  # noqa: E731


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A guest's folder that has pinned telecom's first certificate."""
    init_party(tmp_path / "bank", "guest", "bank")
    trust_peer(tmp_path / "bank", create_identity(tmp_path / "first", "telecom").certificate_path)
    return tmp_path / "bank"


def pins(folder: Path) -> list[str]:
    return [file.name for file in load_party(folder / "party.toml").peers["telecom"].certificate]


def test_a_second_pin_stands_beside_the_first_and_then_in_its_place(bank: Path, tmp_path: Path) -> None:
    new = create_identity(tmp_path / "second", "telecom").certificate_path
    before = (bank / "party.toml").read_text()
    assert trust_peer(bank, new, pins="add")[::2] == ("telecom", 2)
    assert pins(bank) == ["telecom.pem", "telecom-2.pem"]
    with pytest.raises(ConfigError, match="is pinned already"):
        trust_peer(bank, new, pins="add")
    third = create_identity(tmp_path / "third", "telecom").certificate_path
    assert trust_peer(bank, third, pins="replace")[::2] == ("telecom", 1)
    assert pins(bank) == ["telecom-3.pem"]
    assert (bank / "peers" / "telecom.pem").exists()  # ledgers of that time are checked with it
    after = (bank / "party.toml").read_text()
    old, now = (f'[peers.telecom]\ncertificate = "peers/{name}.pem"' for name in ("telecom", "telecom-3"))
    assert after == now.join(before.rsplit(old, 1))  # comments and all else stay


def test_a_pin_that_was_added_takes_the_place_of_the_others(bank: Path, tmp_path: Path) -> None:
    """`--add`, then `--replace` with the same file: what a partner does after a renewal."""
    new = create_identity(tmp_path / "second", "telecom").certificate_path
    trust_peer(bank, new, pins="add")
    assert trust_peer(bank, new, pins="replace")[::2] == ("telecom", 1)
    assert pins(bank) == ["telecom-2.pem"]
    assert sorted(path.name for path in (bank / "peers").iterdir()) == ["telecom-2.pem", "telecom.pem"]
    with pytest.raises(ConfigError, match="is pinned already"):  # nothing to take the place of
        trust_peer(bank, new, pins="replace")


@pytest.mark.parametrize("how", ["first", "add", "replace"])
def test_a_certificate_that_has_ended_is_not_pinned(bank: Path, tmp_path: Path, how: Any) -> None:
    name = "shop" if how == "first" else "telecom"
    with pytest.raises(ConfigError, match="expired"):
        create_identity(tmp_path / "old", name, days=0)
    before = (bank / "party.toml").read_text()
    with pytest.raises(ConfigError, match=f"the certificate of {name}, expired on .* Ask {name} for a new one"):
        trust_peer(bank, tmp_path / "old" / "cert.pem", pins=how)
    assert (bank / "party.toml").read_text() == before
    assert [path.name for path in (bank / "peers").iterdir()] == ["telecom.pem"]


def test_pins_that_cannot_be_added_leave_everything_as_it_was(bank: Path, tmp_path: Path) -> None:
    text = (bank / "party.toml").read_text()
    for certificate, options, words in (
        (create_identity(tmp_path / "s", "shop").certificate_path, {"pins": "add"}, "shop is not pinned yet"),
        (
            create_identity(tmp_path / "t", "telecom").certificate_path,
            {"pins": "add", "address": "h:1"},
            "--address goes",
        ),
    ):
        with pytest.raises(ConfigError, match=words):
            trust_peer(bank, certificate, **options)  # type: ignore[arg-type]
    (bank / "party.toml").write_text(
        text.replace('certificate = "peers/telecom.pem"', '"certificate" = "peers/telecom.pem"')
    )
    with pytest.raises(ConfigError, match="was not found"):
        trust_peer(bank, create_identity(tmp_path / "u", "telecom").certificate_path, pins="add")
    assert [path.name for path in (bank / "peers").iterdir()] == ["telecom.pem"]


def test_a_new_certificate_of_the_same_key(bank: Path) -> None:
    own = load_party(bank / "party.toml").identity
    old, key = own.certificate.read_bytes(), own.key.read_bytes()
    signature = Identity.load(own.key, own.certificate).sign(b"ledger")
    identity, kept = renew_identity(bank, new_key=False, passphrase=NO_PASSPHRASE)
    assert own.key.read_bytes() == key
    assert identity.certificate_pem != old
    assert (kept / "cert.pem").read_bytes() == old
    assert verify(identity.certificate_pem, b"ledger", signature)
    with pytest.raises(ConfigError, match="exists already"):
        renew_identity(bank, new_key=False, passphrase=NO_PASSPHRASE)


def test_a_new_key_seals_what_the_arbiter_keeps(tmp_path: Path) -> None:
    folder = tmp_path / "trustco"
    before = init_party(folder, "arbiter", "trustco")
    shares = {"bank": WeightShares((bytes(16),), np.arange(6, dtype=np.uint64).reshape(1, 1, 6))}
    part = SharedWeights("trustco", bytes(16), "logistic-regression", shares, {"bank": 6})
    model = folder / "runs" / "credit-20260101-090000" / "model"
    model.parent.mkdir(parents=True)
    save_part(part, model, kind=part.STORED, job_digest=bytes(32), identity=before)
    identity, kept = renew_identity(folder, new_key=True, passphrase=NO_PASSPHRASE)
    own = load_party(folder / "party.toml").identity
    assert identity.certificate_pem == own.certificate.read_bytes()
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600
    found, _ = load_part(model, identity)
    assert np.array_equal(found.shares["bank"].values, shares["bank"].values)
    with pytest.raises(ModelError, match="were not sealed by this party's key"):
        load_part(model, Identity.load(kept / "key.pem", kept / "cert.pem"))
    assert not (own.key.parent / "new").exists()


@pytest.mark.parametrize("new_key", [False, True], ids=["certificate", "key"])
def test_a_renewal_stopped_at_any_change_of_a_file_continues(tmp_path: Path, new_key: bool) -> None:
    """As after a kill; given again, it ends with a pair that fits, sealed parts that open, and the former files."""
    sealed = WeightShares((bytes(16),), np.arange(6, dtype=np.uint64).reshape(1, 1, 6))
    part = SharedWeights("trustco", bytes(16), "logistic-regression", {"bank": sealed}, {"bank": 6})
    for place in itertools.count():
        folder = tmp_path / f"trustco-{place}"
        before = init_party(folder, "arbiter", "trustco")
        model = folder / "runs" / "credit-20260101-090000" / "model"
        model.parent.mkdir(parents=True)
        save_part(part, model, kind=part.STORED, job_digest=bytes(32), identity=before)
        own = load_party(folder / "party.toml").identity
        former = [file.read_bytes() for file in (own.key, own.certificate)]
        with stopped_at(place) as reached, contextlib.suppress(Stopped):
            renew_identity(folder, new_key=new_key, passphrase=NO_PASSPHRASE)
        if not reached:  # the renewal has no further change
            break
        identity, kept = renew_identity(folder, new_key=new_key, passphrase=NO_PASSPHRASE)
        assert (own.key.read_bytes() == former[0]) is not new_key
        assert own.certificate.read_bytes() == identity.certificate_pem != former[1]
        assert sorted(path.name for path in kept.iterdir()) == (["cert.pem", "key.pem"] if new_key else ["cert.pem"])
        assert (kept / "cert.pem").read_bytes() == former[1]
        assert np.array_equal(load_part(model, identity)[0].shares["bank"].values, sealed.values)
        assert sorted(path.name for path in kept.parent.iterdir()) == ["cert.pem", "key.pem", kept.name]
    assert place >= (8 if new_key else 4)


def test_another_renewal_does_not_continue_an_interrupted_one(tmp_path: Path) -> None:
    init_party(tmp_path / "bank", "guest", "bank")
    with stopped_at(3), pytest.raises(Stopped):
        renew_identity(tmp_path / "bank", new_key=False, passphrase=NO_PASSPHRASE)
    with pytest.raises(ConfigError, match="without --new-key was interrupted"):
        renew_identity(tmp_path / "bank", new_key=True, passphrase=NO_PASSPHRASE)


class Stopped(BaseException):
    """As a kill: nothing catches it."""


@contextlib.contextmanager
def stopped_at(place: int) -> Iterator[list[str]]:
    """Stops before a change of a file; yields the name of the change once it is reached."""
    reached, count = list[str](), itertools.count()

    def stopping(module: object, name: str) -> Callable[..., object]:
        honest = getattr(module, name)

        def change(*given: Any, **more: Any) -> object:
            if next(count) == place:
                reached.append(name)
                raise Stopped
            return honest(*given, **more)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((os, "link"), (os, "rename"), (os, "replace"), (Path, "mkdir"), (Path, "write_bytes")):
            patch.setattr(module, name, stopping(module, name))
        yield reached


def test_a_policy_for_several_hosts() -> None:
    assert (
        "intersection-sizes-to-arbiter" not in starter_party("arbiter", "t").partition("allow = [")[2].partition("]")[0]
    )
    assert (
        "intersection-sizes-to-arbiter"
        in starter_party("arbiter", "t", hosts=2).partition("allow = [")[2].partition("]")[0]
    )
