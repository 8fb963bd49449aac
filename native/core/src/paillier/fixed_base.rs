//! Powers of one fixed base with exponents of one size, by a table that grows with use: a larger one costs more once and less every time.
//!
//! Not every digit of an exponent has a window in the table (Lim and Lee 1994): with `rounds` rounds, digit `t rounds + r` is looked up in window t and
//! reaches its place by squarings, which all digits of round r and above share.  Twice the rounds halve the table, so that digits can be longer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::MAX_BITS;
use super::table::Table;
use crate::bigint::limbs;
use crate::bigint::ring::Ring;
use crate::bigint::rows::Rows;
use crate::error::{Result, require};
use crate::random::{self, Streams};

pub(crate) struct FixedBase {
    base: Rows,
    used: AtomicUsize,
    tables: Mutex<Vec<Arc<Comb>>>,
}

/// Memory that one table may take.
const TABLE_BYTES: usize = 96 << 20;
/// A table is kept while a power costs at most this part more than by the best one, so that a growing vector does not rebuild it at every call;
/// but not where all powers so far would have saved twice what the best one takes.
const KEPT: usize = 8;

#[derive(Clone, Copy)]
struct Layout {
    bits: usize,
    /// Of one digit.
    width: usize,
    rounds: usize,
}

impl Layout {
    fn windows(self) -> usize {
        self.bits.div_ceil(self.width * self.rounds)
    }

    /// Tenths of a product: a squaring takes seven.
    fn power(self) -> usize {
        10 * (self.windows() * self.rounds - 1) + 7 * (self.rounds - 1) * self.width
    }

    /// The same for the table: filling memory costs twice a product.
    fn fill(self) -> usize {
        20 * Table::cost(1, self.bits, self.width * self.rounds, self.width)
    }

    /// Whether it is nearly as good as `best`, the one for `used` powers.
    fn serves(self, best: Layout, used: usize) -> bool {
        let near = KEPT * self.power() <= (KEPT + 1) * best.power();
        self.bits == best.bits && near && used * self.power() <= used * best.power() + 2 * best.fill()
    }

    /// The cheapest for so many powers, whose table of rows of `row_bytes` is not too large.
    fn best(bits: usize, uses: usize, row_bytes: usize) -> Layout {
        (3..=12)
            .flat_map(|width| (1..=16).map(move |rounds| Layout { bits, width, rounds }))
            .filter(|l| l.width == 3 || (l.windows() << l.width) * row_bytes <= TABLE_BYTES)
            .min_by_key(|l| l.fill() + uses * l.power())
            .unwrap_or(Layout { bits, width: 3, rounds: 1 })
    }
}

struct Comb {
    layout: Layout,
    table: Table,
}

// Modulo a secret prime, what a table holds would tell it.
impl Drop for Comb {
    fn drop(&mut self) {
        self.table.rows.wipe();
    }
}

impl Drop for FixedBase {
    fn drop(&mut self) {
        self.base.wipe();
    }
}

impl FixedBase {
    pub(crate) fn new(base: Rows) -> FixedBase {
        FixedBase { base, used: AtomicUsize::new(0), tables: Mutex::new(Vec::new()) }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Arc<Comb>>> {
        self.tables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A table that is there and serves.
    fn held(&self, best: Layout, used: usize) -> Option<Arc<Comb>> {
        self.locked().iter().find(|comb| comb.layout.serves(best, used)).cloned()
    }

    fn comb(&self, ring: &Ring, bits: usize, len: usize) -> Arc<Comb> {
        let used = self.used.fetch_add(len, Ordering::Relaxed) + len;
        let best = Layout::best(bits, used, 8 * ring.width());
        if let Some(comb) = self.held(best, used) {
            return comb;
        }
        // Not under the lock: while a thread waits for the parts of `build`, the pool may give it another thread's call of this function, and it would wait
        // for itself.
        let table = Table::build(ring, &self.base, bits, best.width * best.rounds, best.width);
        let built = Arc::new(Comb { layout: best, table });
        if let Some(comb) = self.held(best, used) {
            return comb; // another thread was faster
        }
        let mut tables = self.locked();
        tables.retain(|comb| comb.layout.bits != bits);
        tables.push(built.clone());
        built
    }

    /// base^alpha_i, alpha_i the low `bits` bits of stream i.  The same number of products whatever alpha; the rows that are read depend on it
    /// (a table of megabytes cannot be scanned): nothing is claimed against someone who shares this machine's caches.
    pub(crate) fn powers(&self, ring: &Ring, streams: Streams<'_>, len: usize, bits: usize) -> Result<Rows> {
        require((1..=4 * MAX_BITS).contains(&bits), "exponent size out of range")?;
        if len == 0 {
            return Ok(ring.rows(0));
        }
        let comb = self.comb(ring, bits, len);
        let Layout { width, rounds, .. } = comb.layout;
        let (table, terms, words) = (&comb.table, comb.table.windows, bits.div_ceil(64));
        let mut out = ring.rows(len);
        let each = ring.share(len);
        out.par_chunks_mut(ring.width() * each).enumerate().for_each(|(c, rows)| {
            let mut alphas = Zeroizing::new(vec![0u64; rows.len() / ring.width() * words]);
            for (i, alpha) in alphas.chunks_exact_mut(words).enumerate() {
                random::fill_bits(&mut streams.at(c * each + i), alpha, bits);
            }
            let at = |i: usize, r: usize, t: usize| {
                let alpha = &alphas[i * words..][..words];
                table.row(0, t, limbs::bits(alpha, (t * rounds + r) * width, width) as usize) as usize
            };
            ring.comb_here(&table.rows, at, (rounds, terms, width), rows);
        });
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::bigint::ring::Backend;

    fn backends() -> impl Iterator<Item = Backend> {
        ["serial", "avx2", "ifma"].into_iter().filter_map(|name| Backend::named(name).ok())
    }

    #[test]
    fn a_layout_fits_and_a_larger_one_pays_with_use() {
        for (bits, row_bytes) in [(128, 640), (2176, 640), (3200, 960), (1536, 480)] {
            let layouts: Vec<Layout> = [1, 100, 10_000, 10_000_000].map(|n| Layout::best(bits, n, row_bytes)).into();
            assert!(layouts.iter().all(|l| (l.windows() << l.width) * row_bytes <= TABLE_BYTES));
            assert!(layouts.iter().all(|l| l.windows() * l.rounds * l.width >= bits));
            assert!(layouts.windows(2).all(|l| l[0].fill() <= l[1].fill() && l[0].power() >= l[1].power()));
            assert!(layouts[0].power() > 2 * layouts[3].power());
        }
    }

    #[test]
    fn a_table_that_is_nearly_the_best_is_replaced_once_that_pays() {
        let best = |used: usize| Layout::best(2176, used, 832);
        let first = best(3_334);
        assert!(first.serves(best(2 * 3_334), 2 * 3_334));
        let (many, late) = (20 * 3_334, best(20 * 3_334));
        assert!(late.power() < first.power() && !first.serves(late, many));
        assert!(late.serves(best(2 * many), 2 * many));
        // the planted fault: by its part of a power alone the first one would stay for good
        assert!(KEPT * first.power() <= (KEPT + 1) * late.power());
    }

    #[test]
    fn powers_are_those_of_the_base_whatever_the_layout() {
        let m = [0xffff_ffff_ffff_ff61, 0x1234_5678_9abc_def1];
        for backend in backends() {
            let ring = Ring::new(&m, backend, Arc::new(AtomicU64::new(0)), 1);
            let base = ring.import(&[0x1357_9bdf_0246_8ace, 7], 2);
            let fixed = FixedBase::new(base.clone());
            let (bits, seed) = (200, [9u8; 32]);
            let plain = |rows: &[u64]| ring.export(rows, |_, a, b| (a.to_vec(), b.to_vec()));
            for used in [0, 40, 3_000, 500_000] {
                fixed.used.store(used, Ordering::Relaxed);
                let found = fixed.powers(&ring, (&seed).into(), 19, bits).unwrap();
                let alphas: Vec<Vec<u64>> = (0..19)
                    .map(|i| {
                        let mut alpha = vec![0u64; bits.div_ceil(64)];
                        random::fill_bits(&mut random::stream(&seed, i), &mut alpha, bits);
                        alpha
                    })
                    .collect();
                let bases: Vec<u64> = (0..19).flat_map(|_| base.to_vec()).collect();
                assert_eq!(plain(&found), plain(&ring.power_each(&bases, |i| &alphas[i])), "{backend:?}, {used}");
            }
            assert_eq!(fixed.locked().len(), 1);
        }
    }
}
