//! Window tables that several bases share, for few bases and many results: a result is a product of one row of each, without a squaring.
//!
//! A base's numbers are cut into signed digits.  A short digit would leave most of a window empty, so that digits of several bases share one: where
//! they are at most m_1, m_2 .. either way, the table has a row for each
//!
//! ```text
//! v = d_1 + R_2 d_2 + R_3 d_3 ..,      R_k = (2 m_1 + 1) .. (2 m_(k-1) + 1)
//! ```
//!
//! A row of -v is the inverse of that of v: only v > 0 is tabled, and what is negative goes into a second accumulator of its result.

use std::cmp::Reverse;
use std::ops::Range;

use rayon::prelude::*;

use super::matrix::{ROWS, bounds, digits, settle};
use crate::bigint::ring::Ring;
use crate::bigint::rows::Rows;
use crate::error::Result;

/// Bits of the longest digit, and of the largest table.
const WIDEST: usize = 12;
/// Digits whose powers one task computes side by side: short ones fill the lanes together.
const TOGETHER: usize = 16;
/// Bases that one task squares.
const SQUARED: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Of a digit, in bits.
    width: usize,
    /// Values of v in a table, zero and negative ones included.
    states: u64,
}

/// Ranges of digits that share a table each; `most` of each digit, the largest first.
fn shared(most: &[u64], states: u64) -> Vec<Range<usize>> {
    let (mut found, mut first, mut product) = (Vec::new(), 0, 1u64);
    for (i, m) in most.iter().enumerate() {
        if i > first && product * (2 * m + 1) > states {
            found.push(first..i);
            (first, product) = (i, 1);
        }
        product *= 2 * m + 1;
    }
    if first < most.len() {
        found.push(first..most.len());
    }
    found
}

/// Products that fill one window's table, and the rows of it.
fn window_cost(most: &[u64]) -> (f64, usize) {
    let (mut cost, mut low) = (0.0, 1);
    for m in most[1..].iter().rev().map(|&m| m as usize) {
        cost += 2.4 + (2 * (m - 1) + if low > 1 { 2 * m * low } else { 0 }) as f64;
        low *= 2 * m + 1;
    }
    let top = most[0] as usize;
    (cost + (top - 1 + if low > 1 { top * low } else { 0 }) as f64, (low * (2 * top + 1) - 1) / 2)
}

impl Layout {
    /// The cheapest for this many results of bases whose numbers are at most `most` either way, and the products that it takes.
    pub(super) fn cheapest(most: &[u64], results: usize) -> Option<(f64, Layout)> {
        (2..=WIDEST)
            .flat_map(|width| {
                let (of, squarings) = Layout::sorted(most, width);
                (width..=WIDEST).map(move |bits| {
                    let states = (1 << bits) + 1;
                    let windows = shared(&of, states);
                    let (mut filled, mut each, mut rows) = (squarings as f64, 3.4, 0);
                    for (cost, of_it) in windows.into_iter().map(|window| window_cost(&of[window])) {
                        (filled, rows) = (filled + cost, rows + of_it);
                        each += 1.0 - 1.0 / (2 * of_it + 1) as f64; // nothing to do where v = 0
                    }
                    // each further set of tables is one more factor of both accumulators
                    (filled + results as f64 * (each + 2.0 * (rows / ROWS) as f64), Layout { width, states })
                })
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// The largest of each digit, the largest first, and how many squarings their bases take.
    fn sorted(most: &[u64], width: usize) -> (Vec<u64>, usize) {
        let (mut of, mut squarings) = (Vec::new(), 0);
        for m in most {
            let before = of.len();
            of.extend(bounds(*m, width));
            squarings += (of.len() - before).saturating_sub(1) * width;
        }
        of.sort_unstable_by_key(|m| Reverse(*m));
        (of, squarings)
    }

    /// The digits in the order of their windows, the shortest of each first.
    fn windows(self, most: &[u64]) -> (Vec<Digit>, Vec<Window>) {
        let mut all: Vec<(u64, usize, usize)> = Vec::new();
        for (base, m) in most.iter().enumerate() {
            all.extend(bounds(*m, self.width).enumerate().map(|(stage, of)| (of, base, stage)));
        }
        all.sort_unstable_by_key(|&(of, base, stage)| (Reverse(of), base, stage));
        let of: Vec<u64> = all.iter().map(|(of, ..)| *of).collect();
        let (mut digits, mut windows) = (Vec::new(), Vec::new());
        for (window, range) in shared(&of, self.states).into_iter().enumerate() {
            let mut radix = 1;
            for &(most, base, stage) in all[range.clone()].iter().rev() {
                digits.push(Digit { base, stage, most, window, radix });
                radix *= 2 * most as i64 + 1;
            }
            windows.push(Window { digits: range, rows: radix as usize / 2 });
        }
        (digits, windows)
    }
}

/// A digit of one base.
#[derive(Clone, Copy, Debug)]
struct Digit {
    base: usize,
    stage: usize,
    most: u64,
    /// Its window, and by what it is multiplied there.
    window: usize,
    radix: i64,
}

struct Window {
    digits: Range<usize>,
    rows: usize,
}

pub(super) struct Joint<'a, E: Fn(usize, usize) -> i64 + Sync> {
    ring: &'a Ring,
    layout: Layout,
    entry: E,
    /// Rows of tables that may exist at a time.
    at_a_time: usize,
    /// Of one window after the other, the shortest of each first.
    digits: Vec<Digit>,
    windows: Vec<Window>,
    /// Of each base, its digits' places, the lowest first.
    places: Vec<Vec<usize>>,
    /// The power of a base that belongs to each digit, and the inverses of all but the last of a window.
    powers: Rows,
    inverses: Rows,
}

impl<'a, E: Fn(usize, usize) -> i64 + Sync> Joint<'a, E> {
    pub(super) fn new(ring: &'a Ring, bases: &Rows, most: &[u64], layout: Layout, entry: E) -> Result<Joint<'a, E>> {
        let (digits, windows) = layout.windows(most);
        let mut places: Vec<Vec<usize>> = most.iter().map(|m| vec![0; bounds(*m, layout.width).count()]).collect();
        for (k, digit) in digits.iter().enumerate() {
            places[digit.base][digit.stage] = k;
        }
        let powers = staged(ring, bases, &places, layout.width, digits.len());
        let mut inverses = ring.rows(digits.len() - windows.len());
        for (k, digit) in digits.iter().enumerate().filter(|(k, d)| k + 1 < windows[d.window].digits.end) {
            inverses.row_mut(k - digit.window).copy_from_slice(powers.row(k));
        }
        ring.invert(&mut inverses)?;
        Ok(Joint { ring, layout, entry, at_a_time: ROWS, digits, windows, places, powers, inverses })
    }

    pub(super) fn product(&self, results: usize) -> Result<Rows> {
        let (ring, w) = (self.ring, self.ring.width());
        let mut out = ring.rows(2 * results);
        let each = (4096 / self.windows.len().max(1)).max(1).next_multiple_of(16);
        for (n, block) in self.blocks().into_iter().enumerate() {
            let (table, starts) = self.fill(block.clone());
            out.par_chunks_mut(each * 2 * w).enumerate().for_each(|(c, rows)| {
                let (offsets, index) = self.lists(block.clone(), &starts, c * each..c * each + rows.len() / (2 * w));
                if n == 0 {
                    ring.segments_here(&table, &offsets, &index, rows);
                } else {
                    let (before, mut more) = (Rows::from_slice(rows, w), ring.rows(rows.len() / w));
                    ring.segments_here(&table, &offsets, &index, &mut more);
                    ring.multiply_at_here((&before, |i| i), (&more, |i| i), rows);
                }
            });
        }
        settle(ring, &out)
    }

    /// Windows whose tables exist at a time.
    fn blocks(&self) -> Vec<Range<usize>> {
        let (mut found, mut first, mut rows) = (Vec::new(), 0, 0);
        for (i, window) in self.windows.iter().enumerate() {
            if i > first && rows + window.rows > self.at_a_time {
                found.push(first..i);
                (first, rows) = (i, 0);
            }
            rows += window.rows;
        }
        found.push(first..self.windows.len());
        found
    }

    /// Of results, by result and sign, the rows of a block's tables that are multiplied.
    fn lists(&self, block: Range<usize>, starts: &[usize], results: Range<usize>) -> (Vec<usize>, Vec<u32>) {
        let (mut offsets, mut index) = (vec![0usize], Vec::new());
        let mut values = vec![0i64; self.windows.len()];
        let mut below = Vec::new();
        for r in results {
            values.fill(0);
            for (base, places) in self.places.iter().enumerate() {
                for (digit, place) in digits((self.entry)(r, base), self.layout.width, places.len()).zip(places) {
                    let place = &self.digits[*place];
                    values[place.window] += digit * place.radix;
                }
            }
            below.clear();
            for (v, start) in values[block.clone()].iter().zip(starts).filter(|(v, _)| **v != 0) {
                let row = (start + v.unsigned_abs() as usize - 1) as u32;
                if *v > 0 { index.push(row) } else { below.push(row) }
            }
            offsets.push(index.len());
            index.append(&mut below);
            offsets.push(index.len());
        }
        (offsets, index)
    }

    /// The tables of a block, and where each begins.
    fn fill(&self, block: Range<usize>) -> (Rows, Vec<usize>) {
        let w = self.ring.width();
        let mut starts = vec![0usize];
        starts.extend(self.windows[block.clone()].iter().scan(0, |at, window| {
            *at += window.rows;
            Some(*at)
        }));
        let mut table = self.ring.rows(starts[block.len()]);
        let (mut tasks, mut rest, mut first) = (Vec::new(), &mut table[..], block.start);
        while first < block.end {
            let digits = |until: usize| self.windows[until].digits.end - self.windows[first].digits.start;
            let until = (first + 1..block.end).find(|&i| digits(i) > TOGETHER).unwrap_or(block.end);
            let rows: usize = self.windows[first..until].iter().map(|window| window.rows).sum();
            let (own, tail) = rest.split_at_mut(rows * w);
            tasks.push((first..until, own));
            (rest, first) = (tail, until);
        }
        tasks.into_par_iter().for_each(|(windows, rows)| self.fill_some(windows, rows));
        (table, starts)
    }

    fn fill_some(&self, windows: Range<usize>, mut out: &mut [u64]) {
        let (ring, w) = (self.ring, self.ring.width());
        let first = self.windows[windows.start].digits.start;
        let (powers, starts) = self.powers_of(first..self.windows[windows.end - 1].digits.end);
        for window in &self.windows[windows] {
            let (own, tail) = out.split_at_mut(window.rows * w);
            out = tail;
            let top = window.digits.end - 1;
            let low = window.digits.clone().take_while(|&k| k < top).fold(None, |low: Option<Rows>, k| {
                Some(self.spread(low.as_ref(), &powers, (starts[k - first], self.digits[k].most as usize)))
            });
            let tops = &powers[starts[top - first] * w..][..self.digits[top].most as usize * w];
            let Some(low) = low else {
                own.copy_from_slice(tops);
                continue;
            };
            let half = low.len() / 2;
            own[..half * w].copy_from_slice(&low[(half + 1) * w..]);
            ring.multiply_at_here((tops, |i| i / low.len()), (&low, |i| i % low.len()), &mut own[half * w..]);
        }
    }

    /// Rows of all values of the lower digits and of one more, whose powers begin at `start`; the largest negative value first.
    fn spread(&self, low: Option<&Rows>, powers: &Rows, (start, most): (usize, usize)) -> Rows {
        let (ring, w) = (self.ring, self.ring.width());
        // powers: base^1 .. base^most, then the same of the inverse
        let row = |e: usize| if e < most { start + 2 * most - e - 1 } else { start + e - most - 1 };
        let n = low.map_or(1, Rows::len);
        let mut out = ring.rows((2 * most + 1) * n);
        for e in (0..=2 * most).filter(|&e| low.is_none() || e == most) {
            let from = if e == most { low.map_or(ring.one(), |low| low) } else { powers.row(row(e)) };
            out[e * n * w..][..n * w].copy_from_slice(from);
        }
        if let Some(low) = low {
            let (below, above) = out.split_at_mut(most * n * w);
            ring.multiply_at_here((powers, |i| row(i / n)), (low, |i| i % n), below);
            ring.multiply_at_here((powers, |i| row(most + 1 + i / n)), (low, |i| i % n), &mut above[n * w..]);
        }
        out
    }

    /// For each digit the powers 1 to `most` of its base, then of its inverse unless it is the last of its window; and where they begin.
    fn powers_of(&self, digits: Range<usize>) -> (Rows, Vec<usize>) {
        let (ring, w) = (self.ring, self.ring.width());
        let (mut starts, mut sets, mut rows) = (Vec::new(), Vec::new(), 0);
        for (k, digit) in digits.clone().zip(&self.digits[digits]) {
            starts.push(rows);
            sets.push((rows, digit.most as usize, self.powers.row(k)));
            rows += digit.most as usize;
            if k + 1 < self.windows[digit.window].digits.end {
                sets.push((rows, digit.most as usize, self.inverses.row(k - digit.window)));
                rows += digit.most as usize;
            }
        }
        let mut out = ring.rows(rows);
        sets.iter().for_each(|&(start, _, base)| out.row_mut(start).copy_from_slice(base));
        // each power is a product of two that are there: of all sets together, to fill the lanes
        for done in (0..WIDEST).map(|k| 1 << k) {
            let next: Vec<(usize, usize)> = sets
                .iter()
                .flat_map(|&(start, most, _)| (done + 1..=most.min(2 * done)).map(move |e| (start, e)))
                .collect();
            let mut level = ring.rows(next.len());
            let at = |i: usize, e: usize| next[i].0 + e - 1;
            ring.multiply_at_here(
                (&out, |i| at(i, next[i].1.div_ceil(2))),
                (&out, |i| at(i, next[i].1 / 2)),
                &mut level,
            );
            for (i, row) in level.chunks_exact(w).enumerate() {
                out.row_mut(at(i, next[i].1)).copy_from_slice(row);
            }
        }
        (out, starts)
    }
}

/// Of each digit its base's power 2^(width stage).
fn staged(ring: &Ring, bases: &Rows, places: &[Vec<usize>], width: usize, count: usize) -> Rows {
    let w = ring.width();
    let mut out = ring.rows(count);
    let mut live: Vec<usize> = (0..places.len()).collect();
    let mut rows = bases.clone();
    for stage in 0.. {
        let still: Vec<usize> = (0..live.len()).filter(|&i| places[live[i]].len() > stage).collect();
        if still.is_empty() {
            break;
        }
        let mut next = ring.rows(still.len());
        for (to, &from) in still.iter().enumerate() {
            next.row_mut(to).copy_from_slice(rows.row(from));
        }
        if stage > 0 {
            next.par_chunks_mut(SQUARED * w).for_each(|some| {
                let all = ring.squarings(some, width + 1);
                some.copy_from_slice(&all[some.len() * width..]);
            });
        }
        live = still.into_iter().map(|i| live[i]).collect();
        for (i, &base) in live.iter().enumerate() {
            out.row_mut(places[base][stage]).copy_from_slice(next.row(i));
        }
        rows = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::bigint::ring::Backend;

    /// 2^127 - 1, a prime: all numbers below it have inverses.
    const M: [u64; 2] = [u64::MAX, u64::MAX >> 1];

    fn ring(backend: Backend) -> (Ring, Arc<AtomicU64>) {
        let products = Arc::new(AtomicU64::new(0));
        (Ring::new(&M, backend, products.clone(), 1), products)
    }

    fn backends() -> impl Iterator<Item = Backend> {
        ["serial", "avx2", "ifma"].into_iter().filter_map(|name| Backend::named(name).ok())
    }

    fn bases(ring: &Ring, count: usize) -> Rows {
        let words: Vec<u64> = (0..2 * count as u64).map(|i| (i * i * 0x9e37_79b9_7f4a_7c15) | 1).collect();
        ring.import(&words, 2)
    }

    fn numbers(largest: &[u64], results: usize) -> Vec<i64> {
        let mut state = 1u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 20) % below
        };
        let mut found: Vec<i64> =
            (0..results).flat_map(|_| largest.iter().map(|m| *m as i64).collect::<Vec<_>>()).collect();
        for (i, x) in found.iter_mut().enumerate() {
            // both ends occur in every column, and nothing at all
            *x = match i / largest.len() {
                0 => *x,
                1 => -*x,
                2 => 0,
                _ => next(2 * *x as u64 + 1) as i64 - *x,
            };
        }
        found
    }

    /// Base by base, each power for itself.
    fn plainly(ring: &Ring, bases: &Rows, matrix: &[i64], results: usize) -> Rows {
        let count = bases.len();
        let magnitudes: Vec<[u64; 1]> = matrix.iter().map(|x| [x.unsigned_abs()]).collect();
        let repeated: Vec<u64> = (0..results).flat_map(|_| bases.to_vec()).collect();
        let powers = ring.power_each(&repeated, |i| &magnitudes[i]);
        let mut sides = ring.rows(2 * results);
        for r in 0..results {
            for side in 0..2 {
                let of = |b: &usize| (matrix[r * count + b] < 0) == (side == 1);
                let index: Vec<u32> = (0..count).filter(of).map(|b| (r * count + b) as u32).collect();
                let row = ring.segments(&powers, &[0, index.len()], &index);
                sides.row_mut(2 * r + side).copy_from_slice(&row);
            }
        }
        settle(ring, &sides).unwrap()
    }

    fn same(ring: &Ring, a: &[u64], b: &[u64]) -> bool {
        let plain = |rows: &[u64]| ring.export(rows, |_, a, b| (a.to_vec(), b.to_vec()));
        plain(a) == plain(b)
    }

    #[test]
    fn every_layout_multiplies_alike() {
        let largest = [300, 16, 1, 0, 70_000, 5, 16, 16, 2, 1 << 40, 1, 1, 1];
        let matrix = numbers(&largest, 40);
        for backend in backends() {
            let (ring, _) = ring(backend);
            let bases = bases(&ring, largest.len());
            let wanted = plainly(&ring, &bases, &matrix, 40);
            for (width, states, at_a_time) in
                [(2, 5, ROWS), (3, 100, 60), (4, 17, 1), (5, 4_097, ROWS), (9, 513, ROWS), (12, 4_097, 3_000)]
            {
                let entry = |r: usize, b: usize| matrix[r * largest.len() + b];
                let mut joint = Joint::new(&ring, &bases, &largest, Layout { width, states }, entry).unwrap();
                joint.at_a_time = at_a_time;
                assert!(joint.blocks().len() > 1 || at_a_time == ROWS);
                assert!(joint.windows.iter().all(|w| w.rows as u64 <= states.max(1 << width) / 2));
                assert!(same(&ring, &joint.product(40).unwrap(), &wanted), "{backend:?} {width} {states} {at_a_time}");
            }
        }
    }

    #[test]
    fn it_takes_the_products_that_were_planned() {
        let (ring, products) = ring(Backend::Serial);
        for (largest, results) in [([280, 16, 16].repeat(30), 400), (vec![100_000; 24], 2_000), (vec![3; 50], 90)] {
            let (matrix, bases) = (numbers(&largest, results), bases(&ring, largest.len()));
            let (cost, layout) = Layout::cheapest(&largest, results).unwrap();
            let before = products.load(Ordering::Relaxed);
            let entry = |r: usize, b: usize| matrix[r * largest.len() + b];
            Joint::new(&ring, &bases, &largest, layout, entry).unwrap().product(results).unwrap();
            let (took, planned) = ((products.load(Ordering::Relaxed) - before) as f64, cost);
            assert!((0.9..1.02).contains(&(took / planned)), "{took} of {planned}");
        }
    }

    #[test]
    fn short_digits_share_a_table() {
        let (_, layout) = Layout::cheapest(&[280, 16, 16].repeat(300), 3_334).unwrap();
        let (digits, windows) = layout.windows(&[280, 16, 16].repeat(300));
        assert_eq!((digits.len(), windows.len()), (900, 600));
        // with few results tables are small
        let (_, few) = Layout::cheapest(&[280, 16, 16].repeat(300), 20).unwrap();
        assert!(few.states < 64, "{few:?}");
    }
}
