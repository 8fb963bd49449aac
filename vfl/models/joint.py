"""A trained model of a local federation, the parties' parts side by side: what is the same for every kind is written
once, here.

Between institutions the parts are never joined: `vfl run` and `vfl predict` are used there.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.cipher import Scheme
from protocols.errors import ConfigError, DataError
from protocols.local import run_local
from protocols.session import Roles, Session
from vfl import metrics
from vfl.data import Table
from vfl.data.arrow import AnyFrame, as_frame
from vfl.data.labels import known_label, raw_label, weight
from vfl.data.shapes import Profile
from vfl.models.evaluation import Evaluation, Reports, Sampling
from vfl.models.fitted import Scored
from vfl.models.kind import Kind
from vfl.models.new_rows import NewRows, Reader
from vfl.models.plan import Plan
from vfl.report.page import as_plain
from vfl.schema.spec import Spec
from vfl.screen import html
from vfl.screen.notebook import showing
from vfl.screen.sentences import counted
from vfl.screen.warn import warn_user

Floats = NDArray[np.float64]
S = TypeVar("S", bound=Spec)
P = TypeVar("P", bound=Any)


@dataclass(frozen=True)
class Learned(Generic[S]):
    """All that stays of a training in one process.  Nothing of it is a table, an id, a label or a feature of a row: a
    model can be pickled, copied and saved.

    It holds the text of every category, also of one that a single row had.  A pickle or copy holds `kept` unsealed,
    where `save` seals it: whoever can read the pickle has the whole model.

    parts: by data party; kept: the arbiter's part, where it keeps one; reader: of new rows; label, weight: the guest's
    columns; sizes: rows by party; common: rows that all parties have, and rows: those of them that were trained on;
    summaries: by data party, of its part, as in its own report.
    """

    kind: Kind[S, Any]
    spec: S
    roles: Roles
    parts: Mapping[str, Any]
    kept: Any
    scheme: Scheme
    reader: Reader
    label: str
    weight: str | None
    sizes: Mapping[str, int]
    common: int
    rows: int
    summaries: Mapping[str, Mapping[str, Any]]
    reports: Mapping[str, Evaluation] = field(default_factory=dict)
    drawn: Sampling = Sampling()  # noqa: RUF009
    caution: str = ""


@dataclass(frozen=True)
class Trained(Generic[S]):
    """What a training in one process leaves: fitted, by data party, with its rows; kept: the arbiter's part of the
    model, where it keeps one."""

    kind: Kind[S, Any]
    plan: Plan[S]
    roles: Roles
    fitted: Mapping[str, Any]
    kept: Any
    scheme: Scheme
    reader: Reader
    label: str
    weight: str | None = None  # the guest's column of weights
    drawn: Sampling = Sampling()  # noqa: RUF009
    caution: str = ""
    started: datetime.datetime | None = None
    cautions: Mapping[str, list[str]] = field(default_factory=dict)  # by data party, of its own table

    def learned(self, reports: Mapping[str, Evaluation] | None = None) -> Learned[S]:
        """What stays of it; reports: by party, where rows were held out."""
        own = self.fitted[self.roles.guest]
        return Learned(
            self.kind,
            self.plan.spec,
            self.roles,
            {party: fitted.part for party, fitted in self.fitted.items()},
            self.kept,
            self.scheme,
            self.reader,
            self.label,
            self.weight,
            own.sizes,
            len(own.aligned),
            int((~(own.held_out | own.validation)).sum()),
            {party: as_plain(self.kind.fitted_summary(fitted)) for party, fitted in self.fitted.items()},
            reports or {},
            self.drawn,
            self.caution,
        )


class Joint(Generic[S, P]):
    """Base of the joint models."""

    def __init__(self, learned: Learned[S]) -> None:
        if not isinstance(learned, Learned):
            raise ConfigError(
                f"{type(self).__name__} is not made from a {type(learned).__name__}",
                remedy="Use Federation.fit, or vfl.load_model",
            )
        self._learned, self._kind, self._kept = learned, learned.kind, learned.kept
        self.roles = learned.roles
        self.estimator: S = learned.spec
        self.parts: dict[str, P] = dict(learned.parts)
        self.reports_ = Reports(learned.reports)
        self.sizes_ = dict(learned.sizes)
        self.intersection_ = learned.common
        self.verbose: int | None = None  # whether predictions show their progress, as in `Federation.fit`

    @property
    def kept(self) -> Any:
        """The arbiter's part of the model; None where it keeps none."""
        return self._kept

    @property
    def drawn(self) -> Sampling:
        """Which rows were left out of the training."""
        return self._learned.drawn

    @property
    def caution(self) -> str:
        """What is to be said of measures on them."""
        return self._learned.caution

    @property
    def feature_names_in_(self) -> dict[str, np.ndarray[Any, Any]]:
        """By party, the names of the columns that a table to be scored must have."""
        return {party: np.array(part.inputs, dtype=object) for party, part in self.parts.items()}

    @property
    def n_features_in_(self) -> int:
        """The number of columns of all parties together."""
        return sum(len(part.inputs) for part in self.parts.values())

    @property
    def _own(self) -> P:
        return self.parts[self.roles.guest]

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The values of the label, sorted; of two, the second is the positive class.  Raises ConfigError where there
        are none."""
        if self._own.classes is None:
            raise ConfigError(
                f"a {type(self.estimator).__name__} has no classes", remedy="Use predict, which gives expected values"
            )
        return np.asarray(self._own.classes)

    def predict_proba(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.DataFrame:
        """Probabilities by id, columns `classes_`, in the guest's order; NaN where not all parties know the id."""
        classes = list(self.classes_)
        found, index = self._means(guest, hosts)
        each = np.column_stack([1.0 - found, found]) if found.ndim == 1 else found
        return pd.DataFrame(each, index=index, columns=classes)

    def predict_log_proba(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.DataFrame:
        """Natural logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):  # of a probability of 0
            return pd.DataFrame(np.log(self.predict_proba(guest, hosts)))

    def predict_score(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series:
        """Probability of the positive one of two classes, by id, in the guest's order; NaN where not all parties know
        the id."""
        if self._own.classes is None or len(self._own.classes) > 2:
            remedy = "Use predict_proba" if self._own.classes else "Use predict, which gives expected values"
            raise ConfigError(
                "predict_score is the probability of one of two classes, which this model does not have", remedy=remedy
            )
        found, index = self._means(guest, hosts)
        return pd.Series(found, index=index, name="score")

    def predict(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series:
        """The most probable class, or the expected value, by id; missing where not all parties know the id."""
        if self._own.classes is None:
            found, index = self._means(guest, hosts)
            return pd.Series(found, index=index, name=self._learned.label)
        shares = self.predict_proba(guest, hosts)
        best = pd.Series(self.classes_[shares.fillna(0.0).to_numpy().argmax(axis=1)], index=shares.index, name="class")
        return pd.Series(best.where(shares.notna().all(axis=1)))

    def score(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> float:
        """scikit-learn's: accuracy of classes, R^2 of numbers, the part of the deviance explained for counts; on the
        rows that all parties can score; warns of how many these are, if not all.

        guest holds the label too, and exposures where there were any.  Raises DataError if it does not, if it holds a
        class that is none of `classes_`, or if no row has a score.
        """
        guest, name = as_frame(guest, self.roles.guest), self._learned.label
        exposure = self._learned.weight if getattr(self.estimator, "exposed", False) else None
        for column in (name, *([exposure] if exposure else [])):
            if column not in guest.columns:
                raise DataError(
                    f"the guest's table has no column '{column}' to score against", remedy="Pass a table with it"
                )
        found = self.predict(guest, hosts)
        known = found.notna().to_numpy()
        if not known.any():
            raise DataError("no row has a score", remedy="Compare the tables' ids, and check for missing values")
        if not known.all():
            warn_user(f"score is of {known.sum():,} of {len(known):,} rows: the others have no score")
        party, rows, fitted = self.roles.guest, np.flatnonzero(known) + 1, found.to_numpy()[known]
        if self._own.classes is not None:
            y = known_label(guest[name][known], party, name, rows, self._own.classes).to_numpy()
            return float((y == fitted).mean())
        try:
            y = raw_label(guest[name][known], party, name, rows).to_numpy().astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{party}: label column '{name}' is not numeric", remedy="Store it as numbers") from None
        if exposure:
            times = weight(guest[exposure][known], party, exposure, rows).to_numpy(np.float64)
            return metrics.explained_deviance(y / times, fitted, times)
        count = self.estimator.label == "count"
        measured = metrics.count_metrics(y, fitted)["d2"] if count else metrics.numeric_metrics(y, fitted)["r2"]
        return float(measured or 0.0)

    def _means(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> tuple[Floats, pd.Index]:
        """(n,) or (n, classes) predictions of the guest's rows, NaN where not all parties know the id; and the guest's
        ids."""
        rows, index, scores = self._score(guest, hosts)
        return spread(self._kind.predictions(self._own, scores), rows, len(index)), index

    def _score(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> tuple[NDArray[np.int64], pd.Index, Floats]:
        """Aligns new rows and scores what is common: (rows of the guest's table, its ids, their scores); all parts have
        their later shares from then on."""
        new = self._read(guest, hosts)
        tables = {party: rows.table for party, rows in new.items()}
        score = partial(self._kind.score, min_rows=1, keys=len(self._learned.reader.keys))
        programs: dict[str, Callable[[Session], Scored]] = {
            p: partial(self._run, score, "guest" if p == self.roles.guest else "host", tables[p], self.parts[p])
            for p in self.parts
        }
        programs[self.roles.arbiter] = partial(self._run, score, "arbiter", None, self._kept)
        inputs = {p: t.digest() for p, t in tables.items()}
        with showing(self.verbose, None, self.roles.guest) as observers:
            results = run_local(self.roles, programs, self._learned.scheme, inputs=inputs, observers=observers)
        self.parts = {p: self._kind.moved(part, results[p].moved) for p, part in self.parts.items()}
        if self._kept is not None:
            self._kept = self._kind.moved(self._kept, results[self.roles.arbiter].moved)
        (found, scores), own = results[self.roles.guest].found, new[self.roles.guest]
        if unknown := len(own.rows) - len(found):
            gaps = any(new[host].left_out for host in self.roles.hosts)
            why = "not known to all parties" + (", or without a value at a host" if gaps else "")
            warn_user(f"{unknown:,} of {len(own.index):,} rows have no score: {why}")
        return np.asarray(own.rows[found], np.int64), own.index, scores

    def _read(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> dict[str, NewRows]:
        """By party, its new rows; warns of rows that cannot be scored, and of texts and columns that the model knows
        nothing of.  Raises ConfigError, DataError."""
        if not isinstance(hosts, Mapping) or set(hosts) != set(self.roles.hosts):
            named = isinstance(hosts, Mapping)
            found = (", ".join(map(str, hosts)) or "none") if named else f"a {type(hosts).__name__}"
            raise ConfigError(
                "the model needs a table of each of its hosts, by name",
                expected=", ".join(self.roles.hosts),
                found=found,
                remedy=f"Pass {{{', '.join(f'{name!r}: frame' for name in self.roles.hosts)}}}",
            )
        frames = {self.roles.guest: guest, **hosts}
        reader, profiles = self._learned.reader, {party: Profile() for party in self.parts}
        new = {p: reader.read(frames[p], self._kind, part, profiles[p]) for p, part in self.parts.items()}
        for party, rows in new.items():
            empty = [f"column '{name}': every value is missing in the new rows" for name in rows.empty]
            for sentence in (*rows.sentences(), *empty):
                warn_user(f"{party}: {sentence}")
        for sentence in reader.near_misses({p: new[p] for p in self.roles.data_parties}, profiles):
            warn_user(sentence)
        return new

    @staticmethod
    def _run(score: Callable[..., Scored], role: str, table: Table | None, part: Any, session: Session) -> Scored:
        return score(role, session, table, part)

    @property
    def learned(self) -> Learned[S]:
        """What stays of the training."""
        return self._learned

    def save(self, folder: str | os.PathLike[str], *, passphrase: str | None = None) -> Path:
        """Writes the model into a new folder, which `vfl.load_model` reads: one part per party, as each would hold it,
        and no row of the training.  Returns the folder.

        passphrase: encrypts the arbiter's key, which seals its part.  Whoever can read the whole folder can score rows.
        Raises ConfigError if the folder exists or cannot be written.
        """
        from vfl.models.joint_files import save_model  # on use: it knows all kinds of model

        return save_model(self, folder, passphrase)

    def __repr__(self) -> str:
        widths = ", ".join(f"{p}: {len(part.columns)}" for p, part in self.parts.items())
        rows = self._learned.rows
        of = "" if rows == self.intersection_ else f"{rows} of "
        return (
            f"{type(self).__name__}({self.estimator}, columns {widths}, trained on {of}"
            f"{counted(self.intersection_, 'common row')})"
        )

    def _repr_html_(self) -> str:
        """The estimator, and by party its rows and columns."""
        guest, rows = self.roles.guest, list[tuple[str, ...]]()
        for party, part in self.parts.items():
            role = "guest" if party == guest else "host"
            rows.append((party, role, f"{self.sizes_[party]:,}", str(len(part.inputs)), ", ".join(part.inputs)))
        by_party = html.table(("party", "role", "rows", "columns", "names of the columns"), rows)
        return html.card(
            type(self).__name__, f"{self.estimator}, {counted(self.intersection_, 'common row')}", by_party
        )


def spread(values: Floats, rows: NDArray[np.int64], total: int) -> Floats:
    """values of `rows`, NaN elsewhere."""
    every = np.full((total, *values.shape[1:]), np.nan)
    every[rows] = values
    return every
