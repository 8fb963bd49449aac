"""Small runs that are broken: alignment, regression and trees of a guest, a host and an arbiter, with their own toy
tables and keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from protocols.cipher import Paillier, Scheme
from protocols.glm import Kept
from protocols.session import Roles, Session
from vfl.data import Table, table_from_frame
from vfl.models.plan import Plan
from vfl.models.registry import KINDS
from vfl.models.regression import program as glm
from vfl.models.regression.spec import LogisticRegression
from vfl.models.trees import program as boosting
from vfl.models.trees.spec import BoostedTrees
from vfl.steps import alignment

TOY_BITS = 512  # no job file can ask for so short a key
ROWS = 24


@dataclass(frozen=True)
class Run:
    """Programs that return the SHA-256 of what their party has at the end."""

    roles: Roles
    programs: Mapping[str, Callable[[Session], str]]
    scheme: Scheme


def tables() -> dict[str, Table]:
    """The guest's and the host's, of which they share most rows."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, 3))
    ids = [f"customer {i}" for i in range(ROWS)]
    guest = pd.DataFrame({"id": ids, "default": (x[:, 0] + x[:, 2] > 0).astype(int), "age": x[:, 0]})
    host = pd.DataFrame({"id": ids, "bill": x[:, 1], "late": x[:, 2]}).iloc[3:]
    common: dict[str, Any] = {
        "keys": (("id",),),
        "normalise": {"id": "exact"},
        "duplicates": "error",
        "columns": None,
        "need_features": True,
    }
    return {
        "guest": table_from_frame(guest, party="guest", label="default", need_label=True, **common),
        "host": table_from_frame(host, party="host", label=None, need_label=False, **common),
    }


def digest(*parts: object) -> str:
    """SHA-256 over arrays, bytes and plain values."""
    made = hashlib.sha256()
    for part in parts:
        made.update(
            part if isinstance(part, bytes) else part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        )
    return made.hexdigest()


def fitted(found: Any, kind: str) -> str:
    """The digest of a data party's result: its model part as it would be written, its common rows, and the guest's
    scores."""
    body = KINDS[kind].pack(found.part)
    tensors = [item for name in sorted(body.tensors) for item in (name, body.tensors[name])]
    return digest(found.part.model_id, sorted(body.rest.items()), *tensors, found.aligned.ids, found.scores)


def kept(found: Kept) -> str:
    """The digest of what the arbiter keeps."""
    return digest(
        found.model_id,
        *(item for party, one in sorted(found.shares.items()) for item in (party, one.names, one.values)),
    )


def regression() -> Run:
    """`vfl run` of a logistic regression, with a held-out part."""
    job, own = Plan(LogisticRegression(max_iter=5), test=0.2), tables()
    return _run(
        guest=lambda s: fitted(glm.guest(s, own["guest"], job), "logistic-regression"),
        host=lambda s: fitted(glm.host(s, own["host"], job), "logistic-regression"),
        arbiter=lambda s: kept(glm.arbiter(s, job)),
    )


def trees(membership: Literal["sealed", "open"]) -> Run:
    """`vfl run` of boosted trees."""
    spec = BoostedTrees(n_estimators=2, max_depth=2, max_bin=4, membership=membership, min_bin_rows=1)
    job, own = Plan(spec), tables()
    programs: dict[str, Callable[[Session], str]] = {
        "guest": lambda s: fitted(boosting.guest(s, own["guest"], job), "boosted-trees"),
        "host": lambda s: fitted(boosting.host(s, own["host"], job), "boosted-trees"),
    }

    def arbiter(session: Session) -> str:
        kept = boosting.arbiter(session, job)
        assert kept is not None
        trees = kept.trees
        return digest(kept.model_id, trees.shape.owner, trees.shape.order, trees.value)

    return _run(**programs, arbiter=arbiter) if membership == "sealed" else _run(**programs)


def aligned() -> Run:
    """`vfl align`: no arbiter."""
    plan, own = alignment.AlignmentPlan(), tables()

    def data_party(session: Session) -> str:
        found = alignment.data_party(session, own[session.me].keys, plan)
        return digest(found.rows, sorted(found.sizes.items()), found.by_key)

    return _run(guest=data_party, host=data_party)


def _run(**programs: Callable[[Session], str]) -> Run:
    return Run(Roles("guest", ("host",), "arbiter" if "arbiter" in programs else ""), programs, Paillier(TOY_BITS))


RUNS: dict[str, Callable[[], Run]] = {
    "alignment": aligned,
    "logistic-regression": regression,
    "boosted-trees": partial(trees, "sealed"),
    "boosted-trees, open": partial(trees, "open"),
}
