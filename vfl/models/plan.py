"""One record of what is asked, whoever asks: the estimators of `Federation.fit` and job files both make it, and
programs take nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.binning.noise import CountNoise
from protocols.glm import LabelNoise
from vfl.data import Table
from vfl.preprocessing import Preprocessing
from vfl.schema.spec import Spec

LABELS_TO_HOSTS = (
    "loss-verdict-to-parties",
    "label-scale-to-parties",
    "wins-to-owners",
    "partition-to-hosts",
    "sampled-rows-to-hosts",
)
Role = Literal["guest", "host", "arbiter", "member"]
S = TypeVar("S", bound=Spec, covariant=True)


@dataclass(frozen=True)
class Plan(Generic[S]):
    """What the parties agreed on, beyond who they are."""

    spec: S
    min_intersection: int = 1
    keys: int = 1  # how many the tables have, tried in order
    test: float = 0.0  # the part of the rows that is held out to measure the model
    seed: int | None = None  # of the split; None: the spec's own
    out_of_time: str = ""  # rows on or after this day, by the guest's dates, are held out too
    measure_train: bool = False  # the training rows are scored too
    preprocess: Preprocessing | None = None  # of a regression: what every party does to its own columns
    open_names: bool = False  # where columns are binned by the label: whether hosts name them
    reveal: tuple[str, ...] = ()  # whose final weights their owner learns, of "guest" and "hosts"
    prepared: bool = False  # iterations of a regression are prepared, several at once
    gram: bool = False  # or made on shares of Gram matrices, where that is cheaper
    convergence: bool = False  # all parties learn whether weights have settled, where the spec has any that may
    noise: CountNoise | None = None  # on events of bins that hosts learn
    label_noise: LabelNoise | None = None  # on labels that a regression is trained on

    @property
    def split_seed(self) -> int:
        """By which rows are drawn."""
        return int(getattr(self.spec, "random_state", 0)) if self.seed is None else self.seed

    @property
    def measures(self) -> bool:
        """Whether rows are held out to measure the model."""
        return self.test > 0 or bool(self.out_of_time)

    @property
    def scores(self) -> bool:
        """Whether rows are scored when the model is trained."""
        return self.measures or self.measure_train

    def held_against(self, rows: Table) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """At the guest, what predictions of these rows are held against, and how much each row weighs: with exposures
        the label per unit of exposure, which the exposures weigh; else the label, and the weights of the fit."""
        assert rows.label is not None
        label, exposed = rows.label.to_numpy(np.float64), bool(getattr(self.spec, "exposed", False))
        if rows.weight is None or not (exposed or getattr(self.spec, "sample_weight", False)):
            return label, None
        weights = rows.weight.to_numpy(np.float64)
        return label / weights if exposed else label, weights

    @property
    def settles(self) -> bool:
        """Whether a verdict on the weights ends training."""
        return self.convergence and self.spec.settles

    @property
    def labels_told(self) -> tuple[str, ...]:
        """The permissions by which hosts learn numbers computed from labels, other than events of bins."""
        own = [name for name in LABELS_TO_HOSTS if name in self.spec.permits]
        weights = ["host-weights-to-host"] if "hosts" in self.reveal else []
        return (*own, *weights, *(["convergence-to-parties"] if self.settles else []))

    @property
    def shares(self) -> bool:
        """Whether any party's weights stay shared with the arbiter."""
        return self.spec.shares_weights and len(self.reveal) < 2
