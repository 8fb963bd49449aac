"""What helps to find a fault, and holds no data: versions, a run's events, and the heads of its ledger."""

from __future__ import annotations

import json
import platform
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from protocols.errors import ConfigError, VFLError
from vfl.ledger import read_ledger, summarise
from vfl.run.events import EVENTS
from vfl.screen.events import Event
from vfl.storage.files import out_written, private
from vfl.version import __version__

PACKAGES = ("numpy", "pandas", "pyarrow", "pydantic", "msgspec", "cryptography", "safetensors", "typer", "rich")
HEAD = ("type", "format", "job", "job_digest", "party", "time", "outcome", "messages", "bytes", "repeats")


def pack(run: Path, out: Path | None) -> tuple[Path, list[str]]:
    """Writes the archive, mode 0600, and returns it with the names of what it holds.  Raises ConfigError.

    out: the file; without it, support-RUN.zip in the current folder.
    """
    if not run.is_dir() or not any((run / name).exists() for name in (EVENTS, "ledger.jsonl")):
        raise ConfigError(f"{run} is no run's folder", remedy="vfl runs PARTY.toml lists the runs of a party")
    out = Path(f"support-{run.resolve().name}.zip") if out is None else out
    content = {"versions.json": versions(), "ledger.json": heads(run / "ledger.jsonl"), EVENTS: events(run / EVENTS)}
    with out_written(out), zipfile.ZipFile(private(out), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return out, list(content)


def versions() -> str:
    """Of this engine, Python, the system and the packages that it stands on."""
    found = {"vfl": __version__, "python": sys.version.split()[0], "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return json.dumps(found, indent=1) + "\n"


def events(path: Path) -> str:
    """The events without paths; a line that is none is left out."""
    kept = list[bytes]()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.DecodeError:
            continue
        kept.append(msgspec.json.encode(msgspec.structs.replace(event, report=None)))
    return b"".join(line + b"\n" for line in kept).decode()


def heads(path: Path) -> str:
    """First, last and resuming lines of the ledger, and how many messages of which kind left; no hash of a message."""
    try:
        lines = list(read_ledger(path))
    except VFLError as error:
        return json.dumps({"fault": error.code}) + "\n"
    told: dict[str, Any] = {
        "lines": [
            {k: line[k] for k in HEAD if k in line} for line in lines if line.get("type") in ("start", "resumed", "end")
        ],
        "sent": [{k: row[k] for k in ("to", "message", "class", "count", "bytes")} for row in summarise(lines)],
        "received": sum(line.get("type") == "received" for line in lines),
    }
    return json.dumps(told, indent=1) + "\n"
