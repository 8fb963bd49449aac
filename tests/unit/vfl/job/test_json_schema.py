"""`vfl job schema`: whatever loads as a job file is allowed by the schema; keys and values that cannot be are not."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from tests.places import ROOT
from tests.unit.vfl.job.samples import MINIMAL
from vfl.job import starter_job
from vfl.job.json_schema import job_schema
from vfl.job.model import MODELS
from vfl.job.starter import starter_members_job

SCHEMA = json.loads(job_schema())
PAGE = (ROOT / "docs" / "file-formats.md").read_text()
TYPES: dict[str, Any] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": float}


def allowed(schema: dict[str, Any], value: Any) -> bool:
    """Whether the schema allows a value, by types, keys, lists of values and references; no bound is compared."""
    if "$ref" in schema:
        return allowed(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], value)
    if any_of := schema.get("anyOf") or schema.get("oneOf"):
        return any(allowed(one, value) for one in any_of)
    if value not in schema.get("enum", [value]) or schema.get("const", value) != value:
        return False
    kind = TYPES.get(schema.get("type", ""))
    if kind is not None and not isinstance(value, kind) and not (kind is float and type(value) is int):
        return False
    if isinstance(value, list) and "items" in schema:
        return all(allowed(schema["items"], one) for one in value)
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    inner = {key: known.get(key, others) for key in value}
    fits = all(one if isinstance(one, bool) else allowed(one, value[key]) for key, one in inner.items())
    return fits and set(schema.get("required", ())) <= set(value)


def jobs() -> list[str]:
    return [
        *(
            block.split("```")[0]
            for block in PAGE.split("```toml\n")
            if block.startswith(("# job", "# align", "# tree", "# members"))
        ),
        *(starter_job(kind=kind, arbiter="trustco") for kind in MODELS),
        starter_members_job(),
        starter_members_job(members=("a", "b"), estimator="mlp", hidden=4),
        MINIMAL,
    ]


def test_what_loads_is_allowed() -> None:
    texts = jobs()
    assert len(texts) >= 3 + len(MODELS)
    for text in texts:
        assert allowed(SCHEMA, tomllib.loads(text)), text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_iter", "max_itre"),
        ("[split]", "[splitt]"),
        ("version = 1", "version = 2"),
        ("key_bits = 3072", "key_bits = 1024"),
        ('"scores-to-guest"', '"scores-to-everybody"'),
        ('link = "exact"', 'link = "exact"\nkey_bits = 3072'),
        ('kind = "logistic-regression"', 'kind = "oracle"'),
        ("seed = 7", 'seed = "7"'),
    ],
)
def test_planted_fault_what_cannot_load_is_not(old: str, new: str) -> None:
    text = starter_job()
    assert old in text
    assert not allowed(SCHEMA, tomllib.loads(text.replace(old, new, 1)))


def test_every_key_is_described() -> None:
    """A bare section is described by its class."""
    for name, part in SCHEMA["$defs"].items():
        assert part["additionalProperties"] is False, name
        for key, one in part["properties"].items():
            assert "description" in one or key == "kind", (name, key)
