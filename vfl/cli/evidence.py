"""`vfl evidence`: hand over proof of a run, and check what was handed over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import RunFolder, say
from vfl.screen.console import Console
from vfl.screen.examples import examples
from vfl.storage.runs import resolved


class PackUnlessNamed(TyperGroup):
    """`vfl evidence RUN` is `vfl evidence pack RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["pack", *args]
        return super().parse_args(ctx, args)


evidence_app = typer.Typer(
    cls=PackUnlessNamed,
    help="Signed proof of a run, for others: pack, verify.",
    no_args_is_help=True,
)


@evidence_app.command("pack", epilog=examples("evidence pack"))
def evidence_pack(
    run: RunFolder,
    out: Annotated[Path, typer.Option(metavar="PACK.zip", help="The file to write.", show_default=False)],
    party: Annotated[
        Path | None,
        typer.Option(
            metavar="PARTY.toml",
            help="This party's own file; without it, the party.toml above the folder of the run.",
            show_default=False,
        ),
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option(
            metavar="EVIDENCE.toml",
            help="What only the institution can say: purpose, owner, monitoring and others.",
            show_default=False,
        ),
    ] = None,
    job: Annotated[
        Path | None,
        typer.Option(
            metavar="JOB.toml",
            help="For an alignment, whose folder does not hold the job: the job file.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the signed pack of a run.

    Model documentation, data protection, ledger, signatures, numbers with their commands, component list, and the audit
    if there is one. It holds no id, no value of a row and no key. The same run gives the same bytes.
    """
    from vfl.cli.results import EvidencePack
    from vfl.evidence.pack import pack

    made = pack(run, out, party, about, job)
    told = EvidencePack(
        file=str(made.file),
        sha256=made.sha256,
        certificate=made.certificate,
        files=list(made.files),
        open=list(made.open),
    )
    answer(told, as_json, lambda: _print_pack(told))


def _print_pack(told: Any) -> None:
    say(f"{told.file}: {len(told.files)} files, SHA-256 {told.sha256}")
    say(f"signed with the certificate {told.certificate}")
    _print_open(told.open, "give --about EVIDENCE.toml")


def _print_open(names: list[str], remedy: str) -> None:
    """How many fields of each section are open."""
    if names:
        sections = Counter(name.partition(".")[0] for name in names)
        shown = ", ".join(f"{section} ({count})" for section, count in sections.items())
        say(f"{len(names)} fields are not filled in by the institution: {shown}; {remedy}")


@evidence_app.command("verify", epilog=examples("evidence verify"))
def evidence_verify(
    pack: Annotated[Path, typer.Argument(metavar="PACK.zip", help="The pack.", show_default=False, callback=resolved)],
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="CERT.pem",
            help="The cert.pem of the party that made the pack, from elsewhere than the pack.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no byte of a pack was changed.

    Names the file that was changed, is missing or does not belong.
    """
    from vfl.cli.ledgers import pem_of
    from vfl.cli.results import EvidenceVerify
    from vfl.evidence.checking import check

    found = check(pack, pem_of(certificate))
    told = EvidenceVerify(
        party=str(found.index["party"]),
        job=str(found.index["job"]),
        job_digest=str(found.index["job_digest"]),
        purpose=str(found.index["purpose"]),
        certificate=found.fingerprint,
        trusted=found.trusted,
        files=found.files,
        messages=found.messages,
        partners=dict(found.partners),
        open=list(found.open),
    )
    answer(told, as_json, lambda: _print_verified(told, certificate))


def _print_verified(told: Any, certificate: Path | None) -> None:
    console = Console()
    console.print(
        f"[green]Unchanged.[/] {told.files} files about {escape(told.job)} (digest {told.job_digest}), packed by "
        f"{escape(told.party)}.",
        highlight=False,
        soft_wrap=True,
    )
    say(f"the ledger lists {told.messages:,} messages that left")
    for name, fingerprint in told.partners.items():
        say(f"{name} signed the ledger, with the certificate {fingerprint}")
    if told.trusted:
        say(f"the pack is signed by the owner of {certificate}")
    else:
        say(
            f"the pack is signed with the certificate {told.certificate}, which is in the pack itself: give "
            "--certificate, or compare this fingerprint by phone"
        )
    _print_open(told.open, "index.json lists them")
