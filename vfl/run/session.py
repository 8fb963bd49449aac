"""What every run between institutions needs, whatever it computes: a folder, mutual TLS to every peer, channels behind
this party's policy.

How they make a run that resumes after an interruption: vfl/run/recovery.py.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from typing_extensions import TypeVar

from protocols.channel import Channel, Tap, Wire
from protocols.cipher import Keyring, Paillier, Scheme
from protocols.cipher.sharded import Sharded
from protocols.errors import Cause, ConfigError, cause_of
from protocols.session import Roles, Session
from protocols.workers.cluster import Cluster
from vfl.compute.opening import Pool
from vfl.data import Table
from vfl.data.kept_table import KeptTable
from vfl.job import Agreement, Job, Party
from vfl.job.agreement import Matching
from vfl.job.opened import vectors_opened
from vfl.job.policy import DECLARED
from vfl.ledger import Approval
from vfl.models.content import ArbiterPart, Part
from vfl.run.budget import Opened
from vfl.run.own_table import spread_in
from vfl.screen.errors import Stopped
from vfl.storage.files import sync_folder, written
from vfl.taps.counting import CountingTap
from vfl.taps.policy import PolicyTap
from vfl.taps.recorder import Recorder
from vfl.transport import PeerAddress, TlsNetwork
from vfl.transport.hello import Command, name_key
from vfl.transport.identity import Identity, der_of
from vfl.transport.ports import NodePort, is_there

DRAFT = "unconfirmed"
MOST_BY_NAME = 64  # callers that a node also knows by the job's name: what a process says to it is short


J = TypeVar("J", bound=Agreement, default=Job)


@dataclass(frozen=True)
class Ready(Generic[J]):
    """A party that has passed every check that can be made alone: nothing has been sent."""

    job: J
    party: Party
    identity: Identity
    table: Table | None
    before: Part | ArbiterPart | None = field(
        default=None, kw_only=True
    )  # this party's part of the model that the job continues
    caution: str = field(default="", kw_only=True)  # what is to be said of measures of that model
    pool: Pool | None = field(default=None, kw_only=True)  # its workers, if they are open already
    cautions: tuple[str, ...] = field(default=(), kw_only=True)  # what deserves a word in this party's own table
    approval: Approval | None = field(default=None, kw_only=True)  # of a job that this party's node has started

    @property
    def roles(self) -> Roles:
        return self.job.roles

    @property
    def may_leave(self) -> tuple[str, ...]:
        """Peers without which a run continues."""
        return ()

    @property
    def own_rows(self) -> int:
        """The fewest rows that this party counts as its own, when a partner's list is held against them."""
        return 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of this party's table, nothing of an arbiter's."""
        return (0, 0) if self.table is None else self.table.shape

    @property
    def away(self) -> bool:
        """Whether this party's workers have read its ids, and this process holds no table."""
        return isinstance(self.table, KeptTable) and self.table.away is not None

    @property
    def inputs(self) -> str:
        """What `input_digest` is of, in words."""
        return "the table"

    @property
    def opened(self) -> Opened | None:
        """At a host, the score vectors that the run is going to open."""
        if not isinstance(self.job, Job) or self.party.role != "host" or self.table is None:
            return None
        columns, spread = tuple(self.table.columns), spread_in(self.job, self.table)
        ever = self.job.model.scores_count_for_good
        return Opened(vectors_opened(self.job), columns, spread=spread, ever=ever)

    def input_digest(self) -> bytes:
        """What this party's randomness is bound to: the job and its own table."""
        return hashlib.sha256(self.job.digest + (self.table.digest() if self.table else b"")).digest()


@dataclass(frozen=True)
class RunSession:
    """One run of this party with its peers, while they are connected.  What is written to `draft` is kept if every
    party gets to the end."""

    session: Session
    folder: Path
    draft: Path
    started: datetime.datetime
    counting: CountingTap


def network_of(
    ready: Ready[Any],
    peers: Sequence[str],
    command: Command,
    connect_timeout: float,
    met: Callable[[str], None] = lambda peer: None,
) -> TlsNetwork:
    """This party's network for a command, whose pins and port are checked; met: receives the name of each peer that is
    connected, in the network's thread.  Raises ConfigError, ListenFailed."""
    job, party, session = ready.job, ready.party, session_digest(ready.job, command)
    callers = [p for p in peers if p not in job.parties.dials(party.name)]
    return TlsNetwork(
        party.name,
        party.role,
        ready.identity,
        addresses(job, party, peers),
        listen=_port(ready, session, callers, command) if callers else None,
        session=session,
        command=command,
        connect_timeout=connect_timeout,
        met=met,
        declared=DECLARED,
        may_leave=ready.may_leave,
        named=_named(command, job.name),
    )


def _named(command: Command, job: str) -> str:
    return f"{command} {job}"


def by_name(party: Party, callers: Sequence[str], command: Command, job: str) -> dict[str, list[bytes]]:
    """By name, the keys under which these partners knock by the job's name; empty where they are many.  Raises
    ConfigError, OSError."""
    if len(callers) > MOST_BY_NAME:
        return {}
    own, named = der_of(party.identity.certificate.read_bytes()), _named(command, job)
    peers = {name: party.peers[name].certificates() for name in callers}
    return {name: [name_key(der_of(pem), own, named) for pem in pems] for name, pems in peers.items()}


def _port(ready: Ready[Any], session: bytes, callers: Sequence[str], command: Command) -> str | NodePort | None:
    """Where the callers of a session arrive: at this party's node if it runs, or has started this process."""
    node = ready.party.node
    if node is not None and (ready.approval is not None or is_there(node.directory)):
        return NodePort(node.directory, session, callers, by_name(ready.party, callers, command, ready.job.name))
    return ready.party.listen


@contextlib.contextmanager
def connected(
    ready: Ready[Any],
    peers: Sequence[str],
    recorder: Recorder,
    *,
    command: Command,
    connect_timeout: float,
    met: Callable[[str], None] = lambda peer: None,
) -> Iterator[Mapping[str, Wire]]:
    """Mutual TLS to every peer; all of them receive the cause of an error that is raised inside.  met: as of
    `network_of`."""
    network = network_of(ready, peers, command, connect_timeout, met)
    try:
        with recorder.phase("connect"):
            wires = network.connect()
        yield wires
        network.close()
    except (Stopped, KeyboardInterrupt):
        network.abort(Cause(Stopped.code, ready.party.name))
        raise
    except BaseException as error:
        network.abort(cause_of(error, ready.party.name))
        raise


def open_channels(
    ready: Ready[Any], wires: Mapping[str, Wire], *taps: Tap, steps: int = 1
) -> tuple[dict[str, Channel], Keyring]:
    """A channel a peer, behind this party's policy and the taps, and the keys that they accept; steps: of how many
    messages of other parties a message may be the answer."""
    keys, policy = Keyring(), PolicyTap(ready.job.disclosure.allow, ready.party.policy.allow, party=ready.party.name)
    deadline = float(ready.party.run.message_seconds) * steps
    return {peer: Channel(wire, keys, (policy, *taps), deadline) for peer, wire in wires.items()}, keys


def session_digest(job: Agreement, command: Command) -> bytes:
    """What a connection is bound to: the job, and which command it is for."""
    return job.digest if command == "run" else hashlib.sha256(f"vfl {command}\n".encode() + job.digest).digest()


def peers_for(job: Agreement, name: str, purpose: str) -> tuple[str, ...]:
    """Whom the party `name` meets for a command: without an arbiter that has no work in it."""
    peers = job.parties.peers_of(name)
    if not isinstance(job, Matching):
        return peers
    hosts = job.parties.hosts
    idle = (purpose == "align" and len(hosts) == 1) or (
        purpose == "predict" and isinstance(job, Job) and not job.arbiter_scores
    )
    return tuple(p for p in peers if p != job.parties.arbiter) if idle else peers


def scheme_of(job: Agreement, cluster: Cluster | None = None) -> Scheme:
    """The job's cipher; cluster: the workers at which this party's long vectors lie."""
    bits = job.crypto.key_bits if isinstance(job, Job) else 3072
    return Paillier(bits) if cluster is None else Sharded(bits, cluster)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C inside becomes `Stopped`, whose code the ledger knows to write."""
    try:
        yield
    except KeyboardInterrupt as asked:
        raise Stopped(asked) from None


def addresses(job: Agreement, party: Party, peers: Sequence[str]) -> list[PeerAddress]:
    """Who takes part, by which certificate, and where this party dials them."""
    dialled = job.parties.dials(party.name)
    return [
        PeerAddress(
            name,
            job.parties.role_of(name) or "",
            party.peers[name].certificates(),
            party.peers[name].address if name in dialled else None,
        )
        for name in peers
    ]


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
    return ConfigError(
        f"the run folder {folder} cannot be made ({why})", remedy="Correct [run] directory in the party file"
    )


def publish(folder: Path) -> None:
    """Moves the confirmed results up into the run's folder; does nothing where that is done."""
    draft = folder / DRAFT
    with written(folder):
        if draft.is_dir():
            for path in sorted(draft.iterdir()):
                path.rename(folder / path.name)
            draft.rmdir()
        sync_folder(folder)
