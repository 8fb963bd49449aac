"""The JSON schema of a job file, from its declarations: editors complete and check keys by it.

What depends on several keys, such as which permissions a kind of model needs, is in no schema: `vfl job show` finds it.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from vfl.job.alignment_job import AlignmentJob
from vfl.job.job import Job
from vfl.job.members_job import MembersJob
from vfl.job.model import MODELS


def job_schema() -> str:
    """The schema as a text: of a job with [model], of one of members, or of one that aligns ids only."""
    schema: dict[str, Any] = TypeAdapter(Job | MembersJob | AlignmentJob).json_schema()
    for spec in MODELS.values():
        own = schema["$defs"][spec.__name__]["properties"]
        for name, field in spec.model_fields.items():
            if field.exclude is True:  # a parameter in Python, which a job file has in another table
                del own[name]
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A job file of vfl"}
    return json.dumps(dialect | schema, indent=1)
