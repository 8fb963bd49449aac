"""`vfl node`: one process that runs all jobs of this party behind one port, and its inbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import JobFile, ModelFolder, NewTable, PartyFile, ScoresFile, say
from vfl.screen.console import Console
from vfl.screen.examples import examples

if TYPE_CHECKING:
    from vfl.job import Party
    from vfl.node.online.publications import Published
    from vfl.node.table import JobTable
    from vfl.node.telling import NodeJob


class StartsUnnamed(TyperGroup):
    """`vfl node PARTY.toml` is `vfl node start PARTY.toml`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["start", *args])


node_app = typer.Typer(
    cls=StartsUnnamed,
    help="A service that runs this party's jobs: start, submit, approve.",
    no_args_is_help=True,
)
Digest = Annotated[
    str,
    typer.Argument(
        metavar="DIGEST",
        help="Of the job, as vfl job digest prints it; of a prediction, as vfl node predict prints it.",
        show_default=False,
    ),
]


@node_app.command("start", epilog=examples("node start"))
def node_start(party: PartyFile, as_json: AsJson = False) -> None:
    """Start the node, which runs until it is stopped.

    It opens the party's port once for all jobs and partners, and runs each approved job as a process of its own.  These
    processes live on when the node ends; the next node finds them again.
    """
    from vfl.cli.results import NodeStart
    from vfl.node.service import Service, serve, with_face
    from vfl.screen.errors import log_to

    console = Console(stderr=True)
    service = with_face(Service(party))
    own, folder = service.party, service.node.directory
    face = service.node.http
    told = NodeStart(party=own.name, folder=str(folder), listen=own.listen, http=None if face is None else face.listen)

    def show() -> None:
        say(f"node of {own.name}: {'opens no port' if own.listen is None else f'listens at {own.listen}'}")
        say(f"inbox: {folder / 'inbox'}")
        if face is not None:
            say(f"board: {'https' if face.certificate else 'http'}://{face.listen}/")

    answer(told, as_json, show)
    with log_to(console):
        serve(service)


@node_app.command("submit", epilog=examples("node submit"))
def node_submit(job: JobFile, party: PartyFile, as_json: AsJson = False) -> None:
    """Give a job to this party's node, where it waits for approval.

    A job that this party's policy, budgets or table cannot serve is refused.  A file that is put into the node's folder
    inbox/ is compared with the policy alone.
    """
    from vfl.cli.results import NodeSubmit
    from vfl.job import load_party
    from vfl.node.inbox import submit

    own = load_party(party)
    table = _table(own)
    entry = submit(table, own, job, reads_table=True)
    told = NodeSubmit(job=_told(table, entry.digest))
    how = "it waits: vfl node approve DIGEST PARTY.toml" if entry.state == "waiting" else f"it is {entry.state}"
    answer(told, as_json, lambda: say(f"{entry.name}, digest {entry.digest}: {how}"))


@node_app.command("predict", epilog=examples("node predict"))
def node_predict(
    job: JobFile,
    party: PartyFile,
    model: ModelFolder = None,
    data: NewTable = None,
    out: ScoresFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a prediction to this party's node, where it waits for approval.

    Every party gives it to its own node, or gives vfl predict.  What is approved is where this party's
    model, table and scores lie, not their content: the digest that is printed is of these places and of the job.  A
    prediction that is over can be given again, for new rows in the same place, and is then approved again.
    """
    from vfl.cli.results import NodePredict
    from vfl.job import load_party
    from vfl.node.batch import Batch
    from vfl.node.inbox import submit

    own = load_party(party)
    table = _table(own)
    entry = submit(table, own, job, batch=Batch.of(model, data, out))
    told = NodePredict(job=_told(table, entry.digest))
    how = "it waits: vfl node approve DIGEST PARTY.toml" if entry.state == "waiting" else f"it is {entry.state}"
    answer(told, as_json, lambda: say(f"{entry.words}, digest {entry.digest}: {how}"))


@node_app.command("status", epilog=examples("node status"))
def node_status(party: PartyFile, as_json: AsJson = False) -> None:
    """List the jobs of this party's node, and whether the node runs."""
    from vfl.cli.node_status import print_status
    from vfl.cli.results import NodeStatus
    from vfl.job import load_party
    from vfl.node.processes import is_locked
    from vfl.node.service import LOCK

    own = load_party(party)
    table = _table(own)
    jobs = [_told(table, entry.digest) for entry in table.entries()]
    online = _published(table.folder)
    runs = is_locked(table.folder / LOCK)
    told = NodeStatus(party=own.name, folder=str(table.folder), runs=runs, jobs=jobs, online=online)
    answer(told, as_json, lambda: print_status(told, Console()))


@node_app.command("approve", epilog=examples("node approve"))
def node_approve(digest: Digest, party: PartyFile, as_json: AsJson = False) -> None:
    """Let the node start a job; the ledger of the run says who approved it, and when.

    Read the job before: vfl job show prints what it discloses.  A job that has failed or was cancelled starts again.
    """
    from vfl.cli.results import NodeApprove
    from vfl.job import load_party
    from vfl.ledger.account import account
    from vfl.node.inbox import approve

    own = load_party(party)
    table = _table(own)
    entry = approve(table, own, digest, account(), "command")
    told = NodeApprove(job=_told(table, digest))
    answer(told, as_json, lambda: say(f"{entry.words} is approved by {entry.approved_by}"))


@node_app.command("cancel", epilog=examples("node cancel"))
def node_cancel(digest: Digest, party: PartyFile, as_json: AsJson = False) -> None:
    """Withdraw an approval; a run of the job is stopped, and its partners are informed."""
    from vfl.cli.results import NodeCancel
    from vfl.job import load_party
    from vfl.ledger.account import account

    own = load_party(party)
    table = _table(own)
    entry = table.cancel(digest, account(), "command")
    what = "is being stopped" if entry.state == "cancelling" else "is cancelled"
    answer(NodeCancel(job=_told(table, digest)), as_json, lambda: say(f"{entry.words} {what}"))


@node_app.command("publish", epilog=examples("node publish"))
def node_publish(
    job: JobFile, party: PartyFile, model: ModelFolder = None, data: NewTable = None, as_json: AsJson = False
) -> None:
    """Offer a trained model for online scores, or publish its customers again.

    Every party gives it to its own node, which keeps a process running until vfl node withdraw.  A host publishes the
    customers of its table; the guest's systems then ask POST /v1/score, and nobody else learns about whom.
    """
    from vfl.cli.results import NodePublish
    from vfl.job import load_job, load_party
    from vfl.ledger.account import account
    from vfl.node.online.process import check
    from vfl.node.online.publications import Publications, published
    from vfl.node.service import node_of

    own, agreed = load_party(party), load_job(job)
    check(agreed, own, model, data)
    publications = Publications(node_of(own).directory)
    one = publications.offer(agreed, job.read_bytes(), model, data, account())
    told = NodePublish(published=published(publications, one, runs=False))
    answer(
        told, as_json, lambda: say(f"{one.job}, digest {one.digest}: published as soon as all parties have given this")
    )


@node_app.command("withdraw", epilog=examples("node withdraw"))
def node_withdraw(digest: Digest, party: PartyFile, as_json: AsJson = False) -> None:
    """Offer a model no more; its process ends, and the partners are informed."""
    from vfl.cli.results import NodeWithdraw
    from vfl.job import load_party
    from vfl.node.online.publications import Publications
    from vfl.node.service import node_of

    own = load_party(party)
    one = Publications(node_of(own).directory).withdraw(digest)
    answer(NodeWithdraw(job=one.job, job_digest=digest), as_json, lambda: say(f"{one.job} is withdrawn"))


def _published(folder: Path) -> list[Published]:
    from vfl.node.online.keeper import reported
    from vfl.node.online.publications import Publications
    from vfl.node.processes import Processes

    publications = Publications(folder)
    return reported(publications, Processes(publications.folder, ()))


def _table(party: Party) -> JobTable:
    from vfl.node.service import node_of
    from vfl.node.table import JobTable

    return JobTable(node_of(party).directory)


def _told(table: JobTable, digest: str) -> NodeJob:
    from vfl.node.telling import job_told

    return job_told(table, table.get(digest))
