"""Fits the parties' preprocessing inside a program: alone where that does, by `protocols/woe.py` where the label is needed."""

from __future__ import annotations

import numpy as np

from protocols import woe
from protocols.errors import ConfigError
from protocols.session import Session
from protocols.woe import HostColumn
from vfl.data import Table
from vfl.preprocessing import Fitting, Preprocessing, Preprocessor


def fit_guest(
    session: Session, train: Table, settings: Preprocessing | None, *, open_names: bool = False
) -> tuple[Preprocessor | None, dict[str, list[HostColumn]]]:
    """train: the aligned training rows, with a label of 0 and 1 where columns are binned by it; settings: None for none.  Returns the guest's steps, and by host
    what it knows of its columns.

    With encode = "woe" it learns the events of hosts' fine bins, and hosts those of their final ones.
    """
    if settings is None:
        return None, {}
    fitting = Fitting.start(train.features, settings, session.me)
    if settings.encode != "woe":
        return fitting.finish(), {}
    assert train.label is not None
    if train.classes is None or len(train.classes) != 2:
        raise ConfigError("only a label of two values has weights of evidence", remedy='Choose encode = "onehot" or "quantile"')
    with session.phase("bin"):
        y = train.label.to_numpy(np.int64)
        own, theirs = woe.guest(session, y, fitting.bins, settings.rule, tell=True, open_names=open_names)
    return fitting.finish(own), theirs


def fit_host(session: Session, train: Table, settings: Preprocessing | None, *, open_names: bool = False) -> Preprocessor | None:
    """A host's side of `fit_guest`: its own steps."""
    if settings is None:
        return None
    fitting = Fitting.start(train.features, settings, session.me)
    if settings.encode != "woe":
        return fitting.finish()
    with session.phase("bin"):
        names = [c.name for c in fitting.fine] if open_names else None
        merged = woe.host(session, fitting.bins, settings.rule, tell=True, names=names)
    return fitting.finish(merged or ())
