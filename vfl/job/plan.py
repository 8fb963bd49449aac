"""A job file as programs take it."""

from __future__ import annotations

from protocols.session import Roles
from vfl.job.job import Job
from vfl.job.permits import CONVERGENCE
from vfl.models import label_privacy
from vfl.models.plan import Plan
from vfl.schema.spec import Spec
from vfl.steps.search import Search


def plan_of(job: Job) -> Plan[Spec]:
    """What the parties agreed on, beyond who they are."""
    plan = Plan(
        job.model,
        min_intersection=job.align.min_intersection,
        keys=len(job.align.keys),
        test=job.split.test,
        seed=job.split.seed,
        out_of_time=job.split.cut_off,
        measure_train=job.evaluation.train,
        preprocess=job.preprocess,
        open_names=job.preprocess is not None and job.preprocess.open_names,
        reveal=job.reveal,
        prepared=job.crypto.preparation in ("batched", "gram"),
        gram=job.crypto.preparation == "gram",
        convergence=CONVERGENCE in job.disclosure.allow,
    )
    return plan if job.privacy is None else label_privacy.with_noise(job.privacy, plan, len(job.parties.hosts))


def search_of(job: Job) -> Search[Plan[Spec]] | None:
    """What the job searches, if anything."""
    if job.search is None:
        return None
    assert job.search.scoring is not None
    plans = tuple(plan_of(one) for one in job.candidates)
    return Search(plans, job.model.label, job.search.cv, job.search.scoring, job.split.seed)


def roles_of(job: Job) -> Roles:
    """Who takes part."""
    return job.roles
