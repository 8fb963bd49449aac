"""`job.toml` of a guest and hosts: what they agree to train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from protocols.errors import ConfigError
from vfl.job.agreement import Disclosure, Matching
from vfl.job.evaluation import Evaluation
from vfl.job.model import NOT_YET, Model, check_arbiter, check_keys
from vfl.job.permits import CONVERGENCE, DEALER, WEIGHTS
from vfl.job.prediction import Prediction
from vfl.job.search import Search, candidates
from vfl.models import label_privacy
from vfl.models.plan import Plan
from vfl.models.privacy import Privacy
from vfl.models.splitting import Split
from vfl.preprocessing import Preprocessing
from vfl.schema.described import Values
from vfl.schema.section import Complaint, Section, build, read_toml
from vfl.schema.spec import FULL_KEY_BITS, KeyBits

UNWATCHED = 100  # iterations of a regression, where nobody learns whether they were enough


class Crypto(Section):
    """The Paillier key: the arbiter's, or of boosted trees the guest's."""

    key_bits: Annotated[KeyBits, Values("2048, 3072 or 4096")] = Field(
        default=FULL_KEY_BITS,
        description="the size of the Paillier key; 2048 gives a warning (112-bit security by NIST SP 800-57; "
        "3072 gives 128)",
    )
    preparation: Literal["none", "batched", "gram"] | None = Field(
        default=None,
        exclude_if=lambda preparation: preparation is None,
        description=(
            'regressions and scorecards; "batched": the encryption for several iterations is done at once, before '
            "these iterations, with a fraction of the work. If a party dies, up to that many iterations are "
            "repeated, and the model equals that of an undisturbed run except for the last digits. "
            '"gram": with a linear link (taylor, numbers) and one host, what iterations take from the rows is computed '
            "once where that is cheaper, and they no longer depend on the number of rows; elsewhere as batched. A "
            "guest that deviates from the protocol can then move a weight of the host, and scores show it that column. "
            '"none": each iteration computes with ciphertexts; absent: "batched"'
        ),
    )


class Job(Matching):
    """A whole job file that fits a model."""

    split: Split = Field(default=Split(), description="a section [split]")
    model: Model = Field(
        description='a section [model] with a kind, such as kind = "logistic-regression" (only vfl align needs none)'
    )
    preprocess: Preprocessing | None = Field(
        default=None,
        exclude_if=lambda steps: steps is None,
        description="a section [preprocess], of a regression's job",
    )
    evaluation: Evaluation = Field(
        default=Evaluation(), exclude_if=lambda asked: not asked.train, description="a section [evaluation]"
    )
    predict: Prediction = Field(
        default=Prediction(), exclude_if=lambda asked: asked == Prediction(), description="a section [predict]"
    )
    search: Search | None = Field(
        default=None, exclude_if=lambda asked: asked is None, description="a section [search]"
    )
    privacy: Privacy | None = Field(
        default=None,
        exclude_if=lambda privacy: privacy is None,
        description="a section [privacy]: noise on the events of bins that hosts learn, or on the labels that a "
        "logistic regression is trained on",
    )
    crypto: Crypto = Field(default=Crypto(), description="a section [crypto]")
    disclosure: Disclosure = Field(default=Disclosure(), description="a section [disclosure]")

    @field_validator("model", mode="before")
    @classmethod
    def _keys_are_its_own(cls, value: object) -> object:
        return check_keys(value)

    @field_validator("split", mode="before")
    @classmethod
    def _split_alone(cls, value: object) -> object:
        if isinstance(value, dict) and "train" in value:
            raise Complaint(
                "is not a key of this table", 'Set parts = ["test", "train"] in [evaluation]', "split.train"
            )
        return value

    @model_validator(mode="after")
    def _allows_itself(self) -> Job:
        if self.align.cardinality_only:
            raise Complaint(
                "is true, and a model needs rows",
                "Remove it, or remove [model] and run vfl align",
                "align.cardinality_only",
            )
        self.model.check_file()
        check_arbiter(self.model, len(self.parties.hosts), self.parties.arbiter)
        self._check_steps()
        self._fill_preparation()
        self._fill_iterations()
        self._fill_grid()
        self._fill_search()
        if self.privacy is not None:
            kept = {"reveal": self.reveal, "convergence": CONVERGENCE in self.disclosure.allow}
            plan = Plan(self.model, preprocess=self.preprocess, **kept)  # type: ignore[arg-type]
            label_privacy.check(self.privacy, plan, searched=self.search is not None)
        self.check_permits(needed_permits(self))
        return self

    def _fill_search(self) -> None:
        """Bins by the label are not searched; a default that is left out is the same job."""
        if self.search is None:
            return
        if self.model.bins_by_label or (self.preprocess is not None and self.preprocess.bins_by_label):
            what = (
                "cannot be used with columns that are binned by the label: differences between folds would reveal "
                "sums over fewer rows than min_bin_rows"
            )
            raise Complaint(what, "Remove the section, or search without such bins", "search")
        if self.model.stops:
            what = "cannot be used with tol or early_stopping: each fold and candidate would open verdicts on its loss"
            raise Complaint(what, "Remove the section, or leave them out and search max_iter", "search")
        if getattr(self.model, "continue_from", None) is not None:
            what = "cannot be used with model.continue_from: that model was trained on the rows of every fold"
            raise Complaint(what, "Remove the section, or model.continue_from", "search")
        found = self.search.filled(candidates(self.model, self.search.param_grid), self.model.label)
        object.__setattr__(self, "search", found)

    @property
    def candidates(self) -> tuple[Job, ...]:
        """The job with each candidate of [search] in the place of [model], as if there were no other; itself where
        nothing is searched."""
        if self.search is None:
            return (self,)
        return tuple(
            self.model_copy(update={"model": model, "search": None})
            for model in candidates(self.model, self.search.param_grid)
        )

    @property
    def trainings(self) -> int:
        """How many models are trained, those of the folds and the last one."""
        return 1 if self.search is None else self.search.cv * len(self.candidates) + 1

    @property
    def models_told(self) -> int:
        """Of how many models each party learns its part: of a regression's folds nobody does."""
        return 1 if self.model.folds_are_hidden else self.trainings

    def _check_steps(self) -> None:
        """Only a regression's columns go through [preprocess]; only two classes bin them by the label."""
        if self.preprocess is not None and self.model.BINS:
            raise Complaint(f"is there, and {self.model.BINS}: it would do nothing", "Remove the section", "preprocess")
        if self.preprocess is not None and self.preprocess.bins_by_label and self.model.label != "binary":
            what = "bins columns by the label, and only a label of two values has weights of evidence"
            raise Complaint(what, 'Use "onehot" or "quantile", without report_iv', "preprocess")

    def _fill_preparation(self) -> None:
        """Where iterations can be prepared they are, by default; elsewhere there is nothing to say, as in releases that
        had no key."""
        asked, kept = self.crypto.preparation, None
        if self.model.prepares:
            kept = asked or "batched"
        elif asked not in (None, "none"):
            what = f'is "{asked}", and a model of kind {self.model.kind} has no iterations that can be prepared'
            raise Complaint(what, "Remove the key", "crypto.preparation")
        object.__setattr__(self, "crypto", self.crypto.model_copy(update={"preparation": kept}))

    @property
    def takes_missing(self) -> bool:
        """Whether features may miss values."""
        return self.model.takes_missing or (self.preprocess is not None and self.preprocess.takes_missing)

    @property
    def takes_texts(self) -> bool:
        """Whether features may be categories."""
        return self.model.takes_texts or (self.preprocess is not None and self.preprocess.takes_texts)

    def _fill_iterations(self) -> None:
        """A job whose weights nobody watches makes all iterations: as many as such jobs always did where it says no
        number."""
        watched, fields = CONVERGENCE in self.disclosure.allow, self.model.model_fields_set
        if not watched and "max_iter" in type(self.model).model_fields and "max_iter" not in fields:
            object.__setattr__(self, "model", self.model.with_(max_iter=UNWATCHED))

    def _fill_grid(self) -> None:
        """Scores are opened on a grid by regressions only; there a default that is left out is the same job."""
        asked, elsewhere = self.disclosure.score_bits, {"key_bits": self.crypto.key_bits}
        if not self.model.opens_on_grid and asked is not None:
            what = f"is {asked}, and scores of kind {self.model.kind} are on no such grid: it would do nothing"
            raise Complaint(what, "Remove the key", "disclosure.score_bits")
        if self.model.opens_on_grid:
            default = type(self.model).model_fields["score_bits"].default
            elsewhere["score_bits"] = default if asked is None else asked
            object.__setattr__(
                self, "disclosure", self.disclosure.model_copy(update={"score_bits": elsewhere["score_bits"]})
            )
        object.__setattr__(self, "model", self.model.with_(**elsewhere))

    @property
    def reveal(self) -> tuple[str, ...]:
        """Whose final weights the job reveals to their owner, out of "guest" and "hosts"; those of all others stay
        shared with the arbiter."""
        if not self.model.shares_weights:
            return ()
        return tuple(
            who for who, permit in zip(("guest", "hosts"), WEIGHTS, strict=True) if permit in self.disclosure.allow
        )

    @property
    def arbiter_keeps(self) -> bool:
        """Whether the arbiter keeps a part of the model, without which no row can be scored."""
        kept = self.model.keeps_leaves or self.model.keeps_shares
        return kept or (self.model.shares_weights and len(self.reveal) < len(WEIGHTS))

    @property
    def arbiter_scores(self) -> bool:
        """Whether the arbiter takes part in a prediction."""
        return len(self.parties.hosts) > 1 or self.arbiter_keeps


def needed_permits(job: Job) -> tuple[str, ...]:
    """The permissions that the job's own protocols need, and those to reveal weights and whether they have settled,
    which it makes use of."""
    several_keys = ("matched-keys-to-parties",) if len(job.align.keys) > 1 else ()
    several_hosts = ("intersection-sizes-to-arbiter",) if len(job.parties.hosts) > 1 else ()
    dealer = (DEALER,) if job.model.trusts_dealer and len(job.parties.hosts) > 1 else ()
    later = ("out-of-time-rows-to-hosts",) if job.split.out_of_time else ()
    steps = job.preprocess.permits if job.preprocess is not None else ()
    models = dict.fromkeys(permit for one in job.candidates for permit in one.model.permits)
    best = ("best-candidate-to-parties",) if len(job.candidates) > 1 else ()
    few = tuple(p for p in ("few-columns",) if p in job.disclosure.allow)  # a host's table decides whether it is needed
    weights = (
        tuple(p for p in WEIGHTS if p in job.disclosure.allow) if job.model.shares_weights else ()
    )  # none is needed, but they are used
    told = CONVERGENCE in job.disclosure.allow and any(one.model.settles for one in job.candidates)
    verdict = (CONVERGENCE,) if told else ()
    return (
        *("intersection-to-parties", *several_keys, *several_hosts, *later, *steps, *weights, *models),
        *(*dealer, *verdict, *best, *few),
    )


def job_from(document: Mapping[str, Any], where: str = "job") -> Job:
    """A job from its parsed content; ConfigError names `where`."""
    return build(Job, document, where, later=NOT_YET)


def check_is_job(document: Mapping[str, Any], path: str | Path) -> None:
    """Raises ConfigError if this is a party file."""
    if "role" in document and "parties" not in document:
        remedy = "Give the job file first, then the party file"
        raise ConfigError(f"{path} is a party file, not a job file", remedy=remedy)


def load_job(path: str | Path) -> Job:
    """Reads and checks a job file with [model]; every error is a ConfigError."""
    text, document = read_toml(Path(path))
    check_is_job(document, path)
    parties = document.get("parties")
    if isinstance(parties, Mapping) and "members" in parties:
        raise ConfigError(
            f"{path} is a job of members, which hold the same columns",
            remedy="vfl check, run, predict and job show take it; this command is for a guest and hosts",
        )
    return build(Job, document, str(path), text=text, later=NOT_YET)
