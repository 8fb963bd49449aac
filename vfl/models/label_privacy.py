"""Which jobs can promise that hosts learn of labels through noise alone (`privacy.unit = "label"`)."""

from __future__ import annotations

from typing import Any

from vfl.models.plan import Plan
from vfl.models.privacy import Privacy
from vfl.schema.section import Complaint, listed


def check(privacy: Privacy, plan: Plan[Any], *, searched: bool) -> None:
    """Raises Complaint where a plan cannot keep the promise."""
    if privacy.unit != "label":
        what = f'is "{privacy.unit}", which is for an averaging of members'
        raise Complaint(what, 'Choose unit = "label": the labels of bins, from hosts', "privacy.unit")
    steps = plan.preprocess
    by_label = plan.spec.bins_by_label or (steps is not None and steps.encode == "woe")
    if not by_label or searched:
        what = 'is "label", and this job tells hosts no events of bins'
        raise Complaint(what, 'It is for scorecards, and regressions with encode = "woe"', "privacy.unit")
    if told := plan.labels_told:
        what = f'is "label", and without noise hosts would learn numbers computed from labels by {listed(told, "and")}'
        raise Complaint(what, f"Leave out what needs {'them' if len(told) > 1 else 'it'}", "privacy.unit")
