"""The same small runs over real TLS, through proxies that cut, halt, shorten, slow and change what crosses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from protocols.channel import Wire
from protocols.errors import Cause, VFLError, cause_of
from tests.promises.recovery.proxy import Harm, Hit, Proxy
from tests.unit.vfl.transport.world import World
from vfl.testing.chaos.net import Trial, undisturbed
from vfl.testing.chaos.runs import RUNS, Run
from vfl.transport import TlsNetwork

ROLES = {"guest": "guest", "host": "host", "arbiter": "arbiter"}
Pair = tuple[str, str]  # who dials whom


class TlsConnections:
    """The parties of one attempt as real networks; a proxy on each connection."""

    def __init__(self, world: World, run: Run, hits: Mapping[Pair, Hit]) -> None:
        timing = {"roles": ROLES, "heartbeat": 0.2, "dead_after": 2.0}
        others = [party for party in run.programs if party != "guest"]
        self.proxies: dict[Pair, Proxy] = {}
        self.networks: dict[str, TlsNetwork] = {"guest": world.network("guest", dict.fromkeys(others), **timing)}
        if "arbiter" in run.programs:
            self.networks["arbiter"] = world.network(
                "arbiter", {"guest": self._through(("arbiter", "guest"), hits), "host": None}, **timing
            )
        dialled = {party: self._through(("host", party), hits) for party in self.networks}
        self.networks["host"] = world.network("host", dialled, **timing)

    def _through(self, pair: Pair, hits: Mapping[Pair, Hit]) -> int:
        self.proxies[pair] = Proxy(self.networks[pair[1]].bound_port or 0, hits.get(pair))
        return self.proxies[pair].port

    def wires(self, me: str) -> Mapping[str, Wire]:
        return self.networks[me].connect()

    def leave(self, me: str, error: VFLError | None) -> None:
        if error is None:
            self.networks[me].close()
        else:
            self.networks[me].abort(cause_of(error, me))

    def close(self) -> None:
        for network in self.networks.values():
            network.abort(Cause("over", "bank"))
        for proxy in self.proxies.values():
            proxy.close()


@contextlib.contextmanager
def connected(world: World, run: Run, hits: Mapping[Pair, Hit]) -> Iterator[TlsConnections]:
    made = TlsConnections(world, run, hits)
    try:
        yield made
    finally:
        made.close()


def traffic(world: World, run: Run, expected: Mapping[str, str]) -> dict[tuple[Pair, bool], int]:
    """How many bytes cross which connection which way, undisturbed."""
    with connected(world, run, {}) as joined:
        results, errors, hangs = Trial(run).attempt(joined)
        assert (results, errors, hangs) == (dict(expected), {}, False)
        return {(pair, up): proxy.carried[up] for pair, proxy in joined.proxies.items() for up in (True, False)}


def storm(folder: Path, name: str, harms: list[Harm], seed: int) -> int:
    """One schedule for each of `harms`: two attempts that meet it, then at most two that nothing disturbs.  Returns how
    many connections were struck."""
    world, run = World(folder), RUNS[name]()
    expected, _ = undisturbed(run)
    try:
        carried = traffic(world, run, expected)
        rng, ways, struck = np.random.default_rng(seed), sorted(carried), 0
        for harm in harms:
            trial = Trial(run)
            for attempt in range(4):
                pair, up = ways[int(rng.integers(len(ways)))]
                hits = {pair: Hit(harm, up, int(rng.integers(carried[pair, up])))} if attempt < 2 else {}
                with connected(world, run, hits) as joined:
                    results, errors, hangs = trial.attempt(joined)
                    struck += sum(proxy.struck for proxy in joined.proxies.values())
                assert not hangs, (harm, hits)
                assert all(isinstance(error, VFLError) for error in errors.values()), (harm, hits, errors)
                assert all(result == expected[party] for party, result in results.items()), (harm, hits)
                if not errors:
                    break
            else:
                raise AssertionError(f"{harm}: the run did not end")
        return struck
    finally:
        world.close()


def test_each_harm_once(tmp_path: Path) -> None:
    assert storm(tmp_path, "boosted-trees", [Harm.CUT, Harm.TRUNCATE, Harm.FLIP], seed=1) >= 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["alignment", "logistic-regression"])
def test_fifty_schedules(tmp_path: Path, name: str) -> None:
    """25 of each of two runs; the regression's three parties have three connections."""
    assert storm(tmp_path, name, list(Harm) * 5, seed=2) >= 25
