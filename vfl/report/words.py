"""Numbers and classes in a reader's words, the same on the page and in the terminal (so: ASCII signs)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup, escape

from vfl.screen import ending

CLASSES = {
    "revealed": (
        "Revealed",
        "The receiver learns something about the sender's data or the result: exactly what is said.",
    ),
    "blinded": ("Blinded", "Hidden by a secret random mask or scalar of the sender: random numbers to the receiver."),
    "sealed": ("Sealed", "Encrypted under a key that the receiver does not hold, with fresh randomness."),
    "public": ("Public", "Sizes, names and public keys, as agreed in the job."),
}
METRICS = {  # name, better (+1 more, -1 less, 0 neither), what it says
    "auc": ("AUC", 1, "how often a random event scores above a random non-event; ½ is chance"),
    "ks": ("KS", 1, "the largest gap between events and non-events found, down the score"),
    "log_loss": ("Log-loss", -1, "mean surprise at the outcome: smaller is better"),
    "gini": ("Gini", 1, "how far the order of the score gathers the events: 0 at random; of events 2 AUC − 1"),
    "average_precision": ("Average precision", 1, "precision while going down the score, averaged over the events"),
    "brier": ("Brier score", -1, "mean squared error of the probability: less is better"),
    "accuracy": ("Accuracy", 1, "share that is classified correctly"),
    "lift_5": ("Lift 5 %", 1, "events among the riskiest rows, compared with a random choice"),
    "lift_10": ("Lift 10 %", 1, "events among the riskiest rows, compared with a random choice"),
    "lift_20": ("Lift 20 %", 1, "events among the riskiest rows, compared with a random choice"),
    "base_rate": ("Base rate", 0, "share of events in the rows"),
    "r2": ("R2", 1, "share of the outcome’s variance that is explained"),
    "d2": ("D2", 1, "share of the outcome’s deviance that is explained"),
    "deviance": ("Poisson deviance", -1, "mean unit deviance: less is better"),
    "rmse": ("RMSE", -1, "root mean squared error, in the outcome’s unit"),
    "mae": ("MAE", -1, "mean absolute error, in the outcome’s unit"),
    "macro_auc": ("AUC, class by class", 1, "each class against the others, averaged; ½ is chance"),
    "macro_f1": ("F1, class by class", 1, "of precision and recall, averaged over the classes"),
    "mean_observed": ("Mean outcome", 0, ""),
    "mean_predicted": ("Mean predicted", 0, "should equal what happened"),
    "n": ("Rows", 0, ""),
}
ANSWER = {  # the three numbers that a reader sees first, by the kind of outcome
    "binary": ("auc", "ks", "log_loss"),
    "numeric": ("r2", "rmse", "mae"),
    "count": ("d2", "deviance", "mae"),
    "multiclass": ("accuracy", "macro_auc", "log_loss"),
}
LOCAL = "local federation"  # the name of a job in one process
PARTS = {"test": "held-out rows", "out_of_time": "out-of-time rows", "train": "training rows"}


def number(value: object, digits: int = 4) -> str:
    """A metric: `digits` decimals, a dash where it is undefined, whole numbers in groups of three."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:z,.{_decimals(value, digits)}f}" if isinstance(value, float) else str(value)


def change(value: float | None, digits: int = 4) -> str:
    """A difference, with its sign."""
    return "-" if value is None else f"{value:+,.{_decimals(value, digits)}f}"


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """A difference lies from here to there; a dash where that is not known."""
    return "-" if low is None or high is None else f"{change(low, digits)} to {change(high, digits)}"


def _decimals(value: float, digits: int) -> int:
    """Fewer of a large number: seven figures are read by nobody."""
    return digits if abs(value) < 100 else max(0, digits - 2) if abs(value) < 10_000 else 0


def outcome_of(result: Mapping[str, Any]) -> str:
    """The kind of outcome that the result is about."""
    return str(result.get("outcome") or "binary")


def size(count: float) -> str:
    """Bytes in powers of 1000, three figures."""
    if abs(count) < 1000:
        return f"{int(count)} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if abs(count) < 999.5 or unit == "GB":
            break
    return f"{count:.{0 if count >= 100 else 1 if count >= 10 else 2}f} {unit}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if round(seconds, 1) < 60:
        return f"{seconds:.{2 if seconds < 10 else 1}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(value: float | None) -> str:
    """A share of one."""
    return "-" if value is None else f"{100 * value:.1f} %"


def joined(names: object) -> str:
    """A party or several, as text."""
    if isinstance(names, str):
        return names
    return ", ".join(str(n) for n in names) if isinstance(names, Iterable) else str(names)


def class_of(entry: Mapping[str, Any]) -> str:
    """The disclosure class of an entry, in small letters."""
    return str(entry.get("class", "")).lower()


def by_class(disclosure: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Entries by class, the most telling class first; a class that this version does not know comes before all."""
    entries = list(disclosure)
    unknown = [c for c in dict.fromkeys(map(class_of, entries)) if c not in CLASSES]
    groups = {c: [e for e in entries if class_of(e) == c] for c in (*unknown, *CLASSES)}
    return {c: group for c, group in groups.items() if group}


def model_kind(kind: str) -> str:
    """A kind of model as a reader writes it, without an article."""
    return kind.replace("mlp-", "MLP ").replace("-", " ")


def party_names(result: Mapping[str, Any]) -> tuple[str, list[str]]:
    """(guest, hosts), as far as the result names them: by "parties", by the rows of each host, or by its own party."""
    parties = result.get("parties") or {}
    rows = (result.get("alignment") or {}).get("host_rows")
    own = {str(result.get("role")): str(result.get("party") or result.get("role"))}
    hosts = parties.get("hosts") or (list(rows) if isinstance(rows, Mapping) else [own.get("host", "partner")])
    return str(parties.get("guest") or own.get("guest", "guest")), [str(h) for h in hosts]


def of_members(result: Mapping[str, Any]) -> bool:
    """Whether it is of members with the same columns."""
    return bool((result.get("parties") or {}).get("members"))


def model_names(result: Mapping[str, Any]) -> dict[str, str]:
    """What the two models that are compared are called."""
    role, party = str(result.get("role") or "party"), str(result.get("party") or result.get("role") or "party")
    alone = f"{party} alone" if role in ("guest", "member") else "guest alone"
    return {"joint": "averaged" if of_members(result) else "joint", "guest_alone": alone}


def rows_by_party(result: Mapping[str, Any]) -> dict[str, int]:
    """Rows before alignment of every data party whose number is known; a bare number is the only host's."""
    sizes = result.get("alignment") or {}
    if sizes.get("rows"):  # of an alignment
        return {str(name): int(n) for name, n in sizes["rows"].items()}
    guest, hosts = party_names(result)
    rows = sizes.get("host_rows")
    theirs = rows if isinstance(rows, Mapping) else {hosts[0]: rows}
    known = {guest: sizes.get("guest_rows")} | {str(h): n for h, n in theirs.items()}
    return {name: int(n) for name, n in known.items() if n is not None}


NOT_PARAMETERS = {
    "kind", "model_id", "intercept", "trees", "key_bits", "weights_known", "passes", "settled", "caution"
}  # fmt: skip


def parameters(model: Mapping[str, Any]) -> dict[str, object]:
    """Of a model's content in report.json what was chosen, and how many iterations were made."""
    chosen: dict[str, object] = {
        k.replace("_", " "): v for k, v in model.items() if isinstance(v, str | int | float) and k not in NOT_PARAMETERS
    }
    most, made = model.get("passes"), iterations_made(model)
    if made is not None and model.get("passes_made"):
        chosen["iterations"] = number(made) + (f" of at most {number(most)}" if most else "")
    elif most:
        chosen["iterations"] = f"at most {number(most)}"
    return chosen


def title(result: Mapping[str, Any]) -> str:
    """The name of the job; in one process, which has no job file, the kind of the model."""
    kind = str((result.get("model") or {}).get("kind") or "")
    if result.get("job") == LOCAL and kind:
        return kind.replace("-", " ").capitalize()
    return str(result.get("job"))


def at_half(measure: tuple[str, int, str], key: str, result: Mapping[str, Any]) -> tuple[str, int, str]:
    """The measure with its cut-off in its name, where it has one."""
    label, sign, says = measure
    return (f"{label} at 0.5", sign, says) if key == "accuracy" and outcome_of(result) == "binary" else measure


def iterations_made(model: Mapping[str, Any]) -> int | None:
    """Over the training rows, by the training that made most; where that is not known, those that were asked for."""
    made: list[int] = model.get("passes_made") or []
    return max(made) if made else model.get("passes")


def all_cautions(result: Mapping[str, Any]) -> list[str]:
    """What is to be said where a result is shown: of the party's own table, and of the model."""
    return [*map(str, result.get("cautions") or []), *cautions(result.get("model") or {})]


def cautions(model: Mapping[str, Any]) -> list[str]:
    """What is to be said of a model where its measures are shown: that its training did not end at an optimum, and
    what the run had to say."""
    found = [str(model["caution"])] if model.get("caution") else []
    if model.get("wrong_signs"):
        found.append(ending.against(model["wrong_signs"]))
    if model.get("clipped"):
        found.append(ending.clipped(model["clipped"], model["clipped_at"]))
    if model.get("clipped_in_folds"):
        found.append(ending.clipped_in_folds(model["clipped_in_folds"]))
    if model.get("ended"):
        return found + ending.cautions(model["passes_made"], model["ended"])
    if model.get("settled") is False:  # of a release that did not say how each training ended
        found.append(
            f"all {number(iterations_made(model))} iterations that max_iter allows were made: the loss had not settled"
        )
    return found


def breakable(name: object) -> Markup:
    """A column's name, which a line can break after an underscore and nowhere else."""
    return Markup("_<wbr>").join(escape(name).split("_"))
