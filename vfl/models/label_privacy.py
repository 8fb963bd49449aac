"""Which jobs can promise that hosts learn of labels through noise alone (`privacy.unit = "label"`), and the noise.

With bins by the label it is on the events that hosts learn (protocols/binning/noise.py): one release per host.  Any
other logistic regression is trained on labels with noise (protocols/glm/label_noise.py), of which all that anybody
learns is computed: one release.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from protocols.binning.noise import CountNoise
from protocols.glm import LabelNoise
from vfl.models.plan import Plan
from vfl.models.privacy import Privacy
from vfl.schema.section import Complaint, listed

BINS, LABELS = "events of bins", "labels that are trained on"


class Releases(NamedTuple):
    """How much noise, on how many releases, and what carries it, as the report says it."""

    multiplier: Fraction
    times: int
    what: str


def on_bins(plan: Plan[Any]) -> bool:
    """Whether hosts learn events of bins."""
    steps = plan.preprocess
    return plan.spec.bins_by_label or (steps is not None and steps.encode == "woe")


def releases(privacy: Privacy, plan: Plan[Any], hosts: int) -> Releases:
    """What a plan that keeps the promise releases.  Raises ConfigError where dp-accounting is missing."""
    count = hosts if on_bins(plan) else 1
    return Releases(privacy.multiplier(count), count, BINS if on_bins(plan) else LABELS)


def with_noise(privacy: Privacy, plan: Plan[Any], hosts: int) -> Plan[Any]:
    """The plan with its noise.  Raises ConfigError where dp-accounting is missing."""
    found = releases(privacy, plan, hosts)
    if found.what == BINS:
        return replace(plan, noise=CountNoise(found.multiplier))
    return replace(plan, label_noise=LabelNoise(found.multiplier))


def check(privacy: Privacy, plan: Plan[Any], *, searched: bool) -> None:
    """Raises Complaint where a plan cannot keep the promise."""
    if privacy.unit != "label":
        what = f'is "{privacy.unit}", which is for an averaging of members, or for sizes'
        raise Complaint(what, 'Choose unit = "label": the labels, from hosts', "privacy.unit")
    if searched:
        what = 'is "label", and a search tells hosts which candidate is best, by exact labels'
        raise Complaint(what, "Leave out the search and give each parameter one value, or the promise", "privacy.unit")
    if on_bins(plan):
        _refuse(plan.labels_told)
        return
    weights = ("host-weights-to-host", "convergence-to-parties")
    if not any(name in weights for name in plan.labels_told):
        what = 'is "label", and this job tells hosts no events of bins, no weights and no verdict on weights'
        raise Complaint(
            what,
            'It is for scorecards, and regressions that reveal weights to hosts or have encode = "woe"',
            "privacy.unit",
        )
    if getattr(plan.spec, "num_class", 0) != 2 or plan.spec.label != "binary" or not hasattr(plan.spec, "link"):
        what = 'is "label", and this model\'s weights have no noise: another label of a row has no bound'
        raise Complaint(what, "It is for logistic regressions of two classes, and scorecards", "privacy.unit")
    if plan.preprocess is not None and plan.preprocess.bins_by_label:
        what = 'is "label", and columns are binned by exact labels besides'
        raise Complaint(what, "Leave out report_iv, or the promise", "privacy.unit")
    _refuse(tuple(name for name in plan.labels_told if name not in weights))


def _refuse(told: tuple[str, ...]) -> None:
    """Raises Complaint where hosts would learn of labels without noise."""
    if told:
        what = f'is "label", and without noise hosts would learn numbers computed from labels by {listed(told, "and")}'
        raise Complaint(what, f"Leave out what needs {'them' if len(told) > 1 else 'it'}", "privacy.unit")
