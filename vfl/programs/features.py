"""Fits the parties' preprocessing inside a program: alone where that does, by `protocols/woe.py` where the label is needed."""

from __future__ import annotations

import numpy as np

from protocols import woe
from protocols.session import Session
from protocols.woe import HostColumn
from vfl.data import Table
from vfl.preprocessing import Fitting, Preprocessing, Preprocessor


def fit_guest(
    session: Session, train: Table, settings: Preprocessing, *, open_names: bool = False
) -> tuple[Preprocessor, dict[str, list[HostColumn]]]:
    """train: the aligned training rows, with a label of 0 and 1 where columns are binned by it.  Returns the guest's steps, and by host what it knows of its columns.

    With encode = "woe" it learns the events of hosts' fine bins, and hosts those of their final ones.
    """
    fitting = Fitting.start(train.features, settings, session.me)
    if settings.encode != "woe":
        return fitting.finish(), {}
    assert train.label is not None
    with session.phase("bin"):
        y = train.label.to_numpy(np.int64)
        own, theirs = woe.guest(session, y, fitting.bins, settings.rule, tell=True, open_names=open_names)
    return fitting.finish(own), theirs


def fit_host(session: Session, train: Table, settings: Preprocessing, *, open_names: bool = False) -> Preprocessor:
    """A host's side of `fit_guest`: its own steps."""
    fitting = Fitting.start(train.features, settings, session.me)
    if settings.encode != "woe":
        return fitting.finish()
    with session.phase("bin"):
        names = [c.name for c in fitting.fine] if open_names else None
        merged = woe.host(session, fitting.bins, settings.rule, tell=True, names=names)
    return fitting.finish(merged or ())
