"""What a sealed network costs per row and epoch, compared with a prepared regression's iteration on the same columns.

    python -m benchmarks.network [--rows N] [--columns GUEST HOST] [--bits 2048] [--units 16 64] [--second 32]
                                 [--batch N] [--held-out N]

Counted, which no other work on the machine disturbs: products modulo n^2 and bytes of all parties.  CPU seconds of the
process are those of all parties too.  A training of four chunks of epochs and another of five are run, and the
difference is printed: by then tables of powers, which grow with use, have their final size.  The last lines of each
network are its cost over units x that of the regression, over all rows at once and, with --batch, in mini-batches of
about as many rows.  --held-out: what early stopping adds, per row that is held out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from protocols import glm, network
from protocols.cipher import DecryptionKey, EncryptionKey, Paillier
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty, Sgd
from protocols.local import run_local
from protocols.network import HeldOut, Plan, Stopping, Terms
from protocols.randomness import Seed
from protocols.session import Roles, Session
from vfl.taps.counting import CountingTap

ROLES = Roles("guest", ("host",), "arbiter")
PASSES = 17  # of a regression's chunk under 2048 bits
SETTLED = 4  # chunks after which tables of powers do not grow


@dataclass
class Counting:
    """A scheme that keeps the public keys of all parties, which count."""

    scheme: Paillier
    keys: list[EncryptionKey] = field(default_factory=list)

    @property
    def bits(self) -> int:
        return self.scheme.bits

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        key = self.scheme.generate(holder, seed)
        self.keys.append(key.public)
        return key

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        self.keys.append(self.scheme.accept(n, proof, holder))
        return self.keys[-1]


def measured(programs: dict[str, Any], protocol: Any, terms: Any, bits: int) -> np.ndarray[Any, Any]:
    """Products, bytes and CPU seconds of one training."""
    scheme = Counting(Paillier(bits))
    taps = {party: [CountingTap()] for party in ROLES.all}

    def arbiter(session: Session) -> Any:
        return protocol.arbiter(session, scheme.generate("arbiter", Seed("arbiter", bytes(32))), terms)

    began = time.process_time()
    run_local(ROLES, programs | {"arbiter": arbiter}, scheme, taps=taps)
    spent = time.process_time() - began
    sent = sum(count.bytes_sent for (tap,) in taps.values() for count in tap.totals().values())
    return np.array([sum(key.raw.products for key in scheme.keys), sent, spent])


def regression(x: list[Any], y: Any, bits: int, batch: int = 0) -> np.ndarray[Any, Any]:
    """Per iteration, or epoch of mini-batches."""

    def run(passes: int) -> np.ndarray[Any, Any]:
        sgd = Sgd(batch) if batch else None
        terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(1.0), passes, sgd=sgd, prepared=True)
        guest = partial(glm.guest, x=x[0], targets=y[np.newaxis], terms=terms, model_id=bytes(16))
        return measured({"guest": guest, "host": partial(glm.host, x=x[1], terms=terms)}, glm, terms, bits)

    return (run((SETTLED + 1) * PASSES) - run(SETTLED * PASSES)) / PASSES


def of_network(x: list[Any], y: Any, bits: int, hidden: tuple[int, ...], batch: int) -> np.ndarray[Any, Any]:
    """Per epoch."""
    clip = float(np.abs(np.concatenate(x, axis=1)).max())

    def run(epochs: int) -> np.ndarray[Any, Any]:
        terms = Terms(hidden, "tanh", "logistic", epochs, batch, 0.05, clip=clip)
        guest = partial(network.guest, x=x[0], y=y, terms=terms, model_id=bytes(16))
        return measured({"guest": guest, "host": partial(network.host, x=x[1], terms=terms)}, network, terms, bits)

    chunk = Plan(Terms(hidden, "tanh", "logistic", 100, batch, 0.05, clip=clip), len(y), bits - 41).together
    return (run((SETTLED + 1) * chunk) - run(SETTLED * chunk)) / chunk


def of_held_out(
    x: list[Any], y: Any, bits: int, hidden: tuple[int, ...], batch: int, held: int
) -> np.ndarray[Any, Any]:
    """What so many held-out rows add per epoch."""
    clip = float(np.abs(np.concatenate(x, axis=1)).max())
    terms = Terms(hidden, "tanh", "logistic", 100, batch or len(y) - held, 0.05, clip=clip)
    chunk = Plan(terms, len(y) - held, bits - 41).together
    own, theirs = ([part[held:], part[:held]] for part in x)

    def run(stops: Stopping | None, chunks: int) -> np.ndarray[Any, Any]:
        found = replace(terms, epochs=chunks * chunk, stopping=stops)
        more = (HeldOut(own[1], y[:held]), theirs[1]) if stops else (None, None)
        guest = partial(network.guest, x=own[0], y=y[held:], terms=found, model_id=bytes(16), held_out=more[0])
        host = partial(network.host, x=theirs[0], terms=found, held_out=more[1])
        return measured({"guest": guest, "host": host}, network, found, bits)

    added = [run(stops, 2) - run(stops, 1) for stops in (Stopping(1e-4, 100), None)]
    return (added[0] - added[1]) / chunk


def line(name: str, found: np.ndarray[Any, Any], rows: int) -> str:
    products, sent, spent = found / rows
    return f"{name:46} {products:8.1f} products {sent / 1000:8.2f} kB {spent * 1000:8.3f} ms CPU"


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--columns", type=int, nargs=2, default=(5, 18))
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--units", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--second", type=int, default=0, help="units of a second layer; 0: none")
    parser.add_argument("--batch", type=int, default=0, help="rows of a batch; 0: all")
    parser.add_argument("--held-out", type=int, default=0, help="rows that decide when training ends; 0: none")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(asked.rows, sum(asked.columns))).clip(-6, 6)
    y = (0.3 * x.sum(axis=1) + rng.logistic(size=asked.rows) > 0).astype(float)
    blocks = np.split(x, [asked.columns[0]], axis=1)
    single = {"regression": regression(blocks, y, asked.bits)}
    if asked.batch:
        single["regression in batches"] = regression(blocks, y, asked.bits, asked.batch)
    for name, one in single.items():
        print(line(f"{name}, per row and iteration", one, asked.rows), flush=True)
    for units in asked.units:
        hidden = (units, asked.second) if asked.second else (units,)
        found = of_network(blocks, y, asked.bits, hidden, asked.batch or asked.rows)
        print(line(f"network {hidden}, per row and epoch", found, asked.rows))
        for name, one in single.items():
            products, sent, spent = found / units / one
            print(f"  over units x {name}: products {products:.2f}, bytes {sent:.2f}, CPU {spent:.2f}", flush=True)
        if held := asked.held_out:
            more = of_held_out(blocks, y, asked.bits, hidden, asked.batch, held)
            print(line("  per held-out row and epoch", more, held), flush=True)


if __name__ == "__main__":
    main()
