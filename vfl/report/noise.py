"""What noise promises, and which messages of a run carry it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfl.report.words import number

Result = Mapping[str, Any]
OF_LABELS, SIZES = "labels that are trained on", "sizes"
NOISY = {
    SIZES: ("SizeOnly",),
    "sums": ("OpenedSum", "UnmaskingShares"),
    "events of bins": ("MergedCounts",),
    OF_LABELS: ("HostWeights", "SettlingSign", "Settled", "EdgeShare"),
}  # by what the noise is on, the REVEALED messages that are computed from it


def noise_on(told: Mapping[str, Any]) -> str:
    """What carries the noise; a report of an earlier release does not say it."""
    return str(told.get("on") or ("events of bins" if told["unit"] == "label" else "sums"))


def promised(result: Result) -> str:
    """What noise promises, in a sentence; nothing without noise."""
    told = result.get("privacy")
    if not told:
        return ""
    on = noise_on(told)
    what = {
        "sums": "All sums carry noise",
        SIZES: "The size carries noise of each party",
        "events of bins": "Events of bins carry noise",
    }.get(on, "The model is trained on labels with noise")
    whose = {
        "sums": "anybody learns of this run",
        SIZES: "a party learns of the other's ids",
        "events of bins": "hosts learn of them",
    }.get(on, "hosts and the arbiter learn of the training")
    other = {
        "row": "without any one row",
        "member": "if any one member had sent noise alone",
        "label": "with another label of any one training row",
        "id": "with another id in place of any one of them",
    }[str(told["unit"])]
    times, epsilon, count = number(told["multiplier"]), number(told["epsilon"]), told["sums"]
    return (
        f"{what}. Whatever {whose} is at most exp({epsilon}) times as likely, plus {told['delta']:g}, as {other}. "
        f"Noise of {times} times what one {told['unit']} can change, on "
        f"{'one release' if count == 1 else f'each of {number(count)} releases'}."
    )


def marked(result: Result) -> dict[str, Any]:
    """The same content, whose messages say that they carry noise, and how much."""
    told, entries = result.get("privacy"), result.get("disclosure") or []
    if not told or not entries:
        return dict(result)
    on, text = noise_on(told), f"sigma = {number(told['multiplier'])} times what one {told['unit']} can change"
    said = {"noise": f"computed from {on} with noise, {text}" if on == OF_LABELS else f"with noise, {text}"}
    return {
        **result,
        "disclosure": [{**e, **said} if e.get("message") in NOISY[on] else e for e in entries],
    }
