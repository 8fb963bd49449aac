//! `PublicKey`, `PrivateKey`, `CipherVec`.

use std::sync::Arc;

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vfl_core::bigint::ring::Backend;
use vfl_core::random::Streams;
use vfl_core::{Error, paillier, pool};

use crate::convert;
use crate::error::{InvalidBytes, raise};
use crate::plain::PlainVec;
use crate::run::run;

/// By argument, else by VFL_NATIVE_BACKEND, else what this machine runs fastest.
fn choose(name: Option<&str>) -> PyResult<Backend> {
    let chosen = match name {
        Some(name) => Backend::named(name),
        None => match std::env::var("VFL_NATIVE_BACKEND") {
            Ok(name) if !name.is_empty() => Backend::named(&name),
            _ => Ok(Backend::detect()),
        },
    };
    chosen.map_err(raise)
}

/// The arithmetic in use by default: "ifma" where the CPU has AVX-512 IFMA, "avx2" where it has AVX2 and FMA, else "serial"; VFL_NATIVE_BACKEND overrides.
#[pyfunction]
fn backend() -> PyResult<&'static str> {
    choose(None).map(Backend::name)
}

/// n of a Paillier key with g = 1 + n and DJN randomness.
#[pyclass(frozen, module = "protocols._native")]
pub struct PublicKey(Arc<paillier::PublicKey>);

#[pymethods]
impl PublicKey {
    #[new]
    #[pyo3(signature = (n, *, backend=None, threads=None))]
    fn new(py: Python<'_>, n: &Bound<'_, PyAny>, backend: Option<&str>, threads: Option<usize>) -> PyResult<Self> {
        let n = convert::int_to_big(n).map_err(|_| InvalidBytes::new_err("n is no positive integer"))?;
        let (backend, pool) = (choose(backend)?, pool::pool(threads).map_err(raise)?);
        let key = run(py, || paillier::PublicKey::new(&n, backend, pool))?.map_err(raise)?;
        Ok(Self(Arc::new(key)))
    }

    #[getter]
    fn n<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::limbs_to_int(py, &self.0.n().to_u64_digits(), false)
    }

    #[getter]
    fn bits(&self) -> usize {
        self.0.bits()
    }

    /// SHA-256 of n's big-endian bytes.
    #[getter]
    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.fingerprint())
    }

    #[getter]
    fn backend(&self) -> &'static str {
        self.0.backend().name()
    }

    /// Products modulo n^2 computed under this key so far (one modulo p^2 or q^2 counts as one quarter).  A squaring counts as a product.
    #[getter]
    fn products(&self) -> u64 {
        self.0.products()
    }

    /// Exactly two primes, both 3 modulo 4, and gcd(n, phi(n)) = 1, as the holder proves (non-interactive): see paillier/proof.rs of the core.
    fn verify(&self, py: Python<'_>, proof: &[u8]) -> PyResult<bool> {
        run(py, || self.0.verify(proof))
    }

    #[pyo3(signature = (plain, seed, exponent_bits, first=0))]
    fn encrypt(
        &self,
        py: Python<'_>,
        plain: &PlainVec,
        seed: &[u8],
        exponent_bits: usize,
        first: u64,
    ) -> PyResult<CipherVec> {
        let seed = convert::seed(seed)?;
        let streams = Streams::part(&seed, first, plain.0.len()).map_err(raise)?;
        run(py, || self.0.encrypt(&plain.0, streams, exponent_bits))?.map(CipherVec).map_err(raise)
    }

    /// (1 + n)^m, no randomness: readable by anyone.
    fn lift(&self, py: Python<'_>, plain: &PlainVec) -> PyResult<CipherVec> {
        run(py, || self.0.lift(&plain.0))?.map(CipherVec).map_err(raise)
    }

    /// The ciphertexts in data[start:stop], which is not copied.  Validates every element: 0 < c < n^2 and gcd(c, n) = 1 (batched).  Raises InvalidBytes.
    #[pyo3(signature = (data, start=0, stop=None))]
    fn ciphers_from_bytes(
        &self,
        py: Python<'_>,
        data: &[u8],
        start: usize,
        stop: Option<usize>,
    ) -> PyResult<CipherVec> {
        let part = data
            .get(start..stop.unwrap_or(data.len()))
            .ok_or_else(|| PyValueError::new_err("no such part of the bytes"))?;
        run(py, || self.0.ciphers_from_bytes(part))?.map(CipherVec).map_err(raise)
    }

    fn __repr__(&self) -> String {
        format!("PublicKey({} bits, {})", self.0.bits(), self.0.backend().name())
    }
}

/// p and q; zeroised on drop.  No repr of its contents, no pickling.
#[pyclass(frozen, module = "protocols._native")]
pub struct PrivateKey(paillier::PrivateKey);

#[pymethods]
impl PrivateKey {
    /// p, q of bits/2 each, p = q = 3 mod 4, gcd(n, phi) = 1; deterministic in the 32-byte seed.
    #[staticmethod]
    #[pyo3(signature = (bits, seed, *, backend=None, threads=None))]
    fn generate(
        py: Python<'_>,
        bits: usize,
        seed: &[u8],
        backend: Option<&str>,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let seed = convert::seed(seed)?;
        let (backend, pool) = (choose(backend)?, pool::pool(threads).map_err(raise)?);
        run(py, || paillier::PrivateKey::generate(bits, &seed, backend, pool))?.map(Self).map_err(raise)
    }

    #[staticmethod]
    #[pyo3(signature = (data, *, backend=None, threads=None))]
    fn from_bytes(py: Python<'_>, data: &[u8], backend: Option<&str>, threads: Option<usize>) -> PyResult<Self> {
        let (backend, pool) = (choose(backend)?, pool::pool(threads).map_err(raise)?);
        run(py, || paillier::PrivateKey::from_bytes(data, backend, pool))?.map(Self).map_err(raise)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    #[getter]
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public().clone())
    }

    fn prove<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let proof = run(py, || self.0.prove())?.map_err(raise)?;
        Ok(PyBytes::new(py, &proof))
    }

    /// The same ciphertexts as public_key.encrypt(plain, seed, exponent_bits), faster (CRT).
    #[pyo3(signature = (plain, seed, exponent_bits, first=0))]
    fn encrypt(
        &self,
        py: Python<'_>,
        plain: &PlainVec,
        seed: &[u8],
        exponent_bits: usize,
        first: u64,
    ) -> PyResult<CipherVec> {
        let seed = convert::seed(seed)?;
        let streams = Streams::part(&seed, first, plain.0.len()).map_err(raise)?;
        run(py, || self.0.encrypt(&plain.0, streams, exponent_bits))?.map(CipherVec).map_err(raise)
    }

    /// Centred: (-n/2, n/2).  Constant-time CRT in the exponent, blinded, recombination verified.  Raises Overflow if |m| > 2^(bits - 41)
    /// (head-room of 40 bits), unless `whole`: for plaintexts under a mask that is uniform modulo n.
    #[pyo3(signature = (ciphers, whole=false))]
    fn decrypt(&self, py: Python<'_>, ciphers: &CipherVec, whole: bool) -> PyResult<PlainVec> {
        let open = || if whole { self.0.decrypt_whole(&ciphers.0) } else { self.0.decrypt(&ciphers.0) };
        run(py, open)?.map(PlainVec).map_err(raise)
    }
}

/// (length,) ciphertexts under one key, kept in Montgomery form in one buffer.  Whether they may leave is decided above (protocols.cipher).
#[pyclass(frozen, module = "protocols._native")]
pub struct CipherVec(paillier::CipherVec);

impl CipherVec {
    fn wrap(
        py: Python<'_>,
        compute: impl FnOnce() -> Result<paillier::CipherVec, Error> + Send,
    ) -> PyResult<CipherVec> {
        run(py, compute)?.map(CipherVec).map_err(raise)
    }
}

#[pymethods]
impl CipherVec {
    #[getter]
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.key().clone())
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("CipherVec({} ciphertexts, {} bits)", self.0.len(), self.0.key().bits())
    }

    /// length x (2*bits/8) bytes, little-endian.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &run(py, || self.0.to_bytes())?))
    }

    /// SHA-256 of the bytes of every `each` ciphertexts, 32 bytes each.
    fn hashes<'py>(&self, py: Python<'py>, each: usize) -> PyResult<Bound<'py, PyBytes>> {
        let hashes = run(py, || self.0.hashes(each))?.map_err(raise)?;
        Ok(PyBytes::new(py, &hashes))
    }

    /// c mod n: what is left of a ciphertext without its plaintext (for audits).
    fn residues<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let residues = run(py, || self.0.residues())?;
        residues.iter().map(|r| convert::limbs_to_int(py, r, false)).collect()
    }

    fn __add__(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        Self::wrap(py, || self.0.add(&other.0))
    }

    fn __sub__(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        Self::wrap(py, || self.0.sub(&other.0))
    }

    /// One batched inversion for the whole vector.
    fn __neg__(&self, py: Python<'_>) -> PyResult<Self> {
        Self::wrap(py, || self.0.neg())
    }

    fn add_plain(&self, py: Python<'_>, plain: &PlainVec) -> PyResult<Self> {
        Self::wrap(py, || self.0.add_plain(&plain.0))
    }

    /// Elementwise; signed scalars without an inversion an element; a plain of length 1 is broadcast.
    fn mul_plain(&self, py: Python<'_>, plain: &PlainVec) -> PyResult<Self> {
        Self::wrap(py, || self.0.mul_plain(&plain.0))
    }

    fn sum(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self(run(py, || self.0.sum())?))
    }

    fn take(&self, rows: PyReadonlyArray1<'_, i64>) -> PyResult<Self> {
        self.0.take(&convert::vector(&rows)).map(Self).map_err(raise)
    }

    fn concat(&self, other: &Self) -> PyResult<Self> {
        self.0.concat(&other.0).map(Self).map_err(raise)
    }

    /// matrix @ self, (rows, d) x (d,) -> (rows,): few bases, many results: tables of windows that bases share (Straus).
    fn matmul(&self, py: Python<'_>, matrix: PyReadonlyArray2<'_, i64>) -> PyResult<Self> {
        let (values, rows, columns) = convert::matrix(&matrix);
        if columns != self.0.len() {
            return Err(PyValueError::new_err("the matrix does not fit the vector"));
        }
        Self::wrap(py, || self.0.matmul(&values, rows))
    }

    /// matrix.T @ self, (rows, d) x (rows,) -> (d,): many bases, few results: signed buckets (Pippenger).
    fn t_matmul(&self, py: Python<'_>, matrix: PyReadonlyArray2<'_, i64>) -> PyResult<Self> {
        let (values, rows, columns) = convert::matrix(&matrix);
        if rows != self.0.len() {
            return Err(PyValueError::new_err("the matrix does not fit the vector"));
        }
        Self::wrap(py, || self.0.t_matmul(&values, columns))
    }

    /// Shift-and-add, as PlainVec.pack.
    fn pack(&self, py: Python<'_>, width: usize, slots: usize) -> PyResult<Self> {
        Self::wrap(py, || self.0.pack(width, slots))
    }

    #[pyo3(signature = (seed, exponent_bits, first=0))]
    fn rerandomise(&self, py: Python<'_>, seed: &[u8], exponent_bits: usize, first: u64) -> PyResult<Self> {
        let seed = convert::seed(seed)?;
        let streams = Streams::part(&seed, first, self.0.len()).map_err(raise)?;
        Self::wrap(py, || self.0.rerandomise(streams, exponent_bits))
    }

    /// bins (rows, features) in [0, n_bins), -1 skips; returns (features * n_bins,) sums, feature-major.
    fn histogram(&self, py: Python<'_>, bins: PyReadonlyArray2<'_, i64>, n_bins: usize) -> PyResult<Self> {
        let (values, rows, features) = convert::matrix(&bins);
        if rows != self.0.len() {
            return Err(PyValueError::new_err("bins do not have one row for each ciphertext"));
        }
        Self::wrap(py, || self.0.histogram(&values, features, n_bins))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(backend, m)?)?;
    m.add_class::<PlainVec>()?;
    m.add_class::<PublicKey>()?;
    m.add_class::<PrivateKey>()?;
    m.add_class::<CipherVec>()
}
