//! Sums of products by column, in blocks of four columns.
//!
//! One product of two digits x and y, both whole numbers in doubles, takes four instructions and is exact:
//!
//!   high' = fma(x, y, high)         the sum so far plus x y, rounded to a multiple of the radix
//!   low  += fma(x, y, high - high') what the rounding left out
//!
//! `high` begins in the middle of a binade whose unit in the last place is the radix, `low` in the middle of the one whose unit is 1.  While
//! both stay there, their bits are the sum as an integer, and totals of any length are sums of integers.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

pub(super) type V = __m256d;

/// Columns in a block; the number of digits is a multiple of it.
pub(super) const W: usize = 4;
/// The middle of the binade of which the unit in the last place is 1.
pub(super) const MIDDLE: f64 = 6755399441055744.0; // 1.5 * 2^52

// The vector operations, as functions without features of their own: they and all of `Sums` must melt into the loops of `pairs`, for a call
// would carry eight accumulators through memory, and a function with features cannot be forced to melt.
macro_rules! operations {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty = $intrinsic:expr;)*) => {$(
        #[inline(always)]
        pub(super) fn $name($($arg: $type),*) -> $out {
            // SAFETY: reached only from functions that have AVX2 and FMA.
            unsafe { $intrinsic }
        }
    )*};
}

operations! {
    fma(x: V, y: V, c: V) -> V = _mm256_fmadd_pd(x, y, c);
    plus(x: V, y: V) -> V = _mm256_add_pd(x, y);
    minus(x: V, y: V) -> V = _mm256_sub_pd(x, y);
    add(x: __m256i, y: __m256i) -> __m256i = _mm256_add_epi64(x, y);
    and(x: __m256i, y: __m256i) -> __m256i = _mm256_and_si256(x, y);
    or(x: __m256i, y: __m256i) -> __m256i = _mm256_or_si256(x, y);
    shift(x: __m256i, bits: __m128i) -> __m256i = _mm256_srl_epi64(x, bits);
    count(x: u64) -> __m128i = _mm_cvtsi64_si128(x as i64);
    splat(x: u64) -> __m256i = _mm256_set1_epi64x(x as i64);
    real(x: f64) -> V = _mm256_set1_pd(x);
    whole(x: V) -> __m256i = _mm256_castpd_si256(x);
    double(x: __m256i) -> V = _mm256_castsi256_pd(x);
    zero() -> __m256i = _mm256_setzero_si256();
}

/// One product: `spare` takes what the sum was, then what the rounding left out.
#[rustfmt::skip]
macro_rules! step {
    ($high:literal, $low:literal, $spare:literal, $y:literal) => {
        concat!(
            "vmovapd {", $spare, "}, {", $high, "}\n",
            "vfmadd231pd {", $high, "}, {x}, {", $y, "}\n",
            "vsubpd {", $spare, "}, {", $spare, "}, {", $high, "}\n",
            "vfmadd231pd {", $spare, "}, {x}, {", $y, "}\n",
            "vaddpd {", $low, "}, {", $low, "}, {", $spare, "}\n",
        )
    };
}

/// A digit of x, and its products into all columns.
#[rustfmt::skip]
macro_rules! digit {
    ($at:literal, $y0:literal, $y1:literal, $y2:literal, $y3:literal) => {
        concat!(
            "vmovapd {x}, [{px} + ", $at, "]\n",
            step!("h0", "l0", "s0", $y0),
            step!("h1", "l1", "s1", $y1),
            step!("h2", "l2", "s0", $y2),
            step!("h3", "l3", "s1", $y3),
        )
    };
}

/// The sums of one block that are open, in registers.
pub(super) struct Columns {
    pub(super) high: [V; W],
    pub(super) low: [V; W],
}

impl Columns {
    /// Adds x y to column t.
    #[inline(always)]
    pub(super) fn add(&mut self, t: usize, x: V, y: V) {
        let high = fma(x, y, self.high[t]);
        self.low[t] = plus(self.low[t], fma(x, y, minus(self.high[t], high)));
        self.high[t] = high;
    }

    /// Adds x[i] y[t - i] to column t for each i below 4 `count` and every t.  In assembly: sixteen registers hold exactly what the loop needs,
    /// and a compiler that moves anything in and out makes it half as slow again.
    ///
    /// # Safety
    /// There is room for so many products; 4 `count` digits from x on, and from y - 4 `count` + 1 to y + 3, exist; count is not 0.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn strips(&mut self, x: *const V, y: *const V, count: usize) {
        // SAFETY: it reads what the contract promises, and writes nothing but registers.
        unsafe {
            core::arch::asm!(
                "2:",
                "vmovapd {y0}, [{py}]",
                "vmovapd {y1}, [{py} + 32]",
                "vmovapd {y2}, [{py} + 64]",
                "vmovapd {y3}, [{py} + 96]",
                digit!("0", "y0", "y1", "y2", "y3"),
                "vmovapd {y3}, [{py} - 32]",
                digit!("32", "y3", "y0", "y1", "y2"),
                "vmovapd {y2}, [{py} - 64]",
                digit!("64", "y2", "y3", "y0", "y1"),
                "vmovapd {y1}, [{py} - 96]",
                digit!("96", "y1", "y2", "y3", "y0"),
                "add {px}, 128",
                "sub {py}, 128",
                "dec {count}",
                "jnz 2b",
                px = inout(reg) x => _,
                py = inout(reg) y => _,
                count = inout(reg) count => _,
                h0 = inout(ymm_reg) self.high[0],
                h1 = inout(ymm_reg) self.high[1],
                h2 = inout(ymm_reg) self.high[2],
                h3 = inout(ymm_reg) self.high[3],
                l0 = inout(ymm_reg) self.low[0],
                l1 = inout(ymm_reg) self.low[1],
                l2 = inout(ymm_reg) self.low[2],
                l3 = inout(ymm_reg) self.low[3],
                x = out(ymm_reg) _,
                s0 = out(ymm_reg) _,
                s1 = out(ymm_reg) _,
                y0 = out(ymm_reg) _,
                y1 = out(ymm_reg) _,
                y2 = out(ymm_reg) _,
                y3 = out(ymm_reg) _,
                options(nostack, readonly),
            );
        }
    }
}
