"""`vfl check`: everything that can be found out about a job before anything is sent."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from protocols.cipher import HEAD_ROOM
from protocols.glm import LOGISTIC_LINKS, Penalty
from protocols.glm.plan import rows_log2
from vfl import alignment_run
from vfl.budget import Budget
from vfl.config import Job, Party, cautions, load_agreement, load_party
from vfl.runner import prepare
from vfl.show import print_permits


def print_check(job_file: Path, party_file: Path, console: Console) -> None:
    """Runs every check and says what the job would do and disclose.  Raises the error that `vfl run` would raise."""
    agreement, party = load_agreement(job_file), load_party(party_file)
    if isinstance(agreement, Job):
        _print_check(agreement, party, console)
    else:
        alignment_run.print_check(agreement, party, console)


def _print_check(job: Job, party: Party, console: Console) -> None:
    ready = prepare(job, party)
    budget, peers = Budget(party, ready.table), job.parties.peers_of(party.name)
    budget.check(peers)
    rows = len(ready.table.ids) if ready.table else 0
    link, plain_bits = LOGISTIC_LINKS[job.model.link], job.crypto.key_bits - HEAD_ROOM - 1
    plan = link.plan(rows_log2(max(rows, 2)), Penalty(1 / job.model.C), job.model.max_iter, 1 + len(job.parties.hosts), plain_bits)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts = {
        "job": f"{job.name}, digest {job.digest.hex()[:16]}...: every party must see the same (vfl job digest)",
        "this party": f"{party.name}, the {party.role}",
        "model": f"{job.model.kind}, {job.model.max_iter} passes, link {job.model.link}, C = {job.model.C:g}",
        "encryption": f"Paillier, {job.crypto.key_bits} bits; {plan.slots} masked gradients a ciphertext, {plan.width} bits each",
    }
    if ready.table:
        facts["table"] = f"{rows:,} rows, {ready.table.features.shape[1]} columns" + (
            ", and the label" if ready.table.label is not None else ""
        )
    if party.policy.runs_per_partner_per_month is not None:
        facts["runs left"] = ", ".join(f"{budget.left(p)} with {p}" for p in peers) + ", this month"
    for name, text in facts.items():
        table.add_row(f"[bold]{name}[/]", text)
    console.print(table)
    console.print("\n[bold]What this job discloses[/], all of it allowed by this party's policy:")
    print_permits(job, console)
    for caution in cautions(job, party):
        console.print(f"[yellow]caution[/]: {caution}", highlight=False)
    console.print("\n[green]Ready.[/] Nothing was sent.")
