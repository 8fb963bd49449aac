"""Least squares over all that a host received while a regression was trained, against the labels.

The attack is the one that works on systems which open a host's gradients (residue reconstruction, arXiv 2205.04166): a
gradient is a linear statement X_B^T d_B about the residuals d, which hold the labels, so that gradients of many batches
B are solved for d.  Here everything that came in is tried:
messages with an entry a row as columns, messages with an entry a weight as such statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from protocols import glm
from protocols.cipher import CipherVec, Keyring, Scheme
from protocols.glm.batches import Batches, RowOrder
from protocols.glm.links import Link
from protocols.glm.plan import Step, rows_log2
from protocols.local import run_local
from protocols.randomness import Seed
from protocols.session import Roles, Session
from tests.harness import Recording, Sent

Matrix = NDArray[np.float64]
Statement = tuple[Matrix, Matrix]  # (equations, rows), (equations,)


@dataclass
class View:
    """One host's own columns (n, d), the labels (n,) that it must not learn, and what it received; order: with
    mini-batches the rows of each, by pass."""

    x: Matrix
    y: Matrix
    received: list[Sent]
    keys: Keyring
    opened: list[Statement] = field(default_factory=list)
    order: list[list[NDArray[np.int64]]] = field(default_factory=list)

    def columns(self) -> Matrix:
        """(n, k): every received number that stands for a row: of a ciphertext its residue and its leading bits; what
        came in batches, put together by pass."""
        found, pieces = [], dict[str, list[Matrix]]()
        for s in self.received:
            message = s.message(self.keys)
            for name, _ in s.kind.schema():
                for k, column in enumerate(_numbers(getattr(message, name))):
                    pieces.setdefault(f"{s.kind.kind}.{name}.{k}", []).append(column)
        for source in pieces.values():
            found += [column for column in source if len(column) == len(self.y)]
            if self.order and [len(piece) for piece in source] == [len(rows) for one in self.order for rows in one]:
                several = iter(source)
                found += [_at(one, [next(several) for _ in one]) for one in self.order]
        return np.array(found).T if found else np.zeros((len(self.y), 0))

    def statements(self) -> dict[str, list[Statement]]:
        """By what they came in: received numbers that stand for the host's weights, taken for X^T d of the unknown
        residuals, and what was `opened`."""
        found = {"opened": list(self.opened)}
        for s in self.received:
            message = s.message(self.keys)
            for name, _ in s.kind.schema():
                for k, column in enumerate(_numbers(getattr(message, name))):
                    if len(column) == self.x.shape[1]:
                        found.setdefault(f"{s.kind.kind}.{name}.{k}", []).append((self.x.T, column))
        return {source: statements for source, statements in found.items() if statements}


def _at(rows: list[NDArray[np.int64]], pieces: list[Matrix]) -> Matrix:
    whole = np.zeros(sum(len(r) for r in rows))
    for r, piece in zip(rows, pieces, strict=True):
        whole[r] = piece
    return whole


def _numbers(value: Any) -> list[Matrix]:
    if isinstance(value, CipherVec):
        n = value.key.raw.n
        size = len(value.raw.to_bytes()) // max(1, len(value))
        raw = np.frombuffer(value.raw.to_bytes(), dtype=np.uint8)[: size * len(value)].reshape(len(value), -1)
        ends = (
            [raw[:, :8].copy().view(np.uint64)[:, 0] / 2.0**64, raw[:, -8:].copy().view(np.uint64)[:, 0] / 2.0**64]
            if size >= 8
            else []
        )
        return [np.array([float(r % n) / n if n > 1 else float(r) for r in value.raw.residues()]), *ends]
    if hasattr(value, "to_ints"):
        return [np.array([float(v) for v in value.to_ints()])]
    return [value.astype(np.float64)] if isinstance(value, np.ndarray) else []


def record(
    blocks: Sequence[Matrix],
    y: Matrix,
    link: Link,
    passes: int,
    scheme: Scheme,
    *,
    penalty: glm.Penalty | None = None,
    sgd: glm.Sgd | None = None,
    ends: glm.Stopping | None = None,
    prepared: bool = False,
    gram: bool = False,
) -> tuple[View, list[Sent]]:
    """Trains; the view of the only host, and the whole transcript."""
    roles, transcript, public = Roles("guest", ("host",), "arbiter"), list[Sent](), Keyring()
    terms = glm.Terms(link, penalty or glm.Penalty(1.0), passes, sgd=sgd, stopping=ends, prepared=prepared, gram=gram)

    def arbiter(session: Session) -> bytes:
        key = scheme.generate("arbiter", session.seed("key"))
        public.add(key.public)
        return glm.arbiter(session, key, terms)

    programs: dict[str, Any] = {
        "guest": partial(glm.guest, x=blocks[0], targets=y[np.newaxis], terms=terms, model_id=bytes(16)),
        "host": partial(glm.host, x=blocks[1], terms=terms),
        "arbiter": arbiter,
    }
    run_local(roles, programs, scheme, taps={p: [Recording(p, transcript)] for p in roles.all})
    view = View(blocks[1], y, [s for s in transcript if s.receiver == "host"], public)
    view.order = [] if sgd is None else order(view, sgd, passes)
    return view, transcript


def order(view: View, sgd: glm.Sgd, passes: int) -> list[list[NDArray[np.int64]]]:
    """The rows of each batch, by pass, which the host knows from the seed that it was sent."""
    (seed,) = (s.message(view.keys).seed for s in view.received if s.kind is RowOrder)  # type: ignore[attr-defined]
    count, rows = sgd.batches(rows_log2(len(view.y))), len(view.y)
    batches = Batches(rows, count, Seed("guest", seed))
    return [
        [np.asarray(batches.of(Step(0, 0, keeps=True, number=p * count + k))) for k in range(count)]
        for p in range(passes)
    ]


def gain(view: View) -> tuple[float, float]:
    """R^2 of the labels on other rows, cross-validated: from the host's own columns, and how much all that it received
    adds to that."""
    solved = []
    for statements in view.statements().values():
        left, right = (np.concatenate([s[k] for s in statements]) for k in (0, 1))
        solved.append(np.linalg.lstsq(left, right / np.abs(right).max(initial=1e-300), rcond=1e-8)[0])
    own = explained(view.x, view.y)
    return own, max(
        explained(np.column_stack([view.x, *more]), view.y) for more in ([view.columns(), *solved], solved)
    ) - own


def explained(x: Matrix, y: Matrix) -> float:
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-300)
    predicted = cross_val_predict(Ridge(alpha=1.0), x, y, cv=KFold(5, shuffle=True, random_state=0))
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
