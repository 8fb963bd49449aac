"""What a party agrees to in number, whatever each single run may disclose (`[policy]`), counted in `budget.sqlite` in
the run directory.

| key | who | counts |
|---|---|---|
| `runs_per_partner_per_month` | all | alignments for a training or by themselves, per partner and calendar month (UTC) |
| `predictions_per_partner_per_month` | all | batches of rows that were scored, likewise |
| `models_per_label` | guest | models trained on the same labels, per partner and for good; a search of trees counts each of its models |
| `rows_per_label_number` | guest | numbers computed from the same labels that hosts learnt: weights, fine bins of columns binned by them, what the wins of sealed trees count as; over hosts and runs |
| `epsilon` (and `delta`) | member, aggregator, guest | what runs with `[privacy]` cost together, over runs that share a column, or labels (`noise.py`) |
| `score_vectors` | host | score vectors of the same columns that were opened, over models and runs; each model counts once; by default half the columns of many values, and fewer where they correlate |
| `scores_per_row` | host | scores of a row by one model in a month (a network: for good), in trainings and predictions, under a keyed name of the row |

A run counts once every party has it on its disk, before anything is aligned, also if it fails later; one that resumes
counts once.  The cost of noise counts then too.  Models, and the numbers of a training, are counted before its first message: never by `vfl prepare`, and
none of them if one is too many.  Other numbers, vectors and rows are counted right before they leave
(protocols/allowance.py).
"""  # noqa: E501

from vfl.run.budget.labels import SKETCH, overlap
from vfl.run.budget.runs import Budget, Opened
from vfl.run.budget.spread import Spread, spread_of

__all__ = ["SKETCH", "Budget", "Opened", "Spread", "overlap", "spread_of"]
