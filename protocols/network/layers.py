"""Activations, further layers and back-propagation of a network, on shares of the guest and the arbiter.

     host (deals)                   guest: share of z_1, y                        arbiter: share of z_1
 1   what a step needs dealt ---->                                      <-------
 2   of each hidden layer l:        A_l  <------------- look-up of the activation at z_l --------->  A_l
                                    PaddedFactor A_l, W_l, each less its pad  <----------------->   (dealt.py)
                                    S_l, the slopes: from the look-up too, or from A_l^2             S_l
                                    z_(l+1) = W_l A_l + c_l                                         its share of it
 3                                  D = mean - y    <------ look-up of the mean at the last z ---->  D
                                    with weights of rows: w D, w over its mean in the batch, a dealt product (dealt_products.py)
 4   from the last layer back:      PaddedFactor D_l, S_l, each less its pad  <----------------->
                                    its shares of D_l A_l^T and of the sum of D_l's columns         the same: gradients of W_l and c_l
                                    G_l = W_l^T D_l, cut                                            G_l
                                    PaddedFactor G_l less its pad  <----------------------------->
                                    D_(l-1) = G_l S_l, number by number, cut                        D_(l-1)

Who learns what: the arbiter, after each look-up, how many rows of all units are near the edge of its table, and it stops
the training where any is; nobody anything else.
Error: of look-ups (look_up.py); of a cut at most one unit of 2^-FRACTION.  A cut fails with probability |v| / 2^127.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.curves import Curve
from protocols.errors import DataError
from protocols.glm import dealt_products
from protocols.glm.links import ROW_WEIGHT
from protocols.glm.links_on_shares import deal_curves, looked_up, serve_look_up
from protocols.glm.plan import WEIGHT
from protocols.glm.sealed_link import Edge
from protocols.network import dealt
from protocols.network.activations import FRACTION, output, slope_of
from protocols.network.dealt import Dealt
from protocols.network.descent import Share
from protocols.network.plan import PRODUCT, Plan, Terms, back, forward, gradient, sloped, square
from protocols.network.ring import BITS, row_sums, spread
from protocols.session import Session


@dataclass(frozen=True, eq=False)
class Propagated:
    """One holder's shares: of D_0 (units n,), in units of 2^-FRACTION, and of gradients by what they are of, each with
    the fractional bits of its unit."""

    to_first: PlainVec = field(repr=False)
    gradients: dict[str, tuple[PlainVec, int]] = field(repr=False)


def deal(session: Session, plan: Plan, rows: int) -> None:
    """Step 1 at every host, of which the first deals."""
    dealt.deal(session, plan.scheme(rows))
    for units, curves in zip(plan.terms.hidden, plan.terms.curves, strict=True):
        deal_curves(session, units * rows, len(curves.tables))
    deal_curves(session, rows, 1)
    if plan.terms.weighted:
        dealt_products.deal(session, rows)


def look_up(session: Session, z: PlainVec, curves: Sequence[Curve], *, whole: bool = False) -> list[PlainVec]:
    """This holder's shares of the curves' values; whole: as of `protocols.look_up.evaluate`.

    Raises DataError, at the arbiter, where a sum is near the edge."""
    if session.me == session.roles.guest:
        return looked_up(session, z, curves, whole=whole)
    values, edge = serve_look_up(session, z, curves, whole=whole)
    refuse_near(session, edge)
    return values


def refuse_near(session: Session, edge: Edge) -> None:
    """At the arbiter: raises DataError if a sum is near the edge of the table."""
    if edge.near:
        raise left_the_range(session)


def left_the_range(session: Session) -> DataError:
    """The verdict on a training that diverges, and on rows that are too extreme for the network."""
    return DataError(
        "sums of a layer left the range in which the activation's table is exact: the training diverges, or a row is "
        "too extreme; there is no model",
        remedy="Lower learning_rate_init or momentum, raise alpha, or limit the columns more (clip)",
        party=session.roles.guest,
    )


def propagate(
    session: Session,
    plan: Plan,
    z: PlainVec,
    further: Mapping[str, Share],
    y: NDArray[np.float64] | None,
    weights: NDArray[np.float64] | None = None,
) -> Propagated:
    """Steps 2 to 4 at the guest, which has labels y (n,) and where rows have any weights (n,), or the arbiter; z: its
    share of the first layer's sums."""
    terms, other = plan.terms, opposite(session)
    rows = len(z) // terms.units
    scheme = plan.scheme(rows)
    own = dealt.guest(session, scheme) if session.me == session.roles.guest else dealt.arbiter(session, scheme)  # 1
    slopes = list[PlainVec]()
    for layer, curves in enumerate(terms.curves, 1):
        values, *more = look_up(session, z, curves.tables)  # 2
        own.open(other, **{f"A{layer}": values, f"W{layer}": further[f"W{layer}"].used})
        if curves.slope is None:
            more = [slope_of(terms.activation, values, own.multiply(square(layer)), first=own.first)]
        slopes += more
        z = summed(own, further, layer, rows)
    (d,) = look_up(session, z, [output(terms.family, PRODUCT)])  # 3
    if y is not None:
        d = d - PlainVec.from_i64(np.rint(y * 2.0**FRACTION).astype(np.int64))
    if terms.weighted:
        d = weighed(session, d, weights)
    return propagated_back(own, other, terms, slopes, d, rows)


def weighed(session: Session, d: PlainVec, weights: NDArray[np.float64] | None) -> PlainVec:
    """This holder's share of w D (n,), with w over the batch's mean of it, so that gradients are divided by the sum of
    weights; weights: at the guest."""
    if weights is None:
        product = dealt_products.arbiter(session, d)
    else:
        product = dealt_products.guest(session, PlainVec.from_i64(factors_of(weights)), d)
    return product.shift_right(ROW_WEIGHT).residue(BITS)


def factors_of(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) w over its mean in units of 2^-ROW_WEIGHT: at most n."""
    return np.asarray(np.rint(weights / weights.mean() * 2.0**ROW_WEIGHT), np.int64)


def opposite(session: Session) -> Channel:
    """The other holder."""
    return session.arbiter if session.me == session.roles.guest else session.guest


def summed(own: Dealt, further: Mapping[str, Share], layer: int, rows: int) -> PlainVec:
    """This holder's share of the sums of the layer after the `layer`-th hidden one (units n,)."""
    intercepts = further[f"C{layer}"].used.shift_left(FRACTION)
    return (own.multiply(forward(layer)) + spread(intercepts, rows)).mod_2_128()


def propagated_back(
    own: Dealt, other: Channel, terms: Terms, slopes: list[PlainVec], d: PlainVec, rows: int
) -> Propagated:
    """Step 4, from this holder's share of slopes by layer and of D of the last layer."""
    gradients = dict[str, tuple[PlainVec, int]]()
    for layer in range(terms.last, 0, -1):
        units = terms.further[layer - 1][0]
        own.open(other, **{f"D{layer}": d, f"S{layer}": slopes[layer - 1]})
        gradients[f"W{layer}"] = own.multiply(gradient(layer)), PRODUCT
        gradients[f"C{layer}"] = row_sums(d, (units, rows)), FRACTION
        own.open(other, **{f"G{layer}": own.multiply(back(layer)).shift_right(WEIGHT)})
        d = own.multiply(sloped(layer)).shift_right(FRACTION)
    return Propagated(d, gradients)
