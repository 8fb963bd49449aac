"""Runs one party of a job in this process: `vfl run`.

files -> checks (nothing sent) -> mutual TLS to every peer -> align, train, score -> model part, ledger, report in the run's folder
"""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.channel import Channel
from protocols.cipher import Keyring, Paillier
from protocols.errors import ConfigError
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Roles, Session
from vfl.config import Job, Party, check_files, cross_check
from vfl.counting import CountingTap
from vfl.data import Table, read_source, table_from_frame
from vfl.engine import abort_reason
from vfl.identity import Identity
from vfl.ledger import LedgerTap, LedgerWriter, summarise
from vfl.policy import PolicyTap
from vfl.programs import logistic
from vfl.recorder import Recorder
from vfl.report.page import write_report
from vfl.results import data_party_result, result_frame
from vfl.store import save_part
from vfl.transport import PeerAddress, TlsNetwork


@dataclass(frozen=True)
class Ready:
    """A party that has passed every check that can be made alone: nothing has been sent."""

    job: Job
    party: Party
    identity: Identity
    table: Table | None


def prepare(job: Job, party: Party) -> Ready:
    """Checks files, policy and table.  Raises ConfigError, DisclosureRefused, DataError."""
    cross_check(job, party)
    check_files(party)
    identity = Identity.load(party.identity.key, party.identity.certificate, party.name)
    return Ready(job, party, identity, load_table(job, party))


def load_table(job: Job, party: Party) -> Table | None:
    """This party's own table as the job wants it; None at the arbiter."""
    if party.data is None:
        return None
    frame = read_source(party.data.source, party.data.query, keys=job.align.columns)
    return table_from_frame(
        frame,
        party=party.name,
        keys=job.align.columns,
        normalise=job.align.normalise,
        duplicates=job.align.duplicates,
        label=party.data.label,
        columns=party.data.columns,
        need_label=party.role == "guest",
    )


def roles_of(job: Job) -> Roles:
    return Roles(job.parties.guest, job.parties.hosts, job.parties.arbiter)


def logistic_job(job: Job) -> logistic.LogisticJob:
    """The parameters of the job file, as the program takes them."""
    return logistic.LogisticJob(
        C=job.model.C,
        max_iter=job.model.max_iter,
        link=job.model.link,
        clip=job.model.clip,
        score_bits=job.disclosure.score_bits,
        min_intersection=job.align.min_intersection,
        test=job.split.test,
        seed=job.split.seed,
    )


def program(ready: Ready) -> Callable[[Session], Any]:
    """The role function of this party."""
    plan, table = logistic_job(ready.job), ready.table
    if table is None:
        return lambda session: logistic.arbiter(session, plan)
    role = logistic.guest if ready.party.role == "guest" else logistic.host
    return lambda session: role(session, table, plan)


def run(ready: Ready, watch: Observer, *, connect_timeout: float = 120.0) -> Path:
    """Takes part in the job; returns the run's folder.  Raises any VFLError, after telling the peers its code."""
    job, party = ready.job, ready.party
    started = datetime.datetime.now(datetime.UTC)
    folder = run_folder(party.run.directory, job, started)
    addresses = [
        PeerAddress(
            name,
            job.parties.role_of(name) or "",
            party.peers[name].certificate.read_bytes(),
            party.peers[name].address if name in job.parties.dials(party.name) else None,
        )
        for name in job.parties.peers_of(party.name)
    ]
    network = TlsNetwork(
        party.name, party.role, ready.identity, addresses, listen=party.listen, session=job.digest, connect_timeout=connect_timeout
    )
    counting = CountingTap()
    recorder = Recorder(counting, watch)
    try:
        with recorder.phase("connect"):
            wires = network.connect()
        with LedgerWriter(
            folder / "ledger.jsonl", job=job.name, job_digest=job.digest, party=party.name, sign=ready.identity.sign
        ) as writer:
            taps = (PolicyTap(job.disclosure.allow, party.policy.allow, party=party.name), counting, LedgerTap(writer))
            keys = Keyring()
            channels = {peer: Channel(wire, keys, taps) for peer, wire in wires.items()}
            seed, digest = run_seed(), hashlib.sha256(job.digest + (ready.table.digest() if ready.table else b"")).digest()
            session = Session(
                party.name, roles_of(job), channels, Randomness(party.name, seed, digest), keys, Paillier(job.crypto.key_bits), recorder
            )
            outcome = program(ready)(session)
        network.close()
    except BaseException as error:
        network.abort(*abort_reason(error))
        raise
    finish(ready, folder, started, outcome, counting)
    return folder


def finish(ready: Ready, folder: Path, started: datetime.datetime, outcome: Any, counting: CountingTap) -> None:
    """Writes the model part and the report."""
    result = result_frame(ready.job, ready.party, started, counting.phases(), summarise(folder / "ledger.jsonl"))
    if isinstance(outcome, logistic.Fitted):
        save_part(outcome.part, folder / "model", job_digest=ready.job.digest)
        result = data_party_result(result, ready.job, ready.party, outcome)
    write_report(folder, result)


def run_folder(directory: Path, job: Job, started: datetime.datetime) -> Path:
    """A new folder for this run, readable by its owner only."""
    folder = directory / f"{job.name}-{started:%Y%m%d-%H%M%S}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while folder.exists():
            folder = folder.with_name(folder.name + "+")
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"the run folder {folder} cannot be made ({error.strerror})", remedy="Correct [run] directory in the party file"
        ) from None
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"the run folder {folder} cannot be written", remedy="Correct [run] directory in the party file")
    return folder
