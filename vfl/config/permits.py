"""Every permission that a REVEALED message can need, and what it discloses to whom.

`docs/leakage.md` is generated from the messages themselves; a test proves that this table and the messages'
declarations name the same permissions.
"""

from __future__ import annotations

PERMITS: dict[str, str] = {
    "intersection-to-parties": ("each data party learns which of its own rows every data party holds, and how many ids the others have"),
    "intersection-sizes-to-arbiter": (
        "the arbiter learns how many ids each data party has and the sizes of all intersections between them, but no id"
    ),
    "final-weights-to-owner": "each data party learns the final, rounded weights of its own columns, and of no other",
    "scores-to-guest": (
        "the guest learns the rounded joint score of every row scored; "
        "with a single host, the score minus the guest's own part is that host's rounded part"
    ),
}

LATER: dict[str, str] = {
    "edge-count-to-arbiter": "the sealed exact link",
    "bin-sums-to-guest": "boosted trees",
    "directions-to-guest": "boosted trees",
    "own-wins-to-host": "boosted trees",
}
