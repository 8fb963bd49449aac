"""The component list of a pack: what this engine stands on, as CycloneDX 1.6 (extra `evidence`)."""

from __future__ import annotations

import datetime
import importlib.metadata
import re
import uuid
from collections.abc import Mapping
from typing import Any

from vfl.data.extras import needed

WHY = "vfl evidence"
ROOT = "vfl"
NOT_OF_A_RUN = {"dev", "docs", "oracles"}  # extras that no run uses
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


def installed() -> dict[str, importlib.metadata.Distribution]:
    """This engine and every installed library that it needs, directly or not, by normalised name."""
    found = dict[str, importlib.metadata.Distribution]()
    ahead = [ROOT]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed, or another system's library
        ahead += needs(found[name])
    return dict(sorted(found.items()))


def needs(library: importlib.metadata.Distribution) -> list[str]:
    """The normalised names of what a library requires; of this engine also those of the extras that a run can use."""
    own = normalised(library.metadata["Name"]) == ROOT
    found = set[str]()
    for text in library.requires or ():
        extras = set(EXTRA.findall(text))
        name = NAME.match(text)
        if name and (not extras or (own and not extras & NOT_OF_A_RUN)):
            found.add(normalised(name[0]))
    return sorted(found)


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def component_list(run: str, started: str) -> str:
    """The list as JSON; run, started: of which run, and when, so that it is the same each time.  Raises ConfigError
    where the extra is not installed."""
    bom_of, parts, output = (
        needed(f"cyclonedx.{name}", WHY) for name in ("model.bom", "model.component", "output.json")
    )
    libraries = installed()
    made = {name: _component(parts, library) for name, library in libraries.items()}
    bom = bom_of.Bom(components=[one for name, one in made.items() if name != ROOT])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"vfl evidence {run}")
    bom.metadata.timestamp = datetime.datetime.fromisoformat(started)
    if ROOT in made:
        bom.metadata.component = made[ROOT]
    for name, library in libraries.items():
        bom.register_dependency(made[name], [made[other] for other in needs(library) if other in made])
    return str(output.JsonV1Dot6(bom).output_as_string(indent=1)) + "\n"


def _component(parts: Any, library: importlib.metadata.Distribution) -> Any:
    purl = needed("packageurl", WHY).PackageURL("pypi", None, normalised(library.metadata["Name"]), library.version)
    own = normalised(library.metadata["Name"]) == ROOT
    kind = parts.ComponentType.APPLICATION if own else parts.ComponentType.LIBRARY
    return parts.Component(
        name=normalised(library.metadata["Name"]),
        version=library.version,
        type=kind,
        bom_ref=str(purl),
        purl=purl,
        licenses=_licences(library),
    )


def _licences(library: importlib.metadata.Distribution) -> list[Any]:
    """The licence as its distribution names it; none where it does so only in a long text."""
    licence = needed("cyclonedx.model.license", WHY)
    said = library.metadata.json
    if expression := said.get("license_expression"):
        return [licence.LicenseExpression(str(expression))]
    named = str(said.get("license") or "").strip()
    if not named or "\n" in named or len(named) > 80:
        named = next(
            (
                line.rpartition("::")[2].strip()
                for line in library.metadata.get_all("Classifier") or ()
                if line.startswith("License ::")
            ),
            "",
        )
    return [licence.DisjunctiveLicense(name=named)] if named else []


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
