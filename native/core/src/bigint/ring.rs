//! Z/m^2 with a backend chosen at run time: vectors of elements, on all threads of the pool it is called in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use num_bigint::BigUint;
use rayon::prelude::*;
use zeroize::Zeroizing;

#[cfg(target_arch = "x86_64")]
use super::avx2::{self, Avx2};
#[cfg(target_arch = "x86_64")]
use super::ifma::{self, Ifma};
use super::kernel::Kernel;
use super::rows::Rows;
use super::serial::Serial;
use super::{limbs, ops};
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Serial,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Ifma,
}

impl Backend {
    /// The fastest that this machine can run.
    pub fn detect() -> Backend {
        ["ifma", "avx2"].iter().find_map(|name| Backend::named(name).ok()).unwrap_or(Backend::Serial)
    }

    pub fn name(self) -> &'static str {
        match self {
            Backend::Serial => "serial",
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Backend::Ifma => "ifma",
        }
    }

    /// By name; refused where the machine cannot run it.
    pub fn named(name: &str) -> Result<Backend> {
        match name {
            "serial" => Ok(Backend::Serial),
            #[cfg(target_arch = "x86_64")]
            "avx2" if avx2::available() => Ok(Backend::Avx2),
            #[cfg(target_arch = "x86_64")]
            "ifma" if ifma::available() => Ok(Backend::Ifma),
            _ => Err(Error::Argument("no such backend on this machine")),
        }
    }
}

enum Engine {
    Serial(Serial),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Ifma(Ifma),
}

macro_rules! with {
    ($ring:expr, $k:ident => $body:expr) => {{
        crate::stop::check();
        match &$ring.engine {
            Engine::Serial($k) => $body,
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2($k) => $body,
            #[cfg(target_arch = "x86_64")]
            Engine::Ifma($k) => $body,
        }
    }};
}

mod invert;

pub struct Ring {
    engine: Engine,
    backend: Backend,
    m: Zeroizing<Vec<u64>>,
    /// [0] the plain one (as a factor it divides by R), [k] = R^k for k = 1, 2, ...: [1] is one in Montgomery form, [2] brings into it.
    radix: Vec<Rows>,
    products: Arc<AtomicU64>,
    weight: u64,
}

/// Rows a task takes at a time, where the work a row is large.
const CHUNK: usize = 64;

impl Ring {
    /// m odd, at least 3.  `products` counts `weight` for every product.
    pub fn new(m: &[u64], backend: Backend, products: Arc<AtomicU64>, weight: u64) -> Ring {
        let engine = match backend {
            Backend::Serial => Engine::Serial(Serial::new(m)),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => Engine::Avx2(Avx2::new(m)),
            #[cfg(target_arch = "x86_64")]
            Backend::Ifma => Engine::Ifma(Ifma::new(m)),
        };
        let mut ring = Ring { engine, backend, m: Zeroizing::new(m.to_vec()), radix: Vec::new(), products, weight };
        // 2^i mod m^2 as a pair, doubling: the values of whole powers of R are kept.
        let h = m.len();
        let bits = with!(ring, k => k.radix_bits());
        let powers = (4 * 64 * h).div_ceil(bits) + 2; // enough to import integers of four times m's length
        let (mut a, mut b) = (Zeroizing::new(vec![0u64; h]), Zeroizing::new(vec![0u64; h]));
        a[0] = 1;
        ring.radix.push(ring.put(&a, &b));
        for _ in 0..powers {
            for _ in 0..bits {
                let mut top = limbs::double(&mut a);
                let carry = limbs::reduce_once(&mut a, &mut top, m);
                let mut top = limbs::double(&mut b);
                top += limbs::add_assign(&mut b, &[carry]);
                limbs::reduce_once(&mut b, &mut top, m);
            }
            ring.radix.push(ring.put(&a, &b));
        }
        ring
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    pub fn modulus(&self) -> &[u64] {
        &self.m
    }

    pub fn width(&self) -> usize {
        with!(self, k => k.width())
    }

    pub fn one(&self) -> &[u64] {
        &self.radix[1]
    }

    pub fn rows(&self, len: usize) -> Rows {
        Rows::zeros(len, self.width())
    }

    fn count(&self, products: u64) {
        self.products.fetch_add(products * self.weight, Ordering::Relaxed);
    }

    /// Half-width products: a product of pairs is five.
    fn count_fifths(&self, fifths: u64) {
        self.products.fetch_add((fifths * self.weight).div_ceil(5), Ordering::Relaxed);
    }

    fn put(&self, a: &[u64], b: &[u64]) -> Rows {
        let mut out = self.rows(1);
        with!(self, k => k.put(&mut out, a, b));
        out
    }

    /// Plain rows (a_i, b_i), not in Montgomery form; `pair` fills limbs of m's length.
    pub fn put_all(&self, len: usize, pair: impl Fn(usize, &mut [u64], &mut [u64]) + Sync) -> Rows {
        let (w, h) = (self.width(), self.m.len());
        let mut out = self.rows(len);
        out.par_chunks_mut(w * CHUNK).enumerate().for_each(|(c, rows)| {
            let (mut a, mut b) = (Zeroizing::new(vec![0u64; h]), Zeroizing::new(vec![0u64; h]));
            for (i, row) in rows.chunks_exact_mut(w).enumerate() {
                a.fill(0);
                b.fill(0);
                pair(c * CHUNK + i, &mut a, &mut b);
                with!(self, k => k.put(row, &a, &b));
            }
        });
        out
    }

    /// Integers of `width` words each, up to four times m's length, modulo m^2 and in Montgomery form.
    pub fn import(&self, values: &[u64], width: usize) -> Rows {
        let len = values.len() / width;
        let bits = with!(self, k => k.radix_bits());
        let chunks = (64 * width).div_ceil(bits);
        assert!(chunks + 2 <= self.radix.len(), "integers too wide for this ring");
        let w = self.width();
        let mut out = self.rows(len);
        out.par_chunks_mut(w * CHUNK).enumerate().for_each(|(c, rows)| {
            let count = rows.len() / w;
            let mut part = self.rows(count);
            let mut piece = Zeroizing::new(vec![0u64; bits.div_ceil(64)]);
            for chunk in 0..chunks {
                for i in 0..count {
                    let value = &values[(c * CHUNK + i) * width..][..width];
                    for (j, x) in piece.iter_mut().enumerate() {
                        let take = 32.min(bits.saturating_sub(64 * j));
                        let high = 32.min(bits.saturating_sub(64 * j + 32));
                        let at = chunk * bits + 64 * j;
                        *x = limbs::bits(value, at, take) | limbs::bits(value, at + 32, high) << 32;
                    }
                    with!(self, k => k.put(part.row_mut(i), &piece, &[]));
                }
                let source = part.clone();
                let factor = &self.radix[chunk + 2];
                with!(self, k => ops::multiply(k, (&source, |i| i), (factor, |_| 0), &mut part));
                if chunk == 0 {
                    rows.copy_from_slice(&part);
                } else {
                    with!(self, k => ops::add(k, rows, &part));
                }
            }
        });
        self.count((len * chunks) as u64);
        out
    }

    /// Out of Montgomery form: `then(i, a, b)` with a, b < m (m's length), a + b m the element.
    pub fn export<T: Send>(&self, rows: &[u64], then: impl Fn(usize, &[u64], &[u64]) -> T + Sync) -> Vec<T> {
        let (w, h) = (self.width(), self.m.len());
        let len = rows.len() / w;
        self.count(len as u64);
        let results: Vec<Vec<T>> = rows
            .par_chunks(w * CHUNK)
            .enumerate()
            .map(|(c, rows)| {
                let mut plain = self.rows(rows.len() / w);
                with!(self, k => ops::multiply(k, (rows, |i| i), (&self.radix[0], |_| 0), &mut plain));
                let (mut a, mut b) = (Zeroizing::new(vec![0u64; h + 1]), Zeroizing::new(vec![0u64; h + 1]));
                let out = (0..plain.len())
                    .map(|i| {
                        with!(self, k => k.get(plain.row(i), &mut a, &mut b));
                        self.settle(&mut a, &mut b);
                        then(c * CHUNK + i, &a[..h], &b[..h])
                    })
                    .collect();
                plain.wipe();
                out
            })
            .collect();
        results.into_iter().flatten().collect()
    }

    /// Lazy halves below 3m to halves below m; a whole m that leaves a is one more in b.
    fn settle(&self, a: &mut [u64], b: &mut [u64]) {
        let h = self.m.len();
        let (a, a_top) = a.split_at_mut(h);
        let (b, b_top) = b.split_at_mut(h);
        for _ in 0..2 {
            let moved = limbs::reduce_once(a, &mut a_top[0], &self.m);
            b_top[0] += limbs::add_assign(b, &[moved]);
        }
        for _ in 0..3 {
            limbs::reduce_once(b, &mut b_top[0], &self.m);
        }
    }

    /// a + b m as an integer of twice m's length.
    pub fn join(&self, a: &[u64], b: &[u64]) -> Zeroizing<Vec<u64>> {
        let mut out = Zeroizing::new(vec![0u64; 2 * self.m.len()]);
        limbs::mul(&mut out, b, &self.m);
        limbs::add_assign(&mut out, a);
        out
    }

    /// out[i] = a[ia(i)] * b[ib(i)].
    pub fn multiply_at(
        &self,
        len: usize,
        (a, ia): (&[u64], impl Fn(usize) -> usize + Sync),
        (b, ib): (&[u64], impl Fn(usize) -> usize + Sync),
    ) -> Rows {
        let w = self.width();
        let mut out = self.rows(len);
        out.par_chunks_mut(w * CHUNK).enumerate().for_each(|(c, rows)| {
            let first = c * CHUNK;
            with!(self, k => ops::multiply(k, (a, |i| ia(first + i)), (b, |i| ib(first + i)), rows));
        });
        self.count(len as u64);
        out
    }

    pub fn multiply(&self, a: &[u64], b: &[u64]) -> Rows {
        self.multiply_at(a.len() / self.width(), (a, |i| i), (b, |i| i))
    }

    pub fn add_assign(&self, a: &mut [u64], b: &[u64]) {
        let w = self.width() * CHUNK;
        a.par_chunks_mut(w).zip(b.par_chunks(w)).for_each(|(a, b)| with!(self, k => ops::add(k, a, b)));
    }

    /// Times R: for a product whose other factor is a plain row.
    pub fn times_radix(&self, a: &[u64]) -> Rows {
        self.multiply_at(a.len() / self.width(), (a, |i| i), (&self.radix[2], |_| 0))
    }

    /// out[s] = product of table[index[offsets[s]..offsets[s + 1]]].  Long segments are cut into pieces, and the pieces multiplied in turn.
    pub fn segments(&self, table: &[u64], offsets: &[usize], index: &[u32]) -> Rows {
        let threads = rayon::current_num_threads();
        let lanes = with!(self, k => lanes_of(k));
        let piece = (index.len() / (threads * lanes * 8)).max(8);
        if offsets.windows(2).all(|s| s[1] - s[0] <= 2 * piece) {
            return self.segments_flat(table, offsets, index);
        }
        let (mut cuts, mut outer) = (vec![0usize], vec![0usize]);
        for s in offsets.windows(2) {
            let parts = (s[1] - s[0]).div_ceil(piece);
            cuts.extend((1..=parts).map(|p| (s[0] + p * piece).min(s[1])));
            outer.push(cuts.len() - 1);
        }
        let partial = self.segments_flat(table, &cuts, index);
        let all: Vec<u32> = (0..partial.len() as u32).collect();
        self.segments(&partial, &outer, &all)
    }

    fn segments_flat(&self, table: &[u64], offsets: &[usize], index: &[u32]) -> Rows {
        let w = self.width();
        let count = offsets.len() - 1;
        let mut out = self.rows(count);
        let share = (index.len() / (4 * rayon::current_num_threads())).max(64);
        let mut tasks = Vec::new();
        let (mut rest, mut first) = (&mut out[..], 0);
        while first < count {
            let until = offsets.partition_point(|&o| o < offsets[first] + share).clamp(first + 1, count);
            let (rows, tail) = rest.split_at_mut((until - first) * w);
            tasks.push((first..until + 1, rows));
            (rest, first) = (tail, until);
        }
        let products: u64 = tasks
            .into_par_iter()
            .map(|(range, rows)| with!(self, k => ops::segments(k, table, self.one(), &offsets[range], index, rows)))
            .sum();
        self.count(products);
        out
    }

    /// Segments on the calling thread, for callers that cut their own tasks.
    pub fn segments_here(&self, table: &[u64], offsets: &[usize], index: &[u32], out: &mut [u64]) {
        self.count(with!(self, k => ops::segments(k, table, self.one(), offsets, index, out)));
    }

    pub fn multiply_at_here(
        &self,
        (a, ia): (&[u64], impl Fn(usize) -> usize),
        (b, ib): (&[u64], impl Fn(usize) -> usize),
        out: &mut [u64],
    ) {
        self.count(with!(self, k => ops::multiply(k, (a, ia), (b, ib), out)));
    }

    /// As `ops::comb`, on the calling thread.
    pub fn comb_here(
        &self,
        table: &[u64],
        at: impl Fn(usize, usize, usize) -> usize,
        shape: (usize, usize, usize),
        out: &mut [u64],
    ) {
        self.count(with!(self, k => ops::comb(k, table, at, shape, out)));
    }

    /// a[i] ^ e(i), exponents as magnitudes; variable time.
    pub fn power_each<'e>(&self, a: &[u64], exponent: impl Fn(usize) -> &'e [u64] + Sync) -> Rows {
        let w = self.width();
        let mut out = self.rows(a.len() / w);
        let products: u64 = out
            .par_chunks_mut(w * CHUNK)
            .enumerate()
            .map(|(c, rows)| {
                let first = c * CHUNK;
                with!(self, k => ops::power_each(k, a, |i| first + i, |i| exponent(first + i), self.one(), rows))
            })
            .sum();
        self.count(products);
        out
    }

    /// Every row to one secret exponent of `bits` bits; constant time.
    pub fn power_secret(&self, rows: &mut [u64], exponent: &[u64], bits: usize) {
        let w = self.width();
        let each = self.share(rows.len() / w);
        let products: u64 = rows
            .par_chunks_mut(w * each)
            .map(|rows| with!(self, k => ops::power_secret(k, rows, exponent, bits, self.one())))
            .sum();
        self.count(products);
    }

    /// The product of all rows modulo m: zero or a common factor shows here.
    pub fn product_mod(&self, rows: &[u64]) -> BigUint {
        let len = rows.len() / self.width();
        let all: Vec<u32> = (0..len as u32).collect();
        let product = self.segments(rows, &[0, len], &all);
        self.export(&product, |_, a, _| limbs::to_big(a)).remove(0)
    }

    /// Row c * len + i is rows[i] ^ (2^c), c in 0..count.
    pub fn squarings(&self, rows: &[u64], count: usize) -> Rows {
        let len = rows.len() / self.width();
        let mut out = self.rows(len * count);
        self.count(with!(self, k => ops::squarings(k, rows, count, &mut out)));
        out
    }

    /// out[g] = product over j of rows[at(g, j)] ^ (2^(shift j)), j in 0..terms.
    pub fn horner(
        &self,
        rows: &[u64],
        len: usize,
        at: impl Fn(usize, usize) -> Option<usize> + Sync,
        terms: usize,
        shift: usize,
    ) -> Rows {
        let w = self.width();
        let mut out = self.rows(len);
        let each = self.share(len);
        let products: u64 = out
            .par_chunks_mut(w * each)
            .enumerate()
            .map(|(c, rows_out)| {
                let at = |g: usize, j: usize| at(c * each + g, j);
                with!(self, k => ops::horner(k, rows, at, (terms, shift), self.one(), rows_out))
            })
            .sum();
        self.count(products);
        out
    }

    /// Rows a task takes where each is a long computation: whole blocks, spread over the threads.
    pub fn share(&self, len: usize) -> usize {
        let lanes = self.prefers_batches_of();
        len.div_ceil(rayon::current_num_threads()).clamp(1, CHUNK).next_multiple_of(lanes)
    }

    pub fn prefers_batches_of(&self) -> usize {
        with!(self, k => lanes_of(k))
    }
}

fn lanes_of<K: Kernel>(_: &K) -> usize {
    K::LANES
}

/// The rate of the machine's 52-bit multiplier in instructions a nanosecond, measured; `None` where it has none.
pub fn multiplier_peak() -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if ifma::available() {
        return Some(ifma::peak());
    }
    None
}

/// Two blocks of a ring, for benchmarks of the bare arithmetic.
pub struct BenchLanes<'a> {
    ring: &'a Ring,
    rows: Rows,
}

impl BenchLanes<'_> {
    /// A chain of `count` products of all lanes.
    pub fn multiply(&mut self, count: usize) {
        with!(self.ring, k => ops::chain(k, &mut self.rows, count, false));
    }

    pub fn square(&mut self, count: usize) {
        with!(self.ring, k => ops::chain(k, &mut self.rows, count, true));
    }
}

impl Ring {
    #[doc(hidden)]
    pub fn bench_lanes(&self) -> BenchLanes<'_> {
        let rows = self.put_all(self.prefers_batches_of(), |i, a, b| {
            a[0] = 3 + i as u64;
            b[0] = 5 + i as u64;
        });
        BenchLanes { ring: self, rows: self.times_radix(&rows) }
    }
}
