"""The command line: what an institution types.

Exit codes: 0 done, 1 a bug, 2 usage or ConfigError, 3 DataError, 4 TransportError or PeerAborted, 5 ProtocolError or
CryptoError, 6 DisclosureRefused, 7 ModelError; 129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM; 141 closed pipe.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from vfl.cli.files import job_app, ledger_app, model_app
from vfl.screen.arguments import (
    ConnectTimeout,
    Fresh,
    InOrderOfUse,
    JobFile,
    ModelKind,
    PartyFile,
    ProgressKind,
    Role,
    RunFolder,
    say,
)
from vfl.screen.console import Console
from vfl.screen.errors import finish, stoppable
from vfl.screen.examples import examples
from vfl.storage.runs import resolved
from vfl.version import __version__

app = typer.Typer(
    name="vfl",
    cls=InOrderOfUse,
    help="Vertical federated learning: align customer ids privately, train joint risk models under encryption.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(job_app, name="job")
app.add_typer(ledger_app, name="ledger")
app.add_typer(model_app, name="model")
if importlib.util.find_spec("vfl.testing"):  # fault injection: in a source checkout, not in the wheel
    from vfl.testing.chaos.commands import chaos_app

    app.add_typer(chaos_app, name="chaos")


def show_version(asked: bool) -> None:
    if asked:
        say(f"vfl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog=examples("demo"))
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
) -> None:
    """See it work: three parties on this machine.

    Three institutions as three processes: they align, train, score and report, through the same files and commands that
    institutions use.
    """
    from vfl.demo.run import Options, run_demo

    columns = [c.strip() for c in guest.split(",")] if guest else None
    run_demo(Options(data, label, columns, rows, key_bits, passes, folder), Console())


@app.command(epilog=examples("init"))
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new party's folder.", show_default=False)],
    role: Annotated[
        Role,
        typer.Option(
            help="guest: has the labels; host: has further columns; arbiter: has the key, no data.", show_default=False
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="This party's name in job files: small letters, digits and hyphens.",
            show_default=False,
        ),
    ],
    kind: ModelKind = "logistic-regression",
    encrypt_key: Annotated[
        bool,
        typer.Option(
            "--encrypt-key",
            help="Encrypt the key's file: passphrase from VFL_KEY_PASSPHRASE, or asked for at the terminal.",
        ),
    ] = False,
) -> None:
    """Make this party's folder: key, certificate, party.toml.

    Its policy allows what jobs of one kind of model reveal, and nothing else.
    """
    from vfl.job.setup import init_party

    identity = init_party(folder, role.value, name, encrypt=encrypt_key, kind=kind)
    say(f"{folder / 'party.toml'}: fill in what the comments ask for")
    say(f"{identity.certificate_path}: give this file to your partners; its fingerprint, to compare by phone:")
    say(f"  {identity.fingerprint()}")


@app.command(epilog=examples("trust"))
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
) -> None:
    """Pin a peer's certificate; shows its fingerprint.

    Compare the fingerprint with the peer by phone before the first run.
    """
    from vfl.job.setup import trust_peer

    name, fingerprint = trust_peer(folder, certificate, address)
    say(f"{name} is pinned. Compare this fingerprint with {name} by phone before the first run:")
    say(f"  {fingerprint}")


@app.command(epilog=examples("check"))
def check(
    job: JobFile,
    party: PartyFile,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also meet every other party, which gives the same command.")
    ] = False,
    connect_timeout: ConnectTimeout = 60.0,
) -> None:
    """Dry run: what would be disclosed; nothing is sent.

    Checks job, party file, policy, table, head-room, certificates, port and run directory, and ends as `vfl run` would
    if one of them is wrong.
    """
    from vfl.cli.check import print_check

    print_check(job, party, Console(), connect_timeout if connect else None)


@app.command(epilog=examples("run"))
def run(
    job: JobFile,
    party: PartyFile,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
) -> None:
    """Take part in a job: align, train, score.

    Every party runs this with the same job file; the order of starting does not matter.  An interrupted run resumes
    where it stopped.
    """
    from vfl.job import load_job, load_party
    from vfl.run.announce import announced
    from vfl.run.train import prepare
    from vfl.run.train import run as run_party
    from vfl.screen.progress import watching

    console = Console(stderr=True)
    agreed, own = load_job(job), load_party(party)
    with announced(agreed, own, "run"):
        ready = prepare(agreed, own)
    with stoppable(console), watching(progress, console) as watch:
        folder = run_party(ready, watch, connect_timeout=connect_timeout, fresh=fresh)
    if progress == "none":
        say(f"report: {folder / 'report.json'}")
    else:
        from vfl.report import read_report
        from vfl.report.terminal import print_summary

        print_summary(read_report(folder), Console(stderr=progress == "lines"), folder)  # whose last line is JSON too


@app.command(epilog=examples("predict"))
def predict(
    job: JobFile,
    party: PartyFile,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="This party's model folder, RUN/model; the arbiter's too, unless it keeps none.",
            show_default=False,
            callback=lambda path: None if path is None else resolved(path),
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The new table: a file, a folder or an address; without it, the source in the party file.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Guest: the file for the scores, .csv, .parquet or .feather; without it, RUN/scores.csv.",
            show_default=False,
        ),
    ] = None,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
) -> None:
    """Score new rows with a joint model.

    Every party that holds a part of the model runs this; data parties bring their own new tables.  The arbiter runs it
    too if it holds shares of weights or the leaf values of sealed trees, and always with two or more hosts.  The guest
    gets the scores, of any number of rows.  The score of a row is empty if a party does not know it, or has no value
    that the model needs.
    An interrupted prediction resumes where it stopped.
    """
    from vfl.job import load_job, load_party
    from vfl.run.announce import announced
    from vfl.run.predict import predict as predict_party
    from vfl.run.predict import prepare
    from vfl.screen.progress import watching

    console = Console(stderr=True)
    agreed, own = load_job(job), load_party(party)
    with announced(agreed, own, "predict"):
        scoring = prepare(agreed, own, model, data, out)
    for caution in scoring.cautions:
        console.print(f"[yellow]caution[/]: {escape(caution)}", highlight=False)
    with stoppable(console), watching(progress, console) as watch:
        folder, file, scored = predict_party(scoring, watch, connect_timeout=connect_timeout, fresh=fresh)
    errors = progress == "lines"  # whose last line, on stdout, is JSON too
    if file is not None:
        say(scoring.scored(scored), stderr=errors)
        say(f"scores: {file}", stderr=errors)
    say(f"report: {folder / 'report.json'}", stderr=errors)


@app.command(epilog=examples("monitor"))
def monitor(
    party: PartyFile,
    model: Annotated[
        Path,
        typer.Option(
            metavar="MODEL", help="This party's model folder, RUN/model.", show_default=False, callback=resolved
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The new table: a file, a folder or an address; without it, the source in the party file.",
            show_default=False,
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="SCORES.csv", help="Guest: the scores of vfl predict, to compare them too.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the numbers: .json, .csv, .parquet or .feather.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare a new table with the training rows.

    Each party does this for its own columns; nothing is sent.  The population stability index (PSI) of each column, and
    of the guest's scores.
    """
    from vfl.cli.monitor import monitor as monitor_party
    from vfl.cli.monitor import print_monitor, write_monitor
    from vfl.job import load_party

    found = monitor_party(load_party(party), model, data, scores, out)
    if out is not None:
        write_monitor(found, out)
    print_monitor(found, Console())


@app.command(epilog=examples("align"))
def align(
    job: JobFile,
    party: PartyFile,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help='"parquet" or "csv"; without it, Parquet where pyarrow is installed.',
            show_default=False,
        ),
    ] = None,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
) -> None:
    """Align ids only: find the rows that all parties have in common.

    Writes this party's own common rows, in an order that all parties share, and a match-rate report.  With one host no
    arbiter is needed.
    An interrupted alignment resumes where it stopped.
    """
    from vfl.job import load_agreement, load_party
    from vfl.run.align import align as align_party
    from vfl.run.align import prepare, print_report
    from vfl.run.announce import announced
    from vfl.screen.progress import watching

    console = Console(stderr=True)
    agreed, own = load_agreement(job), load_party(party)
    with announced(agreed, own, "align"):
        ready = prepare(agreed, own, format)
    with stoppable(console), watching(progress, console) as watch:
        folder, found = align_party(ready, watch, connect_timeout=connect_timeout, fresh=fresh)
    errors = progress == "lines"  # whose last line, on stdout, is JSON too
    if found is not None:
        print_report(found, Console(stderr=errors))
    say(f"report: {folder / 'alignment.json'}", stderr=errors)


@app.command(epilog=examples("runs"))
def runs(
    party: PartyFile,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per run.")] = False,
) -> None:
    """List this party's runs: when, which job, how it ended, and where."""
    from vfl.cli.show import print_runs
    from vfl.job import load_party

    print_runs(load_party(party).run.directory, Console(), as_json)


@app.command(epilog=examples("report"))
def report(
    run: RunFolder,
    cutoff: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            min=0,
            max=1,
            help="Guest: show the confusion matrix for this cut-off: rows with this score or more are flagged.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show a run's results; writes its page again."""
    from vfl.cli.show import print_report

    print_report(run, Console(), cutoff)


@app.command(epilog=examples("bench"))
def bench(
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Large tables, long sweeps, other models, network namespaces: about forty minutes on two quiet cores.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For overhead.json and overhead.html; without it, benchmarks/results if it exists, else the "
            "current folder.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print overhead.json instead of the tables.")] = False,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="An older overhead.json: shows what costs more now.", show_default=False),
    ] = None,
    peers_python: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="A Python that has the other libraries, so they need not be installed in this one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure what encryption costs on this machine.

    The same regression and the same trees centralised, in the clear, under Paillier and by other libraries, on
    generated tables; nothing is sent.  It takes about two minutes.
    """
    from vfl.bench.command import bench as measure

    measure(full, out, as_json, compare, peers_python, Console())


def main() -> None:
    """Entry point."""
    finish(lambda: app(prog_name="vfl"))


if __name__ == "__main__":
    main()
