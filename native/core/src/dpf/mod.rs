//! Distributed point functions (Boyle, Gilboa, Ishai, CCS 2016, section 3) for look-ups in public tables on additive shares.
//!
//! A dealer knows a point rho; each of two parties gets a key, which alone says nothing about it.  Over all j, the parties' leaves add up to 1 at
//! j = rho and to 0 elsewhere, in Z_2^128.  So the inner products of both with a table shifted by a public x add up to table[x - rho].  Read as signed
//! integers the shares of v add up to v itself, not to v +- 2^128, except with probability (|v| + 1) / 2^128.
//!
//! A leaf is used nowhere but in that inner product, so its correction (t_j times the correction word w) is never added to it:
//! sum of (c_j + t_j w) T_j = sum of c_j T_j + w * (sum of the T_j with t_j = 1).  Time depends on sizes and on x, which both parties know.

mod key;
mod portable;
mod prg;
mod records;
mod table;
#[cfg(target_arch = "x86_64")]
mod wide;

use rand_core::Rng;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::bigint::ring;
use crate::error::{Error, Result, require};
use crate::plain::PlainVec;
use crate::pool::FEW;
use crate::random::{self, Seed};
use crate::stop;
use key::Key;
use prg::{Prg, Salt};
pub use records::Records;
use table::Sums;
pub use table::Tables;

/// Tables have at most 2^20 entries.
pub const MAX_BITS: usize = 20;

/// party (u8), bits (u8), rows (u64), the deal's AES key.
const HEADER: usize = 26;

/// The stream of the deal's AES key; the roots of all rows are that of number 0.
const SALT_STREAM: u64 = u64::MAX;

/// Which arithmetic evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Portable,
    /// AVX-512 and VAES; as `Portable` where the CPU has them not, or for small tables.
    Wide,
}

impl Backend {
    /// The fastest that this machine can run.
    pub fn detect() -> Self {
        if Self::wide() { Self::Wide } else { Self::Portable }
    }

    /// By the names that the other modules' arithmetic has; refused where the machine cannot run it.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "serial" => Ok(Self::Portable),
            "avx2" if ring::Backend::named(name).is_ok() => Ok(Self::Portable), // no evaluation of its own
            "ifma" if Self::wide() => Ok(Self::Wide),
            _ => Err(Error::Argument("no such backend on this machine")),
        }
    }

    fn wide() -> bool {
        #[cfg(target_arch = "x86_64")]
        return wide::available();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }
}

/// One party's keys, one a row.
pub struct DpfKeys {
    party: u8,
    bits: usize,
    salt: Salt,
    rows: Zeroizing<Vec<u8>>,
}

/// A party's keys while they are evaluated: the room for one row's tree and sums.
struct Evaluator<'a> {
    keys: &'a DpfKeys,
    tables: &'a Tables,
    engine: Engine,
    sums: Vec<Sums>,
}

enum Engine {
    Portable(Box<Prg>, Zeroizing<Vec<u128>>),
    #[cfg(target_arch = "x86_64")]
    Wide(Box<wide::Wide>),
}

impl Engine {
    fn new(backend: Backend, salt: &Salt, tables: &Tables) -> Self {
        #[cfg(target_arch = "x86_64")]
        if backend == Backend::Wide
            && let Some(wide) = wide::Wide::new(salt, tables)
        {
            return Self::Wide(wide);
        }
        let _ = backend;
        Self::Portable(Box::new(Prg::new(salt)), Zeroizing::new(vec![0; tables.size() / 2]))
    }
}

impl<'a> Evaluator<'a> {
    fn new(backend: Backend, keys: &'a DpfKeys, tables: &'a Tables) -> Self {
        let engine = Engine::new(backend, &keys.salt, tables);
        Self { keys, tables, engine, sums: vec![Sums::default(); tables.digits()] }
    }

    /// Adds the row's shares, one a table, to `out`.
    fn add(&mut self, row: usize, x: usize, out: &mut [u128]) {
        let key = self.keys.row(row);
        match &mut self.engine {
            Engine::Portable(prg, nodes) => portable::evaluate(prg, &key, x, self.tables, nodes, &mut self.sums),
            #[cfg(target_arch = "x86_64")]
            Engine::Wide(wide) => wide.evaluate(&key, x, self.tables, &mut self.sums),
        }
        self.tables.finish(&self.sums, key.leaf_corrections(), self.keys.party, out);
    }
}

impl DpfKeys {
    /// Both parties' keys of the point functions that are 1 at `points`, each in [0, 2^bits).  Deterministic in the seed,
    /// which must deal once: keys of two points under one seed tell their holder where the points differ.
    pub fn deal(seed: &Seed, points: &[i64], bits: usize) -> Result<[DpfKeys; 2]> {
        require((1..=MAX_BITS).contains(&bits), "bits must be between 1 and 20")?;
        require(points.iter().all(|p| (0..1 << bits).contains(p)), "a point is not in the table")?;
        let mut salt = Salt::default();
        random::stream(seed, SALT_STREAM).fill_bytes(&mut salt);
        let (prg, size) = (Prg::new(&salt), key::size(bits));
        let mut roots = Zeroizing::new(vec![0u8; key::ROOTS * points.len()]);
        random::stream(seed, 0).fill_bytes(&mut roots);
        let [mut first, mut second] = [0; 2].map(|_: i32| Zeroizing::new(vec![0u8; points.len() * size]));
        if points.len() <= FEW {
            let rows = first.chunks_exact_mut(size).zip(second.chunks_exact_mut(size)).zip(points);
            for (((first, second), &point), roots) in rows.zip(roots.as_chunks().0) {
                key::deal(&prg, roots, point as u64, bits, [first, second]);
            }
        } else {
            let rows = first.par_chunks_exact_mut(size).zip(second.par_chunks_exact_mut(size)).zip(points);
            rows.zip(roots.as_chunks().0).with_min_len(64).for_each(|(((first, second), &point), roots)| {
                key::deal(&prg, roots, point as u64, bits, [first, second]);
            });
        }
        Ok([(0, first), (1, second)].map(|(party, rows)| DpfKeys { party, bits, salt, rows }))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.rows.len());
        out.extend_from_slice(&[self.party, self.bits as u8]);
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.rows);
        out
    }

    /// Refuses whatever `to_bytes` cannot have written.
    pub fn from_bytes(data: &[u8]) -> Result<DpfKeys> {
        let bad = Error::Invalid("not the keys of point functions");
        let (&[party, bits], rest) = data.split_first_chunk().ok_or(bad)?;
        let (len, rest) = rest.split_first_chunk::<8>().ok_or(bad)?;
        let (salt, body) = rest.split_first_chunk().ok_or(bad)?;
        let bits = bits as usize;
        if party > 1 || !(1..=MAX_BITS).contains(&bits) {
            return Err(bad);
        }
        let bytes = u64::from_le_bytes(*len).checked_mul(key::size(bits) as u64);
        if bytes != Some(body.len() as u64)
            || !body.chunks_exact(key::size(bits)).all(|row| Key::new(row, bits).is_canonical(party))
        {
            return Err(bad);
        }
        Ok(DpfKeys { party, bits, salt: *salt, rows: Zeroizing::new(body.to_vec()) })
    }

    pub fn len(&self) -> usize {
        self.rows.len() / key::size(self.bits)
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn bits(&self) -> usize {
        self.bits
    }

    pub fn party(&self) -> u8 {
        self.party
    }

    /// The keys of rows start to stop (exclusive).
    pub fn take(&self, start: usize, stop: usize) -> Result<DpfKeys> {
        require(start <= stop && stop <= self.len(), "rows out of range")?;
        let size = key::size(self.bits);
        let rows = Zeroizing::new(self.rows[start * size..stop * size].to_vec());
        Ok(DpfKeys { rows, ..*self })
    }

    fn row(&self, i: usize) -> Key<'_> {
        let size = key::size(self.bits);
        Key::new(&self.rows[i * size..][..size], self.bits)
    }

    fn check(&self, x: &[i64]) -> Result<()> {
        require(x.len() == self.len(), "as many positions are needed as there are keys")?;
        require(x.iter().all(|x| (0..1 << self.bits).contains(x)), "a position is not in the table")
    }

    /// For every table (of 2^bits entries, one after the other in `values`) and row i, this party's share of table[(x_i - point_i) mod 2^bits].
    pub fn look_up(&self, backend: Backend, x: &[i64], values: &[i64]) -> Result<Vec<PlainVec>> {
        self.look_up_in(backend, x, &Tables::new(values, self.bits)?)
    }

    /// The same in tables that are laid out once for many keys: that takes ten times as long as the look-up of one row.
    pub fn look_up_in(&self, backend: Backend, x: &[i64], tables: &Tables) -> Result<Vec<PlainVec>> {
        self.check(x)?;
        require(tables.size() == 1 << self.bits, "tables do not have 2^bits entries")?;
        let count = tables.count();
        let mut shares = vec![0u128; self.len() * count];
        let start = || Evaluator::new(backend, self, tables);
        let row = |evaluator: &mut Evaluator<'_>, (i, (out, &x)): (usize, (&mut [u128], &i64))| {
            stop::check();
            evaluator.add(i, x as usize, out);
        };
        if self.len() <= FEW {
            let mut evaluator = start();
            shares.chunks_exact_mut(count).zip(x).enumerate().for_each(|one| row(&mut evaluator, one));
        } else {
            shares.par_chunks_exact_mut(count).zip(x).enumerate().with_min_len(FEW).for_each_init(start, row);
        }
        Ok((0..count).map(|t| plain(shares.iter().skip(t).step_by(count))).collect())
    }

    /// The same, summed over the rows modulo 2^128: one share a table.
    pub fn look_up_sums(&self, backend: Backend, x: &[i64], values: &[i64]) -> Result<PlainVec> {
        self.check(x)?;
        let tables = Tables::new(values, self.bits)?;
        let start = || (Evaluator::new(backend, self, &tables), vec![0u128; tables.count()]);
        let sums = x.par_iter().enumerate().with_min_len(8).fold(start, |(mut evaluator, mut out), (i, &x)| {
            stop::check();
            evaluator.add(i, x as usize, &mut out);
            (evaluator, out)
        });
        let add = |mut a: Vec<u128>, b: Vec<u128>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = a.wrapping_add(b));
            a
        };
        Ok(plain(sums.map(|(_, out)| out).reduce(|| vec![0; tables.count()], add).iter()))
    }
}

impl DpfKeys {
    /// For every row, one after the other, this party's share by exclusive or of the record at its point.
    pub fn look_up_records(&self, records: &Records) -> Result<Vec<u64>> {
        require(records.size() == 1 << self.bits, "there are not 2^bits records")?;
        let (prg, width, size) = (Prg::new(&self.salt), records.width(), records.size());
        let odd: Vec<Zeroizing<Vec<u64>>> = (0..self.len())
            .into_par_iter()
            .map(|i| {
                stop::check();
                let (mut nodes, mut odd) =
                    (Zeroizing::new(vec![0; size / 2]), Zeroizing::new(vec![0; size.div_ceil(64)]));
                records::odd_leaves(&prg, &self.row(i), &mut nodes, &mut odd);
                odd
            })
            .collect();
        let start = || vec![0u64; self.len() * width];
        let found = (0..records.blocks()).into_par_iter().with_min_len(8).fold(start, |mut out, block| {
            stop::check();
            out.chunks_exact_mut(width).zip(&odd).for_each(|(out, odd)| records.add(block, odd, out));
            out
        });
        let add = |mut a: Vec<u64>, b: Vec<u64>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
            a
        };
        Ok(found.reduce(start, add))
    }
}

/// Modulo 2^128, as signed integers.
fn plain<'a>(values: impl Iterator<Item = &'a u128>) -> PlainVec {
    PlainVec::from_limbs(values.flat_map(|&v| [v as u64, (v >> 64) as u64]).collect(), 2)
}

#[cfg(test)]
mod tests;
