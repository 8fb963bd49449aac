"""How a command ends: the exit codes of signals and of a reader that goes away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from protocols.errors import DIRECTED, JOINT, MUTUAL, REASONS, Cause, DisclosureRefused, PeerAborted, VFLError, cause_of
from tests.places import ROOT
from vfl.screen.console import Console
from vfl.screen.errors import ended, stoppable

WRITES = """
from vfl.screen.console import Console
from vfl.screen.errors import finish
def command():
    console = Console()
    for _ in range(100_000):
        console.print("a line of output")
finish(command)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_the_exit_code_that_a_shell_gives_it(number: signal.Signals, code: int, capsys) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)

    def command() -> None:
        with stoppable(Console(stderr=True)):
            os.kill(os.getpid(), number)
            signal.pause()

    assert ended(command) == code
    assert "stopped on request" in capsys.readouterr().err
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP))


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    command = [sys.executable, "-c", WRITES]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"a line of output\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


def test_what_a_peer_did_is_said_in_words_for_every_code_that_it_can_send() -> None:
    def codes(kind: type[VFLError]) -> set[str]:
        return {kind.code}.union(*(codes(child) for child in kind.__subclasses__()))

    families = {"error", "transport", "protocol", "crypto", "peer-aborted"}  # of which only the kinds are raised
    crypto = {"key-mismatch", "invalid-key", "plaintext-overflow", "unfresh-ciphertext", "invalid-point"}
    others = {"invalid-ciphertext", "ledger-broken", "evidence-broken"}
    assert codes(VFLError) - families - crypto - others <= {*REASONS, *DIRECTED, *MUTUAL, *JOINT}
    for code in (*REASONS, "plaintext-overflow", "of a later release"):
        text = str(PeerAborted(Cause(code, "telecom")))
        assert text.startswith("telecom ")
        assert f"('{code}')" in text
    for code in (*DIRECTED, *MUTUAL):
        text = str(PeerAborted(Cause(code, "bank", "telecom")))
        assert "bank" in text
        assert "telecom" in text
    assert PeerAborted(Cause("data", "bank", "telecom")).exit_code == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Cause("peer-unreachable", "telecom", "bank"), Cause("peer-absent", "bank", "telecom")),
        *((Cause(code, "bank", "telecom"), Cause(code, "telecom", "bank")) for code in MUTUAL),
        *((Cause(code, "bank"), Cause(code, "telecom")) for code in JOINT),
    ],
)
def test_two_parties_that_stop_for_one_cause_give_one_message_whoever_is_heard_first(one: Cause, other: Cause) -> None:
    said = [re.sub(r" \('[a-z-]+'\)", "", str(PeerAborted(cause))) for cause in (one, other)]
    assert said[0] == said[1]


def test_who_relays_a_cause_does_not_become_its_origin() -> None:
    heard = PeerAborted(cause_of(DisclosureRefused("telecom: 17 rows", about="policy.scores_per_row"), "telecom"))
    again = PeerAborted(cause_of(heard, "trustco"))
    assert str(again) == str(heard)
    assert str(heard).startswith("telecom refused: policy.scores_per_row ('disclosure-refused'). Ask telecom")
    assert "17" not in str(heard)
    assert "no permission few-columns" in str(PeerAborted(Cause("disclosure-refused", "telecom", None, "few-columns")))
