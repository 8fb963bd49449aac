"""Scores new rows with a joint model: `vfl predict`.  Every party that holds a part of the model runs it, data parties
with their own new table.

files -> checks (nothing of a run sent; waiting parties receive an error's cause) -> mutual TLS -> all name their model -> align -> the rows' scores to the guest -> scores.csv at the guest

The arbiter takes part where it keeps a part of the model (weights that stay shared, leaf values of sealed trees), and
where there are two or more hosts, whose blinded ids it compares.  Shares of weights move on in every run: what a party
had and what it has now stand side by side in its model folder until all parties have theirs on the disk
(vfl/models/shared_weights.py).
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.channel import Channel, Tap, broadcast
from protocols.errors import ModelError
from protocols.glm.scoring import ModelName
from protocols.glm.shares import WeightShares
from protocols.parts import parts
from protocols.session import Observer, Session
from vfl.data.cells import write_csv, write_csv_blocks
from vfl.data.kept_frame import block_of, whole
from vfl.data.kept_ids import Positions
from vfl.data.writing import write_blocks, write_table
from vfl.models.baseline import compare
from vfl.models.content import ArbiterPart, Part
from vfl.models.part_files import add_shares, drop_shares
from vfl.models.registry import kind_of
from vfl.models.results import plain_report
from vfl.report.page import write_report
from vfl.run import scores_file
from vfl.run.prediction_result import prediction_result
from vfl.run.recovery import RunResult, take_part
from vfl.run.result_frame import result_frame
from vfl.run.scoring import Scoring
from vfl.run.session import RunSession, peers_for
from vfl.run.train import inputs
from vfl.storage.files import private, written


def predict(
    scoring: Scoring,
    watch: Observer,
    *,
    connect_timeout: float = 120.0,
    seed: bytes | None = None,
    fresh: bool = False,
    taps: Sequence[Tap] = (),
) -> tuple[Path, Path | None, int]:
    """Takes part in a prediction, or resumes an interrupted one: (the run's folder, the guest's file of scores, rows
    scored).

    fresh, seed, taps and what is raised: as of `vfl.run.train.run`.
    """
    ready, part = scoring.ready, scoring.part
    job, party = ready.job, ready.party
    peers = peers_for(job, party.name, "predict")
    if fresh and scoring.out is not None:
        scores_file.check_free(ready, scoring.out, fresh=True)

    def work(meeting: RunSession) -> dict[str, Any]:
        if part is not None:
            with meeting.session.phase("align"):
                same_model(meeting.session, part.model_id, arbiter=job.arbiter_keeps)
        least, keys = job.predict.min_rows, len(job.align.keys)
        found, moved = kind_of(job.model).score(party.role, meeting.session, ready.table, part, least, keys)
        with meeting.session.phase("evaluate"):
            return evaluated(scoring, meeting, found, moved)

    def report(taken: RunResult) -> None:
        if scoring.folder is not None and (used := taken.result["model"].get("shares")):
            drop_shares(
                scoring.folder,
                {of: frozenset(map(bytes.fromhex, one["before"])) for of, one in used.items()},
                ready.identity,
            )
        write_report(taken.folder, taken.result | taken.summary, taken.counting.phases)
        if scoring.out is not None:
            scores_file.move(taken.folder, scoring.out)

    taken = take_part(
        ready, "predict", peers, watch, work, report, connect_timeout=connect_timeout, seed=seed, fresh=fresh, taps=taps
    )
    if party.role != "guest":
        return taken.folder, None, 0
    return taken.folder, scoring.out or scores_file.made_in(taken.folder), taken.result["alignment"]["intersection"]


def evaluated(
    scoring: Scoring, meeting: RunSession, found: tuple[NDArray[np.int64], NDArray[np.float64]] | None, moved: Any
) -> dict[str, Any]:
    """Writes the scores, and returns what the report says of them.  found: at the guest, positions in the table and
    their scores; moved: shares of weights as they are from now on."""
    ready, part = scoring.ready, scoring.part
    job, party = ready.job, ready.party
    result = result_frame(job, party, meeting.started, "predict")
    if part is not None:
        result["model"]["model_id"] = part.model_id.hex()
    predicted = None
    if found is not None:
        assert scoring.new is not None
        rows, scores = scoring.new.rows[found[0]], found[1]
        predicted = kind_of(job.model).predictions(part, scores)
        result["alignment"] = {"guest_rows": len(scoring.new.index), "host_rows": None, "intersection": len(rows)}
        _write_scores(scoring, meeting, rows, scores)
    _write_reasons(scoring, meeting)
    result["prediction"] = _prediction(scoring, predicted)
    result |= {"cautions": list(ready.cautions)} if ready.cautions else {}
    result |= _stability(scoring, predicted)
    if moved:
        assert scoring.folder is not None
        result["model"]["shares"] = {
            of: {"before": [n.hex() for n in _names(part, of)], "now": one.name.hex()} for of, one in moved.items()
        }
        add_shares(scoring.folder, moved, ready.identity)
    return plain_report(kind_of(job.model), result | inputs(ready))


def _prediction(scoring: Scoring, predicted: NDArray[np.float64] | None) -> dict[str, Any]:
    """What the report says of the rows; empty at an arbiter, which has none."""
    if scoring.new is None or scoring.part is None:
        return {}
    return prediction_result(scoring.new, scoring.part.classes, predicted)


def _stability(scoring: Scoring, predicted: NDArray[np.float64] | None) -> dict[str, Any]:
    """How far this party's table, and at the guest the predictions, moved since the training; empty where there is
    nothing to compare with."""
    if scoring.new is None or scoring.before is None:
        return {}
    single = predicted if predicted is not None and predicted.ndim == 1 else None
    return {"stability": compare(scoring.before, scoring.new.features, single)}


def _names(part: Part | ArbiterPart | None, of: str) -> tuple[bytes, ...]:
    """Of the shares that a part had when the run began."""
    shares: Mapping[str, WeightShares] | WeightShares = getattr(part, "shares")  # noqa: B009  # only parts that have shares move them
    return shares.names if isinstance(shares, WeightShares) else shares[of].names


def same_model(session: Session, model_id: bytes, *, arbiter: bool) -> None:
    """The guest and everybody else who holds a part tell each other which model it is of, before any id is sent.
    Raises ModelError unless it is the same.

    The guest answers last, and where one differs that one alone: so both name each other, before either hears that the
    other gave up.
    """
    own = ModelName(model_id)
    if session.me != session.roles.guest:
        session.guest.send(own)
        differs = _of_another(own, [session.guest])
    else:
        channels = [*session.hosts, *([session.arbiter] if arbiter else [])]
        differs = _of_another(own, channels)
        broadcast(channels if differs is None else [differs], own)
    if differs is not None:
        raise ModelError(
            f"{differs.peer} holds a part of another model than {session.me}",
            remedy="Give every party the model folder of the same run",
            party=differs.peer,
        )


def _of_another(own: ModelName, channels: Sequence[Channel]) -> Channel | None:
    return next((channel for channel in channels if channel.recv(ModelName).model_id != own.model_id), None)


def _write_scores(scoring: Scoring, meeting: RunSession, rows: Positions, scores: NDArray[np.float64]) -> None:
    """scores.csv, or with the suffix of --out: the key columns as they came, and `score` (of several classes
    `score_CLASS` for each), empty where not all parties know the id.

    One line per row, in the table's order.
    """
    assert scoring.ids is not None
    assert scoring.part is not None
    kind, ids = kind_of(scoring.ready.job.model), scoring.ids
    found = kind.predictions(scoring.part, scores)
    names = ["score"] if found.ndim == 1 else [f"score_{c}" for c in scoring.part.classes or ()]
    columns = dict(zip(names, found.reshape(len(rows), len(names)).T, strict=True)) | kind.columns(scoring.part, scores)
    known, place = pd.DataFrame(columns), np.full(len(ids), -1, np.int32)  # of each row among those that have a score
    place[rows] = np.arange(len(rows))

    def blocks() -> Iterator[pd.DataFrame]:
        for part in [whole(len(ids))] if isinstance(ids, pd.DataFrame) else parts(len(ids)):
            scored = known.reindex(place[part.rows]).reset_index(drop=True)
            yield block_of(ids, part).assign(**scored)

    with written(meeting.folder):
        suffix = ".csv" if scoring.out is None else scoring.out.suffix.lower()
        path = private(meeting.draft / f"scores{suffix}")
        if isinstance(ids, pd.DataFrame):
            write_table(next(blocks()), path, suffix)
        else:
            write_blocks(blocks, path, suffix)


def _write_reasons(scoring: Scoring, meeting: RunSession) -> None:
    """reasons.csv, where the kind of model has words for it: of each row of this party's own table what speaks against
    it in its own columns."""
    part, new, ids, kind = scoring.part, scoring.new, scoring.ids, kind_of(scoring.ready.job.model)
    if part is None or new is None or ids is None:
        return

    def explained() -> Iterator[pd.DataFrame]:
        for rows, features in new.blocks():
            if (found := kind.explained(part, features)) is not None:
                yield block_of(ids, rows).assign(**found.reset_index(drop=True))

    first = next(explained(), None)
    if first is None:
        return
    with written(meeting.folder):
        path = private(meeting.draft / "reasons.csv")
        if isinstance(ids, pd.DataFrame):  # which are in one block
            write_csv(first, path)
        else:
            write_csv_blocks(explained, path)
