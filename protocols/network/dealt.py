"""Products of matrices that two parties share, by dealt ones: all of a step under one set of pads.

Source: products of shares by dealt numbers, Beaver (CRYPTO 1991); with a pad for each factor instead of each product, as
in SecureML (Mohassel, Zhang, IEEE S&P 2017).
Adversary: honest but curious; the dealer colludes with neither of the two.

     dealer: the job's first host              guest                                arbiter
 1   for each factor F of the step a pad M, for each product F G the product of their pads
     LayerSeed ------------------------------> shares of M
     LayerProducts --------------------------> shares of the products
     LayerSeed -------------------------------------------------------------------> shares of M and of the products
 2   for each factor, once                     PaddedFactor F - M  -------------->
                                                                   <-------------   PaddedFactor F - M
                                               E = F - M: uniform                     E
 3   shares of F G = E_F (E_G + M_G) + M_F E_G + M_F M_G, where guest alone takes E_F E_G

All modulo 2^128.  A factor that meets two others is opened once, under its one pad; a pad is never used for two values.
Who learns what: nobody anything.
Cost: dealt 16 bytes for each number of a product, to the guest; exchanged 16 each way for each number of a factor.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.errors import LocalProtocolError
from protocols.glm.dealt_products import accept, exchanged
from protocols.message import BLINDED, Message
from protocols.network.ring import BITS, Shape
from protocols.randomness import Seed
from protocols.session import Session


class LayerSeed(Message, disclosure=BLINDED, learns="nothing: the seed of shares of random matrices", most_bytes=64):
    seed: bytes  # (32,)


class LayerProducts(
    Message,
    disclosure=BLINDED,
    learns="nothing: one of two shares of the products of random matrices",
    in_blocks=True,
):
    values: PlainVec


class PaddedFactor(
    Message,
    disclosure=BLINDED,
    learns="for each number of a factor one that is uniform modulo 2^128",
    in_blocks=True,
):
    values: PlainVec


@dataclass(frozen=True)
class Product:
    """What is multiplied: two factors by name, as matrices, the one or other transposed, or number by number."""

    first: str
    second: str
    turn_first: bool = False
    turn_second: bool = False
    elementwise: bool = False

    def of(self, first: PlainVec, second: PlainVec, shapes: dict[str, Shape]) -> PlainVec:
        if self.elementwise:
            return first.mul_mod_2_128(second)
        return first.matmul_mod_2_128(second, self.shape(shapes), (self.turn_first, self.turn_second))

    def shape(self, shapes: dict[str, Shape]) -> tuple[int, int, int]:
        """Rows, inner terms and columns."""
        (rows, inner), other = shapes[self.first], shapes[self.second]
        rows, inner = (inner, rows) if self.turn_first else (rows, inner)
        return rows, inner, other[0 if self.turn_second else 1]

    def size(self, shapes: dict[str, Shape]) -> int:
        rows, inner, columns = self.shape(shapes)
        return rows * inner if self.elementwise else rows * columns


@dataclass(frozen=True)
class Scheme:
    """The factors of a step by name, with their shapes, and its products."""

    shapes: dict[str, Shape]
    products: tuple[Product, ...]

    def pads(self, seed: Seed) -> dict[str, PlainVec]:
        """One party's shares of all pads."""
        return {name: seed.child(f"pad {name}").ring(rows * width) for name, (rows, width) in self.shapes.items()}

    def of_second(self, seed: Seed) -> list[PlainVec]:
        """The arbiter's shares of the products of pads."""
        return [seed.child(f"product {k}").ring(one.size(self.shapes)) for k, one in enumerate(self.products)]


@dataclass(eq=False)
class Dealt:
    """A party's shares for one step.  opened: E of the factors that were opened."""

    scheme: Scheme
    first: bool  # the guest's
    pads: dict[str, PlainVec] = field(repr=False)
    products: list[PlainVec] = field(repr=False)
    opened: dict[str, PlainVec] = field(repr=False, default_factory=dict)

    def open(self, channel: Channel, **factors: PlainVec) -> None:
        """Step 2, from this party's shares of factors.  Raises LocalProtocolError where a pad would be used twice."""
        if not factors.keys().isdisjoint(self.opened):
            raise LocalProtocolError(
                "a dealt pad would be used for two values; nothing was sent",
                remedy="This is a fault of the program: report it",
            )
        own = PlainVec.join([share.sub_mod_2_128(self.pads[name]) for name, share in factors.items()])
        whole, first = own.add_mod_2_128(exchanged(channel, own, PaddedFactor, BITS)), 0
        for name in factors:
            rows, width = self.scheme.shapes[name]
            self.opened[name] = whole.slice(first, first + rows * width)
            first += rows * width

    def multiply(self, one: Product) -> PlainVec:
        """Step 3: this party's share of a product of two factors that were opened, modulo 2^128."""
        dealt, shapes = self.products[self.scheme.products.index(one)], self.scheme.shapes
        e, f = self.opened[one.first], self.opened[one.second]
        m, n = self.pads[one.first], self.pads[one.second]
        right = f.add_mod_2_128(n) if self.first else n
        return one.of(e, right, shapes).add_mod_2_128(one.of(m, f, shapes)).add_mod_2_128(dealt)


def deal(session: Session, scheme: Scheme) -> None:
    """Step 1, at every host: the first one deals, the others do nothing."""
    if session.me != session.roles.hosts[0]:
        return
    seed = session.seed("layer deal")
    first, second = seed.child("first"), seed.child("second")
    pads = [scheme.pads(first), scheme.pads(second)]
    whole = {name: pads[0][name].add_mod_2_128(pads[1][name]) for name in scheme.shapes}
    products = [one.of(whole[one.first], whole[one.second], scheme.shapes) for one in scheme.products]
    left = [of_both.sub_mod_2_128(theirs) for of_both, theirs in zip(products, scheme.of_second(second), strict=True)]
    session.guest.send(LayerSeed(first.secret))
    session.arbiter.send(LayerSeed(second.secret))
    row_blocks.send_vector([session.guest], LayerProducts, PlainVec.join(left))


def guest(session: Session, scheme: Scheme) -> Dealt:
    """The guest's shares."""
    dealer = session.channels[session.roles.hosts[0]]
    seed = accept(dealer, LayerSeed)
    sizes = [one.size(scheme.shapes) for one in scheme.products]
    values, first, found = row_blocks.receive_vector(dealer, LayerProducts, sum(sizes)), 0, list[PlainVec]()
    for size in sizes:
        found.append(values.slice(first, first + size))
        first += size
    return Dealt(scheme, True, scheme.pads(seed), found)


def arbiter(session: Session, scheme: Scheme) -> Dealt:
    """The arbiter's."""
    seed = accept(session.channels[session.roles.hosts[0]], LayerSeed)
    return Dealt(scheme, False, scheme.pads(seed), scheme.of_second(seed))
