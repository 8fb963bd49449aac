"""The commands that make a party ready: `vfl demo`, `init`, `trust`, `check`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocols.errors import ConfigError
from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import ConnectTimeout, JobFile, PartyFile, Role, say
from vfl.screen.console import Console
from vfl.screen.examples import examples

if TYPE_CHECKING:
    from vfl.cli.results import Demo

begin_app = typer.Typer()
EncryptKey = Annotated[
    bool,
    typer.Option(
        "--encrypt-key",
        help="Encrypt the key's file: passphrase from VFL_KEY_PASSPHRASE, or asked for at the terminal.",
    ),
]


@begin_app.command(epilog=examples("demo"))
def demo(
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help='"breast" (real, a clinic and a laboratory), "credit-sim" (generated bank and telecom) or a CSV file.',
        ),
    ] = "breast",
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="With a CSV file: the label's column.")] = None,
    guest: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN,...",
            help="With a CSV file: the guest's columns, separated by commas; the partner gets the rest.",
        ),
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", min=200, help="With credit-sim: how many customers.")] = 2000,
    key_bits: Annotated[
        int, typer.Option(metavar="BITS", help="Size of the arbiter's Paillier key: 2048, 3072 or 4096.")
    ] = 3072,
    passes: Annotated[int, typer.Option(metavar="N", min=5, help="Iterations over the rows.")] = 100,
    folder: Annotated[
        Path,
        typer.Option(
            "--dir", metavar="FOLDER", help="Where the parties' folders go; an earlier demo there is replaced."
        ),
    ] = Path("demo-run"),
    board: Annotated[
        bool,
        typer.Option(
            "--board",
            help="With a node per party, until Ctrl-C: one job done, one running, one to approve in a browser.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """See it work: three parties on this machine.

    Three institutions as three processes: they align, train, score and report, through the same files and commands that
    institutions use.
    """
    from vfl.demo.run import Options, print_demo, run_demo

    columns, console = [c.strip() for c in guest.split(",")] if guest else None, Console(stderr=as_json)
    options = Options(data, label, columns, rows, key_bits, passes, folder)
    if board:
        from vfl.demo.board import Node, print_board, run_board

        def shown(nodes: list[Node], folder: Path) -> None:
            runs = {node.name: node.done()[0] for node in nodes}
            boards = {node.name: node.address for node in nodes}
            told = _demo(folder, runs, boards)
            answer(told, as_json, lambda: print_board(nodes, console, opens=console.is_terminal))

        run_board(options, console, shown)
        return
    runs = run_demo(options, console)
    answer(_demo(folder, runs, None), as_json, lambda: print_demo(runs, folder, console))


def _demo(folder: Path, runs: Mapping[str, Path], boards: dict[str, str] | None) -> Demo:
    from vfl.cli.results import Demo

    reports = {name: str(run / "report.json") for name, run in runs.items()}
    page = str(next(iter(runs.values())) / "report.html")
    return Demo(folder=str(folder), reports=reports, page=page, boards=boards)


@begin_app.command(epilog=examples("init"))
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new party's folder.", show_default=False)],
    role: Annotated[
        Role,
        typer.Option(
            parser=Role.called,
            metavar=f"[{'|'.join(Role)}]",
            autocompletion=lambda: [*Role],
            help="guest: has the labels; host: has further columns; member: has the same columns as the other members; "
            "arbiter: has the key, no data.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="This party's name in job files: lower-case letters, digits and hyphens.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Kind of model, as in docs/file-formats.md; by default averaging of a member, logistic-regression "
            "of all others.",
            show_default=False,
        ),
    ] = None,
    hosts: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="How many hosts the jobs have; with two or more, the arbiter learns sizes, and of a network all trust "
            "the guest and the first host not to collude.",
        ),
    ] = 1,
    encrypt_key: EncryptKey = False,
    as_json: AsJson = False,
) -> None:
    """Make this party's folder: key, certificate, party.toml.

    Its policy allows what jobs of one kind of model reveal, and nothing else.
    """
    from vfl.cli.results import Init
    from vfl.job.setup import init_party

    identity = init_party(folder, role.value, name, encrypt=encrypt_key, kind=kind, hosts=hosts)
    party_file, certificate, fingerprint = folder / "party.toml", identity.certificate_path, identity.fingerprint()

    def show() -> None:
        say(f"{party_file}: fill in what the comments ask for")
        say(f"{certificate}: give this file to your partners; its fingerprint, to compare by phone:")
        say(f"  {fingerprint}")

    told = Init(party_file=str(party_file), certificate=str(certificate), fingerprint=fingerprint)
    answer(told, as_json, show)


@begin_app.command(epilog=examples("trust"))
def trust(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="This party's folder.", show_default=False)],
    certificate: Annotated[
        Path, typer.Argument(metavar="CERT.pem", help="The certificate that the peer sent.", show_default=False)
    ],
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS:PORT", help="Where the peer listens, if this party dials it.", show_default=False
        ),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Accept it besides the one that is pinned, while the peer renews it.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Accept only this one, in place of those that are pinned.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pin a peer's certificate; shows its fingerprint.

    Compare the fingerprint with the peer by phone before the first run.
    """
    from vfl.cli.results import Trust
    from vfl.job.setup import Pins, trust_peer

    if add and replace:
        raise ConfigError("--add and --replace exclude each other", remedy="Give one of them")
    pins: Pins = "add" if add else "replace" if replace else "first"
    told = trust_peer(folder, certificate, address, pins)

    def show() -> None:
        already = " already, and nothing has changed" if told.already else ""
        also = f", {told.pinned} certificates of it are accepted" if told.pinned > 1 else ""
        compare = f"Compare this fingerprint with {told.peer} by phone before the first run:"
        say(f"{told.peer} is pinned{already}{also}. {compare}")
        say(f"  {told.fingerprint}")

    answer(Trust(**told._asdict()), as_json, show)


@begin_app.command(epilog=examples("renew"))
def renew(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="This party's folder.", show_default=False)],
    new_key: Annotated[bool, typer.Option("--new-key", help="Also a new key: others may know the old one.")] = False,
    encrypt_key: EncryptKey = False,
    as_json: AsJson = False,
) -> None:
    """Make a new certificate for this party.

    Before the old one ends; models stay as they are, and what is sealed on this disk remains readable.  Every partner
    pins the new one with vfl trust --add before this party uses it, and drops the old one with --replace afterwards.
    """
    from vfl.cli.results import Renew
    from vfl.job.renewal import renew_identity
    from vfl.transport.identity import load_certificate, new_passphrase

    if encrypt_key and not new_key:
        raise ConfigError("--encrypt-key goes with --new-key", remedy="Leave it out: the key's file stays as it is")
    identity, kept = renew_identity(folder, new_key=new_key, passphrase=new_passphrase if encrypt_key else lambda: None)
    end = load_certificate(identity.certificate_pem, "The certificate").not_valid_after_utc
    certificate, fingerprint, ends = identity.certificate_path, identity.fingerprint(), f"{end:%Y-%m-%d}"

    def show() -> None:
        say(f"{certificate}: give this file to your partners, it ends on {ends}; the fingerprint, to compare by phone:")
        say(f"  {fingerprint}")
        say(f"{kept}: the former files; ledgers of that time are checked with the certificate there")

    told = Renew(certificate=str(certificate), fingerprint=fingerprint, ends=ends, kept=str(kept))
    answer(told, as_json, show)


@begin_app.command(epilog=examples("check"))
def check(
    job: JobFile,
    party: PartyFile,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also meet every other party, which gives the same command.")
    ] = False,
    connect_timeout: ConnectTimeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Dry run: what would be disclosed; nothing is sent.

    Checks job, party file, policy, table, head-room, certificates, port and run directory, and ends as `vfl run` would
    if one of them is wrong.
    """
    from vfl.cli.check import checked, meet, print_check, print_met
    from vfl.job import load_agreement, load_party

    console = Console()
    told, ready = checked(load_agreement(job), load_party(party))
    if not as_json:
        print_check(told, console)
    if connect:
        told.met = list(meet(ready, connect_timeout, lambda text: say(text, stderr=as_json)))
    answer(told, as_json, lambda: print_met(told.met, console) if told.met else None)
