//! Four pairs at a time with AVX2 and FMA, for machines without AVX-512 IFMA: digits are whole numbers in doubles, one vector a digit, one
//! lane an element.
//!
//! The multiplier for doubles is the widest that these machines have, and a fused multiply-add rounds once, so that two of them give both
//! halves of a product of digits exactly (`columns`).  No number is ever rounded otherwise, subnormal or infinite, so time does not depend on
//! values.  Digits have a sign: at most half the radix 2^B, B at most 49.  So have halves, which are lazy: below 2m in magnitude, where
//! R >= 16 m keeps every sum in range (a quotient of signed digits is little more than R / 2):
//!   |u| < 4 m^2 / R + 2 m / 3 < m,    |v| < 8 m^2 / R + 2 m / 3 + 1 < 2 m.
//! Product scanning over blocks of four columns; the quotient digits of the first half are found together with those of the second, one
//! block behind, for each waits long for the one before it.
#![allow(unsafe_code)]

mod columns;
mod inverse;
mod operands;
mod sums;

use core::arch::x86_64::*;

use zeroize::{Zeroize, Zeroizing};

use super::kernel::Kernel;
use super::limbs;
use columns::{V, W};
use operands::{Operands, Product, Square};
use sums::{ROOM, Radix, Sums};

/// Bits in a digit, at most.
const MOST: usize = 49;
/// Digits that are chosen at a time; a row is a multiple of it.
const STRIP: usize = 8;

pub struct Avx2 {
    h: usize,
    m: Vec<V>,
    radix: Radix,
    plain: Vec<u64>,
}

pub struct Block {
    v: Vec<V>, // a, then b
    /// Quotients of both halves, both halves doubled, sums of both.
    work: Vec<V>,
}

fn wipe(v: &mut [V]) {
    for x in v {
        // SAFETY: x is a valid, aligned, exclusive reference; volatile so that the store outlives the optimiser.
        unsafe { core::ptr::write_volatile(x, core::mem::zeroed()) };
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        wipe(&mut self.v);
        wipe(&mut self.work);
    }
}

impl Drop for Avx2 {
    fn drop(&mut self) {
        wipe(&mut self.m);
        self.plain.zeroize();
        self.radix.wipe();
    }
}

/// Does this machine have what this file needs?
pub fn available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

fn lanes(v: &[V]) -> &[u64] {
    // SAFETY: a vector is four words without padding, of larger alignment; the lifetime is that of the slice.
    unsafe { core::slice::from_raw_parts(v.as_ptr().cast(), 4 * v.len()) }
}

fn lanes_mut(v: &mut [V]) -> &mut [u64] {
    // SAFETY: as in `lanes`; the borrow is exclusive.
    unsafe { core::slice::from_raw_parts_mut(v.as_mut_ptr().cast(), 4 * v.len()) }
}

fn zeros(len: usize) -> Vec<V> {
    // SAFETY: all zero bits are a valid vector.
    vec![unsafe { core::mem::zeroed() }; len]
}

/// 64-bit limbs to digits of -2^(bits - 1) .. 2^(bits - 1) - 1, as doubles; what is left over stays in the last one.
fn split(out: &mut [u64], a: &[u64], bits: usize) {
    let (half, last) = (1i64 << (bits - 1), out.len() - 1);
    let mut carry = 0;
    for (i, x) in out.iter_mut().enumerate() {
        let digit = limbs::bits(a, bits * i, bits) as i64 + carry;
        carry = if i == last { 0 } else { (digit + half) >> bits };
        *x = ((digit - (carry << bits)) as f64).to_bits();
    }
}

/// out += the digits whose sign is `sign` (0 or -1), as a magnitude.
fn merge(out: &mut [u64], digits: &[u64], bits: usize, sign: i64) {
    for (i, &x) in digits.iter().enumerate() {
        let x = f64::from_bits(x) as i64;
        let magnitude = ((x ^ sign) - sign) as u64 & !((x >> 63) ^ sign) as u64;
        let (word, shift) = (bits * i / 64, bits * i % 64);
        if word < out.len() {
            out[word] |= magnitude << shift;
        }
        if shift > 0 && word + 1 < out.len() {
            out[word + 1] |= magnitude >> (64 - shift);
        }
    }
}

impl Avx2 {
    /// out = the digits (between -times and times m) modulo m; returns how often m was in them, `times` too much.
    fn lift(&self, out: &mut [u64], digits: &[u64], times: u64) -> u64 {
        let mut minus = Zeroizing::new(vec![0u64; out.len()]);
        merge(&mut minus, digits, self.radix.bits, -1);
        out.fill(0);
        merge(out, digits, self.radix.bits, 0);
        for _ in 0..times {
            limbs::add_assign(out, &self.plain);
        }
        limbs::sub_assign(out, &minus);
        let (low, top) = out.split_at_mut(self.plain.len());
        (0..2 * times).map(|_| limbs::reduce_once(low, &mut top[0], &self.plain)).sum()
    }

    /// out = the operands' product.
    ///
    /// # Safety
    /// v has 2h digits; a high block of the operands reads, of what lies there, digits from k - h + 1 on.  work is that of a block.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pairs<O: Operands>(&self, operands: O, v: *mut V, work: *mut V) {
        let (h, m) = (self.h, self.m.as_ptr());
        // SAFETY: a, b, q1, q2 and m have h digits each, h a multiple of W, and k runs through the multiples of W below 2h.  A high block
        // reads what it may and then writes digits up to k - h + W - 1; both halves may read a, and the second is computed first.
        unsafe {
            let (a, b) = (v, v.add(h));
            let (q1, q2) = (work, work.add(h));
            let mut u = Sums::new(&self.radix, work.add(4 * h));
            let mut v = Sums::new(&self.radix, work.add(4 * h + ROOM));
            for k in (0..h + W).step_by(W) {
                // the first half's block k, the second half's block before
                let mut first = (k < h).then(|| {
                    u.open();
                    operands.first(&mut u, k);
                    u.rectangle(q1, m, k, 0, k);
                    u.finish()
                });
                let mut second = (k > 0).then(|| {
                    let k = k - W;
                    v.open();
                    v.subtract(q1.add(k));
                    operands.second(&mut v, k);
                    v.rectangle(q2, m, k, 0, k);
                    v.finish()
                });
                match (&mut first, &mut second) {
                    (Some(first), Some(second)) => (0..W).for_each(|t| {
                        u.quotient(t, first, m);
                        v.quotient(t, second, m);
                    }),
                    (Some(first), None) => (0..W).for_each(|t| u.quotient(t, first, m)),
                    (None, Some(second)) => (0..W).for_each(|t| v.quotient(t, second, m)),
                    (None, None) => {}
                }
                if let Some(first) = first {
                    u.close(first, q1.add(k));
                }
                if let Some(second) = second {
                    v.close(second, q2.add(k - W));
                }
            }
            for k in (h..2 * h).step_by(W) {
                v.open();
                operands.second(&mut v, k);
                v.product(q2, m, k, h);
                let mut second = v.finish();
                u.open();
                operands.first(&mut u, k);
                u.product(q1, m, k, h);
                let mut first = u.finish();
                for t in 0..W {
                    v.store(t, &mut second);
                    u.store(t, &mut first);
                }
                v.close(second, b.add(k - h));
                u.close(first, a.add(k - h));
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn mul_lanes(&self, acc: &mut Block, b: &Block) {
        let (x, y) = (acc.v.as_mut_ptr(), b.v.as_ptr());
        // SAFETY: both have 2h digits, and they are different blocks.
        unsafe { self.pairs(Product { x, y, h: self.h }, x, acc.work.as_mut_ptr()) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn sqr_lanes(&self, acc: &mut Block) {
        let h = self.h;
        for (twice, x) in acc.work[2 * h..4 * h].iter_mut().zip(&acc.v) {
            *twice = _mm256_add_pd(*x, *x);
        }
        let (x, work) = (acc.v.as_mut_ptr(), acc.work.as_mut_ptr());
        // SAFETY: x has 2h digits, so has what lies from 2h on in work.
        unsafe { self.pairs(Square { x, twice: work.add(2 * h), h }, x, work) }
    }

    /// x plus (in lanes that are negative) or minus `times` m, digits made small; returns what this changes, in multiples of m, taken back.
    /// The digits of x may have any whole values below 2^50.
    #[target_feature(enable = "avx2,fma")]
    fn towards_zero(&self, x: &mut [V], sign: V, times: f64) -> (V, V) {
        let radix = (1u64 << self.radix.bits) as f64;
        let middle = _mm256_set1_pd(1.5 * 4503599627370496.0 * radix); // added and taken away, it rounds to multiples of the radix
        let one = _mm256_set1_pd(times);
        // the sign of a zero counts as positive: either will do
        let factor = _mm256_xor_pd(_mm256_and_pd(sign, _mm256_set1_pd(-0.0)), _mm256_xor_pd(one, _mm256_set1_pd(-0.0)));
        let (mut carry, mut sign) = (_mm256_setzero_pd(), _mm256_setzero_pd());
        for (x, m) in x.iter_mut().zip(&self.m) {
            let sum = _mm256_add_pd(_mm256_fmadd_pd(factor, *m, *x), carry);
            let up = _mm256_sub_pd(_mm256_add_pd(sum, middle), middle);
            *x = _mm256_sub_pd(sum, up);
            carry = _mm256_mul_pd(up, _mm256_set1_pd(1.0 / radix));
            let counts = _mm256_cmp_pd::<_CMP_NEQ_OQ>(*x, _mm256_setzero_pd());
            sign = _mm256_blendv_pd(sign, *x, counts);
        }
        (_mm256_sub_pd(_mm256_setzero_pd(), factor), sign)
    }

    #[target_feature(enable = "avx2,fma")]
    fn add_lanes(&self, acc: &mut Block, b: &Block) {
        let h = self.h;
        let mut moved = _mm256_setzero_pd(); // whole multiples of m that leave a go into b
        for half in 0..2 {
            let x = &mut acc.v[half * h..(half + 1) * h];
            for (x, y) in x.iter_mut().zip(&b.v[half * h..]) {
                *x = _mm256_add_pd(*x, *y);
            }
            x[0] = _mm256_add_pd(x[0], moved);
            // below 4m, then 2m, then m
            let (none, sign) = self.towards_zero(x, _mm256_setzero_pd(), 0.0);
            let (two, sign) = self.towards_zero(x, sign, 2.0);
            let (one, _) = self.towards_zero(x, sign, 1.0);
            moved = _mm256_add_pd(none, _mm256_add_pd(two, one));
        }
    }

    /// Columns to rows and back: four vectors, of which vector i holds digit i of four rows.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn transpose(r: [V; 4]) -> [V; 4] {
        let (a, b) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
        let (c, d) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
        [
            _mm256_permute2f128_pd::<0x20>(a, c),
            _mm256_permute2f128_pd::<0x20>(b, d),
            _mm256_permute2f128_pd::<0x31>(a, c),
            _mm256_permute2f128_pd::<0x31>(b, d),
        ]
    }

    #[target_feature(enable = "avx2,fma")]
    fn gather_lanes(&self, out: &mut [V], rows: [&[u64]; 4]) {
        for (j, v) in out.chunks_exact_mut(4).enumerate() {
            // SAFETY: every row has a word for each vector of `out`, a multiple of four: so many whole chunks.
            let tile = core::array::from_fn(|l| unsafe { _mm256_loadu_pd(rows[l].as_ptr().add(4 * j).cast()) });
            v.copy_from_slice(&Self::transpose(tile));
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn scatter_lanes(&self, block: &[V], rows: &mut [u64], live: usize) {
        for (j, v) in block.chunks_exact(4).enumerate() {
            let tile = Self::transpose(core::array::from_fn(|l| v[l]));
            for (l, row) in rows.chunks_exact_mut(block.len()).enumerate().take(live) {
                // SAFETY: a row has a word for each vector of the block, a multiple of four.
                unsafe { _mm256_storeu_pd(row.as_mut_ptr().add(4 * j).cast(), tile[l]) };
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn choose_lanes(out: &mut [V], entries: &[Block], digit: u64) {
        // a strip of the result stays in registers while all entries pass by
        for (j, strip) in out.chunks_exact_mut(STRIP).enumerate() {
            let mut chosen = [_mm256_setzero_pd(); STRIP];
            for (i, entry) in entries.iter().enumerate() {
                let differs = i as u64 ^ digit;
                let mask = ((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1);
                let mask = _mm256_castsi256_pd(_mm256_set1_epi64x(mask as i64));
                for (c, x) in chosen.iter_mut().zip(&entry.v[STRIP * j..][..STRIP]) {
                    *c = _mm256_or_pd(*c, _mm256_and_pd(*x, mask));
                }
            }
            strip.copy_from_slice(&chosen);
        }
    }
}

impl Kernel for Avx2 {
    const LANES: usize = 4;
    type Block = Block;

    /// Only where `available()`: everything below relies on it.
    fn new(m: &[u64]) -> Avx2 {
        assert!(available(), "this machine has no AVX2 or no FMA");
        let wanted = limbs::bit_length_vartime(m) + 4;
        let h = wanted.div_ceil(MOST).next_multiple_of(W);
        let bits = wanted.div_ceil(h);
        let mut digits = vec![0u64; h];
        split(&mut digits, m, bits);
        let mut broadcast = zeros(h);
        for (lane, digit) in lanes_mut(&mut broadcast).chunks_exact_mut(4).zip(&digits) {
            lane.fill(*digit);
        }
        digits.zeroize();
        let n0 = (limbs::neg_inverse(m[0]) << (64 - bits)) as i64 >> (64 - bits);
        Avx2 { h, m: broadcast, radix: Radix::new(bits, n0 as f64), plain: m.to_vec() }
    }

    fn radix_bits(&self) -> usize {
        self.radix.bits * self.h
    }

    fn width(&self) -> usize {
        2 * self.h
    }

    fn block(&self) -> Block {
        Block { v: zeros(2 * self.h), work: zeros(4 * self.h + 2 * ROOM) }
    }

    fn gather(&self, out: &mut Block, rows: &[u64], index: &[usize]) {
        let w = self.width();
        let rows = core::array::from_fn(|l| &rows[index[l] * w..][..w]);
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.gather_lanes(&mut out.v, rows) }
    }

    fn broadcast(&self, out: &mut Block, row: &[u64]) {
        for (lane, x) in lanes_mut(&mut out.v).chunks_exact_mut(4).zip(row) {
            lane.fill(*x);
        }
    }

    fn set_lane(&self, block: &mut Block, lane: usize, row: &[u64]) {
        for (v, x) in lanes_mut(&mut block.v).chunks_exact_mut(4).zip(row) {
            v[lane] = *x;
        }
    }

    fn get_lane(&self, block: &Block, lane: usize, row: &mut [u64]) {
        for (v, x) in lanes(&block.v).chunks_exact(4).zip(row) {
            *x = v[lane];
        }
    }

    fn scatter(&self, block: &Block, rows: &mut [u64], first: usize, live: usize) {
        let w = self.width();
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.scatter_lanes(&block.v, &mut rows[first * w..(first + live) * w], live) }
    }

    fn copy(&self, out: &mut Block, from: &Block) {
        out.v.copy_from_slice(&from.v);
    }

    fn choose(&self, out: &mut Block, entries: &[Block], digit: u64) {
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { Self::choose_lanes(&mut out.v, entries, digit) }
    }

    fn mul(&self, acc: &mut Block, b: &Block) {
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.mul_lanes(acc, b) }
    }

    fn sqr(&self, acc: &mut Block) {
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.sqr_lanes(acc) }
    }

    fn add(&self, acc: &mut Block, b: &Block) {
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.add_lanes(acc, b) }
    }

    fn mul_first(&self, acc: &mut Block, b: &Block) {
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.mul_first_lanes(acc, b) }
    }

    fn inverse(&self, acc: &mut Block, first: &Block, one: &Block) {
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.inverse_lanes(acc, first, one) }
    }

    fn first_width(&self) -> usize {
        self.h
    }

    fn gather_first(&self, out: &mut Block, rows: &[u64], stride: usize, index: &[usize]) {
        let rows = core::array::from_fn(|l| &rows[index[l] * stride..][..self.h]);
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.gather_lanes(&mut out.v[..self.h], rows) }
    }

    fn scatter_first(&self, block: &Block, rows: &mut [u64], first: usize, live: usize) {
        let h = self.h;
        // SAFETY: `new` has checked that the machine has AVX2 and FMA.
        unsafe { self.scatter_lanes(&block.v[..h], &mut rows[first * h..(first + live) * h], live) }
    }

    fn put(&self, row: &mut [u64], a: &[u64], b: &[u64]) {
        let (first, second) = row.split_at_mut(self.h);
        split(first, a, self.radix.bits);
        split(second, b, self.radix.bits);
    }

    fn get(&self, row: &[u64], a: &mut [u64], b: &mut [u64]) {
        let h = self.plain.len();
        let moved = self.lift(a, &row[..self.h], 2); // 0 .. 4 multiples of m, of which 2 were not there
        self.lift(b, &row[self.h..], 2);
        // b + m + moved - 2, below 3m
        limbs::add_assign(b, &self.plain);
        limbs::add_assign(b, &[moved]);
        limbs::sub_assign(b, &[2]);
        let (low, top) = b.split_at_mut(h);
        (0..2).for_each(|_| _ = limbs::reduce_once(low, &mut top[0], &self.plain));
    }

    fn prefetch(&self, rows: &[u64], index: usize) {
        let w = self.width();
        for line in rows[index * w..][..w].chunks(8) {
            // SAFETY: a hint about an address inside the slice; it reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
}

#[cfg(test)]
mod tests;
