//! Products of first halves alone, and the second half of an inverse.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::columns::{V, W};
use super::operands::ByFirst;
use super::sums::Sums;
use super::{Avx2, Block};

impl Avx2 {
    /// x = x y / R modulo m, lazy.
    ///
    /// # Safety
    /// x and y have h digits, work is that of a block; they are different.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn product(&self, x: *mut V, y: *const V, work: *mut V) {
        let (h, m, q) = (self.h, self.m.as_ptr(), work);
        // SAFETY: by the contract above; a high block reads digits that no earlier one wrote, as in `pairs`.
        unsafe {
            let mut u = Sums::new(&self.radix, work.add(4 * h));
            for k in (0..2 * h).step_by(W) {
                u.open();
                u.product(x, y, k, h);
                if k < h {
                    u.rectangle(q, m, k, 0, k);
                } else {
                    u.product(q, m, k, h);
                }
                let mut closing = u.finish();
                if k < h {
                    (0..W).for_each(|t| u.quotient(t, &mut closing, m));
                    u.close(closing, q.add(k));
                } else {
                    (0..W).for_each(|t| u.store(t, &mut closing));
                    u.close(closing, x.add(k - h));
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn mul_first_lanes(&self, acc: &mut Block, b: &Block) {
        // SAFETY: first halves have h digits; acc and b are different blocks.
        unsafe { self.product(acc.v.as_mut_ptr(), b.v.as_ptr(), acc.work.as_mut_ptr()) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn inverse_lanes(&self, acc: &mut Block, first: &Block, one: &Block) {
        let h = self.h;
        let (x, y) = (acc.v.as_mut_ptr(), first.v.as_ptr());
        // SAFETY: acc has 2h digits; the blocks are different.
        unsafe { self.pairs(ByFirst { x, y, h }, x, acc.work.as_mut_ptr()) };
        // u, between -m and m, is the first half of one or that minus m: a whole m that v has too much
        let (u, v) = acc.v.split_at_mut(h);
        let (one_a, one_b) = one.v.split_at(h);
        let mut differs = _mm256_setzero_pd();
        for (x, y) in u.iter().zip(one_a) {
            differs = _mm256_or_pd(differs, _mm256_cmp_pd::<_CMP_NEQ_OQ>(*x, *y));
        }
        // v = the second half of one - (v - 1 or v), below 4m; its digits are at most the radix
        let mut more = _mm256_and_pd(differs, _mm256_set1_pd(1.0));
        for (v, one) in v.iter_mut().zip(one_b) {
            *v = _mm256_add_pd(_mm256_sub_pd(*one, *v), more);
            more = _mm256_setzero_pd();
        }
        u.copy_from_slice(&first.v[..h]);
        // SAFETY: v and first have h digits; 4m 2m / R + 2m / 3 < 2m.
        unsafe { self.product(v.as_mut_ptr(), y, acc.work.as_mut_ptr()) };
    }
}
