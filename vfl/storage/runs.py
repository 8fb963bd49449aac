"""The runs in a run directory, by their folders: which there are, how they ended, and which is the latest."""

from __future__ import annotations

import datetime
import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protocols.errors import ConfigError

LATEST = "latest"
STAMP = re.compile(r"(\d{8}-\d{6})\+*$")  # with which a run's folder ends
PREPARED, EXPIRED = "prepared", "prepared, expired"
RECORD = ("ledger.jsonl", "signatures.json")  # of what left in a run: vfl purge keeps it
RESULTS = {"report.json": "", "alignment.json": "align"}  # of a run that is done; what its command was, unless it says


@dataclass(frozen=True)
class Listed:
    """One run of this party.  outcome: "done", "unfinished" (the same command resumes it), "prepared" (vfl run resumes
    it), "prepared, expired" (likewise, but its iterations are prepared again), "open" (online scores whose ledger
    is not closed: they answer, or their process was killed), or the code of the error that ended it; "purged" where vfl
    purge has left the record alone, "unknown" for another folder without events.  prepared_until: of a prepared run,
    when its pads expire, ISO 8601."""

    folder: str
    command: str
    job: str
    started: str | None
    outcome: str
    prepared_until: str | None = None

    @property
    def prepared(self) -> bool:
        """Whether it has only prepared so far."""
        return self.outcome in (PREPARED, EXPIRED)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def folders(directory: Path) -> list[Path]:
    """The folders of runs, the oldest first."""
    found = [(stamp[1], path) for path in directory.glob("*") if path.is_dir() and (stamp := STAMP.search(path.name))]
    return [path for _, path in sorted(found)]


def listed(directory: Path) -> list[Listed]:
    """Every run in a run directory, the oldest first."""
    return [_listed(folder) for folder in folders(directory)]


class Listing:
    """The runs in a run directory, for whoever asks again and again: reads only what has changed."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._read = directory, dict[Path, tuple[object, Listed]]()

    def runs(self) -> list[Listed]:
        """The oldest first."""
        now = dict[Path, tuple[object, Listed]]()
        for folder in folders(self._directory):
            files = ("events.jsonl", RECORD[0]) if folder.name.startswith("score-") else ("events.jsonl",)
            state = tuple(_changed(path) for path in (folder, *(folder / name for name in files)))
            before = self._read.get(folder)
            known = before is not None and before[0] == state and not before[1].prepared  # which ends with time
            now[folder] = before if before is not None and known else (state, _listed(folder))
        self._read = now
        return [one for _, one in now.values()]


def _changed(path: Path) -> int | None:
    """When, in nanoseconds; None where there is nothing."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _listed(folder: Path) -> Listed:
    first, last, until = *_events(folder), 0.0
    result = next((name for name in RESULTS if (folder / name).exists()), None)
    told = _content(folder / result) if result is not None else {}
    command = str(told.get("purpose") or (RESULTS[result] if result else "") or first.get("command") or "-")
    if result is not None:
        outcome = "done"
    elif (folder / "run.sqlite").exists():
        from vfl.storage.pad_store import PADS, valid_until  # loads numpy, which no command without runs needs

        prepared = (last.get("command"), last.get("event")) == ("prepare", "done")
        until = valid_until(folder / PADS, time.time()) if prepared else 0.0
        valid = until or not (folder / PADS).exists()  # there was nothing to prepare
        outcome = (PREPARED if valid else EXPIRED) if prepared else "unfinished"
    elif first.get("command") == "score":
        outcome = _closed(folder / RECORD[0])
    elif RECORD[0] in (names := {path.name for path in folder.iterdir()}) and names <= {*RECORD, "model"}:
        outcome = "purged"
    else:
        outcome = str(last.get("code") or "unknown")
    job = str(told.get("job") or first.get("job") or STAMP.sub("", folder.name).rstrip("-"))
    started = told.get("started") or first.get("time")
    ends = datetime.datetime.fromtimestamp(until).astimezone().isoformat(timespec="seconds") if until else None
    return Listed(str(folder), command, job, None if started is None else str(started), outcome, ends)


def _closed(ledger: Path) -> str:
    """How online scores ended, by their ledger."""
    try:
        last = json.loads(ledger.read_text(encoding="utf-8").splitlines()[-1])
        return str(last["outcome"]) if last["type"] == "end" else "open"
    except (OSError, ValueError, IndexError, KeyError, TypeError):
        return "unknown"


def refuse_prepared(folder: Path) -> None:
    """Raises ConfigError for a run that has no results, since it is only prepared."""
    if folder.is_dir() and _listed(folder).prepared:
        raise ConfigError(f"the run in {folder} is only prepared: it has no results yet", remedy="Give vfl run")


def _events(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return json.loads(lines[0]), json.loads(lines[-1])
    except (OSError, ValueError, IndexError):
        return {}, {}


def _content(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def resolved(path: Path) -> Path:
    """`path`, in which "latest" in place of a run's folder stands for the latest run that is done and has what follows:
    `runs/latest/model` is the newest model.  Raises ConfigError where there is none."""
    if LATEST not in path.parts or path.exists():
        return path
    at = path.parts.index(LATEST)
    directory, rest = Path(*path.parts[:at]), Path(*path.parts[at + 1 :])
    if not directory.is_dir():
        return path  # whoever opens it says so
    for folder in reversed(folders(directory)):
        if any((folder / name).exists() for name in RESULTS) and (folder / rest).exists():
            return folder / rest
    what = f"a finished run with {rest}" if rest.parts else "a finished run"
    raise ConfigError(f"{directory} holds no {what[2:]}", remedy="vfl runs PARTY.toml lists the runs of a party")
