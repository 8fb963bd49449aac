//! Products of first halves alone, and the second half of an inverse.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::sums::{Sums, W};
use super::{Block, Ifma, MASK, V};

impl Ifma {
    /// x = x y / R modulo m, lazy.
    ///
    /// # Safety
    /// x, y and q have h limbs; they are different.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    unsafe fn product(&self, x: *mut V, y: *const V, q: *mut V) {
        let (h, m) = (self.h, self.m.as_ptr());
        let n0 = _mm512_set1_epi64(self.n0 as i64);
        // SAFETY: by the contract above; a high block reads limbs that no earlier one wrote, as in `mul_lanes`.
        unsafe {
            let mut u = Sums::zero();
            for k in (0..h).step_by(W) {
                u.product(x, y, k, h);
                u.rectangle(q, m, k, 0, k);
                u = u.quotient(q.add(k), m, n0);
            }
            for k in (h..2 * h).step_by(W) {
                u.product(x, y, k, h);
                u.product(q, m, k, h);
                u = u.store(x.add(k - h));
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn mul_first_lanes(&self, acc: &mut Block, b: &Block) {
        // SAFETY: first halves have h limbs, work has 2h; acc and b are different blocks.
        unsafe { self.product(acc.v.as_mut_ptr(), b.v.as_ptr(), acc.work.as_mut_ptr()) }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn inverse_lanes(&self, acc: &mut Block, first: &Block, one: &Block) {
        let h = self.h;
        let (m, minus) = (self.m.as_ptr(), self.minus.as_ptr());
        let a1 = acc.v.as_mut_ptr();
        let a2 = first.v.as_ptr();
        let q1 = acc.work.as_mut_ptr();
        let n0 = _mm512_set1_epi64(self.n0 as i64);
        // SAFETY: as in `mul_lanes`, with b2 = 0.
        unsafe {
            let b1 = a1.add(h);
            let q2 = q1.add(h);
            let (mut u, mut v) = (Sums::zero(), Sums::zero());
            for k in (0..h).step_by(W) {
                u.product(a1, a2, k, h);
                u.rectangle(q1, m, k, 0, k);
                u = u.quotient(q1.add(k), m, n0);
                v.product(b1, a2, k, h);
                v.rectangle(q2, m, k, 0, k);
                for t in 0..W {
                    let minus_q = _mm512_sub_epi64(*minus.add(k + t), *q1.add(k + t));
                    v.lo[t] = _mm512_add_epi64(v.lo[t], minus_q);
                }
                v = v.quotient(q2.add(k), m, n0);
            }
            for k in (h..2 * h).step_by(W) {
                v.product(b1, a2, k, h);
                v.product(q2, m, k, h);
                v = v.store(b1.add(k - h));
                u.product(a1, a2, k, h);
                u.product(q1, m, k, h);
                u = u.store(a1.add(k - h));
            }
        }
        // u, below 2m, is the first half of one or that plus m: a whole m that belongs into v
        let (u, v) = acc.v.split_at_mut(h);
        let (one_a, one_b) = one.v.split_at(h);
        let differs = u.iter().zip(one_a).fold(0, |any, (x, y)| any | _mm512_cmpneq_epi64_mask(*x, *y));
        let mut borrow = _mm512_mask_set1_epi64(_mm512_setzero_si512(), differs, -1);
        // v = the second half of one - v + 4m, below 5m
        let mask = _mm512_set1_epi64(MASK as i64);
        for (v, (one, four)) in v.iter_mut().zip(one_b.iter().zip(&self.twice[h..])) {
            let d = _mm512_add_epi64(_mm512_sub_epi64(_mm512_add_epi64(*one, *four), *v), borrow);
            *v = _mm512_and_si512(d, mask);
            borrow = _mm512_srai_epi64(d, 52);
        }
        u.copy_from_slice(&first.v[..h]);
        // SAFETY: v and first have h limbs, work has 2h; 5m 2m / R + m < 2m.
        unsafe { self.product(v.as_mut_ptr(), a2, q1) };
    }
}
