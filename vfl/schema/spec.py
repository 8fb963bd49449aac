"""What can be trained: a `Spec` is the Python estimator and the table [model] of a job file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field

from protocols.errors import ConfigError
from vfl.data import Table
from vfl.data.labels import Objective
from vfl.schema.declared import Declared
from vfl.schema.described import Values
from vfl.schema.section import Complaint, shown

MIN_KEY_BITS, FULL_KEY_BITS = 2048, 3072


def check_key_bits(value: object) -> object:
    """A size of key that is supported.  Raises Complaint."""
    if type(value) is int and value in (2048, 3072, 4096):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value < MIN_KEY_BITS:
        raise Complaint(
            f"is {value}: a Paillier key below 2048 bits gives less than 112-bit security and is too short to "
            f"protect anything",
            "Use 3072 (128-bit security by NIST SP 800-57), 4096, or 2048 (112-bit, warned about)",
        )
    raise Complaint(f"is {shown(value)}", "Expected 2048, 3072 (default) or 4096, as a whole number")


KeyBits = Annotated[int, BeforeValidator(check_key_bits), Field(json_schema_extra={"enum": [2048, 3072, 4096]})]


METHODS = frozenset(
    ["fit", "fit_predict", "fit_transform", "predict", "predict_log_proba", "predict_proba", "predict_score", "score"]
)


class Unfitted(ConfigError, AttributeError):
    """An estimator of this package is a description: it holds no table and no result."""


class Trainable(Declared):
    """Base of what `Federation.fit` takes."""

    def __getattr__(self, name: str) -> Any:
        if name in METHODS or (name.endswith("_") and not name.startswith("_")):
            own = type(self).__name__
            remedy = f"Pass it to Federation.fit: model = fed.fit(vfl.{own}(...)) has what is learnt, and predicts"
            raise Unfitted(f"a {own} has no {name} of its own", remedy=remedy)
        return super().__getattr__(name)  # type: ignore[misc]  # pydantic's


class Spec(Trainable):
    """Base of the specs: parameters, and what the model is, whoever asks for it.

    A field with `exclude=True` is a parameter of the estimator alone, because a job file has it in another table
    (`ELSEWHERE`).  A field named in `FILE_ONLY` is a key of the job file alone: in Python the tables say it.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = {"key_bits": "crypto", "score_bits": "disclosure"}
    FILE_ONLY: ClassVar = ("kind", "sample_weight", "num_class", "continue_from")
    INSTEAD: ClassVar[Mapping[str, str]] = {
        "sample_weight": 'Name the column of weights in the guest\'s table: Federation.local(sample_weight="weight")',
        "num_class": "Leave it out: the values of the label are counted",
        "warm_start": "Leave it out: each training begins from the start; for more iterations raise max_iter",
    }
    BINS: ClassVar[str] = ""  # why [preprocess] would do nothing, where the model bins every column itself
    ARBITER: ClassVar[str] = "holds the decryption key"  # what the arbiter does

    NO_ARBITER: ClassVar[str] = "with one host its protocols need none"

    kind: str
    key_bits: Annotated[KeyBits, Values("2048, 3072 or 4096")] = Field(
        default=FULL_KEY_BITS, exclude=True, description="the size of the Paillier key"
    )

    def with_(self, **changes: Any) -> Self:
        """The same with other values that are known to be possible: those of `FILE_ONLY` and `ELSEWHERE` too."""
        return self.model_copy(update=changes)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks an estimator: classifier or regressor, and which values it takes."""
        from sklearn.utils import (
            ClassifierTags,
            InputTags,
            RegressorTags,
            Tags,
            TargetTags,
        )  # on use: `import vfl` loads none of it

        classifies = self.label in ("binary", "multiclass")
        return Tags(
            estimator_type="classifier" if classifies else "regressor",
            target_tags=TargetTags(required=True, positive_only=self.label == "count"),
            classifier_tags=ClassifierTags(multi_class=self.reads == "multiclass") if classifies else None,
            regressor_tags=None if classifies else RegressorTags(),
            input_tags=InputTags(allow_nan=self.takes_missing, string=self.takes_texts, categorical=self.takes_texts),
        )

    # -- what the model is: each kind says otherwise where it differs

    def check_file(self) -> None:
        """Raises Complaint for keys of a job file that do not go together, where tables decide it in Python."""

    def with_columns(self, tables: Mapping[str, Table]) -> dict[str, Table]:
        """The tables of a local federation, by party, with what its parameters say of single columns.  Raises
        ConfigError."""
        return dict(tables)

    def check_table(self, table: Table) -> None:
        """Raises DataError where a party's own columns do not fit, whatever the others hold."""

    @property
    def label(self) -> Objective:
        """What the guest's label must hold."""
        return "binary"

    @property
    def reads(self) -> Objective:
        """The same before the label's values are known."""
        return self.label

    @property
    def permits(self) -> tuple[str, ...]:
        """What its protocols reveal, besides the alignment."""
        return ()

    @property
    def settles(self) -> bool:
        """Whether a verdict on its weights can end training, where all parties may learn it."""
        return False

    @property
    def prepares(self) -> bool:
        """Whether its iterations can be prepared, several at once."""
        return False

    @property
    def shares_weights(self) -> bool:
        """Whether final weights stay shared with the arbiter unless a permission reveals them."""
        return False

    @property
    def keeps_leaves(self) -> bool:
        """Whether the arbiter keeps the leaf values of the model."""
        return False

    @property
    def trusts_dealer(self) -> bool:
        """Whether with several hosts the one that deals could, together with the guest, learn the others' columns: a
        permission asks for it."""
        return False

    @property
    def scores_by_table(self) -> bool:
        """Whether rows are scored by a look-up in a table, whose edge is watched."""
        return False

    @property
    def scores_count_for_good(self) -> bool:
        """Whether a host counts the scores of a row as long as the model exists, and not by month."""
        return False

    @property
    def keeps_shares(self) -> bool:
        """Whether the arbiter keeps shares of weights that no permission reveals."""
        return False

    @property
    def folds_are_hidden(self) -> bool:
        """Whether nobody learns its part of a fold's model."""
        return self.shares_weights

    @property
    def needs_arbiter(self) -> bool:
        """Whether its protocols need one, whatever the number of hosts."""
        return True

    @property
    def opens_on_grid(self) -> bool:
        """Whether scores are opened on the grid of disclosure.score_bits."""
        return "score_bits" in type(self).model_fields

    @property
    def takes_missing(self) -> bool:
        """Whether features may miss values."""
        return False

    @property
    def takes_texts(self) -> bool:
        """Whether features may be categories."""
        return False

    @property
    def stops(self) -> bool:
        """Whether the loss is opened, and ends training."""
        return False

    @property
    def decides(self) -> tuple[str, float] | None:
        """The part of the training rows that decides, by a loss that nobody sees, when training ends: the parameter's
        name and value; None where there is none."""
        return None

    @property
    def bins_by_label(self) -> bool:
        """Whether columns are binned by the label, which is not searched: folds that share bins would tell sums over
        fewer rows than min_bin_rows."""
        return False

    @property
    def label_numbers(self) -> int:
        """How many numbers computed from labels hosts learn of one model, where the job alone determines it."""
        return 0

    @property
    def vectors(self) -> int:
        """How many score vectors the guest gets of one model."""
        return 1
