"""The command line: what an institution types.

Exit codes: 0 done, 1 a bug, 2 usage or ConfigError, 3 DataError, 4 TransportError or PeerAborted, 5 ProtocolError or
CryptoError, 6 DisclosureRefused, 7 ModelError; 129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM; 141 closed pipe.
"""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from vfl.cli.after import after_app
from vfl.cli.begin import begin_app
from vfl.cli.evidence import evidence_app
from vfl.cli.files import job_app, ledger_app, model_app
from vfl.cli.nodes import node_app
from vfl.cli.officer import officer_app
from vfl.cli.together import together_app
from vfl.screen.arguments import InOrderOfUse, say
from vfl.screen.errors import finish
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
for commands in (begin_app, together_app, after_app, officer_app):
    app.add_typer(commands)
app.add_typer(job_app, name="job")
app.add_typer(ledger_app, name="ledger")
app.add_typer(evidence_app, name="evidence")
app.add_typer(model_app, name="model")
app.add_typer(node_app, name="node")
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


def main() -> None:
    """Entry point."""
    finish(lambda: app(prog_name="vfl"))


if __name__ == "__main__":
    main()
