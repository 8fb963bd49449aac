"""The command line: what an institution types.

Exit codes: 0 done, 2 usage or ConfigError, 3 DataError, 4 TransportError, 5 ProtocolError or CryptoError, 6 DisclosureRefused, 7 ModelError, 1 a bug.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vfl.faults import finish, stoppable

app = typer.Typer(
    name="vfl",
    help="Vertical federated learning: align customer ids privately, train joint risk models under encryption.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
job_app = typer.Typer(help="Look at a job file.", no_args_is_help=True)
app.add_typer(job_app, name="job")

JobFile = Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job, the same file at every party.")]
PartyFile = Annotated[Path, typer.Argument(metavar="PARTY.toml", help="This party's own file.")]


class Role(StrEnum):
    guest = "guest"
    host = "host"
    arbiter = "arbiter"


@app.command()
def demo(
    data: Annotated[
        str, typer.Option(help='"breast" (real, two clinics), "credit-sim" (generated bank and telecom) or a CSV file.')
    ] = "breast",
    label: Annotated[str | None, typer.Option(help="With a CSV file: the label's column.")] = None,
    guest: Annotated[
        str | None, typer.Option(help="With a CSV file: the guest's columns, separated by commas; the partner gets the rest.")
    ] = None,
    rows: Annotated[int, typer.Option(min=200, help="With credit-sim: how many customers.")] = 2000,
    key_bits: Annotated[int, typer.Option(help="Size of the arbiter's Paillier key.")] = 3072,
    passes: Annotated[int, typer.Option(min=5, help="Passes over the rows.")] = 100,
    folder: Annotated[Path, typer.Option("--dir", help="Where the parties' folders go; an earlier demo there is replaced.")] = Path(
        "demo-run"
    ),
) -> None:
    """Three institutions as three processes on this machine: align, train, score, report."""
    from vfl.demo.run import Options, run_demo

    columns = [c.strip() for c in guest.split(",")] if guest else None
    run_demo(Options(data, label, columns, rows, key_bits, passes, folder), Console())


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The new party's folder.")],
    role: Annotated[Role, typer.Option(help="What this party is in its jobs.")],
    name: Annotated[str, typer.Option(help="This party's name in job files.")],
) -> None:
    """Make a party's folder: key, certificate, and a commented party.toml to fill in."""
    from vfl.setup import init_party

    identity = init_party(folder, role.value, name)
    console = Console()
    console.print(f"{folder / 'party.toml'}: fill in what the comments ask for", highlight=False)
    console.print(f"{identity.certificate_path}: give this file to your partners; its fingerprint, to compare by phone:", highlight=False)
    console.print(f"  {identity.fingerprint()}", highlight=False, soft_wrap=True)


@app.command()
def trust(
    folder: Annotated[Path, typer.Argument(help="This party's folder.")],
    certificate: Annotated[Path, typer.Argument(help="The peer's certificate, as it handed it over.")],
    address: Annotated[str | None, typer.Option(help='"ADDRESS:PORT" of the peer, if this party dials it.')] = None,
) -> None:
    """Pin a peer's certificate and show its fingerprint: compare it by phone before the first run."""
    from vfl.setup import trust_peer

    name, fingerprint = trust_peer(folder, certificate, address)
    console = Console()
    console.print(f"{name} is pinned. Compare this fingerprint with {name} by phone before the first run:", highlight=False)
    console.print(f"  {fingerprint}", highlight=False, soft_wrap=True)


@app.command()
def check(job: JobFile, party: PartyFile) -> None:
    """Dry run: files, policy, table, head-room; says what would be disclosed to whom.  Nothing is sent."""
    from vfl.check import print_check

    print_check(job, party, Console())


@app.command()
def run(
    job: JobFile,
    party: PartyFile,
    connect_timeout: Annotated[float, typer.Option(help="Seconds to wait for the other parties.")] = 600.0,
    progress: Annotated[str, typer.Option(help='"bar", "lines" (JSON, for programs) or "none".')] = "bar",
) -> None:
    """Take part in a job.  Every party runs this with the same job file; the order of starting does not matter."""
    from vfl.config import load_job, load_party
    from vfl.progress import watching
    from vfl.runner import prepare
    from vfl.runner import run as run_party

    ready = prepare(load_job(job), load_party(party))
    console = Console(stderr=True)
    with stoppable(console), watching(progress, console) as watch:
        folder = run_party(ready, watch, connect_timeout=connect_timeout)
    Console().print(f"report: {folder / 'report.json'}", highlight=False, soft_wrap=True)


@job_app.command("digest")
def job_digest(job: JobFile) -> None:
    """Print the digest that every party must see before it agrees."""
    from vfl.config import load_job

    Console().print(load_job(job).digest.hex(), highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point."""
    finish(lambda: app(standalone_mode=True))


if __name__ == "__main__":
    main()
