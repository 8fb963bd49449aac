//! Window tables of fixed bases: base^(d 2^(step t)) for every window t and digit d, so that a power is a product of table rows.

use rayon::prelude::*;

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

/// (Base, window) pairs that one task fills.
const CELLS: usize = 8;

impl Table {
    /// `digit_bits` = step for plain digits, step - 1 for signed ones (the digit 2^(step - 1) is a pure squaring: see `row`).
    pub fn build(ring: &Ring, bases: &[u64], bits: usize, step: usize, digit_bits: usize) -> Table {
        let w = ring.width();
        let count = bases.len() / w;
        let windows = bits.div_ceil(step);
        let mut squarings = ring.squarings(bases, windows * step);
        let entries = (count * windows) << digit_bits;
        let mut rows = ring.rows(entries + squarings.len());
        let (cells, powers) = rows.split_at_mut(entries * w);
        powers.copy_from_slice(&squarings);
        // a task fills a few cells, so that low digits find enough lanes and the cells stay in cache
        cells.par_chunks_mut((w * CELLS) << digit_bits).enumerate().for_each(|(task, cells)| {
            for cell in cells.chunks_exact_mut(w << digit_bits) {
                cell[..w].copy_from_slice(ring.one());
            }
            let filled = cells.len() / (w << digit_bits);
            let mut level = ring.rows(filled << digit_bits.saturating_sub(1));
            for k in 0..digit_bits {
                // digits 2^k .. 2^(k+1) - 1: a lower one times base^(2^k)
                let count_here = filled << k;
                let low = |i: usize| (i >> k) << digit_bits | (i & ((1 << k) - 1));
                let power = |i: usize| {
                    let cell = task * CELLS + (i >> k);
                    (cell % windows * step + k) * count + cell / windows
                };
                let level = &mut level[..count_here * w];
                ring.multiply_at_here((cells, low), (&squarings, power), level);
                for (i, row) in level.chunks_exact(w).enumerate() {
                    let to = low(i) | 1 << k;
                    cells[to * w..(to + 1) * w].copy_from_slice(row);
                }
            }
            level.wipe();
        });
        squarings.wipe();
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
