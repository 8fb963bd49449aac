"""Vertical federated learning for institutions: private alignment of customer ids, joint risk models under encryption.

fed   = vfl.Federation.local(guest=bank, hosts={"telecom": telecom}, on="customer_id", label="default")
model = fed.fit(vfl.LogisticRegression(C=1.0))
score = model.predict_score(bank_new, {"telecom": telecom_new})
"""

from protocols import errors
from vfl.align import Aligned, align
from vfl.estimators import BoostedTrees, LinearRegression, LogisticRegression, PoissonRegression
from vfl.evaluation import Evaluation, evaluate
from vfl.federation import Federation
from vfl.preprocessing import Preprocessing
from vfl.regression import FederatedModel
from vfl.scorecard.estimator import Scorecard
from vfl.scorecard.federated import FederatedScorecard
from vfl.search import FederatedSearch, GridSearchCV
from vfl.splitting import Split
from vfl.trees import FederatedTrees

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
