//! ristretto255 on eight lanes: the formulas of RFC 9496, section 4, and a window method on twisted Edwards coordinates.

use super::lanes::{Encodings, Fe, Mask, read, write};
use super::scalar::{Digits, mask_if_equal};

const D: [u64; 5] = [0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff];
const D2: [u64; 5] = [0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff];
const SQRT_M1: [u64; 5] = [0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d];
const ONE_MINUS_D_SQ: [u64; 5] = [0x409c1945fc176, 0x719abc6a1fc4f, 0x1c37f90b20684, 0x6bccca55eedf, 0x29072a8b2b3e];
const D_MINUS_ONE_SQ: [u64; 5] = [0x55aaa44ed4d20, 0x59603c3332635, 0x26d3baf4a7928, 0x120a66e6997a9, 0x5968b37af66c2];
const SQRT_AD_MINUS_ONE: [u64; 5] =
    [0x7f6a0497b2e1b, 0x1836f0a97afd2, 0x7d747f6be7638, 0x456079e7e6498, 0x376931bf2b834];
const INVSQRT_A_MINUS_D: [u64; 5] = [0xfdaa805d40ea, 0x2eb482e57d339, 0x7610274bc58, 0x6510b613dc8ff, 0x786c8905cfaff];

/// Largest magnitude of a scalar's digit.
const WINDOW: usize = 8;

/// Extended coordinates: x = X/Z, y = Y/Z, x y = T/Z.
#[derive(Clone, Copy)]
pub struct Point {
    pub x: Fe,
    pub y: Fe,
    pub z: Fe,
    pub t: Fe,
}

/// What an addition wants of its second operand.
#[derive(Clone, Copy)]
struct Addend {
    plus: Fe,
    minus: Fe,
    z2: Fe,
    t2d: Fe,
}

impl Point {
    pub fn set_lane(&mut self, lane: usize, from: &Self, from_lane: usize) {
        let Self { x, y, z, t } = self;
        for (to, from) in [(x, &from.x), (y, &from.y), (z, &from.z), (t, &from.t)] {
            for (to, from) in to.limbs_mut().iter_mut().zip(from.limbs()) {
                to[lane] = from[from_lane];
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn identity() -> Self {
        let (zero, one) = (Fe::small(0), Fe::small(1));
        Self { x: zero, y: one, z: one, t: zero }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn addend(&self) -> Addend {
        Addend {
            plus: self.y.add(&self.x),
            minus: self.y.sub(&self.x),
            z2: self.z.add(&self.z),
            t2d: self.t.mul(&Fe::constant(&D2)),
        }
    }

    /// Hisil, Wong, Carter, Dawson, 2008/522, section 3.1 (a = -1), complete because d is no square.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn add<const WITH_T: bool>(&self, other: &Addend) -> Self {
        let a = self.y.sub(&self.x).mul(&other.minus);
        let b = self.y.add(&self.x).mul(&other.plus);
        let c = self.t.mul(&other.t2d);
        let d = self.z.mul(&other.z2);
        let (e, f, g, h) = (b.sub(&a), d.sub(&c), d.add(&c), b.add(&a));
        Self::from_quarters::<WITH_T>(&e, &f, &g, &h)
    }

    /// Section 3.3 of the same.  T of the argument is not used; T of the result is wrong unless `WITH_T`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn double<const WITH_T: bool>(&self) -> Self {
        let (a, b, c) = (self.x.square(), self.y.square(), self.z.square());
        let e = self.x.mul_twice(&self.y);
        let g = b.sub(&a);
        // F and H with the other sign than in the paper, hence all four coordinates.
        let f = c.add(&c).sub(&g);
        let h = a.add(&b);
        Self::from_quarters::<WITH_T>(&e, &f, &g, &h)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn times_16(&self) -> Self {
        self.double::<false>().double::<false>().double::<false>().double::<true>()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn from_quarters<const WITH_T: bool>(e: &Fe, f: &Fe, g: &Fe, h: &Fe) -> Self {
        let t = if WITH_T { e.mul(h) } else { *e };
        Self { x: e.mul(f), y: g.mul(h), z: f.mul(g), t }
    }
}

/// `table[magnitude - 1]` or the identity, negated if asked: every entry is read, whatever the digit.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn lookup(table: &[Addend; WINDOW], magnitude: u64, negative: u64) -> Addend {
    let none = mask_if_equal(magnitude, 0);
    let (zero, one) = (Fe::small(0), Fe::small(none & 1));
    let mut found = Addend { plus: one, minus: one, z2: Fe::small(none & 2), t2d: zero };
    for (i, entry) in table.iter().enumerate() {
        let mask = mask_if_equal(magnitude, i as u64 + 1);
        found.plus = found.plus.or_masked(mask, &entry.plus);
        found.minus = found.minus.or_masked(mask, &entry.minus);
        found.z2 = found.z2.or_masked(mask, &entry.z2);
        found.t2d = found.t2d.or_masked(mask, &entry.t2d);
    }
    let negative = std::hint::black_box(negative);
    Addend {
        plus: Fe::select_all(negative, &found.minus, &found.plus),
        minus: Fe::select_all(negative, &found.plus, &found.minus),
        z2: found.z2,
        t2d: Fe::select_all(negative, &found.t2d.neg_loose(), &found.t2d),
    }
}

/// The eight points times one scalar: signed windows of four bits, a table of [1..8]P a lane.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn mul(point: &Point, scalar: &Digits) -> Point {
    let mut table = [point.addend(); WINDOW];
    let mut multiple = *point;
    for i in 1..WINDOW {
        multiple = multiple.add::<true>(&table[0]);
        table[i] = multiple.addend();
    }
    let mut total = Point::identity();
    for (place, (magnitude, negative)) in scalar.walk() {
        let addend = lookup(&table, magnitude, negative);
        // Doubling needs no T, so that only what is added to, or kept, has one.
        total = if place > 0 { total.add::<false>(&addend).times_16() } else { total.add::<true>(&addend) };
    }
    total
}

/// x^((p - 5) / 8) = x^(2^252 - 3).
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn pow_p58(x: &Fe) -> Fe {
    // The names give the exponent: a run of so many ones, in binary.
    let ones2 = x.square().mul(x);
    let ones4 = ones2.square_times(2).mul(&ones2);
    let ones5 = ones4.square().mul(x);
    let ones10 = ones5.square_times(5).mul(&ones5);
    let ones20 = ones10.square_times(10).mul(&ones10);
    let ones40 = ones20.square_times(20).mul(&ones20);
    let ones50 = ones40.square_times(10).mul(&ones10);
    let ones100 = ones50.square_times(50).mul(&ones50);
    let ones200 = ones100.square_times(100).mul(&ones100);
    let ones250 = ones200.square_times(50).mul(&ones50);
    ones250.square_times(2).mul(x)
}

/// SQRT_RATIO_M1 of section 4.2: where u/v is a square, and the non-negative root of u/v, or else of sqrt(-1) u/v.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn sqrt_ratio(u: &Fe, v: &Fe) -> (Mask, Fe) {
    let v3 = v.square().mul(v);
    let v7 = v3.square().mul(v);
    let r = u.mul(&v3).mul(&pow_p58(&u.mul(&v7)));
    let check = v.mul(&r.square());
    let root = Fe::constant(&SQRT_M1);
    let minus_u = u.neg();
    let correct = check.equals(u);
    let flipped = check.equals(&minus_u);
    let flipped_i = check.equals(&minus_u.mul(&root));
    let r = Fe::select(flipped | flipped_i, &r.mul(&root), &r);
    (correct | flipped, r.abs())
}

/// Section 4.3.1.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn decode(encodings: &Encodings) -> (Point, Mask) {
    let s = read(encodings);
    let canonical = s.canonical();
    let proper = canonical.same_limbs(&s) & !s.is_negative();
    let s = canonical;
    let one = Fe::small(1);
    let ss = s.square();
    let (u1, u2) = (one.sub(&ss), one.add(&ss));
    let u2_sq = u2.square();
    let v = Fe::small(0).sub_both(&u1.square().mul(&Fe::constant(&D)), &u2_sq);
    let (square, root) = sqrt_ratio(&one, &v.mul(&u2_sq));
    let den_x = root.mul(&u2);
    let den_y = root.mul(&den_x).mul(&v);
    let x = s.add(&s).mul(&den_x).abs();
    let y = u1.mul(&den_y);
    let t = x.mul(&y);
    let valid = proper & square & !t.is_negative() & !y.is_zero();
    (Point { x, y, z: one, t }, valid)
}

/// Section 4.3.2.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn encode(point: &Point) -> Encodings {
    let Point { x, y, z, t } = point;
    let u1 = z.add(y).mul(&z.sub(y));
    let u2 = x.mul(y);
    let (_, root) = sqrt_ratio(&Fe::small(1), &u1.mul(&u2.square()));
    let (den1, den2) = (root.mul(&u1), root.mul(&u2));
    let z_inv = den1.mul(&den2).mul(t);
    let sqrt_m1 = Fe::constant(&SQRT_M1);
    let rotate = t.mul(&z_inv).is_negative();
    let rotated_x = Fe::select(rotate, &y.mul(&sqrt_m1), x);
    let rotated_y = Fe::select(rotate, &x.mul(&sqrt_m1), y);
    let den_inv = Fe::select(rotate, &den1.mul(&Fe::constant(&INVSQRT_A_MINUS_D)), &den2);
    let y = rotated_y.neg_where(rotated_x.mul(&z_inv).is_negative());
    write(&den_inv.mul(&z.sub(&y)).abs().canonical())
}

/// MAP of section 4.3.4, of the low 255 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn elligator(bytes: &Encodings) -> Point {
    let (one, d) = (Fe::small(1), Fe::constant(&D));
    let t = read(bytes).low_255();
    let r = Fe::constant(&SQRT_M1).mul(&t.square());
    let u = r.add(&one).mul(&Fe::constant(&ONE_MINUS_D_SQ));
    let v = one.neg().sub(&r.mul(&d)).mul(&r.add(&d));
    let (square, root) = sqrt_ratio(&u, &v);
    let s = Fe::select(square, &root, &root.mul(&t).abs().neg());
    let c = Fe::select(square, &one.neg(), &r);
    let n = c.mul(&r.sub(&one)).mul(&Fe::constant(&D_MINUS_ONE_SQ)).sub(&v);
    let w0 = s.add(&s).mul(&v);
    let w1 = n.mul(&Fe::constant(&SQRT_AD_MINUS_ONE));
    let ss = s.square();
    let (w2, w3) = (one.sub(&ss), one.add(&ss));
    Point { x: w0.mul(&w3), y: w2.mul(&w1), z: w1.mul(&w3), t: w0.mul(&w2) }
}

/// Section 4.3.4: the sum of two images.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn map(low: &Encodings, high: &Encodings) -> Point {
    elligator(low).add::<true>(&elligator(high).addend())
}

/// The sums of the points with the elements of the four-torsion but the neutral one.
#[cfg(test)]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn cosets(point: &Point) -> [Point; 3] {
    let Point { x, y, z, t } = *point;
    let root = Fe::constant(&SQRT_M1);
    // Adding (0, -1) negates x and y; adding (sqrt(-1), 0) turns (x, y) into (sqrt(-1) y, sqrt(-1) x).
    let turned = Point { x: y.mul(&root), y: x.mul(&root), z, t: t.neg() };
    let opposite = |p: &Point| Point { x: p.x.neg(), y: p.y.neg(), z: p.z, t: p.t };
    [opposite(point), turned, opposite(&turned)]
}

/// Every operation of the field, for the tests of its bounds.
#[cfg(test)]
pub struct Arithmetic {
    pub products: [Fe; 2],
    pub sums: [Fe; 5],
    pub canonical: Fe,
}

#[cfg(test)]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn arithmetic(a: &Fe, b: &Fe) -> Arithmetic {
    Arithmetic {
        products: [a.mul(b), a.square()],
        sums: [a.mul_twice(b), a.add(b), a.sub(b), a.sub_both(b, b), a.neg()],
        canonical: a.canonical(),
    }
}
