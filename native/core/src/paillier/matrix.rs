//! Integer matrices times a vector of ciphertexts: products of powers, never one exponentiation an element.
//!
//! Many bases and few results (X^T [[d]]): *buckets* (Pippenger).  For every result and window of the scalars, multiply the bases that share a
//! digit, then weigh the digits.  Few bases and many results (X [[b]]): *tables* of windows, which several bases share (Straus, Lim and Lee; see `joint`),
//! so that a result is a product of table rows without a squaring.  Digits are signed.  A negative one goes into a second accumulator, inverted once a
//! result; in buckets it takes the inverse of its base where there are few bases for each result.  The inversions of a whole vector cost one.

use super::cipher::CipherVec;
use super::histogram::group;
use super::joint::{Joint, Layout};
use crate::bigint::ring::Ring;
use crate::bigint::rows::Rows;
use crate::error::{Result, require};
use rayon::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Plan {
    Tables(Layout),
    Buckets(Buckets),
}

#[derive(Clone, Copy, Debug)]
struct Buckets {
    width: usize,
    /// Inverses of the bases, rather than a second accumulator for each result.
    inverses: bool,
}

/// Rows of tables or of a set of buckets that may exist at a time.
pub(super) const ROWS: usize = 1 << 17;
/// Rows of a matrix whose largest numbers one task finds.
const MEASURED: usize = 256;
/// With more bases than this for each result, buckets are always cheaper.
const BASES: f64 = 16.0;

/// `most`: of each base, how large its numbers are either way.
fn plan(most: &[u64], results: usize) -> Plan {
    let (bases, results) = (most.len() as f64, results as f64);
    let mut best = (f64::INFINITY, Plan::Buckets(Buckets { width: 2, inverses: true }));
    for width in 2..=12usize {
        let stages = stages(most, width);
        for inverses in [false, true] {
            let (once, sides) = if inverses { (2.4 * bases, 1.0) } else { (3.4 * results, 2.0) };
            let each: f64 = stages.iter().map(|stage| of_buckets(stage, width, sides)).sum();
            let cost = once + results * each;
            if stages.len() << (width - 1) <= ROWS && cost < best.0 {
                best = (cost, Plan::Buckets(Buckets { width, inverses }));
            }
        }
    }
    if bases <= BASES * results
        && let Some((cost, layout)) = Layout::cheapest(most, results as usize)
        && cost < best.0
    {
        return Plan::Tables(layout);
    }
    best.1
}

/// By window, how many bases' digits of at most m are not 0 there, at place m, were all numbers equally frequent.
fn stages(most: &[u64], width: usize) -> Vec<Vec<f64>> {
    let mut found = Vec::new();
    for m in most {
        let count = bounds(*m, width).count();
        for (stage, digit) in bounds(*m, width).enumerate() {
            if stage == found.len() {
                found.push(vec![0.0; (1 << (width - 1)) + 1]);
            }
            let zero = match stage {
                0 => 1.0 / (2 * digit + 1) as f64,
                _ if stage + 1 < count => 0.5 / digit as f64,
                _ => (1u128 << (width * stage - 1)) as f64 / *m as f64,
            };
            found[stage][digit as usize] += 1.0 - zero.min(1.0);
        }
    }
    found
}

/// Products of one window of one result, were all digits equally frequent.
fn of_buckets(stage: &[f64], width: usize, sides: f64) -> f64 {
    let largest = stage.iter().rposition(|count| *count > 0.0).unwrap_or(0);
    let (mut bases, mut expected, mut filled) = (0.0, 0.0, 0.0);
    for digit in (1..=largest).rev() {
        bases += stage[digit];
        expected += stage[digit] / digit as f64 / sides; // bases in this bucket
        filled += 1.0 - 1.0 / (1.0 + expected * (1.0 + expected / 2.0));
    }
    let s = width / 2;
    let low = filled.min(largest.min((1 << s) - 1) as f64);
    let high = filled.min((largest >> s) as f64);
    let bits = |count: f64, of: usize| count * (usize::BITS - of.leading_zeros()) as f64 / 2.0;
    let weighed = filled - low - high + bits(low, largest.min((1 << s) - 1)) + bits(high, largest >> s);
    bases + sides * (weighed.max(0.0) + width as f64)
}

/// By digit, how large it is where numbers are at most `most` either way; the lowest first.  See `digits`.
pub(super) fn bounds(most: u64, width: usize) -> impl Iterator<Item = u64> {
    let half = 1u64 << (width - 1);
    let mut rest = most;
    std::iter::from_fn(move || {
        let here = rest;
        rest = if here > half { (here + half) >> width } else { 0 };
        (here > 0).then_some(here.min(half))
    })
}

/// Signed digits of x in [-2^(width-1), 2^(width-1)), lowest first; the last, of as many as `bounds` has, may be 2^(width-1).
pub(super) fn digits(x: i64, width: usize, windows: usize) -> impl Iterator<Item = i64> {
    let mut rest = x as i128;
    (0..windows).map(move |t| {
        let low = rest & ((1 << width) - 1);
        let digit = match (t + 1 == windows, low >> (width - 1)) {
            (true, _) => rest,
            (false, 1) => low - (1 << width),
            (false, _) => low,
        };
        rest = (rest - digit) >> width;
        digit as i64
    })
}

/// Rows (result, side) to results: the second side is divided by.
pub(super) fn settle(ring: &Ring, rows: &Rows) -> Result<Rows> {
    let len = rows.len() / 2;
    let mut below = ring.rows(len);
    for i in 0..len {
        below.row_mut(i).copy_from_slice(rows.row(2 * i + 1));
    }
    ring.invert(&mut below)?;
    Ok(ring.multiply_at(len, (rows, |i| 2 * i), (&below, |i| i)))
}

impl CipherVec {
    /// matrix @ self, (rows, len) row-major.
    pub fn matmul(&self, matrix: &[i64], rows: usize) -> Result<CipherVec> {
        require(rows.checked_mul(self.len()) == Some(matrix.len()), "the matrix does not fit the vector")?;
        let largest = |most: &mut Vec<u64>, row: &[i64]| {
            most.iter_mut().zip(row).for_each(|(most, x)| *most = x.unsigned_abs().max(*most));
        };
        let most = self.key().pool.install(|| {
            matrix
                .par_chunks(self.len().max(1) * MEASURED)
                .map(|rows| {
                    let mut most = vec![0; self.len()];
                    rows.chunks_exact(self.len().max(1)).for_each(|row| largest(&mut most, row));
                    most
                })
                .reduce(|| vec![0; self.len()], |a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect())
        });
        self.linear(rows, &most, |r, b| matrix[r * self.len() + b])
    }

    /// matrix.T @ self, (len, columns) row-major.
    pub fn t_matmul(&self, matrix: &[i64], columns: usize) -> Result<CipherVec> {
        require(columns.checked_mul(self.len()) == Some(matrix.len()), "the matrix does not fit the vector")?;
        let most: Vec<u64> = (0..self.len())
            .map(|b| matrix[b * columns..(b + 1) * columns].iter().map(|x| x.unsigned_abs()).max().unwrap_or(0))
            .collect();
        self.linear(columns, &most, |r, b| matrix[b * columns + r])
    }

    /// `most`: of each base, how large its numbers are either way.
    fn linear(
        &self,
        results: usize,
        most: &[u64],
        entry: impl Fn(usize, usize) -> i64 + Send + Sync,
    ) -> Result<CipherVec> {
        let bases = self.len();
        let key = self.key();
        let rows = key.pool.install(|| {
            let ring = &key.ring;
            let largest = most.iter().copied().max().unwrap_or(0);
            if largest == 0 {
                let none = vec![0usize; results + 1];
                return Ok(ring.segments(ring.one(), &none, &[]));
            }
            match plan(most, results) {
                Plan::Tables(layout) => Joint::new(ring, self.rows(), most, layout, entry)?.product(results),
                Plan::Buckets(plan) => {
                    let mut sources = self.rows().clone();
                    if plan.inverses {
                        sources = concat(ring, &sources, &sources);
                        ring.invert(&mut sources[bases * ring.width()..])?;
                    }
                    let windows = bounds(largest, plan.width).count();
                    Job { ring, plan, windows, bases, sources, entry }.buckets(results)
                }
            }
        })?;
        Ok(CipherVec::from_rows(key.clone(), rows))
    }
}

fn concat(ring: &Ring, a: &Rows, b: &Rows) -> Rows {
    let mut out = ring.rows(a.len() + b.len());
    let (low, high) = out.split_at_mut(a.len() * a.width());
    low.copy_from_slice(a);
    high.copy_from_slice(b);
    out
}

struct Job<'a, E: Fn(usize, usize) -> i64 + Sync> {
    ring: &'a Ring,
    plan: Buckets,
    windows: usize,
    bases: usize,
    /// The bases, then (with `inverses`) their inverses.
    sources: Rows,
    entry: E,
}

impl<E: Fn(usize, usize) -> i64 + Sync> Job<'_, E> {
    /// Accumulators a result: without inverses a positive and a negative one.
    fn sides(&self) -> usize {
        if self.plan.inverses { 1 } else { 2 }
    }

    /// Where a digit goes: (side, source).
    fn place(&self, base: usize, digit: i64) -> (usize, usize) {
        match (digit < 0, self.plan.inverses) {
            (false, _) => (0, base),
            (true, true) => (0, base + self.bases),
            (true, false) => (1, base),
        }
    }

    fn buckets(&self, results: usize) -> Result<Rows> {
        let (ring, width, sides) = (self.ring, self.plan.width, self.sides());
        let cells = 1usize << (width - 1); // digits 1 ..= cells
        let per = self.windows * sides * cells;
        // results at a time: bounded lists and buckets
        let limit = (ROWS / per).min((1 << 25) / (self.bases * self.windows)).max(1);
        let mut out = ring.rows(results * sides);
        for first in (0..results).step_by(limit) {
            let count = limit.min(results - first);
            let sums = self.fill(first, count);
            // a digit d = high 2^s + low: sums for each low part and each high part, then for each bit of either
            let s = width / 2;
            let parts = (1 << s) + (1 << (width - s));
            let groups = count * sides * self.windows;
            let (offsets, index) = group(2 * groups * cells, groups * parts, |k| {
                let (k, high) = (k / 2, k % 2 == 1);
                let (g, d) = (k / cells, k % cells + 1);
                let part = if high { d >> s } else { d & ((1 << s) - 1) };
                let offset = if high { 1 << s } else { 0 };
                (part != 0 && sums.1[k]).then_some(g * parts + offset + part)
            });
            let index: Vec<u32> = index.iter().map(|k| k / 2).collect();
            let halves = ring.segments(&sums.0, &offsets, &index);
            let filled: Vec<bool> = offsets.windows(2).map(|o| o[0] < o[1]).collect();
            let mut index = Vec::new();
            let mut offsets = vec![0usize];
            for g in 0..groups {
                for bit in 0..width {
                    let (from, until, bit) = if bit < s { (0, 1 << s, bit) } else { (1 << s, parts, bit - s) };
                    for part in (from..until).filter(|p| (p - from) >> bit & 1 == 1 && filled[g * parts + p]) {
                        index.push((g * parts + part) as u32);
                    }
                    offsets.push(index.len());
                }
            }
            let bit_sums = ring.segments(&halves, &offsets, &index);
            let at = |r: usize, j: usize| {
                let k = (r * self.windows + j / width) * width + j % width;
                (offsets[k] < offsets[k + 1]).then_some(k)
            };
            let done = ring.horner(&bit_sums, count * sides, at, self.windows * width, 1);
            let w = ring.width();
            out[first * sides * w..][..count * sides * w].copy_from_slice(&done);
        }
        if self.plan.inverses { Ok(out) } else { settle(ring, &out) }
    }

    /// Sums of the bases of each (result, side, window, digit), and which of them are not empty.
    fn fill(&self, first: usize, count: usize) -> (Rows, Vec<bool>) {
        let sides = self.sides();
        let cells = 1usize << (self.plan.width - 1);
        let per = self.windows * sides * cells;
        let lists: Vec<(Vec<usize>, Vec<u32>)> = (0..count)
            .into_par_iter()
            .map(|r| {
                let mut placed = Vec::with_capacity(self.bases * self.windows);
                for b in 0..self.bases {
                    let x = (self.entry)(first + r, b);
                    for (t, digit) in digits(x, self.plan.width, self.windows).enumerate().filter(|(_, d)| *d != 0) {
                        let (side, source) = self.place(b, digit);
                        let cell = (side * self.windows + t) * cells + digit.unsigned_abs() as usize - 1;
                        placed.push((cell as u32, source as u32));
                    }
                }
                let (offsets, index) = group(placed.len(), per, |i| Some(placed[i].0 as usize));
                (offsets, index.iter().map(|&i| placed[i as usize].1).collect())
            })
            .collect();
        let mut offsets = vec![0usize];
        let mut index = Vec::new();
        for (part, list) in lists {
            let base = index.len();
            offsets.extend(part[1..].iter().map(|o| o + base));
            index.extend(list);
        }
        let filled = offsets.windows(2).map(|o| o[0] < o[1]).collect();
        (self.ring.segments(&self.sources, &offsets, &index), filled)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::bigint::ring::Backend;

    /// The products that it takes, and those that were planned.
    fn buckets(most: &[u64], results: usize, plan: Buckets) -> (f64, f64) {
        let products = Arc::new(AtomicU64::new(0));
        let ring = Ring::new(&[u64::MAX, u64::MAX >> 1], Backend::Serial, products.clone(), 1);
        let words: Vec<u64> = (0..2 * most.len() as u64).map(|i| (i * i * 0x9e37_79b9_7f4a_7c15) | 1).collect();
        let (bases, mut sources) = (most.len(), ring.import(&words, 2));
        let before = products.load(Ordering::Relaxed);
        if plan.inverses {
            sources = concat(&ring, &sources, &sources);
            ring.invert(&mut sources[bases * ring.width()..]).unwrap();
        }
        let entry = |r: usize, b: usize| {
            let mixed = (r * bases + b) as u64 * 0x2545_f491_4f6c_dd1d;
            ((mixed >> 11) % (2 * most[b] + 1)) as i64 - most[b] as i64
        };
        let windows = bounds(*most.iter().max().unwrap(), plan.width).count();
        Job { ring: &ring, plan, windows, bases, sources, entry }.buckets(results).unwrap();
        let sides = if plan.inverses { 1.0 } else { 2.0 };
        let each: f64 = stages(most, plan.width).iter().map(|stage| of_buckets(stage, plan.width, sides)).sum();
        let once = if plan.inverses { 2.4 * bases as f64 } else { 3.4 * results as f64 };
        ((products.load(Ordering::Relaxed) - before) as f64, once + results as f64 * each)
    }

    #[test]
    fn buckets_take_about_the_products_that_were_planned() {
        for (most, results) in [
            (vec![200_000; 80], 3),
            (vec![200_000; 569], 30),
            (vec![200_000; 5_000], 4),
            ([vec![280; 54], vec![16; 108]].concat(), 22),
        ] {
            for (width, inverses) in [(3, true), (5, true), (5, false), (7, false), (9, true), (10, false)] {
                let (took, planned) = buckets(&most, results, Buckets { width, inverses });
                let of = took / planned;
                assert!((0.8..1.15).contains(&of), "{} bases, {width}, {inverses}: {of}", most.len());
            }
        }
    }

    #[test]
    fn the_cheapest_plan_is_taken() {
        let short = [vec![280; 54], vec![16; 108]].concat();
        assert!(matches!(plan(&short, 3_334), Plan::Tables(_)));
        assert!(matches!(plan(&vec![200_000; 10_000], 100), Plan::Buckets(_)));
        for (most, results) in [(vec![200_000; 80], 3), (vec![200_000; 569], 30), (short, 22)] {
            let Plan::Buckets(best) = plan(&most, results) else { panic!("{results}: tables") };
            let took = buckets(&most, results, best).0;
            for (width, inverses) in (3..=11).flat_map(|width| [(width, false), (width, true)]) {
                let other = buckets(&most, results, Buckets { width, inverses }).0;
                assert!(took <= 1.08 * other, "{best:?}: {took}, {width}, {inverses}: {other}");
            }
        }
    }
}
