"""Whole trainings at no, one, two and three workers: the same messages and the same models, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from protocols import local, parts
from protocols.cipher import Paillier, Scheme
from protocols.cipher.sharded import PublicKey, Sharded
from protocols.glm import ahead, attempts
from protocols.randomness import Randomness, Seed
from protocols.workers.calls import Job
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal, Sealed
from tests.harness import Recording, Sent, gram_shares
from tests.unit.protocols.boosting import world
from tests.unit.protocols.boosting.samples import small, tables
from tests.unit.protocols.glm import test_glm as glm

SEAL = Seal(b"s" * 32, b"a run")
BITS, ROWS, LEAF = 512, 24, 4
Transcript = dict[tuple[str, str], list[bytes]]


class Counting(Inline):
    """Workers that count their jobs, and of which one is replaced four times."""

    def __init__(self, count: int, lose_each: int = 0) -> None:
        super().__init__(count, SEAL)
        self.operations: dict[str, int] = {}
        self.jobs: list[Job] = []
        self.carried: list[bytes] = []
        self._each, self._jobs, self.lost = lose_each, 0, 0

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        answers = []
        for job in jobs:
            self.operations[job.operation] = self.operations.get(job.operation, 0) + 1
            self._jobs += 1
            if self._each and self.lost < 4 and not self._jobs % self._each:
                self.replace(job.worker)
                self.lost += 1
            answers += super().call([job])
            self.jobs.append(job)
            self.carried += [*job.arguments, *answers[-1]]
        return answers

    def opened(self) -> list[bytes]:
        """The values of all calls, as whoever has the secret reads them."""
        found = list[bytes]()
        for job in self.jobs:
            values, _ = SEAL.open_call(*job)
            found += [v if isinstance(v, bytes) else v.tobytes() for v in values if not isinstance(v, int)]
        return found


def regression(
    link: Any, passes: int, widths: tuple[int, ...] = (2, 2, 1), **changes: Any
) -> Callable[[Scheme], list[bytes]]:
    blocks, y = glm.problem(n=60, widths=widths)

    def train(scheme: Scheme) -> list[bytes]:
        return [w.tobytes() for w in glm.train(blocks, y, passes, scheme, link=link, **changes)]

    return train


def trees(**settings: Any) -> Callable[[Scheme], list[bytes]]:
    p = small(n_estimators=1, max_depth=2, max_bin=4, **settings)
    blocks, y = tables(p, [2, 2], seed=1, rows=60)

    def train(scheme: Scheme) -> list[bytes]:
        found = world.train(blocks, y, p, scheme)
        return [repr(found.hosts).encode(), world.score(found, blocks, scheme).tobytes()]

    return train


TRAININGS: dict[str, Callable[[], Callable[[Scheme], list[bytes]]]] = {
    "direct": lambda: regression(glm.TAYLOR, 2),
    "direct, sealed link": lambda: regression(glm.EXACT, 2),
    "prepared": lambda: regression(glm.EXACT, 3, prepared=True),
    "shares of Gram matrices": lambda: regression(glm.TAYLOR, 3, (3, 2), prepared=True, gram=True),
    "sealed trees": lambda: trees(membership="sealed", gradient_bits=4),
    "open trees": lambda: trees(membership="open"),
}


def trained(train: Callable[[Scheme], list[bytes]], workers: Inline | None) -> tuple[list[bytes], Transcript]:
    """What a training ends with, and every message of it."""
    transcript, scheme, more = list[Sent](), Paillier(BITS), dict[str, Any]()
    if workers is not None:
        cluster = Cluster(Caller(workers, SEAL))
        scheme = Sharded(BITS, cluster)  # type: ignore[assignment]
        more["clusters"] = dict.fromkeys(("guest", "host1", "host2", "arbiter"), cluster)

    def run_local(roles: Any, programs: Mapping[str, Any], scheme: Scheme, **rest: Any) -> Any:
        names = roles.all
        taps = {name: [Recording(name, transcript)] for name in names}
        drawn = {name: Randomness(name, name.encode().ljust(32, b"."), b"") for name in names}
        return local.run_local(roles, programs, scheme, **{**rest, **more, "taps": taps, "randomness": drawn})

    with pytest.MonkeyPatch.context() as patch:
        gram_shares(patch)
        patch.setattr(parts, "ROWS", ROWS)
        patch.setattr(parts, "LEAF", LEAF)
        for module in (attempts, ahead):  # what draws again in each attempt
            patch.setattr(module, "run_seed", lambda: bytes(32))
        patch.setattr(glm, "run_local", run_local)
        patch.setattr(world, "run_local", run_local)
        found = train(scheme)
    messages: Transcript = {}
    for sent in transcript:
        messages.setdefault((sent.sender, sent.receiver), []).append(sent.data)
    return found, messages


@pytest.mark.parametrize("name", TRAININGS)
def test_the_same_bits_on_any_number_of_workers(name: str) -> None:
    """And where workers are lost in between: with one seed for each party, every message and the model are equal."""
    train = TRAININGS[name]()
    due = trained(train, None)
    for workers in (Counting(1), Counting(2), Counting(3), Counting(3, lose_each=41)):
        found = trained(train, workers)
        assert found[0] == due[0]
        assert found[1] == due[1]
        assert sum(workers.operations.values()) > 20, "nothing was done by workers"
    assert workers.lost > 1
    assert "look_up" in workers.operations or name in ("direct", "shares of Gram matrices", "open trees")


def test_planted_fault_blocks_as_many_as_workers_give_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed for each worker's part instead of a stream: then a run could not resume on another number of workers."""
    honest = PublicKey.draw

    def apart(key: PublicKey, operation: str, layout: Any, values: Any, first: int) -> Any:
        at = 2 if operation == "encrypt" else 1  # where the seed stands
        seeds = [hashlib.sha256(v[at] + bytes([w])).digest() for (w, _, _), v in zip(layout, values, strict=True)]
        own = [(*v[:at], seed, *v[at + 1 :]) for seed, v in zip(seeds, values, strict=True)]
        return honest(key, operation, layout, own, first)

    monkeypatch.setattr(PublicKey, "draw", apart)
    train = TRAININGS["direct"]()
    assert trained(train, Counting(2))[1] != trained(train, Counting(3))[1]


@pytest.mark.parametrize("name", ["prepared", "open trees"])
def test_canaries_find_no_seed_key_label_or_feature_in_what_crosses(name: str) -> None:
    """What the parties have drawn, their private keys and tables, against each byte to and from their workers; opened
    with the party's secret they are there: the positive control."""
    made, workers = list[bytes](), Counting(2)
    with pytest.MonkeyPatch.context() as patch:
        honest, place, draw, generate = Seed.into, Cluster.place, PublicKey.draw, Sharded.generate

        def into(seed: Seed, digest: bytes) -> bytes:
            made.append(honest(seed, digest))
            return made[-1]

        def placing(cluster: Cluster, worker: int, array: Any) -> Any:
            made.append(array.tobytes())
            return place(cluster, worker, array)

        def drawing(key: PublicKey, operation: str, layout: Any, values: Any, first: int) -> Any:
            made.extend(plain for _, plain, *_ in values if operation == "encrypt")  # labels, gradients, pads
            return draw(key, operation, layout, values, first)

        def generating(self: Sharded, holder: str, seed: Seed) -> Any:
            key = generate(self, holder, seed)
            made.append(key._raw._native.to_bytes())
            return key

        patch.setattr(Sharded, "generate", generating)
        patch.setattr(PublicKey, "draw", drawing)
        patch.setattr(Seed, "into", into)
        patch.setattr(Cluster, "place", placing)
        trained(TRAININGS[name](), workers)
    carried = b"\n".join(workers.carried)
    canaries = {canary[-64:] for canary in made if len(canary) >= 16 and len(set(canary[-64:])) > 2}
    assert len(canaries) > 15
    assert not any(canary in carried for canary in canaries)
    opened = b"\n".join(workers.opened())
    assert sum(canary in opened for canary in canaries) > len(canaries) / 2
