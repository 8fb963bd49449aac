"""The component list of a pack: what this engine stands on, as CycloneDX 1.6 (extra `evidence`)."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vfl.data.extras import needed

WHY = "vfl evidence"
ROOT = "vfl"
NOT_OF_A_RUN = {"dev", "docs", "oracles"}  # extras that no run uses
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
LONGEST = 80  # characters of a licence's name; a longer text is the licence itself


@dataclass(frozen=True)
class Library:
    """An installed distribution.  expression: its licence as SPDX writes it, else `licence` in words, "" for unknown;
    needs: the normalised names of what it requires."""

    name: str
    version: str
    expression: str
    licence: str
    needs: tuple[str, ...]


@functools.cache
def installed() -> tuple[Library, ...]:
    """This engine and every installed library that it needs, directly or not, by normalised name."""
    found = dict[str, Library]()
    ahead = [ROOT]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        try:
            found[name] = _library(name, importlib.metadata.distribution(name))
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed, or another system's library
        ahead += found[name].needs
    return tuple(found[name] for name in sorted(found))


def _library(name: str, found: importlib.metadata.Distribution) -> Library:
    said = found.metadata.json
    licence = str(said.get("license") or "").strip()
    if not licence or "\n" in licence or len(licence) > LONGEST:
        classes = (line for line in said.get("classifier") or () if line.startswith("License ::"))
        licence = str(next(classes, "")).rpartition("::")[2].strip()
    return Library(
        name, found.version, str(said.get("license_expression") or ""), licence, _needs(name, found.requires)
    )


def _needs(name: str, requires: list[str] | None) -> tuple[str, ...]:
    """What a library requires; of this engine also what the extras that a run can use require."""
    found = set[str]()
    for text in requires or ():
        extras = set(EXTRA.findall(text))
        start = NAME.match(text)
        if start and (not extras or (name == ROOT and not extras & NOT_OF_A_RUN)):
            found.add(re.sub(r"[-_.]+", "-", start[0]).lower())
    return tuple(sorted(found))


def component_list(run: str, started: str) -> str:
    """The list as JSON; run, started: of which run, and when, so that it is the same each time.  Raises ConfigError
    where the extra is not installed."""
    bom_of, output = (needed(f"cyclonedx.{name}", WHY) for name in ("model.bom", "output.json"))
    made = {library.name: _component(library) for library in installed()}
    bom = bom_of.Bom(components=[one for name, one in made.items() if name != ROOT])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"vfl evidence {run}")
    bom.metadata.timestamp = datetime.datetime.fromisoformat(started)
    bom.metadata.component = made.get(ROOT)
    for library in installed():
        bom.register_dependency(made[library.name], [made[other] for other in library.needs if other in made])
    return str(output.JsonV1Dot6(bom).output_as_string(indent=1)) + "\n"


def _component(library: Library) -> Any:
    parts, licence = needed("cyclonedx.model.component", WHY), needed("cyclonedx.model.license", WHY)
    purl = needed("packageurl", WHY).PackageURL("pypi", None, library.name, library.version)
    known = []
    if library.expression:
        known = [licence.LicenseExpression(library.expression)]
    elif library.licence:
        known = [licence.DisjunctiveLicense(name=library.licence)]
    kind = parts.ComponentType.APPLICATION if library.name == ROOT else parts.ComponentType.LIBRARY
    return parts.Component(
        name=library.name, version=library.version, type=kind, bom_ref=str(purl), purl=purl, licenses=known
    )


def differing(recorded: Mapping[str, str]) -> list[str]:
    """The libraries whose release is not the one that the run recorded, with both releases."""
    found = []
    for name, version in recorded.items():
        try:
            now = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            now = "not installed"
        if now != version:
            found.append(f"{name}: {version} in the run, {now} where the pack was made")
    return found
