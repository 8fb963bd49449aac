"""Fits the parties' preprocessing inside a program: alone where that does, by `protocols/binning/by_label.py` where the
label is needed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocols.binning import by_label as woe
from protocols.binning.by_label import HostColumn
from protocols.binning.noise import CountNoise
from protocols.errors import ConfigError
from protocols.session import Session
from vfl.data import Table
from vfl.preprocessing import Fitting, Preprocessing, Preprocessor
from vfl.screen.sentences import listed

log = logging.getLogger("vfl.steps.features")
IMPOSSIBLE = (
    "%s sent sums of events of %s that cannot be those of these rows; nothing of them is used. Ask there which "
    "software runs, and whether its rows are in order. The run continues, since a stop could tell labels"
)


@dataclass(frozen=True)
class Binned:
    """What the guest knows of columns that were binned by the label: of its own the steps that did it, of each host's
    the bins."""

    own: Preprocessor
    hosts: dict[str, list[HostColumn]]


def fit_guest(
    session: Session,
    train: Table,
    settings: Preprocessing | None,
    *,
    open_names: bool = False,
    noise: CountNoise | None = None,
) -> tuple[Preprocessor | None, Binned | None]:
    """train: the aligned training rows, with a label of 0 and 1 where columns are binned by it; settings: None for
    none; noise: on events that hosts learn.  Returns the guest's steps, and what was binned by the label.

    With encode = "woe" or report_iv it learns the events of hosts' fine bins; with encode = "woe" hosts learn those of
    their final ones.
    """
    if settings is None:
        return None, None
    if not settings.bins_by_label:
        return Fitting.start(train.features, settings, session.me).finish(), None
    encode = settings.encode == "woe"
    fitting = Fitting.start(train.features, settings if encode else settings.analysis, session.me)
    assert train.label is not None
    if train.classes is None or len(train.classes) != 2:
        raise ConfigError(
            "only a label of two values has weights of evidence", remedy='Choose encode = "onehot" or "quantile"'
        )
    with session.phase("bin"):
        y = train.label.to_numpy(np.int64)
        more: dict[str, Any] = {"open_names": open_names, "noise": noise if encode else None}
        own, theirs = woe.guest(session, y, fitting.bins, settings.rule, tell=encode, **more)
    for host, columns in theirs.items():
        if wrong := [column.name for column in columns if not column.possible]:
            log.warning(IMPOSSIBLE, host, listed(wrong, "and"))
    binned = Binned(fitting.finish(own), theirs)
    return (binned.own if encode else Fitting.start(train.features, settings, session.me).finish()), binned


def fit_arbiter(session: Session, settings: Preprocessing | None) -> None:
    """The arbiter's side: it has no columns and learns nothing."""
    if settings is not None and settings.bins_by_label:
        with session.phase("bin"):
            woe.arbiter(session)


def fit_host(
    session: Session,
    train: Table,
    settings: Preprocessing | None,
    *,
    open_names: bool = False,
    noise: CountNoise | None = None,
) -> Preprocessor | None:
    """A host's side of `fit_guest`: its own steps."""
    if settings is None:
        return None
    if not settings.bins_by_label:
        return Fitting.start(train.features, settings, session.me).finish()
    encode = settings.encode == "woe"
    fitting = Fitting.start(train.features, settings if encode else settings.analysis, session.me)
    with session.phase("bin"):
        names = [c.name for c in fitting.fine] if open_names else None
        merged = woe.host(session, fitting.bins, settings.rule, tell=encode, names=names, noisy=noise is not None)
    return Fitting.start(train.features, settings, session.me).finish() if merged is None else fitting.finish(merged)
