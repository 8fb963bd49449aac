"""A job file without [model]: it aligns ids and ends there.  With one host it needs no arbiter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from protocols.alignment import SizeNoise
from vfl.job.agreement import Matching
from vfl.job.job import Job, check_is_job, load_job
from vfl.job.members_job import MembersJob, is_of_members
from vfl.job.model import NOT_YET
from vfl.models.privacy import Privacy
from vfl.schema.section import Complaint, build, read_toml


class AlignmentJob(Matching):
    """A whole job file that aligns ids only."""

    privacy: Privacy | None = Field(
        default=None,
        exclude_if=lambda privacy: privacy is None,
        description='a section [privacy] with unit = "id": noise on the size, where that alone is opened',
    )

    @model_validator(mode="after")
    def _allows_itself(self) -> AlignmentJob:
        if len(self.parties.hosts) > 1 and not self.parties.arbiter:
            raise Complaint(
                "is missing: with several hosts an arbiter compares blinded ids",
                'Name a party that holds no data, such as arbiter = "trustco"',
                "parties.arbiter",
            )
        if self.privacy is not None:
            self._check_privacy(self.privacy)
        self.check_permits(alignment_permits(self))
        return self

    def _check_privacy(self, privacy: Privacy) -> None:
        if privacy.unit != "id":
            what = f'is "{privacy.unit}", and an alignment opens no sum and no label'
            raise Complaint(what, 'Choose unit = "id", with align.cardinality_only = true', "privacy.unit")
        if not self.align.cardinality_only or len(self.align.keys) > 1 or len(self.parties.hosts) > 1:
            what = 'is "id", which is for the size alone between two parties, with one key'
            remedy = "Set align.cardinality_only = true, with one host and one key, or remove [privacy]"
            raise Complaint(what, remedy, "privacy.unit")

    @property
    def noise(self) -> SizeNoise | None:
        """On the size.  Raises ConfigError where dp-accounting is missing."""
        return None if self.privacy is None else SizeNoise(self.privacy.multiplier(1))


def alignment_permits(job: Matching) -> tuple[str, ...]:
    """The permissions that aligning by this job needs."""
    opened = "intersection-size-to-parties" if job.align.cardinality_only else "intersection-to-parties"
    several_keys = ("matched-keys-to-parties",) if len(job.align.keys) > 1 else ()
    several_hosts = ("intersection-sizes-to-arbiter",) if len(job.parties.hosts) > 1 else ()
    return (opened, *several_keys, *several_hosts)


def load_training(path: str | Path) -> Job | MembersJob:
    """Reads and checks a job file that trains a model; every error is a ConfigError."""
    text, document = read_toml(Path(path))
    check_is_job(document, path)
    return build(MembersJob, document, str(path), text=text) if is_of_members(document) else load_job(path)


def load_agreement(path: str | Path) -> Job | AlignmentJob | MembersJob:
    """Reads and checks a job file of any kind: with [model] or without, of members; every error is a ConfigError."""
    return agreement_in(*read_toml(Path(path)), str(path))


def agreement_in(text: str, document: Mapping[str, Any], where: str) -> Job | AlignmentJob | MembersJob:
    """The job in a file that is read and parsed; where: its name, for messages.  Raises ConfigError."""
    check_is_job(document, where)
    if is_of_members(document):
        return build(MembersJob, document, where, text=text)
    if "model" in document:
        return build(Job, document, where, text=text, later=NOT_YET)
    return build(AlignmentJob, document, where, text=text)
