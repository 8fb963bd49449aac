"""Prepares the iterations of a job before anybody waits for them: `vfl prepare`.

files -> checks (nothing sent) -> mutual TLS -> align, split, standardise -> pads of the coming chunks, on every party's disk

It is the same run as `vfl run`, which ends before it trains, and resumes from there (protocols/glm/ahead.py).
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.channel import Tap
from protocols.errors import ConfigError
from protocols.recovery.pad_store import Paused
from protocols.session import Observer
from vfl.job import Job
from vfl.models.registry import kind_of
from vfl.run.recovery import Begun, begun, until_over
from vfl.run.session import Ready, RunSession
from vfl.run.train import program


@dataclass(frozen=True)
class PreparedRun:
    """What `vfl run` resumes from.  iterations: of each model, prepared at all parties, 0 where shares of Gram matrices
    take their place; bytes: what the pads take here;
    expires: seconds since 1970, 0 where there are none; trains: the run had begun to train before, and nothing was
    prepared."""

    folder: Path
    iterations: int
    bytes: int
    expires: float
    trains: bool


def check_prepares(job: Job) -> None:
    """Raises ConfigError for a job whose iterations cannot be prepared ahead."""
    kind = kind_of(job.model).name
    if not job.model.prepares:
        raise ConfigError(
            f"a model of kind {kind} has no iterations that can be prepared: vfl prepare does nothing for it",
            remedy="Give vfl run; regressions and scorecards can be prepared",
        )
    if job.crypto.preparation == "none":
        raise ConfigError(
            'the job says preparation = "none": none of its iterations are prepared',
            remedy='Give vfl run, or agree on preparation = "batched" in [crypto]',
        )
    if job.search is not None:
        raise ConfigError(
            "a search trains on folds first, and only its end tells which candidate is trained on all rows: "
            "vfl prepare does not go with [search]",
            remedy="Give vfl run, or prepare a job without [search]",
        )


def prepare_ahead(
    ready: Ready,
    watch: Observer,
    *,
    iterations: int = 0,
    connect_timeout: float = 120.0,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> PreparedRun:
    """Begins or resumes the run of a job, and ends when pads for its iterations are on every party's disk.

    iterations: of each model, 0 for all; the party that wants fewest decides.  Other arguments, and errors: as of
    `vfl.run.train.run`.
    """
    check_prepares(ready.job)
    peers = ready.job.parties.peers_of(ready.party.name)
    with begun(ready, "run", peers, watch, seed=seed, fresh=fresh, ahead=iterations) as party:
        return _prepared(party, connect_timeout=connect_timeout, taps=taps)


def _prepared(party: Begun, *, connect_timeout: float, taps: Sequence[Tap]) -> PreparedRun:
    """Attempt after attempt."""
    run = party.run
    if run.kept:
        run.leave()
        raise ConfigError(
            f"the run in {run.folder} has its results at every party", remedy="Give vfl run, which ends it, before"
        )

    def work(meeting: RunSession) -> dict[str, Any]:
        program(run.ready)(meeting.session)
        raise AssertionError("a run that only prepares does not train")

    paused = until_over(party, work, connect_timeout, taps)
    assert isinstance(paused, Paused)
    taken, expires = run.pads.total()
    folder = run.folder
    run.leave()
    party.events.over("done")
    return PreparedRun(folder, paused.iterations, taken, expires, paused.trains)
