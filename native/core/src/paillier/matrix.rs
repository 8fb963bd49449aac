//! Integer matrices times a vector of ciphertexts: products of powers, never one exponentiation an element.
//!
//! Many bases and few results (X^T [[d]]): *buckets* (Pippenger).  For every result and window of the scalars, multiply the bases that share a
//! digit, then weigh the digits.  Few bases and many results (X [[b]]): *tables* (Straus, Lim and Lee) of every base's windows, so that a
//! result is a product of table rows without a squaring.  Digits are signed.  A negative digit takes the inverse of its base where there
//! are few bases for each result, and goes into a second accumulator, inverted once a result, where there are many; either way the inversions of a whole
//! vector cost one.

use super::cipher::CipherVec;
use super::histogram::group;
use super::table::Table;
use crate::bigint::ring::Ring;
use crate::bigint::rows::Rows;
use crate::error::{Result, require};
use rayon::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Buckets,
    Tables,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    method: Method,
    width: usize,
    /// Inverses of the bases, rather than a second accumulator for each result.
    inverses: bool,
}

/// Rows of a table or of a set of buckets that may exist at a time.
const ROWS: usize = 1 << 17;

fn plan(bases: usize, results: usize, bits: usize) -> Plan {
    let mut best = (u128::MAX, Plan { method: Method::Buckets, width: 2, inverses: true });
    for width in 2..=12usize {
        let windows = bits / width + 1;
        let cells = 1usize << (width - 1);
        for inverses in [false, true] {
            let sides = if inverses { 1u128 } else { 2 };
            let (b, r, w, c) = (bases as u128, results as u128, windows as u128, cells as u128);
            let fixed = if inverses { 12 * b / 5 } else { 17 * r / 5 };
            let buckets = fixed + r * w * (b + sides * (2 * c.min(b) + 2 * width as u128));
            if cells * windows <= ROWS && buckets < best.0 {
                best = (buckets, Plan { method: Method::Buckets, width, inverses });
            }
            let table = Table::cost(bases * (3 - sides as usize), bits + 1, width, width - 1);
            let tables = fixed + table as u128 + r * w * b;
            if (bases * windows * cells) * (3 - sides as usize) <= ROWS && tables < best.0 {
                best = (tables, Plan { method: Method::Tables, width, inverses });
            }
        }
    }
    best.1
}

/// Signed digits of x in [-2^(width-1), 2^(width-1)), lowest first; the last may be 2^(width-1).  `windows * width` exceeds the bits of x.
fn digits(x: i64, width: usize, windows: usize) -> impl Iterator<Item = i64> {
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

impl CipherVec {
    /// matrix @ self, (rows, len) row-major.
    pub fn matmul(&self, matrix: &[i64], rows: usize) -> Result<CipherVec> {
        require(rows.checked_mul(self.len()) == Some(matrix.len()), "the matrix does not fit the vector")?;
        self.linear(rows, matrix, |r, b| r * self.len() + b)
    }

    /// matrix.T @ self, (len, columns) row-major.
    pub fn t_matmul(&self, matrix: &[i64], columns: usize) -> Result<CipherVec> {
        require(columns.checked_mul(self.len()) == Some(matrix.len()), "the matrix does not fit the vector")?;
        self.linear(columns, matrix, |r, b| b * columns + r)
    }

    fn linear(&self, results: usize, matrix: &[i64], at: impl Fn(usize, usize) -> usize + Sync) -> Result<CipherVec> {
        let bases = self.len();
        let key = self.key();
        let bits = matrix.iter().map(|x| 64 - x.unsigned_abs().leading_zeros() as usize).max().unwrap_or(0);
        let rows = key.pool.install(|| {
            let ring = &key.ring;
            if bases == 0 || results == 0 || bits == 0 {
                let none = vec![0usize; results + 1];
                return Ok(ring.segments(ring.one(), &none, &[]));
            }
            let plan = plan(bases, results, bits);
            let windows = bits / plan.width + 1;
            let mut sources = self.rows().clone();
            if plan.inverses {
                sources = concat(ring, &sources, &sources);
                ring.invert(&mut sources[bases * ring.width()..])?;
            }
            let job = Job { ring, plan, windows, bases, sources, entry: |r, b| matrix[at(r, b)] };
            match plan.method {
                Method::Buckets => job.buckets(results),
                Method::Tables => job.tables(results, bits + 1),
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
    plan: Plan,
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

    /// Rows (result, side) to results: the second side is divided by.
    fn settle(&self, rows: Rows) -> Result<Rows> {
        if self.plan.inverses {
            return Ok(rows);
        }
        let len = rows.len() / 2;
        let mut below = self.ring.rows(len);
        for i in 0..len {
            below.row_mut(i).copy_from_slice(rows.row(2 * i + 1));
        }
        self.ring.invert(&mut below)?;
        Ok(self.ring.multiply_at(len, (&rows, |i| 2 * i), (&below, |i| i)))
    }

    fn tables(&self, results: usize, bits: usize) -> Result<Rows> {
        let ring = self.ring;
        let table = Table::build(ring, &self.sources, bits, self.plan.width, self.plan.width - 1);
        let (w, sides) = (ring.width(), self.sides());
        let mut out = ring.rows(results * sides);
        let each = (4096 / (self.bases * self.windows)).max(1).next_multiple_of(16);
        out.par_chunks_mut(each * sides * w).enumerate().for_each(|(c, rows)| {
            let mut lists = vec![Vec::new(); rows.len() / w];
            for (i, lists) in lists.chunks_exact_mut(sides).enumerate() {
                for b in 0..self.bases {
                    let x = (self.entry)(c * each + i, b);
                    for (t, digit) in digits(x, self.plan.width, self.windows).enumerate().filter(|(_, d)| *d != 0) {
                        let (side, source) = self.place(b, digit);
                        lists[side].push(table.row(source, t, digit.unsigned_abs() as usize));
                    }
                }
            }
            let mut offsets = vec![0usize];
            offsets.extend(lists.iter().scan(0, |at, list| {
                *at += list.len();
                Some(*at)
            }));
            ring.segments_here(&table.rows, &offsets, &lists.concat(), rows);
        });
        self.settle(out)
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
        self.settle(out)
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
