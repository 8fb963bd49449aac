"""What every run between institutions goes through, whatever it computes: a folder, mutual TLS to every peer, a session, the end.

run folder -> connect -> ledger open -> (the role function) -> results drafted -> all parties say so -> results kept -> connections closed
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from typing_extensions import TypeVar

from protocols.channel import Channel, Tap, Wire
from protocols.cipher import Keyring, Paillier
from protocols.errors import ConfigError
from protocols.finish import confirm
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Roles, Session
from vfl.budget import Budget
from vfl.config import Agreement, Job, Party
from vfl.counting import CountingTap
from vfl.data import Table
from vfl.engine import abort_reason
from vfl.faults import Stopped
from vfl.files import sync_folder, written
from vfl.identity import Identity
from vfl.ledger import LedgerTap, LedgerWriter
from vfl.policy import PolicyTap
from vfl.recorder import Recorder
from vfl.transport import PeerAddress, TlsNetwork

DRAFT = "unconfirmed"


J = TypeVar("J", bound=Agreement, default=Job)


@dataclass(frozen=True)
class Ready(Generic[J]):
    """A party that has passed every check that can be made alone: nothing has been sent."""

    job: J
    party: Party
    identity: Identity
    table: Table | None

    @property
    def roles(self) -> Roles:
        parties = self.job.parties
        return Roles(parties.guest, parties.hosts, parties.arbiter)

    def input_digest(self) -> bytes:
        """What this party's randomness is bound to: the job and its own table."""
        return hashlib.sha256(self.job.digest + (self.table.digest() if self.table else b"")).digest()


@dataclass(frozen=True)
class Meeting:
    """One run of this party with its peers, while they are connected.  What is written to `draft` is kept if every party gets to the end."""

    session: Session
    folder: Path
    draft: Path
    started: datetime.datetime
    counting: CountingTap


@contextlib.contextmanager
def meet(
    ready: Ready[Any],
    purpose: str,
    peers: Sequence[str],
    watch: Observer,
    *,
    session_digest: bytes,
    connect_timeout: float,
    seed: bytes | None,
) -> Iterator[Meeting]:
    """Connects this party with `peers`; on leaving, waits until all of them have their result too, and closes.

    purpose: what the run budget counts ("align", "predict").  Whatever is raised inside is told to the peers by its code first.
    """
    job, party = ready.job, ready.party
    started = datetime.datetime.now(datetime.UTC)
    budget = Budget(party)
    budget.check(peers)
    counting = CountingTap()
    recorder = Recorder(counting, watch)
    with run_folder(party.run.directory, f"{job.name}-{started:%Y%m%d-%H%M%S}") as folder:  # noqa: SIM117
        with connected(ready, peers, recorder, session_digest=session_digest, connect_timeout=connect_timeout) as wires:
            budget.charge(peers, job.name, purpose, started)
            path = folder / "ledger.jsonl"
            with LedgerWriter(path, job=job.name, job_digest=job.digest, party=party.name, sign=ready.identity.sign) as writer:
                channels, keys = open_channels(ready, wires, counting, LedgerTap(writer))
                drawn = Randomness(party.name, seed or run_seed(), ready.input_digest())
                session = Session(party.name, ready.roles, channels, drawn, keys, scheme_of(job), recorder)
                with drafts(folder) as draft, interruptible():
                    yield Meeting(session, folder, draft, started, counting)
                    with recorder.phase("finish"):
                        confirm(session, lambda: publish(folder))


@contextlib.contextmanager
def connected(
    ready: Ready[Any], peers: Sequence[str], recorder: Recorder, *, session_digest: bytes, connect_timeout: float
) -> Iterator[Mapping[str, Wire]]:
    """Mutual TLS to every peer; what is raised inside is told to all of them by its code."""
    job, party = ready.job, ready.party
    network = TlsNetwork(
        party.name,
        party.role,
        ready.identity,
        addresses(job, party, peers),
        listen=party.listen if any(p not in job.parties.dials(party.name) for p in peers) else None,
        session=session_digest,
        connect_timeout=connect_timeout,
    )
    try:
        with recorder.phase("connect"):
            wires = network.connect()
        yield wires
        network.close()
    except (Stopped, KeyboardInterrupt):
        network.abort(Stopped.code, None)
        raise
    except BaseException as error:
        network.abort(*abort_reason(error))
        raise


def open_channels(ready: Ready[Any], wires: Mapping[str, Wire], *taps: Tap) -> tuple[dict[str, Channel], Keyring]:
    """A channel a peer, behind this party's policy and the taps, and the keys that they accept."""
    keys, policy = Keyring(), PolicyTap(ready.job.disclosure.allow, ready.party.policy.allow, party=ready.party.name)
    return {peer: Channel(wire, keys, (policy, *taps), ready.party.run.message_seconds) for peer, wire in wires.items()}, keys


def scheme_of(job: Agreement) -> Paillier:
    return Paillier(job.crypto.key_bits if isinstance(job, Job) else 3072)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C inside becomes `Stopped`, whose code the ledger knows to write."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped from None


def addresses(job: Agreement, party: Party, peers: Sequence[str]) -> list[PeerAddress]:
    """Who takes part, by which certificate, and where this party dials them."""
    dialled = job.parties.dials(party.name)
    return [
        PeerAddress(
            name,
            job.parties.role_of(name) or "",
            party.peers[name].certificate.read_bytes(),
            party.peers[name].address if name in dialled else None,
        )
        for name in peers
    ]


@contextlib.contextmanager
def run_folder(directory: Path, name: str) -> Iterator[Path]:
    """A new folder for this run, readable by its owner only; removed again if the run fails before it has written anything."""
    folder = new_folder(directory, name)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise


def new_folder(directory: Path, name: str) -> Path:
    """A new folder in the run directory, readable by its owner only.  Raises ConfigError."""
    folder = directory / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while folder.exists():
            folder = folder.with_name(folder.name + "+")
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise _unwritable(folder, error.strerror) from None
    if not os.access(folder, os.W_OK):
        raise _unwritable(folder, "Permission denied")
    return folder


def _unwritable(folder: Path, why: str | None) -> ConfigError:
    return ConfigError(f"the run folder {folder} cannot be made ({why})", remedy="Correct [run] directory in the party file")


@contextlib.contextmanager
def drafts(folder: Path) -> Iterator[Path]:
    """A folder for results that are not confirmed yet; what is still in it at the end is removed."""
    draft = folder / DRAFT
    try:
        with written(folder):
            draft.mkdir(mode=0o700)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def publish(folder: Path) -> None:
    """Moves the confirmed results up into the run's folder; does nothing where that is done."""
    draft = folder / DRAFT
    with written(folder):
        if draft.is_dir():
            for path in sorted(draft.iterdir()):
                path.rename(folder / path.name)
            draft.rmdir()
        sync_folder(folder)
