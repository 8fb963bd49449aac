"""Vertical federated learning for institutions: private alignment of customer ids, joint risk models under encryption.

fed   = vfl.Federation.local(guest=bank, hosts={"telecom": telecom}, on="customer_id", label="default")
model = fed.fit(vfl.LogisticRegression(C=1.0))
score = model.predict_score(bank_new, {"telecom": telecom_new})
"""

from protocols import errors
from vfl.api.align import Aligned, align
from vfl.api.federation import Federation
from vfl.api.search import FederatedSearch, GridSearchCV
from vfl.models.estimators import BoostedTrees, LinearRegression, LogisticRegression, PoissonRegression
from vfl.models.evaluation import Evaluation, evaluate
from vfl.models.regression.joint import FederatedModel
from vfl.models.scorecard.estimator import Scorecard
from vfl.models.scorecard.joint import FederatedScorecard
from vfl.models.splitting import Split
from vfl.models.trees.joint import FederatedTrees
from vfl.preprocessing import Preprocessing

__version__ = "0.1.0"
__all__ = [
    "Aligned",
    "BoostedTrees",
    "Evaluation",
    "FederatedModel",
    "FederatedScorecard",
    "FederatedSearch",
    "FederatedTrees",
    "Federation",
    "GridSearchCV",
    "LinearRegression",
    "LogisticRegression",
    "PoissonRegression",
    "Preprocessing",
    "Scorecard",
    "Split",
    "align",
    "errors",
    "evaluate",
]
