//! The SIMD kernel: eight elements of GF(2^255 - 19) at a time, in AVX-512 IFMA, and the doors through which the rest of
//! the crate enters it.  The only file of this module with `unsafe` in it.
//!
//! An element is five limbs of 51 bits, each of them a vector of eight 64-bit lanes, one a point.  IFMA multiplies the
//! low 52 bits of two lanes and adds the low or the high 52 bits of the product; hence two bounds on limbs:
//!
//! * *tight*, below 2^51 + 2^14: what every function here returns, unless its name says `loose`;
//! * *loose*, below 2^52: what `mul` and `square` take.
//!
//! Nothing branches on, or indexes by, the contents of a lane.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::group::{self, Point};
use super::scalar::Digits;
use crate::curve::ENCODED_BYTES;

pub const LANES: usize = 8;

/// A choice for each lane.
pub type Mask = __mmask8;

pub type Encodings = [[u8; ENCODED_BYTES]; LANES];

/// Proof that this CPU has the instructions: there is no other way to make one.
#[derive(Clone, Copy)]
pub struct Ifma(());

impl Ifma {
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma");
        found.then_some(Self(()))
    }

    /// The points encoded, and in which lanes the encoding is valid (the identity's is).
    pub fn decode(self, encodings: &Encodings) -> (Point, Mask) {
        // SAFETY: `self` exists, so `detect` found the features that the function is compiled with.
        unsafe { group::decode(encodings) }
    }

    pub fn encode(self, point: &Point) -> Encodings {
        // SAFETY: as in `decode`.
        unsafe { group::encode(point) }
    }

    pub fn mul(self, point: &Point, scalar: &Digits) -> Point {
        // SAFETY: as in `decode`.
        unsafe { group::mul(point, scalar) }
    }

    /// The sum of the images of the two halves of 64 uniform bytes a lane.
    pub fn map(self, low: &Encodings, high: &Encodings) -> Point {
        // SAFETY: as in `decode`.
        unsafe { group::map(low, high) }
    }

    #[cfg(test)]
    pub fn arithmetic(self, a: &Fe, b: &Fe) -> group::Arithmetic {
        // SAFETY: as in `decode`.
        unsafe { group::arithmetic(a, b) }
    }

    #[cfg(test)]
    pub fn cosets(self, point: &Point) -> [Point; 3] {
        // SAFETY: as in `decode`.
        unsafe { group::cosets(point) }
    }
}

#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Fe([__m512i; 5]);

type Limbs = [[u64; LANES]; 5];

const LIMB_BITS: u32 = 51;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// The limbs of 2p and of 4p: at least any tight limb, and any sum of two.
const TWO_P: [u64; 5] = [2 * (LIMB_MASK - 18), 2 * LIMB_MASK, 2 * LIMB_MASK, 2 * LIMB_MASK, 2 * LIMB_MASK];
const FOUR_P: [u64; 5] = [4 * (LIMB_MASK - 18), 4 * LIMB_MASK, 4 * LIMB_MASK, 4 * LIMB_MASK, 4 * LIMB_MASK];

/// Shape only: no instruction beyond the baseline, so that vectors can be gathered and filled anywhere.
impl Fe {
    pub fn from_limbs(limbs: &Limbs) -> Self {
        // SAFETY: five vectors of eight u64 each on both sides; every bit pattern is valid for both.
        Self(unsafe { std::mem::transmute::<Limbs, [__m512i; 5]>(*limbs) })
    }

    pub fn limbs(&self) -> &Limbs {
        // SAFETY: same size, a smaller alignment, and every bit pattern is valid.
        unsafe { &*(&raw const self.0).cast() }
    }

    pub fn limbs_mut(&mut self) -> &mut Limbs {
        // SAFETY: as in `limbs`, and the borrow is exclusive.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn splat(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

/// One parallel pass of carries: limbs below 2^60.1 (no product of loose elements has larger ones) become tight.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn carry(limbs: [__m512i; 5]) -> Fe {
    let mask = splat(LIMB_MASK);
    let [l0, l1, l2, l3, l4] = limbs;
    let up = |l| _mm512_srli_epi64::<LIMB_BITS>(l);
    let keep = |l| _mm512_and_si512(l, mask);
    Fe([
        _mm512_madd52lo_epu64(keep(l0), up(l4), splat(19)),
        _mm512_add_epi64(keep(l1), up(l0)),
        _mm512_add_epi64(keep(l2), up(l1)),
        _mm512_add_epi64(keep(l3), up(l2)),
        _mm512_add_epi64(keep(l4), up(l3)),
    ])
}

/// From the columns of a product, weight 2^(51 k), to five limbs: 2^255 = 19.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn fold(c: [__m512i; 10]) -> [__m512i; 5] {
    let nineteen = splat(19);
    let fold = |low, high| _mm512_add_epi64(low, _mm512_mullo_epi64(high, nineteen));
    [fold(c[0], c[5]), fold(c[1], c[6]), fold(c[2], c[7]), fold(c[3], c[8]), fold(c[4], c[9])]
}

impl Fe {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn constant(limbs: &[u64; 5]) -> Self {
        Self([splat(limbs[0]), splat(limbs[1]), splat(limbs[2]), splat(limbs[3]), splat(limbs[4])])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn small(value: u64) -> Self {
        Self::constant(&[value, 0, 0, 0, 0])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn add(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.0);
        let sum = |i: usize| _mm512_add_epi64(a[i], b[i]);
        carry([sum(0), sum(1), sum(2), sum(3), sum(4)])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn sub(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.neg_loose().0);
        let sum = |i: usize| _mm512_add_epi64(a[i], b[i]);
        carry([sum(0), sum(1), sum(2), sum(3), sum(4)])
    }

    /// self - b - c, for one carry.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn sub_both(&self, b: &Self, c: &Self) -> Self {
        let left = |i: usize| _mm512_sub_epi64(splat(FOUR_P[i]), _mm512_add_epi64(b.0[i], c.0[i]));
        let sum = |i: usize| _mm512_add_epi64(self.0[i], left(i));
        carry([sum(0), sum(1), sum(2), sum(3), sum(4)])
    }

    /// -self, with loose limbs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn neg_loose(&self) -> Self {
        let neg = |i: usize| _mm512_sub_epi64(splat(TWO_P[i]), self.0[i]);
        Self([neg(0), neg(1), neg(2), neg(3), neg(4)])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn neg(&self) -> Self {
        carry(self.neg_loose().0)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn mul(&self, other: &Self) -> Self {
        carry(fold(self.columns(other)))
    }

    /// Twice the product, of tight elements.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn mul_twice(&self, other: &Self) -> Self {
        let limbs = fold(self.columns(other));
        let twice = |i: usize| _mm512_add_epi64(limbs[i], limbs[i]);
        carry([twice(0), twice(1), twice(2), twice(3), twice(4)])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn columns(&self, other: &Self) -> [__m512i; 10] {
        let (a, b) = (&self.0, &other.0);
        // The high halves weigh 2^52, twice the next column.
        let mut c = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in 0..5 {
                c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], a[i], b[j]);
            }
        }
        for column in &mut c {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            for j in 0..5 {
                c[i + j] = _mm512_madd52lo_epu64(c[i + j], a[i], b[j]);
            }
        }
        c
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn square(&self) -> Self {
        let a = &self.0;
        // Doubled once for the high halves' weight, once more for the cross products.
        let mut c = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                c[i + j + 1] = _mm512_madd52hi_epu64(c[i + j + 1], a[i], a[j]);
            }
        }
        for column in &mut c {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            c[2 * i + 1] = _mm512_madd52hi_epu64(c[2 * i + 1], a[i], a[i]);
            for j in i + 1..5 {
                c[i + j] = _mm512_madd52lo_epu64(c[i + j], a[i], a[j]);
            }
        }
        for column in &mut c {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            c[2 * i] = _mm512_madd52lo_epu64(c[2 * i], a[i], a[i]);
        }
        carry(fold(c))
    }

    /// self^(2^count).
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn square_times(&self, count: usize) -> Self {
        let mut power = *self;
        for _ in 0..count {
            power = power.square();
        }
        power
    }

    /// `yes` in the lanes of `mask`, `no` in the others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn select(mask: Mask, yes: &Self, no: &Self) -> Self {
        let pick = |i: usize| _mm512_mask_blend_epi64(mask, no.0[i], yes.0[i]);
        Self([pick(0), pick(1), pick(2), pick(3), pick(4)])
    }

    /// self | (mask & other), the mask the same in all lanes: one step of a sum in which at most one term is not zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn or_masked(&self, mask: u64, other: &Self) -> Self {
        // 0xF8 is the truth table of a | (b & c).
        let mask = splat(mask);
        let or = |i: usize| _mm512_ternarylogic_epi64::<0xF8>(self.0[i], mask, other.0[i]);
        Self([or(0), or(1), or(2), or(3), or(4)])
    }

    /// `yes` if `mask`, the same in all lanes, is all ones; `no` if it is zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn select_all(mask: u64, yes: &Self, no: &Self) -> Self {
        // 0xCA is the truth table of a ? b : c.
        let mask = splat(mask);
        let pick = |i: usize| _mm512_ternarylogic_epi64::<0xCA>(mask, yes.0[i], no.0[i]);
        Self([pick(0), pick(1), pick(2), pick(3), pick(4)])
    }

    /// The representative in [0, p), of tight limbs or of 256 bits as they were read.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn canonical(&self) -> Self {
        let mut l = self.0;
        // How often p goes into it: the carry out of adding 19, for less than 2p + 38 is left.
        let mut quotient = splat(19);
        for limb in l {
            quotient = _mm512_srli_epi64::<LIMB_BITS>(_mm512_add_epi64(limb, quotient));
        }
        let mut up = _mm512_mullo_epi64(quotient, splat(19));
        for limb in &mut l {
            let sum = _mm512_add_epi64(*limb, up);
            up = _mm512_srli_epi64::<LIMB_BITS>(sum);
            *limb = _mm512_and_si512(sum, splat(LIMB_MASK));
        }
        Self(l)
    }

    /// What `read` gave, without the 256th bit: tight.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn low_255(&self) -> Self {
        let [l0, l1, l2, l3, l4] = self.0;
        Self([l0, l1, l2, l3, _mm512_and_si512(l4, splat(LIMB_MASK))])
    }

    /// Where the limbs are the same, whatever they represent.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn same_limbs(&self, other: &Self) -> Mask {
        let mut differ = _mm512_setzero_si512();
        for i in 0..5 {
            differ = _mm512_or_si512(differ, _mm512_xor_si512(self.0[i], other.0[i]));
        }
        _mm512_testn_epi64_mask(differ, differ)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn equals(&self, other: &Self) -> Mask {
        self.sub(other).is_zero()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn is_zero(&self) -> Mask {
        self.canonical().same_limbs(&Self::small(0))
    }

    /// "Negative" in the RFC's sense: the canonical representative is odd.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn is_negative(&self) -> Mask {
        _mm512_test_epi64_mask(self.canonical().0[0], splat(1))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn neg_where(&self, mask: Mask) -> Self {
        Self::select(mask, &self.neg(), self)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn abs(&self) -> Self {
        self.neg_where(self.is_negative())
    }
}

/// 256 bits a lane, little-endian; the last limb has the 52nd bit too.
pub fn read(bytes: &Encodings) -> Fe {
    let mut limbs = Limbs::default();
    for (lane, encoding) in bytes.iter().enumerate() {
        let words = encoding.as_chunks::<8>().0;
        let word = |i: usize| u64::from_le_bytes(words[i]);
        let (w0, w1, w2, w3) = (word(0), word(1), word(2), word(3));
        let split = [w0, w0 >> 51 | w1 << 13, w1 >> 38 | w2 << 26, w2 >> 25 | w3 << 39];
        for (limb, value) in limbs.iter_mut().zip(split) {
            limb[lane] = value & LIMB_MASK;
        }
        limbs[4][lane] = w3 >> 12;
    }
    Fe::from_limbs(&limbs)
}

/// The inverse of `read`, for canonical elements.
pub fn write(element: &Fe) -> Encodings {
    let limbs = element.limbs();
    std::array::from_fn(|lane| {
        let [l0, l1, l2, l3, l4] = std::array::from_fn(|i| limbs[i][lane]);
        let words = [l0 | l1 << 51, l1 >> 13 | l2 << 38, l2 >> 26 | l3 << 25, l3 >> 39 | l4 << 12];
        let mut bytes = [0; ENCODED_BYTES];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes
    })
}
