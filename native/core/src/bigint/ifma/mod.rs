//! Eight pairs at a time with AVX-512 IFMA: limbs of 52 bits, one vector a limb, one lane an element.
//!
//! Product scanning over blocks of five columns (`sums`).
//! Halves are lazy: below 3m, where R >= 16 m keeps every sum in range:
//!   u < 9 m^2 / R + m < 2 m,    v < 18 m^2 / R + m + 2 < 3 m.
#![allow(unsafe_code)]

mod inverse;
mod sums;

use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::kernel::Kernel;
use super::limbs;
use sums::{Sums, W};

type V = __m512i;

const MASK: u64 = (1 << 52) - 1;
/// Limbs that are chosen at a time; a row is a multiple of it.
const STRIP: usize = 8;

pub struct Ifma {
    h: usize,
    width: usize,
    m: Vec<V>,
    /// 2^52 - 1 + the limb of -(R - 1) mod m: minus a quotient digit, this is a limb of -q modulo m.
    minus: Vec<V>,
    twice: Vec<V>, // 2m, then 4m
    n0: u64,
}

pub struct Block {
    v: Vec<V>,    // a, then b; padded to the width of a row
    work: Vec<V>, // quotients of both halves
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

impl Drop for Ifma {
    fn drop(&mut self) {
        wipe(&mut self.m);
        wipe(&mut self.minus);
        wipe(&mut self.twice);
        self.n0.zeroize();
    }
}

/// Does this machine have what this file needs?
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// Multiplier instructions a nanosecond, register to register: what the machine can do at best.
pub fn peak() -> f64 {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run(count: usize) -> u64 {
        let mut acc: [V; 16] = core::array::from_fn(|i| _mm512_set1_epi64(i as i64));
        let opaque = |x: i64| _mm512_set1_epi64(core::hint::black_box(x)); // nothing to fold
        let (x, y) = (opaque(0x1234_5678_9abc), opaque(0x9abc_def0_1234));
        for _ in 0..count {
            for pair in acc.chunks_exact_mut(2) {
                pair[0] = _mm512_madd52lo_epu64(pair[0], x, y);
                pair[1] = _mm512_madd52hi_epu64(pair[1], x, y);
            }
            core::hint::black_box(());
        }
        lanes(&acc).iter().fold(0, |a, b| a ^ b)
    }
    assert!(available(), "this machine has no AVX-512 IFMA");
    const COUNT: usize = 1 << 18;
    (0..20)
        .map(|_| {
            let start = std::time::Instant::now();
            // SAFETY: `available` has just been checked.
            core::hint::black_box(unsafe { run(core::hint::black_box(COUNT)) });
            (16 * COUNT) as f64 / start.elapsed().as_nanos() as f64
        })
        .fold(0.0, f64::max)
}

fn lanes(v: &[V]) -> &[u64] {
    // SAFETY: a vector is eight u64 without padding, of larger alignment; the lifetime is that of the slice.
    unsafe { core::slice::from_raw_parts(v.as_ptr().cast(), 8 * v.len()) }
}

fn lanes_mut(v: &mut [V]) -> &mut [u64] {
    // SAFETY: as in `lanes`; the borrow is exclusive.
    unsafe { core::slice::from_raw_parts_mut(v.as_mut_ptr().cast(), 8 * v.len()) }
}

fn zeros(len: usize) -> Vec<V> {
    // SAFETY: all zero bits are a valid vector.
    vec![unsafe { core::mem::zeroed() }; len]
}

fn broadcast(limbs: &[u64]) -> Vec<V> {
    let mut out = zeros(limbs.len());
    for (lane, chunk) in lanes_mut(&mut out).chunks_exact_mut(8).zip(limbs) {
        lane.fill(*chunk);
    }
    out
}

/// 64-bit limbs to `h` limbs of 52 bits.
fn split(out: &mut [u64], a: &[u64]) {
    for (i, x) in out.iter_mut().enumerate() {
        *x = limbs::bits(a, 52 * i, 52);
    }
}

/// And back; the value fits.
fn merge(out: &mut [u64], a: &[u64]) {
    out.fill(0);
    for (i, &x) in a.iter().enumerate() {
        let (word, shift) = (52 * i / 64, 52 * i % 64);
        if word < out.len() {
            out[word] |= x << shift;
        }
        if shift > 12 && word + 1 < out.len() {
            out[word + 1] |= x >> (64 - shift);
        }
    }
}

impl Ifma {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul_lanes(&self, acc: &mut Block, b: &Block) {
        let h = self.h;
        let (m, minus) = (self.m.as_ptr(), self.minus.as_ptr());
        let a1 = acc.v.as_mut_ptr();
        let (a2, b2) = (b.v.as_ptr(), b.v[h..].as_ptr());
        let q1 = acc.work.as_mut_ptr();
        let n0 = _mm512_set1_epi64(self.n0 as i64);
        // SAFETY: a1, b1, a2, b2, q1, q2, m and minus have h limbs each, h a multiple of W, and k runs through the multiples of W below 2h.
        // acc and b are different blocks.  A high block reads limbs from k - h + 1 on and then writes limbs up to k - h + W - 1, which no later
        // block reads; both halves read a1, and the second is computed before the first is written.
        unsafe {
            let b1 = a1.add(h);
            let q2 = q1.add(h);
            let (mut u, mut v) = (Sums::zero(), Sums::zero());
            for k in (0..h).step_by(W) {
                u.product(a1, a2, k, h);
                u.rectangle(q1, m, k, 0, k);
                u = u.quotient(q1.add(k), m, n0);
                v.product(a1, b2, k, h);
                v.product(b1, a2, k, h);
                v.rectangle(q2, m, k, 0, k);
                for t in 0..W {
                    let minus_q = _mm512_sub_epi64(*minus.add(k + t), *q1.add(k + t));
                    v.lo[t] = _mm512_add_epi64(v.lo[t], minus_q);
                }
                v = v.quotient(q2.add(k), m, n0);
            }
            for k in (h..2 * h).step_by(W) {
                v.product(a1, b2, k, h);
                v.product(b1, a2, k, h);
                v.product(q2, m, k, h);
                v = v.store(b1.add(k - h));
                u.product(a1, a2, k, h);
                u.product(q1, m, k, h);
                u = u.store(a1.add(k - h));
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sqr_lanes(&self, acc: &mut Block) {
        let h = self.h;
        let (m, minus) = (self.m.as_ptr(), self.minus.as_ptr());
        let a = acc.v.as_mut_ptr();
        let q1 = acc.work.as_mut_ptr();
        let n0 = _mm512_set1_epi64(self.n0 as i64);
        // SAFETY: as in `mul_lanes`.
        unsafe {
            let b = a.add(h);
            let q2 = q1.add(h);
            let (mut u, mut v) = (Sums::zero(), Sums::zero());
            for k in (0..h).step_by(W) {
                let mut cross = Sums::zero();
                cross.square(&mut u, a, k, h);
                cross.twice();
                u.join(&cross);
                u.rectangle(q1, m, k, 0, k);
                u = u.quotient(q1.add(k), m, n0);
                let mut cross = Sums::zero();
                cross.product(a, b, k, h);
                cross.twice();
                v.join(&cross);
                v.rectangle(q2, m, k, 0, k);
                for t in 0..W {
                    let minus_q = _mm512_sub_epi64(*minus.add(k + t), *q1.add(k + t));
                    v.lo[t] = _mm512_add_epi64(v.lo[t], minus_q);
                }
                v = v.quotient(q2.add(k), m, n0);
            }
            for k in (h..2 * h).step_by(W) {
                let mut cross = Sums::zero();
                cross.product(a, b, k, h);
                cross.twice();
                v.join(&cross);
                v.product(q2, m, k, h);
                v = v.store(b.add(k - h));
                let mut cross = Sums::zero();
                cross.square(&mut u, a, k, h);
                cross.twice();
                u.join(&cross);
                u.product(q1, m, k, h);
                u = u.store(a.add(k - h));
            }
        }
    }

    /// x (normalised limbs) minus `sub` in the lanes where that is not negative; returns `amount` in those lanes.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn subtract_if(x: &mut [V], sub: &[V], amount: u64) -> V {
        let mask = _mm512_set1_epi64(MASK as i64);
        let mut borrow = _mm512_setzero_si512();
        for (x, s) in x.iter().zip(sub) {
            borrow = _mm512_srai_epi64(_mm512_add_epi64(_mm512_sub_epi64(*x, *s), borrow), 52);
        }
        let take = _mm512_andnot_si512(borrow, _mm512_set1_epi64(-1)); // ones where there was no borrow
        let mut borrow = _mm512_setzero_si512();
        for (x, s) in x.iter_mut().zip(sub) {
            let d = _mm512_add_epi64(_mm512_sub_epi64(*x, _mm512_and_si512(*s, take)), borrow);
            *x = _mm512_and_si512(d, mask);
            borrow = _mm512_srai_epi64(d, 52);
        }
        _mm512_and_si512(take, _mm512_set1_epi64(amount as i64))
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_lanes(&self, acc: &mut Block, b: &Block) {
        let h = self.h;
        let mask = _mm512_set1_epi64(MASK as i64);
        let mut moved = _mm512_setzero_si512(); // whole multiples of m that leave a go into b
        for half in 0..2 {
            let x = &mut acc.v[half * h..(half + 1) * h];
            let mut carry = moved;
            for (x, y) in x.iter_mut().zip(&b.v[half * h..]) {
                let s = _mm512_add_epi64(_mm512_add_epi64(*x, *y), carry);
                *x = _mm512_and_si512(s, mask);
                carry = _mm512_srli_epi64(s, 52);
            }
            let four = Self::subtract_if(x, &self.twice[h..], 4);
            let two = Self::subtract_if(x, &self.twice[..h], 2);
            moved = _mm512_add_epi64(four, two);
        }
    }

    /// Columns to rows and back: eight vectors, of which vector i holds limb i of eight rows.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn transpose(r: [V; 8]) -> [V; 8] {
        let a = [
            _mm512_unpacklo_epi64(r[0], r[1]),
            _mm512_unpackhi_epi64(r[0], r[1]),
            _mm512_unpacklo_epi64(r[2], r[3]),
            _mm512_unpackhi_epi64(r[2], r[3]),
            _mm512_unpacklo_epi64(r[4], r[5]),
            _mm512_unpackhi_epi64(r[4], r[5]),
            _mm512_unpacklo_epi64(r[6], r[7]),
            _mm512_unpackhi_epi64(r[6], r[7]),
        ];
        let mut out = r;
        for odd in 0..2 {
            let even_low = _mm512_shuffle_i64x2::<0x88>(a[odd], a[2 + odd]);
            let even_high = _mm512_shuffle_i64x2::<0x88>(a[4 + odd], a[6 + odd]);
            let odd_low = _mm512_shuffle_i64x2::<0xdd>(a[odd], a[2 + odd]);
            let odd_high = _mm512_shuffle_i64x2::<0xdd>(a[4 + odd], a[6 + odd]);
            out[odd] = _mm512_shuffle_i64x2::<0x88>(even_low, even_high);
            out[4 + odd] = _mm512_shuffle_i64x2::<0xdd>(even_low, even_high);
            out[2 + odd] = _mm512_shuffle_i64x2::<0x88>(odd_low, odd_high);
            out[6 + odd] = _mm512_shuffle_i64x2::<0xdd>(odd_low, odd_high);
        }
        out
    }

    #[target_feature(enable = "avx512f")]
    fn gather_lanes(&self, out: &mut [V], rows: [&[u64]; 8]) {
        for (j, v) in out.chunks_exact_mut(8).enumerate() {
            // SAFETY: every row has a word for each vector of `out`, a multiple of eight: so many whole chunks.
            let tile = core::array::from_fn(|l| unsafe { _mm512_loadu_si512(rows[l].as_ptr().add(8 * j).cast()) });
            v.copy_from_slice(&Self::transpose(tile));
        }
    }

    #[target_feature(enable = "avx512f")]
    fn scatter_lanes(&self, block: &[V], rows: &mut [u64], live: usize) {
        for (j, v) in block.chunks_exact(8).enumerate() {
            let tile = Self::transpose(core::array::from_fn(|l| v[l]));
            for (l, row) in rows.chunks_exact_mut(block.len()).enumerate().take(live) {
                // SAFETY: a row has a word for each vector of the block, a multiple of eight.
                unsafe { _mm512_storeu_si512(row.as_mut_ptr().add(8 * j).cast(), tile[l]) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn choose_lanes(out: &mut [V], entries: &[Block], digit: u64) {
        let mut masks = [0u8; 64];
        for (i, mask) in masks.iter_mut().enumerate() {
            let differs = i as u64 ^ digit;
            *mask = (((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1) & 0xff) as u8;
        }
        // a strip of the result stays in registers while all entries pass by
        for (j, strip) in out.chunks_exact_mut(STRIP).enumerate() {
            let mut chosen = [_mm512_setzero_si512(); STRIP];
            for (entry, mask) in entries.iter().zip(masks) {
                for (c, x) in chosen.iter_mut().zip(&entry.v[STRIP * j..][..STRIP]) {
                    *c = _mm512_mask_mov_epi64(*c, mask, *x);
                }
            }
            strip.copy_from_slice(&chosen);
        }
    }
}

impl Kernel for Ifma {
    const LANES: usize = 8;
    type Block = Block;

    /// Only where `available()`: everything below relies on it.
    fn new(m: &[u64]) -> Ifma {
        assert!(available(), "this machine has no AVX-512 IFMA");
        let bits = limbs::bit_length_vartime(m);
        let h = (bits + 4).div_ceil(52).next_multiple_of(W);
        let narrow = |a: &[u64]| {
            let mut out = vec![0u64; h];
            split(&mut out, a);
            out
        };
        let mut r = m.to_vec(); // R mod m
        r.fill(0);
        r[0] = 1;
        for _ in 0..52 * h {
            let mut top = limbs::double(&mut r);
            limbs::reduce_once(&mut r, &mut top, m);
        }
        let mut c0 = m.to_vec(); // -(R - 1) mod m
        limbs::sub_assign(&mut c0, &r);
        let mut top = limbs::add_assign(&mut c0, &[1]);
        limbs::reduce_once(&mut c0, &mut top, m);
        let mut minus = narrow(&c0);
        minus.iter_mut().for_each(|x| *x += MASK);
        let mut wide = m.to_vec();
        wide.push(0);
        limbs::double(&mut wide);
        let mut twice = narrow(&wide);
        limbs::double(&mut wide);
        twice.extend(narrow(&wide));
        let out = Ifma {
            h,
            width: (2 * h).next_multiple_of(8),
            m: broadcast(&narrow(m)),
            minus: broadcast(&minus),
            twice: broadcast(&twice),
            n0: limbs::neg_inverse(m[0]) & MASK,
        };
        [&mut r, &mut c0, &mut minus, &mut wide, &mut twice].into_iter().for_each(|x| x.zeroize());
        out
    }

    fn radix_bits(&self) -> usize {
        52 * self.h
    }

    fn width(&self) -> usize {
        self.width
    }

    fn block(&self) -> Block {
        Block { v: zeros(self.width), work: zeros(2 * self.h) }
    }

    fn gather(&self, out: &mut Block, rows: &[u64], index: &[usize]) {
        let rows = core::array::from_fn(|l| &rows[index[l] * self.width..][..self.width]);
        // SAFETY: `new` has checked that the machine has AVX-512.
        unsafe { self.gather_lanes(&mut out.v, rows) }
    }

    fn broadcast(&self, out: &mut Block, row: &[u64]) {
        for (lane, x) in lanes_mut(&mut out.v).chunks_exact_mut(8).zip(row) {
            lane.fill(*x);
        }
    }

    fn set_lane(&self, block: &mut Block, lane: usize, row: &[u64]) {
        for (v, x) in lanes_mut(&mut block.v).chunks_exact_mut(8).zip(row) {
            v[lane] = *x;
        }
    }

    fn get_lane(&self, block: &Block, lane: usize, row: &mut [u64]) {
        for (v, x) in lanes(&block.v).chunks_exact(8).zip(row) {
            *x = v[lane];
        }
    }

    fn scatter(&self, block: &Block, rows: &mut [u64], first: usize, live: usize) {
        let rows = &mut rows[first * self.width..(first + live) * self.width];
        // SAFETY: `new` has checked that the machine has AVX-512.
        unsafe { self.scatter_lanes(&block.v, rows, live) }
    }

    fn copy(&self, out: &mut Block, from: &Block) {
        out.v.copy_from_slice(&from.v);
    }

    fn choose(&self, out: &mut Block, entries: &[Block], digit: u64) {
        assert!(entries.len() <= 64);
        // SAFETY: `new` has checked that the machine has AVX-512.
        unsafe { Self::choose_lanes(&mut out.v, entries, digit) }
    }

    fn mul(&self, acc: &mut Block, b: &Block) {
        // SAFETY: `new` has checked that the machine has AVX-512 IFMA.
        unsafe { self.mul_lanes(acc, b) }
    }

    fn sqr(&self, acc: &mut Block) {
        // SAFETY: `new` has checked that the machine has AVX-512 IFMA.
        unsafe { self.sqr_lanes(acc) }
    }

    fn add(&self, acc: &mut Block, b: &Block) {
        // SAFETY: `new` has checked that the machine has AVX-512 IFMA.
        unsafe { self.add_lanes(acc, b) }
    }

    fn mul_first(&self, acc: &mut Block, b: &Block) {
        // SAFETY: `new` has checked that the machine has AVX-512 IFMA.
        unsafe { self.mul_first_lanes(acc, b) }
    }

    fn inverse(&self, acc: &mut Block, first: &Block, one: &Block) {
        // SAFETY: `new` has checked that the machine has AVX-512 IFMA.
        unsafe { self.inverse_lanes(acc, first, one) }
    }

    fn first_width(&self) -> usize {
        self.h.next_multiple_of(8)
    }

    fn gather_first(&self, out: &mut Block, rows: &[u64], stride: usize, index: &[usize]) {
        let w = self.first_width();
        let rows = core::array::from_fn(|l| &rows[index[l] * stride..][..w]);
        // SAFETY: `new` has checked that the machine has AVX-512.
        unsafe { self.gather_lanes(&mut out.v[..w], rows) }
    }

    fn scatter_first(&self, block: &Block, rows: &mut [u64], first: usize, live: usize) {
        let w = self.first_width();
        // SAFETY: `new` has checked that the machine has AVX-512.
        unsafe { self.scatter_lanes(&block.v[..w], &mut rows[first * w..(first + live) * w], live) }
    }

    fn put(&self, row: &mut [u64], a: &[u64], b: &[u64]) {
        let (a_out, rest) = row.split_at_mut(self.h);
        let (b_out, pad) = rest.split_at_mut(self.h);
        split(a_out, a);
        split(b_out, b);
        pad.fill(0);
    }

    fn get(&self, row: &[u64], a: &mut [u64], b: &mut [u64]) {
        merge(a, &row[..self.h]);
        merge(b, &row[self.h..2 * self.h]);
    }

    fn prefetch(&self, rows: &[u64], index: usize) {
        for line in rows[index * self.width..][..self.width].chunks(8) {
            // SAFETY: a hint about an address inside the slice; it reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
}
