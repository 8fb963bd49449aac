"""Small runs on a network that loses, repeats, swaps, delays, cuts and changes messages: never another model, never a
hang, always an end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from protocols import channel, glm
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.cipher import Keyring
from protocols.codec import encode
from protocols.errors import ConfigError, LocalProtocolError, RemoteProtocolError, VFLError
from protocols.glm.block import Share
from protocols.glm.links import IDENTITY
from protocols.glm.sealed_link import EdgeShare, open_edge
from protocols.glm.training import GuestWeights, own_shares
from protocols.randomness import Randomness
from protocols.recovery.checkpoint import Checkpoint, Position
from protocols.session import Roles, Session
from tests.harness import KNOWN, TOY
from vfl.cli.main import app
from vfl.testing.chaos import net, network, show
from vfl.testing.chaos.memory import MemoryKeeper
from vfl.testing.chaos.net import Outcome, storm, under, undisturbed
from vfl.testing.chaos.network import Network
from vfl.testing.chaos.runs import RUNS
from vfl.testing.chaos.schedule import Break, Fault, draw
from vfl.transport.seal import Seal

DEFAULT = {"alignment": 20, "logistic-regression": 4, "boosted-trees": 4, "boosted-trees, open": 8}


@pytest.mark.parametrize("name", RUNS)
def test_every_schedule_ends_as_if_nothing_had_been(name: str) -> None:
    tally = storm(name, DEFAULT[name], seed=3)
    assert tally.wrong == []
    assert tally.attempts > tally.schedules
    assert len(tally.struck) >= 4
    assert name == "alignment" or tally.resumed > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUNS)
def test_two_thousand_schedules(name: str) -> None:
    """Two thousand of each."""
    tally = storm(name, 2000, seed=8)
    assert tally.wrong == []
    assert set(tally.struck) == set(Fault)


EXPECTED: Mapping[Fault, set[str]] = {
    Fault.LOSE: {"peer-timeout", "remote-protocol"},
    Fault.CUT_BEFORE: {"peer-closed"},
    Fault.CUT_AFTER: {"peer-closed"},
    Fault.TWICE: {"remote-protocol"},
    Fault.SWAP: {"remote-protocol"},
    Fault.DELAY: set(),
    Fault.HALF: {"peer-closed"},
    Fault.TORN: {"peer-timeout", "remote-protocol"},
    Fault.FLIP: {"remote-protocol", "peer-timeout"},
    Fault.OLD: {"remote-protocol"},
    Fault.MUTE: {"peer-timeout"},
    Fault.DEAF: {"peer-timeout"},
}


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_gives_its_own_error_and_the_run_goes_on(fault: Fault) -> None:
    """At an early and at the last message from host to guest."""
    run = RUNS["boosted-trees"]()
    expected, traffic = undisturbed(run)
    way = ("host", "guest")
    seen: Counter[str] = Counter()
    for number in (2, traffic[way]):
        outcome = under(run, ((Break(way, number, fault, 0.7),),), expected)
        assert outcome.wrong == []
        assert outcome.attempts == (1 if fault.harmless or not outcome.errors else 2)
        seen.update(outcome.errors)
    assert set(seen) - {"peer-aborted"} <= EXPECTED[fault]
    assert bool(set(seen)) == bool(EXPECTED[fault])


def test_the_same_seed_draws_the_same() -> None:
    traffic = {("a", "b"): 9, ("b", "a"): 4, ("a", "c"): 0}
    drawn = [draw(5, number, traffic) for number in range(50)]
    assert drawn == [draw(5, number, traffic) for number in range(50)]
    assert drawn != [draw(6, number, traffic) for number in range(50)]
    hits = [hit for schedule in drawn for breaks in schedule for hit in breaks]
    assert {hit.way for hit in hits} == {("a", "b"), ("b", "a")}
    assert all(1 <= hit.number <= traffic[hit.way] for hit in hits)
    assert {hit.fault for hit in hits} == set(Fault)


# -- planted faults


def wrong(name: str, schedules: int = 30) -> str:
    return " ".join(storm(name, schedules, seed=3).wrong)


def believe_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Seal.mark
    monkeypatch.setattr(Seal, "fits", lambda self, mark: bool(honest(self)))


def test_planted_fault_without_marks_another_model_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit of the arbiter's part of the scores, which it sends before it confirms."""
    run = RUNS["logistic-regression"]()
    expected, traffic = undisturbed(run)
    believe_marks(monkeypatch)
    way = ("arbiter", "guest")
    breaks = [Break(way, traffic[way] - back, Fault.FLIP, at) for back in (1, 2) for at in (0.6, 0.7)]
    outcomes = [under(run, ((hit,),), expected) for hit in breaks]
    found = {what for outcome in outcomes for what in outcome.wrong}
    assert not any(
        "another result" in what for what in found
    )  # what the parties sign at the end of the run still finds it
    monkeypatch.setattr(channel, "chained", lambda before, digest: before)
    assert "guest has another result" in {what for hit in breaks for what in under(run, ((hit,),), expected).wrong}


def changed(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The errors of runs in each of which one bit of a message is another, and no mark tells: as a peer that sends
    other contents."""
    run = RUNS[name]()
    _, traffic = undisturbed(run)
    believe_marks(monkeypatch)
    rng, seen = np.random.default_rng(9), Counter[str]()
    ways = [way for way, messages in traffic.items() if messages]
    for _ in range(count):
        way = ways[int(rng.integers(len(ways)))]
        hit = Break(way, 1 + int(rng.integers(traffic[way])), Fault.FLIP, float(rng.random()))
        _, errors, hangs = net.Trial(run).attempt(Network(tuple(run.programs), 1, [hit]))
        assert not hangs, hit
        for error in errors.values():
            assert isinstance(error, VFLError), (hit, error)
            seen[error.code] += 1
    return seen


@pytest.mark.parametrize(
    "name", [name if name == "logistic-regression" else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_contents_that_a_peer_has_changed_end_in_typed_errors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(name, 6, monkeypatch)


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUNS)
def test_contents_that_a_peer_has_changed_end_in_typed_errors_at_length(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(changed(name, 600, monkeypatch)) >= 4


@pytest.mark.parametrize("values", [[1 << 19, 0], [-1, 0]])
def test_a_share_of_final_weights_that_is_none_is_refused(values: list[int]) -> None:
    """What changed contents found first."""

    class Arbiter:
        me, peer = "guest", "arbiter"

        def recv(self, timeout: float) -> bytes:
            return encode(GuestWeights(np.array(values, np.int64)), ["guest"], "arbiter")

    channels = {"arbiter": Channel(Arbiter(), Keyring())}  # type: ignore[arg-type]
    session = Session(
        "guest", Roles("guest", ("host",), "arbiter"), channels, Randomness("guest", bytes(32), b""), Keyring(), TOY
    )
    share, terms = (
        Share.start(PlainVec.from_ints([2**62, 2**62])),
        glm.Terms(IDENTITY, glm.Penalty(1.0), 5, weight_bits=10, reveal=KNOWN),
    )
    with pytest.raises(RemoteProtocolError, match="arbiter sent an invalid share of the weights"):
        own_shares(session, terms, [share], bytes(16))


@pytest.mark.parametrize("count", [-1, 1 << 64, -(1 << 100)])
def test_a_number_of_rows_that_is_none_is_refused(count: int) -> None:
    """What changed contents found next: a checkpoint cannot hold such a number."""

    class Guest:
        me, peer = "arbiter", "guest"

        def recv(self, timeout: float) -> bytes:
            return encode(EdgeShare(PlainVec.from_ints([count - 5])), ["arbiter"], "guest")

    channels = {"guest": Channel(Guest(), Keyring())}  # type: ignore[arg-type]
    session = Session(
        "arbiter", Roles("guest", ("host",), "arbiter"), channels, Randomness("arbiter", bytes(32), b""), Keyring(), TOY
    )
    with pytest.raises(RemoteProtocolError, match="what guest and host sent for the link's table does not fit"):
        open_edge(session, [PlainVec.from_ints([5])])


def test_planted_fault_a_state_that_is_not_restored_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MemoryKeeper.at

    def forgetful(self: MemoryKeeper, position: Position) -> Checkpoint:
        mark = honest(self, position)
        return Checkpoint(mark.position, mark.draws + 1, mark.counts, mark.arrays, mark.last)

    monkeypatch.setattr(MemoryKeeper, "at", forgetful)
    assert "has another result" in wrong("logistic-regression", 8)


def test_planted_fault_an_untyped_error_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(Network, "_raise_if_over", careless)
    assert "failed with ValueError" in " ".join(under_loss().wrong)


def test_planted_fault_a_wait_without_deadline_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "_stuck", lambda _: False)
    monkeypatch.setattr(net, "HANG", 0.3)
    monkeypatch.setattr(network, "HANG", 1.0)
    assert "a party hangs" in under_loss().wrong


def under_loss() -> Outcome:
    run = RUNS["alignment"]()
    honest = dict.fromkeys(run.programs, "")
    return under(run, ((Break(("host", "guest"), 2, Fault.MUTE, 0.5),),), honest)


def test_planted_fault_a_run_that_never_gets_there_is_noticed() -> None:
    run = RUNS["alignment"]()
    honest = undisturbed(run)[0]
    outcome = under(run, (), honest | {"host": "another"})
    assert outcome.wrong == ["host has another result"]


# -- the command


def test_the_command_shows_a_table() -> None:
    ended = CliRunner().invoke(app, ["chaos", "net", "--schedules", "3", "--seed", "7", "--model", "alignment"])
    assert ended.exit_code == 0, ended.output
    assert re.search(r"alignment +3 +\d+ +\d+ +\d+ +\d+ +0", ended.output)
    assert "seed 7; faults that met a message: " in ended.output


def test_the_command_fails_if_anything_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        show, "storm", lambda *_: net.Tally("alignment", 1, 1, wrong=["schedule 0 of seed 1: a party hangs"])
    )
    ended = CliRunner().invoke(app, ["chaos", "net", "--model", "alignment"])
    assert isinstance(ended.exception, LocalProtocolError)
    assert "a party hangs" in ended.output
    with pytest.raises(ConfigError, match="no run that can be broken"):
        show.print_storms(["astrology"], 1, 1, show.Console())
