//! The sums of a block of columns: open ones (`columns`), totals, and how a block is closed.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::columns::{
    Columns, MIDDLE, V, W, add, and, count, double, fma, minus, or, plus, real, shift, splat, whole, zero,
};

/// The first double whose unit in the last place is 1.
const WHOLE: f64 = 4503599627370496.0; // 2^52
/// Makes any total positive, so that a shift without a sign will do.
const LIFT: u64 = 1 << 62;

/// What depends on the radix 2^bits and on the modulus.
#[derive(Clone, Copy)]
pub(super) struct Radix {
    pub(super) bits: usize,
    /// The middle of the binade of which the unit in the last place is the radix.
    middle: f64,
    /// -m^-1 modulo the radix, as a digit.
    pub(super) n0: f64,
    /// Products in a column, in fours, until `low` might leave its binade.
    pub(super) limit: usize,
}

impl Radix {
    /// At most 49 bits.  Digits are at most half the radix, or the radix for one operand (a doubled one): then `high` takes 2^(52 - bits)
    /// products, and `low` as many.
    pub(super) fn new(bits: usize, n0: f64) -> Radix {
        assert!((1..=49).contains(&bits), "digits of this size do not fit the sums");
        let middle = MIDDLE * (1u64 << bits) as f64;
        Radix { bits, middle, n0, limit: 1 << (50 - bits).min(12) }
    }

    pub(super) fn wipe(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.n0);
    }
}

/// The sums of one block.
pub(super) struct Sums<'a> {
    radix: &'a Radix,
    room: *mut Room,
    /// Products in a column since the last flush, in fours.
    fill: usize,
    flushes: u64,
}

/// The numbers among the sums, in memory that its owner wipes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Room {
    high: [V; W],
    low: [V; W],
    /// Of the high halves that were flushed: they belong one column up.
    high_total: [__m256i; W],
    low_total: [__m256i; W],
    /// Into the next column to be closed.
    carry: __m256i,
}

/// Vectors in a `Room`.
pub(super) const ROOM: usize = size_of::<Room>() / size_of::<V>();

impl<'a> Sums<'a> {
    /// # Safety
    /// `room` has `ROOM` vectors of its own for as long as this lives.
    #[inline(always)]
    pub(super) unsafe fn new(radix: &'a Radix, room: *mut V) -> Sums<'a> {
        let room: *mut Room = room.cast();
        // SAFETY: by the contract above; a room is vectors only.
        unsafe { (*room).carry = zero() };
        Sums { radix, room, fill: 0, flushes: 0 }
    }

    #[inline(always)]
    fn room(&mut self) -> &mut Room {
        // SAFETY: `new` was promised that it lives, and that it is its own.
        unsafe { &mut *self.room }
    }

    /// Opens a block, with nothing in its columns but the last block's carry.
    #[inline(always)]
    pub(super) fn open(&mut self) {
        (self.fill, self.flushes) = (0, 0);
        let high = [real(self.radix.middle); W];
        let carry = self.room().carry;
        *self.room() = Room { high, low: [real(MIDDLE); W], high_total: [zero(); W], low_total: [zero(); W], carry };
    }

    /// Minus one digit in each column of a block that has just been opened.
    ///
    /// # Safety
    /// q has W digits.
    #[inline(always)]
    pub(super) unsafe fn subtract(&mut self, q: *const V) {
        for t in 0..W {
            // SAFETY: by the contract above.
            let digit = unsafe { *q.add(t) };
            self.room().low[t] = minus(self.room().low[t], digit);
        }
        self.fill = 1;
    }

    #[inline(always)]
    fn take(&mut self) -> Columns {
        Columns { high: self.room().high, low: self.room().low }
    }

    #[inline(always)]
    fn put(&mut self, columns: &Columns) {
        (self.room().high, self.room().low) = (columns.high, columns.low);
    }

    /// Into the totals.
    #[inline(always)]
    fn flush(&mut self, columns: &mut Columns) {
        let middle = real(self.radix.middle);
        let room = self.room();
        for t in 0..W {
            room.low_total[t] = add(room.low_total[t], whole(columns.low[t]));
            room.high_total[t] = add(room.high_total[t], whole(columns.high[t]));
            (columns.low[t], columns.high[t]) = (real(MIDDLE), middle);
        }
        self.flushes += 1;
        self.fill = 0;
    }

    /// Room for four more products in every column.
    #[inline(always)]
    fn reserve(&mut self, columns: &mut Columns) {
        if self.fill == self.radix.limit {
            self.flush(columns);
        }
        self.fill += 1;
    }

    /// As `rectangle`, on columns in registers.
    ///
    /// # Safety
    /// As `rectangle`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add_rectangle(&mut self, c: &mut Columns, x: *const V, y: *const V, k: usize, from: usize, until: usize) {
        let mut i = from;
        while i < until {
            if self.fill == self.radix.limit {
                self.flush(c);
            }
            let strips = (self.radix.limit - self.fill).min((until - i) / W);
            // SAFETY: by the contract above.
            unsafe { c.strips(x.add(i), y.add(k - i), strips) };
            self.fill += strips;
            i += W * strips;
        }
    }

    /// Adds x[i] y[k + t - i] to column t for i in from..until and every t; their number is a multiple of W.
    ///
    /// # Safety
    /// from..until is in x, and k - i .. k - i + W in y for each of these i.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn rectangle(&mut self, x: *const V, y: *const V, k: usize, from: usize, until: usize) {
        let mut columns = self.take();
        // SAFETY: by the contract above.
        unsafe { self.add_rectangle(&mut columns, x, y, k, from, until) };
        self.put(&columns);
    }

    /// The products of a full column block of x y, low half.
    ///
    /// # Safety
    /// x and y have h digits, k <= h - W is a multiple of W.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn product_low(&mut self, x: *const V, y: *const V, k: usize) {
        let mut columns = self.take();
        // SAFETY: the limbs of y are k - i + t <= k + W - 1 < h.
        unsafe {
            self.add_rectangle(&mut columns, x, y, k, 0, k);
            self.reserve(&mut columns);
            for s in 0..W {
                for t in s..W {
                    columns.add(t, *x.add(k + s), *y.add(t - s));
                }
            }
        }
        self.put(&columns);
    }

    /// The products of a full column block of x y, high half.
    ///
    /// # Safety
    /// x and y have h digits, h <= k <= 2h - W is a multiple of W.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn product_high(&mut self, x: *const V, y: *const V, k: usize, h: usize) {
        let mut columns = self.take();
        // SAFETY: the digits of y are k - i + t <= h - 1.
        unsafe {
            self.corner(&mut columns, x, y, k, h);
            self.add_rectangle(&mut columns, x, y, k, k - h + W, h);
        }
        self.put(&columns);
    }

    /// A block of either half.
    ///
    /// # Safety
    /// x and y have h digits, k <= 2h - W is a multiple of W.
    #[inline(always)]
    pub(super) unsafe fn product(&mut self, x: *const V, y: *const V, k: usize, h: usize) {
        // SAFETY: by the contract above.
        unsafe { if k < h { self.product_low(x, y, k) } else { self.product_high(x, y, k, h) } }
    }

    /// The corner of a high block, where the columns reach beyond y one after the other.
    ///
    /// # Safety
    /// As `product_high`.
    #[inline(always)]
    unsafe fn corner(&mut self, columns: &mut Columns, x: *const V, y: *const V, k: usize, h: usize) {
        self.reserve(columns);
        for s in 0..W - 1 {
            for t in 0..=s {
                // SAFETY: k - h + 1 + s <= h - W + 1 + W - 2 = h - 1, and h - 1 - s + t <= h - 1.
                unsafe { columns.add(t, *x.add(k - h + 1 + s), *y.add(h - 1 - s + t)) };
            }
        }
    }

    /// A column block of x^2; `twice` is 2 x.
    ///
    /// # Safety
    /// As `product`.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn square(&mut self, x: *const V, twice: *const V, k: usize, h: usize) {
        let mut columns = self.take();
        let e = k / 2;
        // SAFETY: i <= j <= h - 1 and i >= 0 in each case below.
        unsafe {
            if k + W == 2 * h {
                // the last block: columns 2h - 4 .. 2h - 2
                self.reserve(&mut columns);
                let at = |back: usize| *x.add(h - back);
                let last = *twice.add(h - 1);
                columns.add(0, at(3), last);
                columns.add(0, at(2), at(2));
                columns.add(1, at(2), last);
                columns.add(2, at(1), at(1));
            } else {
                let from = if k < h {
                    0
                } else {
                    self.corner(&mut columns, x, twice, k, h);
                    k - h + W
                };
                let whole = from + (e - from) / W * W;
                self.add_rectangle(&mut columns, x, twice, k, from, whole);
                self.reserve(&mut columns);
                for i in whole..e {
                    (0..W).for_each(|t| columns.add(t, *x.add(i), *twice.add(k - i + t)));
                }
                let (x0, x1) = (*x.add(e), *x.add(e + 1));
                columns.add(0, x0, x0);
                columns.add(1, x0, *twice.add(e + 1));
                columns.add(2, x0, *twice.add(e + 2));
                columns.add(2, x1, x1);
                columns.add(3, x0, *twice.add(e + 3));
                columns.add(3, x1, *twice.add(e + 2));
            }
        }
        self.put(&columns);
    }

    /// A total as a digit of at most half the radix, and what goes one column up, `LIFT` too much.
    #[inline(always)]
    fn split(&self, total: __m256i) -> (V, __m256i) {
        let bits = self.radix.bits;
        let half = 1u64 << (bits - 1);
        let up = add(total, splat(half.wrapping_add(LIFT)));
        let digit = or(and(up, splat((1 << bits) - 1)), splat(WHOLE.to_bits()));
        (minus(double(digit), real(WHOLE + half as f64)), shift(up, count(bits as u64)))
    }

    /// Minus what `n` flushes of high halves, and `split`, have too much.
    #[inline(always)]
    fn surplus(&self, n: u64) -> __m256i {
        let lift = LIFT >> self.radix.bits;
        splat(n.wrapping_mul(self.radix.middle.to_bits()).wrapping_add(lift).wrapping_neg())
    }

    /// Ends the products of a block.
    #[inline(always)]
    pub(super) fn finish(&mut self) -> Closing {
        let mut columns = self.take();
        self.flush(&mut columns);
        Closing { carry: self.room().carry, digits: [real(0.0); W] }
    }

    /// Closes column t of a high block, the columns before it closed.
    #[inline(always)]
    pub(super) fn store(&mut self, t: usize, closing: &mut Closing) {
        let offset = splat(self.flushes.wrapping_mul(MIDDLE.to_bits()).wrapping_neg());
        let total = add(add(self.room().low_total[t], offset), closing.carry);
        let (digit, up) = self.split(total);
        closing.digits[t] = digit;
        closing.carry = add(add(self.room().high_total[t], self.surplus(self.flushes)), up);
    }

    /// Closes column t of a low block, the columns before it closed: its quotient digit is chosen so that the column vanishes.
    ///
    /// # Safety
    /// m has W digits.
    #[inline(always)]
    pub(super) unsafe fn quotient(&mut self, t: usize, closing: &mut Closing, m: *const V) {
        let (n0, middle) = (real(self.radix.n0), real(self.radix.middle));
        let (mut high, mut low) = (middle, real(MIDDLE));
        for (s, digit) in closing.digits.iter().enumerate().take(t) {
            // SAFETY: by the contract above.
            let y = unsafe { *m.add(t - s) };
            let next = fma(*digit, y, high);
            low = plus(low, fma(*digit, y, minus(high, next)));
            high = next;
        }
        let offset = splat((self.flushes + 1).wrapping_mul(MIDDLE.to_bits()).wrapping_neg());
        let rest = add(add(self.room().low_total[t], offset), closing.carry);
        let (last, up) = self.split(add(rest, whole(low)));
        let digit = fma(last, n0, minus(middle, fma(last, n0, middle)));
        closing.digits[t] = digit;
        // SAFETY: by the contract above.  A multiple of the radix below its square, hence exact.
        let vanished = plus(fma(digit, unsafe { *m }, last), middle);
        let above = add(add(self.room().high_total[t], whole(high)), self.surplus(self.flushes + 2));
        closing.carry = add(add(above, up), whole(vanished));
    }

    /// Ends a block: its digits go to `out`.
    ///
    /// # Safety
    /// out has W digits.
    #[inline(always)]
    pub(super) unsafe fn close(&mut self, closing: Closing, out: *mut V) {
        self.room().carry = closing.carry;
        for (t, digit) in closing.digits.iter().enumerate() {
            // SAFETY: by the contract above.
            unsafe { *out.add(t) = *digit };
        }
    }
}

/// A block whose columns are being closed, one after the other.
pub(super) struct Closing {
    carry: __m256i,
    digits: [V; W],
}
