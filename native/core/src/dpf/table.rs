//! Public tables, laid out for an inner product with the leaves.

use super::MAX_BITS;
use crate::error::{Result, require};

/// Digits stay below 2^52: what AVX-512 IFMA multiplies.
pub const DIGIT_BITS: usize = 52;

/// What a kernel adds up over one row's leaves, for one digit: with c_j the leaf before its correction and t_j its control bit,
/// sum of c_j digit_j, and the sums of the digits with t_j = 1 on the left and on the right half of the tree.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Sums {
    pub leaves: u128,
    pub marked: [u128; 2],
}

/// table[k] = bias + low[k] + 2^52 high[k].
struct Recipe {
    bias: i64,
    low: usize,
    high: Option<usize>,
}

/// Tables of 2^bits entries each.
pub struct Tables {
    bits: usize,
    recipes: Vec<Recipe>,
    /// Reversed and written twice, so that leaf j of a look-up at x meets entry (x - j) mod 2^bits at position (2^bits - x) + j.
    digits: Vec<Vec<u64>>,
}

impl Tables {
    /// `values`: tables of 2^bits entries, one after the other.
    pub fn new(values: &[i64], bits: usize) -> Result<Self> {
        require((1..=MAX_BITS).contains(&bits), "bits must be between 1 and 20")?;
        let size = 1usize << bits;
        require(!values.is_empty() && values.len().is_multiple_of(size), "tables do not have 2^bits entries")?;
        let mut out = Self { bits, recipes: Vec::new(), digits: Vec::new() };
        for table in values.chunks_exact(size) {
            let bias = table.iter().copied().min().unwrap_or(0).min(0);
            let above = |v: i64| v.wrapping_sub(bias) as u64;
            let low = out.push(table, |v| above(v) & ((1 << DIGIT_BITS) - 1));
            let wide = table.iter().any(|&v| above(v) >> DIGIT_BITS != 0);
            let high = wide.then(|| out.push(table, |v| above(v) >> DIGIT_BITS));
            out.recipes.push(Recipe { bias, low, high });
        }
        Ok(out)
    }

    fn push(&mut self, table: &[i64], digit: impl Fn(i64) -> u64) -> usize {
        let size = table.len();
        self.digits.push((0..2 * size).map(|i| digit(table[(2 * size - i) % size])).collect());
        self.digits.len() - 1
    }

    /// Entries a table.
    pub fn size(&self) -> usize {
        1 << self.bits
    }

    /// How many tables.
    pub fn count(&self) -> usize {
        self.recipes.len()
    }

    /// For every digit, what the leaves of a look-up at `x` in [0, 2^bits) meet, in their order.
    pub(super) fn windows(&self, x: usize) -> impl Iterator<Item = &[u64]> {
        self.digits.iter().map(move |digit| &digit[self.size() - x..][..self.size()])
    }

    pub(super) fn digits(&self) -> usize {
        self.digits.len()
    }

    /// Adds to `out` the shares, one a table, that the sums over one row make with the correction words of its leaves.  Both parties' leaves add
    /// up to 1, so that the first adds the bias alone.
    pub(super) fn finish(&self, sums: &[Sums], corrections: [u128; 2], party: u8, out: &mut [u128]) {
        let digit = |i: usize| {
            let Sums { leaves, marked: [left, right] } = sums[i];
            let corrected = left.wrapping_mul(corrections[0]).wrapping_add(right.wrapping_mul(corrections[1]));
            leaves.wrapping_add(corrected)
        };
        for (o, recipe) in out.iter_mut().zip(&self.recipes) {
            let low = digit(recipe.low);
            let high = recipe.high.map_or(0, |i| digit(i) << DIGIT_BITS);
            let share = low.wrapping_add(high);
            let own = if party == 0 { share.wrapping_add(recipe.bias as i128 as u128) } else { share.wrapping_neg() };
            *o = o.wrapping_add(own);
        }
    }
}
