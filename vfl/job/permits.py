"""Every permission that a REVEALED message can need, and what it discloses to whom.

`docs/leakage.md` is generated from the messages themselves; a test proves that this table and the messages'
declarations name the same permissions.
"""

from __future__ import annotations

PERMITS: dict[str, str] = {
    "intersection-to-parties": (
        "each data party learns which of its own rows all other data parties hold too, and how many ids each of them "
        "has"
    ),
    "intersection-size-to-parties": (
        "each data party learns how many rows all data parties have in common, and how many ids each of the others "
        "has, but no row"
    ),
    "matched-keys-to-parties": (
        "with several keys, each data party learns how many rows each key matches, and by which key each of "
        "its common rows was matched"
    ),
    "intersection-sizes-to-arbiter": (
        "the arbiter learns how many ids each data party has, and how many any set of them has in common, but no id"
    ),
    "out-of-time-rows-to-hosts": (
        "hosts learn which of the common rows are out of time (on or after the job's cut-off date by the "
        "guest's dates), but no date"
    ),
    "guest-weights-to-guest": (
        "the guest learns the final weights of its own columns, and so the hosts' part of every score that "
        "it receives; without "
        "this permission the weights stay shared between the guest and the arbiter"
    ),
    "host-weights-to-host": (
        "each host learns the final weights of its own columns, which are computed from the labels: with few rows "
        "per weight they reveal labels; a host that deviates from the protocol can read up to 19 labels of its "
        "choice per weight (at weight_bits = 10); without this permission the weights stay shared between the host "
        "and the arbiter"
    ),
    "edge-count-to-arbiter": (
        "link exact, counts, sealed trees and networks: the arbiter learns how many rows have a score (of a network: "
        "a sum of any layer) near the edge of the link's table (the run stops unless there is none), and for counts "
        "how many rows have a mean far above the labels' mean (the run stops unless there is none at the end)"
    ),
    "label-scale-to-parties": (
        "counts, numeric labels of boosted trees, weighted rows, planned iterations: hosts and arbiter learn orders "
        "of magnitude, as powers of two: of the labels' mean (counts), of the largest weight of a row (with balanced "
        "classes, the weight of the rarest class), and of p (1 - p) for the rarest class (planned iterations)"
    ),
    "convergence-to-parties": (
        "regressions and scorecards: every ten iterations all parties learn whether the weights have settled; if "
        "they have, training ends; a party that deviates from the protocol can each time ask one question that "
        "has three possible answers (a host about labels, the arbiter about weights), and up to three more where it "
        "breaks off; without this permission all iterations of max_iter are made, and nobody learns whether they "
        "were enough"
    ),
    "loss-verdict-to-parties": (
        "tol or early_stopping: every n_iter_no_change iterations all parties learn whether the loss of the training "
        "rows (with the penalty), or of the rows held out for early stopping, is lower than the lowest so far: by tol, "
        "by less, or not; sealed trees with early_stopping_rounds: after each round guest and arbiter learn whether "
        "the loss of the validation rows is lower than the lowest so far, hosts whether training continues, and at the "
        "end all after which round it was lowest; networks with early_stopping: after each epoch guest and arbiter "
        "learn whether the loss of the rows held out is lower than after the best epoch so far by tol, hosts when "
        "training ends, and all which epoch was best; nobody learns the loss; a party that deviates from the protocol "
        "can each time ask one question that has three possible answers (a host about labels, the arbiter about "
        "columns and labels), at most 100 times in a training (trees: once a round, networks: once an epoch, both with "
        "two answers), and up to three more each time where it breaks off"
    ),
    "scores-to-guest": (
        "the guest learns, for every row scored, the joint score with a small error that is always the same "
        "for that row; if it "
        "knows its own weights, it also learns the hosts' part of the score; in a search, it learns the "
        "joint score of every "
        "training row for each candidate; with a network the guest learns for which customers a host's values "
        "changed, and the arbiter which rows were scored before with the same values"
    ),
    "best-candidate-to-parties": (
        "search: all parties that train learn which of the job's candidates was best on the folds, but no score"
    ),
    "bin-sums-to-arbiter": (
        "sealed trees: the arbiter learns, for each node, the sums of gradients left of every candidate split, "
        "without the split's column: the base rate, rows and events of unnamed bins, the shape of the trees and "
        "their leaf values; where few rows are summed, these are whole records, but never whose they are, nor of "
        "which columns"
    ),
    "constraint-signs-to-arbiter": (
        "sealed trees with monotone constraints: the arbiter learns for every candidate split, without its column, "
        "whether the column is constrained, and in which direction"
    ),
    "wins-to-owners": (
        "sealed trees: the guest learns which party owns each split; each party learns which of its own splits won "
        "(a host does not learn at which node), and many wins together tell a host about labels; a host that deviates "
        "from the protocol reads labels of its choice, of several rows with each win; the first host learns how many "
        "splits of a level are the guest's"
    ),
    "bin-sums-to-guest": (
        "open trees: for each node, the guest learns the sums of gradients left of each of a host's candidate "
        "splits; assume that it learns, without the column's name, the bin of every row in every column that wins"
    ),
    "constraint-signs-to-guest": (
        "open trees with monotone constraints: the guest learns for every candidate split of a host, without its "
        "column, whether the column is constrained, and in which direction"
    ),
    "directions-to-guest": (
        "open trees: the guest learns which rows go left at every split of a host, in training and for every "
        "row that is scored; "
        "assume that it learns, without the column's name, the bin of every row in every column that wins"
    ),
    "partition-to-hosts": (
        "open trees: a host learns which rows each node holds, and which of its own splits won; assume that "
        "it learns the labels"
    ),
    "sampled-rows-to-hosts": (
        "boosted trees with top_rate only: hosts learn which rows each round is trained on, and so which rows have "
        "large gradients; this nearly tells the labels"
    ),
    "bin-events-to-guest": (
        "the guest learns how many rows and how many events each fine bin of a host's columns holds; no bin has "
        "fewer than min_bin_rows rows; columns have numbers in place of names, and the bounds of bins are not "
        "disclosed"
    ),
    "column-names-to-guest": "the guest learns the names of the hosts' columns",
    "woe-to-host": (
        "a host learns how many events each final bin of its own columns holds, and so the bin's weight of evidence, "
        "the meaning of its points, and the base rate"
    ),
    "few-columns": (
        "a host takes part that has one or two columns, or few combinations of values: the rounded scores that the "
        "guest receives reveal the values of these columns, up to a scale and a shift"
    ),
    "dealer-collusion": (
        "networks with several hosts: the first host hands out the random numbers for activations and products; if it "
        "and the guest put together what they have, they learn every sum of every row, and from one step the other "
        "hosts' columns, perhaps mixed; with one host the two learn nothing that they do not hold"
    ),
    "averages-to-parties": (
        "averaging: before the first round the aggregator and all members learn means and standard deviations of the "
        "columns over the rows of all members; after each round the sum of the updates of the members that took part "
        "to the end, how many rows these have in all, and who they are; where rows are held out, at the end how many "
        "members have each of two measures, and where enough have it the means over members, of the averaged model and "
        "of the members' own ones, and for how many members the averaged one is better"
    ),
    "updates-to-other-member": (
        "averaging of two members: each computes the other's part from every sum, and so learns its sums of columns, "
        "its number of rows, its measures and each of its updates; the aggregator learns the sums alone"
    ),
}

REMOVED: dict[str, str] = {
    "own-wins-to-host": 'it was removed: sealed trees need "wins-to-owners" in its place, open trees "partition-to-hosts"',  # noqa: E501
    "node-rows-to-hosts": 'it is called "partition-to-hosts" now, which says what it gives away',
}

FORMER: dict[str, tuple[str, ...]] = {
    "final-weights-to-owner": ("guest-weights-to-guest", "host-weights-to-host"),
    "loss-to-arbiter": (),
}  # still read, and means what stands here

AVERAGES, OF_TWO = "averages-to-parties", "updates-to-other-member"  # of jobs with members
DEALER = "dealer-collusion"  # asked before any message, of networks with several hosts
CONVERGENCE = "convergence-to-parties"  # no job needs it either: without it all iterations are made
SCORING = frozenset({
    "intersection-to-parties", "matched-keys-to-parties", "intersection-sizes-to-arbiter", "scores-to-guest",
    "directions-to-guest", "wins-to-owners", "few-columns",
})  # fmt: skip
# what a prediction can need; the others are for training
WEIGHTS = FORMER["final-weights-to-owner"]  # no job needs them: without them the weights stay shared with the arbiter
