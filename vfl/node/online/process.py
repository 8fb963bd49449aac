"""The process of one publication: `python -m vfl.node.online.process PARTY.toml DIGEST LOCK`, which a node starts.

It meets the other parties again and again.  While there is no meeting, the guest's process answers by the fallback.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from protocols.errors import ConfigError, DisclosureRefused, PeerAborted, TransportError, VFLError
from protocols.online.lists import check_length
from vfl.job import Job, Party, cross_check, load_party
from vfl.job.node import Node
from vfl.ledger import Approval
from vfl.models.content import ArbiterPart, Part
from vfl.models.registry import kind_of
from vfl.node.online import session
from vfl.node.online.customer import Customers
from vfl.node.online.desk import Desk
from vfl.node.online.local_socket import answered_at
from vfl.node.online.meeting import Meeting
from vfl.node.online.publications import Publication, Publications
from vfl.node.processes import End
from vfl.run.budget.queries import PER_DAY, Queries
from vfl.run.new_table import own_part
from vfl.run.scoring import Prepared, Scoring, arbiters_part, prepare
from vfl.run.stored_run import ends_for_good
from vfl.screen.console import Console
from vfl.screen.errors import Stopped, ended, stoppable
from vfl.screen.progress import watching
from vfl.storage.files import write_private
from vfl.transport.identity import Identity

log = logging.getLogger("vfl.node.online")
CONNECT_SECONDS = 60.0
LONGEST_PAUSE = 30.0  # seconds between two meetings


@dataclass(frozen=True)
class Own:
    """What this party brings to a publication."""

    job: Job
    party: Party
    node: Node
    publications: Publications
    publication: Publication
    queries: Queries

    @property
    def folder(self) -> Path | None:
        """Of its part of the model."""
        return None if self.publication.model is None else Path(self.publication.model)

    def again(self) -> Publication:
        """The publication as it was last given.  Raises ConfigError where it is withdrawn."""
        return self.publications.get(self.publication.digest)

    def host(self) -> Scoring:
        """A host's part and customers, as they are now."""
        one = self.again()
        return prepare(self.job, self.party, None if one.model is None else Path(one.model), one.data, None)

    def guest(self) -> Part:
        """The guest's part, as it is now."""
        assert self.folder is not None
        return own_part(self.job, self.party, self.folder)

    def arbiter(self, identity: Identity) -> ArbiterPart | None:
        """What the arbiter keeps of the model, as it is now."""
        return None if self.folder is None else arbiters_part(self.job, self.party, self.folder, identity)


def check(job: Job, party: Party, model: Path | None, data: str | None = None) -> None:
    """Raises ConfigError, DataError, DisclosureRefused or ModelError unless this party can publish its part of the
    model, and as a host its customers."""
    cross_check(job, party)
    if not job.parties.arbiter:
        raise ConfigError("online scores need an arbiter, which the job does not have", remedy="Use vfl predict")
    if len(job.align.keys) != 1:
        raise ConfigError("a job with several keys cannot be published", remedy="Train a model whose job has one key")
    if party.policy.queries_per_partner_per_day == 0:
        raise DisclosureRefused(
            f"{party.name}: policy.{PER_DAY} is 0", remedy="Raise it", party=party.name, about=f"policy.{PER_DAY}"
        )
    if party.run.transcript:
        raise ConfigError(
            f"{party.name}: run.transcript records no publication: what an epoch keeps secret is never written",
            remedy="Set run.transcript to false while the model is published",
        )
    if data is not None and party.role != "host":
        raise ConfigError(f"{party.name}: only a host publishes customers", remedy="Leave --data out")
    keeps = party.role != "arbiter" or job.arbiter_keeps
    if keeps != (model is not None):
        raise ConfigError(
            f"{party.name}: --model is missing" if keeps else f"{party.name}: the arbiter holds no part of the model",
            remedy="Name the model folder inside a run's folder, such as --model runs/latest/model"
            if keeps
            else "Leave --model out",
        )
    if model is not None and party.role != "arbiter":
        rows, part = None, own_part(job, party, model)
        if party.role == "host":
            table = prepare(job, party, model, data, None).ready.table  # read as the process will
            assert table is not None
            rows = len(table)
            check_length(rows, party.name)
        check_part(job, part, rows)
    elif model is not None:
        arbiters_part(job, party, model, Identity.load(party.identity.key, party.identity.certificate, party.name))


def check_part(job: Job, part: Part, rows: int | None) -> None:
    """As `Kind.check_online`."""
    kind_of(job.model).check_online(part, rows)


def ready_of(own: Own) -> Prepared:
    """This party, with every check that it can make alone.  Raises any VFLError."""
    identity = Identity.load(own.party.identity.key, own.party.identity.certificate, own.party.name)
    if own.party.role == "host":
        ready = replace(own.host().ready, table=None)  # which each epoch reads again
    else:
        part = own.guest() if own.party.role == "guest" else own.arbiter(identity)
        ready = Prepared(own.job, own.party, identity, None, b"" if part is None else part.model_id)
    at = datetime.datetime.fromtimestamp(own.publication.asked, datetime.UTC).isoformat(timespec="seconds")
    return replace(ready, approval=Approval(own.publication.by, at, "command"))


@contextlib.contextmanager
def role_of(own: Own, ready: Prepared) -> Iterator[Callable[[Meeting], None]]:
    """What this party does in a meeting; the guest's desk is open inside."""
    if own.party.role == "host":
        yield partial(session.host, again=own.host, queries=own.queries)
        return
    if own.party.role == "arbiter":
        yield partial(session.arbiter, again=lambda: own.arbiter(ready.identity), queries=own.queries)
        return
    desk = desk_of(own)
    with answered_at(own.publications.socket(own.publication.digest), desk.line):
        yield partial(session.guest, again=own.guest, desk=desk, over=partial(over, own))


def desk_of(own: Own) -> Desk:
    """The guest's.  Raises ModelError."""
    part, kind = own.guest(), kind_of(own.job.model)
    assert own.folder is not None
    fallback = kind.load_fallback(part, own.folder)
    if fallback is None:
        log.warning("the training of this model kept no fallback: there is no score while a partner is silent")
    customers, hosts = Customers(own.job, own.party, part, kind), own.job.parties.hosts
    return Desk(part, kind, customers, fallback, own.queries, hosts, own.party.policy, own.node.online)


def over(own: Own, opened: float) -> bool:
    """Whether a new epoch is due: after some hours, or because it was asked for."""
    return time.time() - opened > 3600 * own.node.online.epoch_hours or own.again().asked > opened


def serve(own: Own) -> None:
    """Meetings, until this process is stopped.  Raises what another meeting would not mend."""
    digest, console, pause = own.publication.digest, Console(stderr=True), 0.0
    says = partial(own.publications.says, digest)
    with stoppable(console), watching("log", console) as watch:
        ready = ready_of(own)
        with role_of(own, ready) as work:
            while True:
                says("connecting")
                began = time.monotonic()
                try:
                    session.meet(ready, own.folder, own.queries, watch, work, says, connect_timeout=CONNECT_SECONDS)
                    log.info("the guest has ended the meeting")
                except (TransportError, PeerAborted) as error:
                    if ends_for_good(error):
                        raise
                    log.warning("%s", error)
                    says("connecting", error=str(error))
                pause = min(LONGEST_PAUSE, 2 * pause + 0.5) if time.monotonic() - began < CONNECT_SECONDS else 0.5
                time.sleep(pause)
                ready = ready_of(own)


def main(party_file: str, digest: str, lock: str) -> int:
    """Serves a publication, records how that ended, and returns the exit code."""
    os.set_inheritable(int(lock), False)  # of this process alone
    os.ftruncate(int(lock), 0)
    os.pwrite(int(lock), str(os.getpid()).encode(), 0)
    errors = list[VFLError | Stopped]()

    def command() -> None:
        try:
            party = load_party(party_file)
            if party.node is None:
                raise ConfigError(f"{party_file} has no section [node] any more", remedy="Put it back")
            publications = Publications(party.node.directory)
            publications.says(digest, "starting")
            one, job = publications.get(digest), publications.job(digest)
            check(job, party, None if one.model is None else Path(one.model))
            serve(Own(job, party, party.node, publications, one, Queries(party.run.directory)))
        except (VFLError, Stopped) as error:
            errors.append(error)
            raise

    code = ended(command)
    error = errors[0] if errors else None
    again = isinstance(error, TransportError | PeerAborted) and not ends_for_good(error)
    said = None if error is None else "it was stopped" if isinstance(error, Stopped) else str(error)
    folder = Path(f"/proc/self/fd/{lock}").resolve().parent
    end = End(code, None if error is None else error.code, said, again)
    write_private(folder / f"{digest}.end", msgspec.json.encode(end))
    with contextlib.suppress(VFLError):
        Publications(folder.parent.parent).says(digest, "ended", error=said)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
