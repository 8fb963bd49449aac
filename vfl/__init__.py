"""Vertical federated learning for institutions: private alignment of customer ids, joint risk models under encryption.

fed   = vfl.Federation.local(guest=bank, hosts={"telecom": telecom}, on="customer_id", label="default")
model = fed.fit(vfl.LogisticRegression(C=1.0))
score = model.predict_score(bank_new, {"telecom": telecom_new})

A name below is imported when it is first used (PEP 562): `import vfl` loads neither pandas nor scikit-learn.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from vfl.version import __version__

if TYPE_CHECKING:
    from protocols import errors
    from vfl.api.align import Aligned, align
    from vfl.api.federation import Federation
    from vfl.api.members import Members
    from vfl.api.search import FederatedSearch, GridSearchCV
    from vfl.attacks.audit import audit
    from vfl.models.averaging.joint import AveragedModel
    from vfl.models.averaging.spec import Averaging
    from vfl.models.evaluation import Evaluation, evaluate
    from vfl.models.joint_files import load_model
    from vfl.models.network.joint import FederatedNetwork
    from vfl.models.network.spec import MLPClassifier, MLPRegressor
    from vfl.models.privacy import Privacy
    from vfl.models.regression.joint import FederatedModel
    from vfl.models.regression.spec import LinearRegression, LogisticRegression, PoissonRegression
    from vfl.models.scorecard.joint import FederatedScorecard
    from vfl.models.scorecard.spec import Scorecard
    from vfl.models.splitting import Split
    from vfl.models.trees.joint import FederatedTrees
    from vfl.models.trees.spec import BoostedTrees
    from vfl.preprocessing import Preprocessing
    from vfl.schema.table_options import TableOptions

__all__ = [
    "Aligned",
    "AveragedModel",
    "Averaging",
    "BoostedTrees",
    "Evaluation",
    "FederatedModel",
    "FederatedNetwork",
    "FederatedScorecard",
    "FederatedSearch",
    "FederatedTrees",
    "Federation",
    "GridSearchCV",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "Members",
    "PoissonRegression",
    "Preprocessing",
    "Privacy",
    "Scorecard",
    "Split",
    "TableOptions",
    "__version__",
    "align",
    "audit",
    "errors",
    "evaluate",
    "load_model",
]

# The same names as above, by the module that they are imported from.
_NAMES = {
    "protocols": ("errors",),
    "vfl.api.align": ("Aligned", "align"),
    "vfl.api.federation": ("Federation",),
    "vfl.api.members": ("Members",),
    "vfl.models.averaging.joint": ("AveragedModel",),
    "vfl.models.averaging.spec": ("Averaging",),
    "vfl.api.search": ("FederatedSearch", "GridSearchCV"),
    "vfl.attacks.audit": ("audit",),
    "vfl.models.regression.spec": ("LinearRegression", "LogisticRegression", "PoissonRegression"),
    "vfl.models.trees.spec": ("BoostedTrees",),
    "vfl.models.evaluation": ("Evaluation", "evaluate"),
    "vfl.models.joint_files": ("load_model",),
    "vfl.models.privacy": ("Privacy",),
    "vfl.models.network.joint": ("FederatedNetwork",),
    "vfl.models.network.spec": ("MLPClassifier", "MLPRegressor"),
    "vfl.models.regression.joint": ("FederatedModel",),
    "vfl.models.scorecard.spec": ("Scorecard",),
    "vfl.models.scorecard.joint": ("FederatedScorecard",),
    "vfl.models.splitting": ("Split",),
    "vfl.models.trees.joint": ("FederatedTrees",),
    "vfl.preprocessing": ("Preprocessing",),
    "vfl.schema.table_options": ("TableOptions",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def _check_protocols() -> None:
    """Raises ImportError if the `protocols` that Python would import is not the one that comes with this package."""
    spec = importlib.util.find_spec("protocols")
    ours = os.path.join(os.path.dirname(os.path.dirname(__file__)), "protocols", "__init__.py")
    if spec is not None and spec.origin is not None and os.path.realpath(spec.origin) != os.path.realpath(ours):
        raise ImportError(
            f"{spec.origin} hides the package 'protocols' that comes with vfl ({os.path.dirname(ours)}). "
            "Rename that file, or take its folder off Python's path",
            name="protocols",
            path=spec.origin,
        )


_check_protocols()

if not TYPE_CHECKING:  # to mypy, a module with `__getattr__` has every name

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'vfl' has no attribute {name!r}")
        value = globals()[name] = getattr(
            __import__(_HOME[name], fromlist=[name]), name
        )  # as `from _HOME[name] import name`
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
