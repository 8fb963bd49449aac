"""What a joint model is worth: the numbers and curves that a validator asks for, by the kind of outcome.

| outcome | numbers | series for the page |
|---|---|---|
| 0 or 1 (`binary`) | `binary_metrics` | `plot_series` |
| a number (`numeric`) | `numeric_metrics` | `numeric_series` |
| a count (`count`) | `count_metrics` | `numeric_series` |
| one of several classes (`multiclass`) | `class_metrics` | `class_series` |

`uplift_interval` says how sure the difference of two models is; `psi` and `Bins` say whether two samples are alike.
Everything is plain Python (JSON-ready), no curve has more than 200 points, nothing depends on the order of the rows;
what a sample does not define (AUC with one class only) is None.
What scikit-learn measures in the same way is scikit-learn's (docs/adr/0012-scikit-learn-again.md).  It takes a second
to import, so it is imported where labels are measured: a host and an arbiter never need it.
"""

from vfl.metrics.binary import at_cutoff, binary_metrics, uplift
from vfl.metrics.bootstrap import uplift_interval
from vfl.metrics.classes import class_metrics, class_series
from vfl.metrics.curves import plot_series
from vfl.metrics.numeric import count_metrics, explained_deviance, numeric_metrics, numeric_series
from vfl.metrics.stability import Bins, by_chance, mark, psi

__all__ = [
    "Bins",
    "at_cutoff",
    "binary_metrics",
    "by_chance",
    "class_metrics",
    "class_series",
    "count_metrics",
    "explained_deviance",
    "mark",
    "numeric_metrics",
    "numeric_series",
    "plot_series",
    "psi",
    "uplift",
    "uplift_interval",
]
