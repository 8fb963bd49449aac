"""A job says how many models are trained one-vs-rest, because so many weights a column are revealed: a guest that
announces others is refused."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from protocols.cipher import Identity
from protocols.errors import PeerAborted, RemoteProtocolError
from protocols.local import run_local
from protocols.session import Roles
from tests.plans import planned
from vfl.data import Table, table_from_frame
from vfl.models.regression import program as glm
from vfl.models.regression.spec import LogisticRegression


def table(party: str, label: str | None) -> Table:
    rng = np.random.default_rng(len(party))
    frame = pd.DataFrame({"id": np.arange(60), "x": rng.normal(size=60), "y": np.arange(60) % 3})
    columns = {"columns": ["x"], "label": label, "objective": "multiclass"}
    return table_from_frame(frame, party=party, keys=["id"], normalise={}, duplicates="error", **columns)


def run(guest: int, others: int) -> None:
    jobs = {
        models: planned(LogisticRegression, max_iter=5, link="taylor", num_class=max(2, models))
        for models in (guest, others)
    }
    programs = {
        "guest": partial(glm.guest, table=table("guest", "y"), plan=jobs[guest]),
        "host": partial(glm.host, table=table("host", None), plan=jobs[others]),
        "arbiter": partial(glm.arbiter, plan=jobs[others]),
    }
    run_local(Roles("guest", ("host",), "arbiter"), programs, Identity())


def test_as_many_as_agreed() -> None:
    run(3, 3)


@pytest.mark.parametrize("agreed", [1, 2, 4])
def test_more_or_fewer_models_than_agreed(agreed: int) -> None:
    with pytest.raises((RemoteProtocolError, PeerAborted), match="guest announced an impossible training"):
        run(3, agreed)
