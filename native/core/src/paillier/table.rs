//! Window tables of fixed bases: base^(d 2^(step t)) for every window t and digit d, so that a power is a product of table rows.

use crate::bigint::ring::Ring;
use crate::bigint::rows::Rows;

pub struct Table {
    pub rows: Rows,
    /// Bits from one window to the next.
    pub step: usize,
    /// Digits 0 .. 2^digit_bits - 1 are tabled.
    digit_bits: usize,
    pub windows: usize,
    bases: usize,
}

impl Table {
    /// `digit_bits` = step for plain digits, step - 1 for signed ones (the digit 2^(step - 1) is a pure squaring: see `row`).
    pub fn build(ring: &Ring, bases: &[u64], bits: usize, step: usize, digit_bits: usize) -> Table {
        let w = ring.width();
        let count = bases.len() / w;
        let windows = bits.div_ceil(step);
        let squarings = ring.squarings(bases, windows * step);
        let entries = (count * windows) << digit_bits;
        let mut rows = ring.rows(entries + squarings.len());
        rows[entries * w..].copy_from_slice(&squarings);
        for cell in 0..count * windows {
            rows.row_mut(cell << digit_bits).copy_from_slice(ring.one());
        }
        for k in 0..digit_bits {
            // digits 2^k .. 2^(k+1) - 1: a lower one times base^(2^k)
            let level = ring.multiply_at(
                (count * windows) << k,
                (&rows, |i| (i >> k) << digit_bits | (i & ((1 << k) - 1))),
                (&squarings, |i| {
                    let (base, t) = ((i >> k) / windows, (i >> k) % windows);
                    (t * step + k) * count + base
                }),
            );
            for i in 0..level.len() {
                let to = (i >> k) << digit_bits | 1 << k | (i & ((1 << k) - 1));
                rows.row_mut(to).copy_from_slice(level.row(i));
            }
        }
        Table { rows, step, digit_bits, windows, bases: count }
    }

    /// Products that `build` computes.
    pub fn cost(bases: usize, bits: usize, step: usize, digit_bits: usize) -> usize {
        let windows = bits.div_ceil(step);
        bases * (windows * step + (windows << digit_bits))
    }

    /// The row of base^(digit 2^(step t)), digit <= 2^digit_bits.
    #[inline]
    pub fn row(&self, base: usize, t: usize, digit: usize) -> u32 {
        if digit >> self.digit_bits != 0 {
            let entries = (self.bases * self.windows) << self.digit_bits;
            return (entries + (t * self.step + self.digit_bits) * self.bases + base) as u32;
        }
        ((base * self.windows + t) << self.digit_bits | digit) as u32
    }
}
