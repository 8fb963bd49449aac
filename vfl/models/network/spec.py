"""Sealed networks under scikit-learn's names: what to train, in Python and as [model] of a job file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from protocols.network import Activation, Family
from protocols.network.plan import MOST_BATCH, MOST_LAYERS, MOST_UNITS
from vfl.data.labels import Objective
from vfl.schema.described import Values
from vfl.schema.section import Complaint, choose, shown
from vfl.schema.spec import Spec

GRID = 10  # default of score_bits
LEAST_BATCH = 8
ACTIVATIONS = ("tanh", "logistic", "relu", "softplus")


def _layers(value: object) -> object:
    found = (value,) if type(value) is int else value
    if isinstance(found, tuple | list) and 1 <= len(found) <= MOST_LAYERS:
        sizes = tuple(found)
        if all(type(units) is int and 1 <= units <= MOST_UNITS for units in sizes):
            return sizes
    raise Complaint(
        f"is {shown(value)}",
        f"Expected the units of one or two hidden layers, whole numbers from 1 to {MOST_UNITS}, such as [16] or "
        f"[32, 8] (default [16])",
    )


class Network(Spec):
    """What both networks share; not for use by itself."""

    REFUSED: ClassVar = {"shuffle": "rows are always taken in a random order, which random_state decides"}

    hidden_layer_sizes: Annotated[
        tuple[int, ...],
        BeforeValidator(_layers),
        Values("one or two whole numbers from 1 to 256"),
    ] = Field(
        default=(16,),
        description="the number of units of each hidden layer; time grows with those of the first",
    )
    activation: Annotated[Activation, BeforeValidator(choose(ACTIVATIONS, {}))] = Field(
        default="tanh",
        description='the function of hidden units; "relu" is rounded off within 1/2 of 0, by at most 0.08',
    )
    alpha: float = Field(
        default=1e-4,
        ge=0,
        le=1e4,
        description="the weight of the penalty alpha |w|^2 / 2, divided by the rows of a batch, as in scikit-learn",
    )
    batch_size: Annotated[
        Annotated[int, Field(ge=LEAST_BATCH, le=MOST_BATCH)] | Literal["auto"],
        Values('a whole number from 8 to 131072, or "auto"'),
    ] = Field(
        default="auto",
        description='the maximum number of rows in a mini-batch; "auto": 200, or all rows if there are fewer',
    )
    learning_rate_init: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="the rate of every step",
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        le=0.99,
        description="the part of the previous step that is added to a step",
    )
    nesterovs_momentum: bool = Field(
        default=True,
        description="whether the momentum is Nesterov's",
    )
    max_iter: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="the number of epochs, all of which are made",
    )
    clip: float = Field(
        default=8.0,
        gt=0,
        le=64,
        description="standardised values are limited to [-clip, clip]: sums of a hidden unit must stay below 32 "
        "(relu: 16)",
    )
    random_state: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="the seed of the order of rows, which is public; initial weights are secret and never depend on it",
    )
    score_bits: int = Field(
        default=GRID,
        exclude=True,
        ge=0,
        le=20,
        description="scores are opened to the guest with an error of half of 2^-score_bits, per host",
    )

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal, besides the alignment."""
        return ("edge-count-to-arbiter", "scores-to-guest")

    @property
    def keeps_shares(self) -> bool:
        """Whether the arbiter keeps shares of weights that are never revealed."""
        return True

    @property
    def trusts_dealer(self) -> bool:
        """Whether with several hosts the one that deals could, together with the guest, learn the others' columns."""
        return True

    def check_hosts(self, hosts: int) -> None:
        """With two hidden layers, the arbiter and a host that does not deal would read from repeated scorings how the
        second layer's sums change (tests/promises/attacks/test_network_coalition.py)."""
        if hosts > 1 and len(self.hidden_layer_sizes) > 1:
            raise Complaint(
                f"has {len(self.hidden_layer_sizes)} layers, and with {hosts} hosts the arbiter and one of them could "
                "learn sums of the second one together",
                "Use one hidden layer, or one host",
                "hidden_layer_sizes",
            )

    @property
    def scores_by_table(self) -> bool:
        """Whether rows are scored by a look-up in a table, whose edge is watched."""
        return True

    @property
    def folds_are_hidden(self) -> bool:
        """Whether nobody learns its part of a fold's model."""
        return True

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "linear"

    @property
    def opens_on_grid(self) -> bool:
        """Whether scores are opened on the grid of disclosure.score_bits."""
        return True


class MLPClassifier(Network):
    """Vertical network for a label of two values, whose weights, sums, activations and gradients nobody sees.

    Parameters have scikit-learn's names and meanings; steps are those of its `solver="sgd"`.

    See Also
    --------
    vfl.models.network.joint.FederatedNetwork : What `Federation.fit` returns.

    Notes
    -----
    Every party standardises its own columns. Weights stay in two shares, of a data party and the arbiter or of the
    guest and the arbiter, from the first step to the last score. The first host deals random numbers. With several
    hosts, the guest and that host together could learn the other hosts' columns, so that a job needs the permission
    `dealer-collusion`.

    There are at most two hidden layers of at most 256 units each, and with several hosts one layer. A training that
    diverges ends with an error, and there is no model. `max_iter` epochs are always made, and nobody learns whether
    they were enough: compare models by `vfl.Split` or search `max_iter`.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn no label,
    no weight and no score. The arbiter learns whether any sum lies near the edge of the activation's table, which ends
    the run. docs/leakage.md has every message.

    Cost: each unit of the first layer costs per epoch as much as an iteration of a regression. Boosted trees are
    usually as good on tables, for less (docs/protocols/network.md).

    Examples
    --------
    >>> model = fed.fit(vfl.MLPClassifier(hidden_layer_sizes=(2,), max_iter=2))
    >>> model.predict_score(bank, {"telecom": telecom}).shape
    (200,)
    """

    kind: Literal["mlp-classifier"] = "mlp-classifier"

    @property
    def family(self) -> Family:
        """The distribution of the label that the loss belongs to."""
        return "logistic"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "binary"


class MLPRegressor(Network):
    """Vertical network for a numeric label, whose weights, sums, activations and gradients nobody sees.

    Parameters have scikit-learn's names and meanings; steps are those of its `solver="sgd"`, on the label in its own
    standard deviations.

    See Also
    --------
    vfl.models.network.joint.FederatedNetwork : What `Federation.fit` returns.
    MLPClassifier : What holds for both.

    Notes
    -----
    The guest standardises the label, and that scale stays with the guest.

    What each party learns: the guest learns the scores of the rows that are scored. Hosts and arbiter learn no label,
    no weight and no score. The arbiter learns whether any sum lies near the edge of the activation's table, which ends
    the run.

    Cost: as of `MLPClassifier`.

    Examples
    --------
    >>> spend = bank.assign(default=bank["age"] + telecom["bill"]).rename(columns={"default": "spend"})
    >>> numbers = vfl.Federation.local(spend, {"telecom": telecom}, on="id", label="spend", cipher=Identity())
    >>> model = numbers.fit(vfl.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2))
    >>> model.predict(spend, {"telecom": telecom}).shape
    (200,)
    """

    kind: Literal["mlp-regressor"] = "mlp-regressor"

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "numeric"
