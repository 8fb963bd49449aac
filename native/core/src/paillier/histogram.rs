//! Sums over the rows of each bin, for many features at once.

use super::cipher::CipherVec;
use crate::bigint::rows::Rows;
use crate::error::{Result, require};

/// Segments of a list: entry i belongs to cell(i); `None` belongs nowhere.
pub(crate) fn group(len: usize, cells: usize, cell: impl Fn(usize) -> Option<usize>) -> (Vec<usize>, Vec<u32>) {
    let mut offsets = vec![0usize; cells + 1];
    (0..len).filter_map(&cell).for_each(|c| offsets[c + 1] += 1);
    for c in 0..cells {
        offsets[c + 1] += offsets[c];
    }
    let mut next = offsets.clone();
    let mut index = vec![0u32; offsets[cells]];
    for i in 0..len {
        if let Some(c) = cell(i) {
            index[next[c]] = i as u32;
            next[c] += 1;
        }
    }
    (offsets, index)
}

impl CipherVec {
    /// bins: (rows, features), row-major, in [0, n_bins), -1 skips.  Returns features x n_bins sums, feature-major.
    ///
    /// Several features share one table over the combinations of their bins: a row then costs one product for all of them, and a combination
    /// one for each.
    pub fn histogram(&self, bins: &[i64], features: usize, n_bins: usize) -> Result<CipherVec> {
        let rows = self.len();
        require((1..=1 << 20).contains(&n_bins), "number of bins out of range")?;
        require(rows.checked_mul(features) == Some(bins.len()), "bins do not have one row for each ciphertext")?;
        require(bins.iter().all(|b| (-1..n_bins as i64).contains(b)), "a bin is out of range")?;
        let joint = (1..=4usize)
            .min_by_key(|&g| {
                let cells = (n_bins + 1).checked_pow(g as u32).unwrap_or(usize::MAX).min(rows);
                features.div_ceil(g) as u128 * (rows as u128 + cells as u128 * if g > 1 { g as u128 } else { 0 })
            })
            .unwrap_or(1);
        Ok(self.derive(|key| {
            let ring = &key.ring;
            let mut out = ring.rows(features * n_bins);
            let w = ring.width();
            for first in (0..features).step_by(joint) {
                let group_size = joint.min(features - first);
                let sums = if group_size == 1 {
                    let (offsets, index) = group(rows, n_bins, |i| usize::try_from(bins[i * features + first]).ok());
                    ring.segments(self.rows(), &offsets, &index)
                } else {
                    self.joint(bins, features, n_bins, first..first + group_size)
                };
                out[first * n_bins * w..][..group_size * n_bins * w].copy_from_slice(&sums);
            }
            out
        }))
    }

    fn joint(&self, bins: &[i64], features: usize, n_bins: usize, group_of: std::ops::Range<usize>) -> Rows {
        let base = n_bins + 1; // digit 0 is "skipped"
        let cell_of =
            |i: usize| group_of.clone().fold(0usize, |cell, f| cell * base + (bins[i * features + f] + 1) as usize);
        // number the combinations that occur
        let mut occurring: Vec<usize> = (0..self.len()).map(cell_of).filter(|&c| c != 0).collect();
        occurring.sort_unstable();
        occurring.dedup();
        let (offsets, index) = group(self.len(), occurring.len(), |i| occurring.binary_search(&cell_of(i)).ok());
        let ring = &self.key().ring;
        let cells = ring.segments(self.rows(), &offsets, &index);
        // each combination goes to one bin of every feature
        let count = group_of.len();
        let (offsets, index) = group(count * occurring.len(), count * n_bins, |k| {
            let (f, cell) = (k / occurring.len(), k % occurring.len());
            let digit = occurring[cell] / base.pow((count - 1 - f) as u32) % base;
            digit.checked_sub(1).map(|bin| f * n_bins + bin)
        });
        let index: Vec<u32> = index.iter().map(|&k| k % occurring.len().max(1) as u32).collect();
        ring.segments(&cells, &offsets, &index)
    }
}
