"""Members with the same columns in one process, for notebooks and tests: the same messages as between institutions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.averaging.setup import Identities
from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import ConfigError, TooFewMembers, VFLError
from protocols.local import run_local
from protocols.randomness import Randomness, run_seed
from protocols.session import Observer, Roles, Session
from vfl.api import departures, member_tables
from vfl.api.member_doubts import cautions
from vfl.api.member_tables import AGGREGATOR
from vfl.data.arrow import AnyFrame
from vfl.models.averaging import held_out, program
from vfl.models.averaging.joint import AveragedModel
from vfl.models.averaging.local import Rows
from vfl.models.averaging.private import Noise
from vfl.models.averaging.spec import Averaging
from vfl.models.privacy import Privacy
from vfl.models.splitting import Split
from vfl.schema.arguments import watched
from vfl.schema.section import Complaint, type_of
from vfl.screen.warn import warn_user

Held = np.ndarray[Any, np.dtype[np.bool_]]
PATIENCE = 600.0  # seconds for a step: in one process nobody is silent but who computes


class Members:
    """Institutions that hold the same columns of different customers, and their tables, in one process; make one with
    `Members.local`.

    Parameters
    ----------
    tables : dict of DataFrame
        By member, as `Members.local` reads and checks them.
    label : str
        The column of labels.

    Attributes
    ----------
    roles : Roles
        Who takes part: the members and the aggregator.
    columns : tuple of str
        The features.

    Notes
    -----
    The same messages and masks as between institutions. All data is in one process, so this protects nothing: it is for
    notebooks, tests and planning. What each party would learn is said at `Averaging`. Cost: as between institutions,
    without the network.

    Examples
    --------
    >>> cut = {f"hospital-{k}": bank.iloc[k::10].drop(columns="id") for k in range(10)}
    >>> members = vfl.Members.local(cut, label="default")
    >>> model = members.fit(vfl.Averaging(rounds=20))
    >>> model
    AveragedModel(logistic: 20 rounds, 10 members in the last one)
    >>> model.coef_.index.tolist()
    ['age', 'limit']
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], label: str) -> None:
        self._tables, self._label = dict(tables), label
        self.roles = Roles.averaging(tuple(tables), AGGREGATOR)
        self.columns = tuple(str(name) for name in next(iter(tables.values())).columns if name != label)

    @classmethod
    def local(cls, members: Mapping[str, AnyFrame], label: str) -> Members:
        """Reads the tables of all members. All columns but the label are features, and hold numbers: take ids out.

        Parameters
        ----------
        members : dict of DataFrame
            By name, the tables: frames of pandas or Polars, or any with Arrow's PyCapsule interface. Three at least; of
            fewer than ten, none may drop out during a run with `min_members=3`.
        label : str
            The column of labels: 0 and 1, numbers or counts, as the estimator needs them.

        Returns
        -------
        Members
            Nothing is computed before `fit`.

        Raises
        ------
        ConfigError
            There are too few members, or a name is not possible.
        DataError
            A table has other columns than the others, or not only numbers.

        Examples
        --------
        >>> vfl.Members.local(cut, label="default").roles.members[:3]
        ('hospital-0', 'hospital-1', 'hospital-2')
        """
        return cls(member_tables.read(members, label), label)

    def fit(
        self,
        estimator: Averaging,
        *,
        split: Split | None = None,
        privacy: Privacy | None = None,
        leaves: Mapping[str, int] | None = None,
        taps: Mapping[str, Sequence[Tap]] | None = None,
        observers: Mapping[str, Observer] | None = None,
        randomness: Mapping[str, Randomness] | None = None,
    ) -> AveragedModel:
        """Averages, and returns the model that all members then have.

        Parameters
        ----------
        estimator : Averaging
            What is trained.
        split : Split, default None
            Each member holds this part of its rows out, and evaluates the model on them: `model.by_member_`.
        privacy : Privacy, default None
            What is promised of differential privacy: all sums then carry noise. None adds no noise.
        leaves : dict of int, default None
            By member, the round from which it is silent, to see what becomes of the others. One may leave at any time
            where there are 3 * min_members + 1 members or more: 10 by default.
        taps, observers, randomness : dict, default None
            By party, what watches its channels and its progress, and where its randomness comes from.

        Returns
        -------
        AveragedModel
            The same weights at every member.

        Raises
        ------
        ConfigError
            What is asked is not possible.
        DataError
            A label does not fit the estimator; nothing was sent.
        TooFewMembers
            Too many members left: how many remain, and how many are needed.

        Warns
        -----
        UserWarning
            There are so few members that one that drops out ends the run (fewer than 10, with `min_members=3`). Or a
            column may be no feature: numbers of rows or accounts, days, one that tells the label or is constant.

        Notes
        -----
        What each party learns, and the cost, is said at `Averaging`.

        Examples
        --------
        >>> model = members.fit(vfl.Averaging(rounds=10), split=vfl.Split(test=0.2))
        >>> model.by_member_.columns.tolist()
        ['rows', 'held_out', 'auc', 'log_loss', 'base_rate', 'mean_predicted']
        """
        spec, away = self._asked(estimator, split, leaves)
        noise = self._noise(spec, privacy)
        given = watched(self.roles.all, taps, observers, randomness)
        held = {name: self._held_out(name, split, privacy) for name in self.roles.members}
        rows = {name: self._rows(name, spec, ~held[name]) for name in self.roles.members}
        self._warn(spec)
        secrets = {name: Ed25519PrivateKey.from_private_bytes(run_seed()) for name in self.roles.members}
        terms = repr((spec.model_dump(), self.roles, self.columns, privacy)).encode()
        job = hashlib.sha256(run_seed() + terms).digest()  # of this run: nothing that was signed in another one fits
        known = Identities(job, {name: key.public_key().public_bytes_raw() for name, key in secrets.items()})
        left: dict[str, VFLError] = {}
        programs: dict[str, Any] = {
            AGGREGATOR: partial(_aggregate, spec=spec, known=known, columns=len(self.columns), noise=noise),
            **{
                name: partial(_take_part, spec=spec, known=known, secret=key, rows=rows[name], noise=noise, left=left)
                for name, key in secrets.items()
            },
        }
        watching = {**(given["observers"] or {}), **{name: departures.Leaves(name, at) for name, at in away.items()}}
        try:
            ended = run_local(
                self.roles,
                programs,
                Identity(),
                inputs={name: hashlib.sha256(own.x.tobytes() + own.y.tobytes()).digest() for name, own in rows.items()},
                taps=given["taps"],
                observers=watching,
                randomness=given["randomness"],
                may_leave=self.roles.members,
            )
        except (departures.Departed, TooFewMembers) as error:
            raise departures.too_few(spec, self.roles.members, left, error) from None
        why = {name: str(error) for name, error in left.items()}
        spent = None if noise is None else noise.spent
        model = AveragedModel.of(ended[AGGREGATOR], self.columns, pd.DataFrame(), why, spent)
        return model if split is None else self._evaluated(model, spec, held)

    def split_rows(
        self, split: Split, privacy: Privacy | None = None
    ) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
        """By member, the rows that `fit` trains on with this split and privacy, and those that it holds out, to compare
        the model with others."""
        for name in self.roles.members:
            held = self._held_out(name, split, privacy)
            yield name, self._tables[name][~held], self._tables[name][held]

    def _asked(self, estimator: object, split: object, leaves: object) -> tuple[Averaging, dict[str, int]]:
        """What is asked, checked.  Raises ConfigError."""
        if not isinstance(estimator, Averaging):
            raise ConfigError(
                f"the estimator is {type_of(estimator)}",
                remedy="Pass vfl.Averaging(...); parties with other columns of the same customers are a vfl.Federation",
            )
        if split is not None and (not isinstance(split, Split) or split.cut_off or split.train):
            raise ConfigError(
                "split is not one that members can make",
                remedy="Pass vfl.Split(test=...) without out_of_time and train",
            )
        away = departures.asked(leaves, self.roles.members, estimator.rounds)
        estimator.terms(self.roles.members)
        try:
            estimator.unit(len(self.roles.members))
        except Complaint as complaint:
            name = str(complaint.key).rpartition(".")[2]
            raise ConfigError(f"Averaging: {name} {complaint.what}", remedy=complaint.remedy) from None
        return estimator, away

    def _noise(self, spec: Averaging, privacy: object) -> Noise | None:
        """Raises ConfigError."""
        if privacy is None:
            return None
        if not isinstance(privacy, Privacy):
            raise ConfigError(f"privacy is {type_of(privacy)}", remedy="Pass vfl.Privacy(...), or None for no noise")
        try:
            return Noise.of(privacy, spec, spec.terms(self.roles.members), (*self.columns, self._label))
        except Complaint as complaint:
            whose = "Privacy" if str(complaint.key).startswith("privacy.") else "Averaging"
            name = str(complaint.key).rpartition(".")[2]
            raise ConfigError(f"{whose}: {name} {complaint.what}", remedy=complaint.remedy) from None

    def _held_out(self, name: str, split: Split | None, privacy: Privacy | None) -> Held:
        """(n,) the rows that a member holds out."""
        if split is not None and privacy is not None:
            own = self._tables[name][[*self.columns, self._label]].apply(pd.to_numeric, errors="coerce")
            return held_out.drawn_alone(own.to_numpy(np.float64, na_value=np.nan), split.test, split.seed)
        test, seed = (0.0, 0) if split is None else (split.test, split.seed)
        return held_out.drawn(len(self._tables[name]), test, seed, self.roles.members.index(name))

    def _rows(self, name: str, spec: Averaging, chosen: Held) -> Rows:
        return member_tables.rows(self._tables[name][chosen], self.columns, self._label, name, spec)

    def _warn(self, spec: Averaging) -> None:
        """Of what deserves a word before anything is sent."""
        size = departures.caution(spec, len(self.roles.members))
        for sentence in (*([size] if size else []), *cautions(self._tables, self.columns, self._label, spec)):
            warn_user(sentence)

    def _evaluated(self, model: AveragedModel, spec: Averaging, held: Mapping[str, Any]) -> AveragedModel:
        found: dict[str, Any] = {}
        for name in self.roles.members:
            out = self._tables[name][held[name]]
            scores = model.predict_score(out).to_numpy(np.float64)
            sizes = {"rows": int((~held[name]).sum()), "held_out": len(out)}
            found[name] = sizes | held_out.measures(spec, out[self._label].to_numpy(np.float64), scores)
        by_member = pd.DataFrame.from_dict(found, orient="index")
        return AveragedModel(**{**vars(model), "by_member_": by_member})

    def __reduce__(self) -> str:
        raise ConfigError(
            "members hold the tables of all parties, and are never pickled or copied",
            remedy="Pickle the model that they averaged, and make them again from the tables",
        )

    def __repr__(self) -> str:
        return f"Members({', '.join(self.roles.members)})"


def _aggregate(session: Session, *, spec: Averaging, known: Identities, columns: int, noise: Noise | None) -> Any:
    return program.aggregator(session, spec, known, columns, PATIENCE, noise)


def _take_part(
    session: Session,
    *,
    spec: Averaging,
    known: Identities,
    secret: Ed25519PrivateKey,
    rows: Rows,
    noise: Noise | None,
    left: dict[str, VFLError],
) -> Any:
    try:
        return program.member(session, spec, known, secret, rows, noise)
    except VFLError as error:
        left[session.me] = error
        raise
