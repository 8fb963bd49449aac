"""All parties in one process, for notebooks and tests: the same role functions, messages and encryption as between
institutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import pandas as pd

from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.errors import ConfigError, DataError
from protocols.randomness import Randomness
from protocols.session import Observer, Roles
from vfl.api.search import FederatedSearch, GridSearchCV
from vfl.api.training import Request, fit, no_estimator
from vfl.data import KeyLists, Settings, Table, key_lists, rules, table_from_frame
from vfl.data.arrow import AnyFrame, as_frame
from vfl.data.near_ids import Own, near_misses
from vfl.data.shapes import Profile, cautions
from vfl.models.new_rows import Reader
from vfl.models.privacy import Privacy
from vfl.models.splitting import Split
from vfl.models.trees.joint import FederatedTrees
from vfl.preprocessing import Preprocessing
from vfl.schema.arguments import column, flag, impossible, one_of, scheme, value, watched, whole
from vfl.schema.parameters import check_hosts, paillier
from vfl.schema.section import type_of
from vfl.schema.spec import Spec
from vfl.schema.table_options import TableOptions, settings_by_party
from vfl.screen.notebook import showing
from vfl.screen.sentences import counted
from vfl.screen.warn import warn_user

GUEST, ARBITER = "guest", "arbiter"
WHO = ("guest", "hosts")  # whose weights can be revealed


class Federation:
    """The parties of a joint model and their tables, in one process; make one with `Federation.local`.

    Parameters
    ----------
    tables, keys, label, normalise, min_intersection, cipher, duplicates, reveal, settings, convergence, preparation
        As `Federation.local` reads and checks them.

    Attributes
    ----------
    roles : Roles
        Who takes part: guest, hosts and arbiter.

    Notes
    -----
    The same role functions, messages and encryption run as between institutions. All data is in one process, so a local federation protects
    nothing: it is for notebooks, tests and planning. What each party would learn is said at each estimator. Cost: as between institutions,
    without the network.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import vfl
    >>> from protocols.cipher import Identity
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> bank = pd.DataFrame({"id": range(200), "default": x.sum(axis=1) > 0, "age": x[:, 0], "limit": x[:, 1]})
    >>> telecom = pd.DataFrame({"id": range(200), "bill": x[:, 2], "late": x[:, 3]})
    >>> tables = {"guest": bank, "hosts": {"telecom": telecom}, "on": "id", "label": "default"}
    >>> fed = vfl.Federation.local(**tables, cipher=Identity())  # without encryption, to try things out
    >>> known = vfl.Federation.local(**tables, cipher=Identity(), reveal=["guest", "hosts"])
    >>> fed
    Federation(guest: 200 rows, hosts: telecom)
    """  # noqa: E501

    def __init__(
        self,
        tables: dict[str, Table],
        keys: KeyLists,
        label: str,
        normalise: Mapping[str, str],
        min_intersection: int,
        cipher: Scheme | None,
        duplicates: str = "error",
        reveal: tuple[str, ...] = (),
        settings: Mapping[str, Settings] | None = None,
        *,
        convergence: bool = True,
        preparation: str | None = None,
    ) -> None:
        if not isinstance(tables, Mapping) or not all(isinstance(table, Table) for table in tables.values()):
            raise ConfigError("a federation is made of tables that were read", remedy="Use vfl.Federation.local(...)")
        self._duplicates, self._reveal, self._convergence = duplicates, reveal, convergence
        self._preparation = preparation
        self._settings = settings or dict.fromkeys(tables, Settings(in_python=True))
        self._tables, self._keys, self._label, self._normalise = tables, keys, label, normalise
        self._min_intersection, self._cipher = min_intersection, cipher
        self.roles = Roles(GUEST, tuple(p for p in tables if p != GUEST), ARBITER)

    @classmethod
    def local(
        cls,
        guest: AnyFrame,
        hosts: Mapping[str, AnyFrame],
        on: str | Sequence[str] | Sequence[Sequence[str]],
        label: str,
        *,
        normalise: str | Mapping[str, str] = "text",
        duplicates: str = "error",
        pos_label: str | float | bool | None = None,
        sample_weight: str | None = None,
        date: str | None = None,
        min_intersection: int = 1,
        cipher: Scheme | None = None,
        reveal: Sequence[str] = (),
        options: Mapping[str, TableOptions] | None = None,
        convergence: bool = True,
        preparation: str | None = None,
    ) -> Federation:
        """Reads the tables of all parties. All columns but ids, label, weights and dates are features.

        Texts, and columns of pandas' category type (codes 1 to 9, say), are categories, for the models that take such. The type of each
        column is decided here, once, and kept with the model: later tables are read in the same way.

        Parameters
        ----------
        guest : DataFrame
            Id columns, the label and the guest's own features: a frame of pandas or Polars, or any table with Arrow's PyCapsule interface,
            such as pyarrow's. All but pandas need the extra `data`.
        hosts : dict of DataFrame
            By name, id columns and features.
        on : str, sequence of str, or sequence of sequences of str
            The id column, several that make one key, or a list of such lists: keys that are tried in order.
        label : str
            The guest's column of labels. Of two values one is the event, whose probability `predict_score` gives; of more, classes are sorted.
        normalise : str or dict, default "text"
            How ids are compared, one normaliser for all columns or one by column: "text", "digits", "integer", "exact", "email", "date",
            "date:%d/%m/%Y", "e164:GB".
        duplicates : {"error", "first"}, default "error"
            Whether a table with rows that share an id is refused, or the first of them is kept.
        pos_label : str, int, float or bool, default None
            Which of the label's two values is the event. None takes the larger, of texts the later one in the alphabet; if these are not such as
            "no" and "yes", `fit` warns.
        sample_weight : str, default None
            The guest's column of weights of the rows, above 0.
        date : str, default None
            The guest's column of days, for `vfl.Split(out_of_time=...)`; they never leave.
        min_intersection : int, default 1
            The fewest common rows.
        cipher : Scheme, default None
            Replaces Paillier; `protocols.cipher.Identity()` measures a run without encryption.
        reveal : sequence of {"guest", "hosts"}, default ()
            Whose final weights of regressions and scorecards are revealed to their owner: `coef_` and points need them. Without, they stay shared
            between each party and the arbiter, and the model scores rows all the same. A host's weights reveal something of the labels, the more
            the fewer rows there are per weight (docs/threat-model.md). Trees and networks have no weights
            that could be revealed, and are trained as without it.
        options : dict of TableOptions, default None
            By party ("guest", or a host's name), what it says of its own table: types of columns, texts that mean a missing value, columns that
            are no features, its own names of the id columns.
        convergence : bool, default True
            Whether all parties learn, every ten iterations of a regression or scorecard, whether the weights have settled, which ends training.
            If False, all iterations of `max_iter` are made, and nobody learns whether they were enough.
        preparation : {"batched", "gram", "none"}, default None
            How regressions and scorecards are trained. With "batched" what several iterations need of encryption is made at once, before them,
            by a fraction of the work; with "none" each iteration computes with ciphertexts. The models are equal within the error of the
            protocol (docs/protocols/glm.md). With a linear link and one host, "gram" computes once what iterations take from the rows, where
            that is cheaper; a guest that deviates from the protocol can then make scores show a column of the host (docs/threat-model.md).
            None is "batched" wherever the estimator has such iterations. Nothing is stored for a later fit: that is for parties that wait
            for each other (`vfl prepare`).

        Returns
        -------
        Federation
            Nothing is computed before `fit`.

        Raises
        ------
        ConfigError
            A parameter is not possible.
        DataError
            Something is wrong in a table whatever is fitted. What the label must hold, and whether columns may miss values, depends on the
            estimator: `fit` checks it before anything is sent.

        Examples
        --------
        >>> vfl.Federation.local(bank, {"telecom": telecom}, on="id", label="default").roles.hosts
        ('telecom',)
        """  # noqa: E501
        keys = key_lists((on,) if isinstance(on, str) else on)
        by_column = rules(keys, normalise)
        check_hosts(hosts)
        one_of("duplicates", duplicates, ("error", "first"))
        column("label", label, "labels")
        for name, given, what in (("sample_weight", sample_weight, "weights"), ("date", date, "days")):
            if given is not None:
                column(name, given, what)
        _check_reveal(reveal)
        least = whole("min_intersection", min_intersection, 1)
        scheme(cipher)
        frames = {name: as_frame(table, name) for name, table in {GUEST: guest, **hosts}.items()}
        _check_no_label(frames, label, {name for key in keys for name in key})
        settings = settings_by_party(options, (GUEST, *hosts))
        settings[GUEST] = replace(settings[GUEST], event=value("pos_label", pos_label))
        profiles: dict[str, Profile] = {party: {} for party in frames}
        tables = {}
        for party, frame in frames.items():
            own: dict[str, Any] = {"duplicates": duplicates, "profile": profiles[party]}
            own |= {"label": label, "weights": sample_weight, "date": date} if party == GUEST else {}
            tables[party] = _table(frame, party, keys, by_column, settings[party], **own)
        compared = {p: Own(table.keys, settings[p].by_job(profiles[p])) for p, table in tables.items()}
        for sentence in near_misses(keys, by_column, compared):
            warn_user(sentence)
        told = tuple(who for who in WHO if who in reveal)
        watched = flag("convergence", convergence)
        ways = None if preparation is None else one_of("preparation", preparation, ("none", "batched", "gram"))
        return cls(
            tables,
            keys,
            label,
            by_column,
            least,
            cipher,
            duplicates,
            told,
            settings,
            convergence=watched,
            preparation=ways,
        )

    def fit(
        self,
        estimator: Spec | GridSearchCV,
        *,
        preprocess: Preprocessing | None = None,
        split: Split | None = None,
        privacy: Privacy | None = None,
        init_model: FederatedTrees | None = None,
        taps: Mapping[str, Sequence[Tap]] | None = None,
        observers: Mapping[str, Observer] | None = None,
        randomness: Mapping[str, Randomness] | None = None,
        verbose: int | None = None,
    ) -> Any:
        """Aligns, trains, and returns the joint model or what a `GridSearchCV` found.

        Parameters
        ----------
        estimator : Spec or GridSearchCV
            What is trained.
        preprocess : Preprocessing, default None
            Of a regression, what every party does to its own columns before they are standardised; trees and scorecards bin columns themselves.
        split : Split, default None
            Common rows that are held out; `model.reports_` then has, by party, what they say of the model.
        privacy : Privacy, default None
            Of a scorecard, or a regression with `encode="woe"`: noise on the events of bins that hosts learn; of another logistic regression of
            two classes, noise on the labels that it is trained on. None adds no noise.
        init_model : FederatedTrees, default None
            Boosted trees to which more are added, on the same or other rows with the same columns; `n_estimators` counts the rounds of both.
        taps, observers, randomness : dict, default None
            By party, what watches its channels and its progress, and where its randomness comes from.
        verbose : int or None, default None
            Whether the guest's progress is shown: None in notebooks and at terminals, 0 nowhere, 1 everywhere. The model's predictions
            show theirs in the same way; its attribute `verbose` changes that.

        Returns
        -------
        FederatedModel, FederatedTrees, FederatedScorecard, FederatedNetwork or FederatedSearch
            Of a regression, of boosted trees, of a scorecard, of a network, and of a search.

        Raises
        ------
        ConfigError
            What is asked is not possible.
        DataError
            A table does not fit the estimator; nothing was sent.

        Notes
        -----
        What each party learns, and the cost, is said at each estimator.

        Examples
        --------
        >>> fed.fit(vfl.LogisticRegression(link="taylor")).intersection_
        200
        """  # noqa: E501
        request = self._request(estimator, preprocess, split, privacy, init_model)
        shown = None if verbose is None else whole("verbose", verbose, 0)
        given = watched(self.roles.all, taps, observers, randomness)
        with showing(shown, given["observers"], GUEST) as given["observers"]:
            model, searched = fit(**self._arguments(request), watched=given)
        model.verbose = shown
        return model if request.grid is None or searched is None else FederatedSearch(request.grid, model, searched)

    def _on(self, tables: Mapping[str, Table], cipher: Scheme, *, reveal: tuple[str, ...] | None = None) -> Federation:
        """The same agreement on other tables, under another cipher: what `vfl.audit` repeats."""
        return Federation(
            dict(tables),
            self._keys,
            self._label,
            self._normalise,
            1,
            cipher,
            self._duplicates,
            self._reveal if reveal is None else reveal,
            self._settings,
            convergence=self._convergence,
            preparation=self._preparation,
        )

    def _arguments(self, request: Request) -> dict[str, Any]:
        """What `vfl.api.training` takes, but for what watches the run."""
        return {
            "request": request,
            "tables": self._tables,
            "roles": self.roles,
            "scheme": self._cipher or paillier(request.spec.key_bits),
            "reader": Reader(self._keys, self._normalise, self._duplicates, self._settings),
            "label": self._label,
            "agreed": {
                "min_intersection": self._min_intersection,
                "reveal": self._reveal,
                "convergence": self._convergence,
                "prepared": request.spec.prepares and self._preparation != "none",
                "gram": request.spec.prepares and self._preparation == "gram",
            },
        }

    def _request(
        self, estimator: object, preprocess: object, split: object, privacy: object, init_model: object
    ) -> Request:
        """What is asked, checked.  Raises ConfigError."""
        if privacy is not None and not isinstance(privacy, Privacy):
            raise ConfigError(f"privacy is {type_of(privacy)}", remedy="Pass vfl.Privacy(...), or None for no noise")
        if split is not None and not isinstance(split, Split):
            raise ConfigError(f"split is {type_of(split)}", remedy="Pass vfl.Split(...), or leave it out")
        if split is not None and split.out_of_time is not None and self._tables[GUEST].date is None:
            raise ConfigError(
                "split has out_of_time, and the guest no dates",
                remedy='Name their column: Federation.local(..., date="opened")',
            )
        grid = estimator if isinstance(estimator, GridSearchCV) else None
        spec = grid.estimator if grid is not None else estimator
        if not isinstance(spec, Spec):
            raise no_estimator(spec)
        if self._preparation in ("batched", "gram") and not spec.prepares:
            raise ConfigError(
                f"{type(spec).__name__} has no iterations that can be prepared",
                remedy="Make a federation without preparation for it",
            )
        if init_model is not None and not isinstance(init_model, FederatedTrees):
            raise ConfigError(
                f"init_model is {type_of(init_model)}", remedy="Pass fitted boosted trees, or leave it out"
            )
        if init_model is not None and (grid is not None or "continue_from" not in type(spec).model_fields):
            raise ConfigError(
                f"{type(estimator).__name__} cannot continue a model",
                remedy="Only boosted trees can: leave init_model out and train again",
            )
        if preprocess is not None and not isinstance(preprocess, Preprocessing):
            raise ConfigError(
                f"preprocess is {type_of(preprocess)}", remedy="Pass vfl.Preprocessing(...), or leave it out"
            )
        if preprocess is not None and spec.BINS:
            raise ConfigError(
                f"{type(spec).__name__} bins every column itself: preprocess would do nothing", remedy="Leave it out"
            )
        if grid is not None and preprocess is not None and preprocess.bins_by_label:
            why = "bins that folds share would reveal sums over fewer rows than min_bin_rows"
            raise ConfigError(
                f"a search cannot bin columns by the label: {why}", remedy='Use encode = "onehot" or "quantile"'
            )
        return Request(spec, grid, preprocess, split, privacy, init_model)

    def __reduce__(self) -> str:
        raise ConfigError(
            "a federation holds the tables of all parties, and is never pickled or copied",
            remedy="Pickle or save the model that it fitted, and make the federation again from the tables",
        )

    def __repr__(self) -> str:
        return (
            f"Federation(guest: {counted(len(self._tables[GUEST].ids), 'row')}, hosts: {', '.join(self.roles.hosts)})"
        )


def _check_reveal(reveal: object) -> None:
    """Raises ConfigError unless it lists some of `WHO`."""
    several = reveal if isinstance(reveal, Sequence | Set) and not isinstance(reveal, str) else (None,)
    if not all(isinstance(who, str) and who in WHO for who in several):
        raise impossible("reveal", reveal, 'reveal is empty, or lists "guest", "hosts" or both')


def _check_no_label(frames: Mapping[str, pd.DataFrame], label: str, keys: Set[str]) -> None:
    """Raises DataError if the label is a key column, or a host's table has a column of the label's name."""
    if label in keys:
        remedy = "Name the column that the model is to predict"
        raise DataError(f"{GUEST}: the label '{label}' is a key column, named in `on`", remedy=remedy, party=GUEST)
    for party, frame in frames.items():
        if party != GUEST and label in frame.columns:
            what = f"{party}: the table has a column '{label}', as the guest's label is called"
            raise DataError(
                what, remedy="Remove it if it is the label, which only the guest holds; else rename it", party=party
            )


def _table(
    frame: AnyFrame,
    party: str,
    keys: KeyLists,
    normalise: Mapping[str, str],
    settings: Settings,
    *,
    duplicates: str,
    profile: Profile,
    label: str | None = None,
    weights: str | None = None,
    date: str | None = None,
) -> Table:
    """A party's table with every column but keys, label, weights, dates and excluded ones as features; these may miss
    values or be categories.  profile: gets the shapes of its ids."""
    table = table_from_frame(
        as_frame(frame, party),
        party=party,
        keys=keys,
        normalise=normalise,
        duplicates=duplicates,
        label=label,
        columns=None,
        need_label=label is not None,
        need_features=party != GUEST,
        objective=None,
        missing=True,
        texts=True,
        weights=weights,
        date=date,
        settings=settings,
        profile=profile,
    )
    for caution in cautions(profile, settings.by_own(normalise), in_python=True):
        warn_user(f"{party}: {caution}")
    return table
