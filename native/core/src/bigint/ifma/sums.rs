//! Sums of products by column, in blocks of five columns: ten accumulators (the low and the high halves of the products) hide the latency of
//! the multiplier and stay in registers.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

type V = __m512i;

/// Columns in a block; the number of limbs is a multiple of it.
pub(super) const W: usize = 5;
const MASK: u64 = (1 << 52) - 1;

// The vector operations, as functions without features of their own: they and all of `Sums` must melt into the loops of `mul_lanes` and
// `sqr_lanes`, for a call would carry ten accumulators through memory, and a function with features cannot be forced to melt.
macro_rules! operations {
    ($($name:ident($($arg:ident: $type:ty),*) = $intrinsic:expr;)*) => {$(
        #[inline(always)]
        fn $name($($arg: $type),*) -> V {
            // SAFETY: reached only from functions that have AVX-512 IFMA.
            unsafe { $intrinsic }
        }
    )*};
}

operations! {
    madd52lo(c: V, x: V, y: V) = _mm512_madd52lo_epu64(c, x, y);
    madd52hi(c: V, x: V, y: V) = _mm512_madd52hi_epu64(c, x, y);
    add(x: V, y: V) = _mm512_add_epi64(x, y);
    and(x: V, y: V) = _mm512_and_si512(x, y);
    high(x: V) = _mm512_srli_epi64::<52>(x);
    zero() = _mm512_setzero_si512();
    splat(x: u64) = _mm512_set1_epi64(x as i64);
}

/// Sums of products, by column: `lo[t]` belongs to column k + t, `hi[t]` to column k + t + 1.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) lo: [V; W],
    pub(super) hi: [V; W],
    /// From the block before, into column k: kept apart, so that this block's sums do not wait for it.
    carry: V,
}

impl Sums {
    #[inline(always)]
    pub(super) fn zero() -> Sums {
        Sums { lo: [zero(); W], hi: [zero(); W], carry: zero() }
    }

    #[inline(always)]
    fn add(&mut self, t: usize, x: V, y: V) {
        self.lo[t] = madd52lo(self.lo[t], x, y);
        self.hi[t] = madd52hi(self.hi[t], x, y);
    }

    /// Adds x[i] y[k + t - i] to column t for `COUNT` successive i and every t; x and y point to x[i] and y[k - i] of the first.
    ///
    /// # Safety
    /// COUNT limbs from x on, and from y - COUNT + 1 to y + W - 1, exist.
    #[inline(always)]
    unsafe fn strip<const COUNT: usize>(&mut self, x: *const V, y: *const V) {
        for s in 0..COUNT {
            // SAFETY: by the contract above.
            unsafe {
                let xi = *x.add(s);
                let y = y.sub(s);
                for t in 0..W {
                    self.add(t, xi, *y.add(t));
                }
            }
        }
    }

    /// Adds x[i] y[k + t - i] to column t for i in from..until and every t; their number is a multiple of W.
    ///
    /// # Safety
    /// from..until is in x, and k - i .. k - i + W in y for each of these i.
    #[inline(always)]
    pub(super) unsafe fn rectangle(&mut self, x: *const V, y: *const V, k: usize, from: usize, until: usize) {
        for i in (from..until).step_by(W) {
            // SAFETY: by the contract above.
            unsafe { self.strip::<W>(x.add(i), y.add(k - i)) };
        }
    }

    /// The products of a full column block of x y: low half (k < h) or high half.
    ///
    /// # Safety
    /// x and y have h limbs, k <= 2h - W is a multiple of W.
    #[inline(always)]
    pub(super) unsafe fn product(&mut self, x: *const V, y: *const V, k: usize, h: usize) {
        // SAFETY: all indices lie in 0..h, see each bound.
        unsafe {
            if k < h {
                self.rectangle(x, y, k, 0, k); // y: k - i + t <= k + W - 1 < h
                for s in 0..W {
                    let xi = *x.add(k + s);
                    for t in s..W {
                        self.add(t, xi, *y.add(t - s));
                    }
                }
            } else {
                self.corner(x, y, k, h);
                self.rectangle(x, y, k, k - h + W, h); // y: k - i + t <= h - 1
            }
        }
    }

    /// The corner of a high block, where the columns reach beyond y one after the other.
    ///
    /// # Safety
    /// As `product`, k >= h.
    #[inline(always)]
    unsafe fn corner(&mut self, x: *const V, y: *const V, k: usize, h: usize) {
        for s in 0..W - 1 {
            // SAFETY: k - h + 1 + s <= h - W + 1 + W - 2 = h - 1, and h - 1 - s + t <= h - 1.
            unsafe {
                let xi = *x.add(k - h + 1 + s);
                for t in 0..=s {
                    self.add(t, xi, *y.add(h - 1 - s + t));
                }
            }
        }
    }

    /// The products x[i] x[j], i < j, of a column block (to be doubled), and the squares on the diagonal.
    ///
    /// # Safety
    /// As `product`.
    #[inline(always)]
    pub(super) unsafe fn square(&mut self, diagonal: &mut Sums, x: *const V, k: usize, h: usize) {
        // SAFETY: i < j <= h - 1 and i >= 0 in each case below; e is half of k.
        unsafe {
            let e = k / 2;
            if k + W == 2 * h {
                // the last block: columns 2h - 5 .. 2h - 2
                let at = |back: usize| *x.add(h - back);
                self.add(0, at(4), at(1));
                self.add(0, at(3), at(2));
                self.add(1, at(3), at(1));
                self.add(2, at(2), at(1));
                diagonal.add(1, at(2), at(2));
                diagonal.add(3, at(1), at(1));
                return;
            }
            let from = if k < h {
                0
            } else {
                self.corner(x, x, k, h);
                k - h + W
            };
            if k.is_multiple_of(2) {
                self.rectangle(x, x, k, from, e);
                let (x0, x1, x2) = (*x.add(e), *x.add(e + 1), *x.add(e + 2));
                diagonal.add(0, x0, x0);
                self.add(1, x0, x1);
                self.add(2, x0, x2);
                diagonal.add(2, x1, x1);
                self.add(3, x0, *x.add(e + 3));
                self.add(3, x1, x2);
                self.add(4, x0, *x.add(e + 4));
                self.add(4, x1, *x.add(e + 3));
                diagonal.add(4, x2, x2);
            } else {
                self.rectangle(x, x, k, from, e - 2); // k = 10 j + 5: 5 j limbs and three more
                self.strip::<3>(x.add(e - 2), x.add(k + 2 - e));
                let (x1, x2) = (*x.add(e + 1), *x.add(e + 2));
                diagonal.add(1, x1, x1);
                self.add(2, x1, x2);
                self.add(3, x1, *x.add(e + 3));
                diagonal.add(3, x2, x2);
                self.add(4, x1, *x.add(e + 4));
                self.add(4, x2, *x.add(e + 3));
            }
        }
    }

    #[inline(always)]
    pub(super) fn twice(&mut self) {
        for t in 0..W {
            self.lo[t] = add(self.lo[t], self.lo[t]);
            self.hi[t] = add(self.hi[t], self.hi[t]);
        }
    }

    #[inline(always)]
    pub(super) fn join(&mut self, other: &Sums) {
        for t in 0..W {
            self.lo[t] = add(self.lo[t], other.lo[t]);
            self.hi[t] = add(self.hi[t], other.hi[t]);
        }
    }

    /// Closes a high block: W limbs of the result; what remains is the next block's first column.
    ///
    /// # Safety
    /// out has W limbs.
    #[inline(always)]
    pub(super) unsafe fn store(self, out: *mut V) -> Sums {
        let mask = splat(MASK);
        let mut carry = self.carry;
        for t in 0..W {
            let mut c = add(self.lo[t], carry);
            if t > 0 {
                c = add(c, self.hi[t - 1]);
            }
            // SAFETY: by the contract above.
            unsafe { *out.add(t) = and(c, mask) };
            carry = high(c);
        }
        let mut next = Sums::zero();
        next.carry = add(carry, self.hi[W - 1]);
        next
    }

    /// Closes a low block: its quotient digits, chosen so that its columns vanish; returns the next block's first column.
    ///
    /// # Safety
    /// m and q have W limbs at least (q from the block's first column on).
    #[inline(always)]
    pub(super) unsafe fn quotient(mut self, q: *mut V, m: *const V, n0: V) -> Sums {
        self.lo[0] = add(self.lo[0], self.carry);
        for t in 0..W {
            let digit = madd52lo(zero(), self.lo[t], n0);
            // SAFETY: by the contract above.
            unsafe {
                *q.add(t) = digit;
                for s in t..W {
                    self.add(s, digit, *m.add(s - t));
                }
            }
            let up = add(high(self.lo[t]), self.hi[t]);
            if t + 1 < W {
                self.lo[t + 1] = add(self.lo[t + 1], up);
            } else {
                let mut next = Sums::zero();
                next.carry = up;
                return next;
            }
        }
        unreachable!()
    }
}
