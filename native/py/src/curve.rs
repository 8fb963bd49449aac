//! `PointVec` and `random_scalar`.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vfl_core::curve::{self, Backend, CurveError, ENCODED_BYTES};

use crate::error::InvalidBytes;
use crate::run::on_cores_for;

/// (length,) ristretto255 points (RFC 9496), canonical 32-byte encodings at the border.
#[pyclass(frozen, module = "protocols._native")]
struct PointVec(curve::PointVec);

#[pymethods]
impl PointVec {
    /// RFC 9380 expand_message_xmd(SHA-512) to 64 bytes, then the ristretto255 map (ristretto255_XMD:SHA-512_R255MAP_RO_).
    #[staticmethod]
    fn hash_to_group(py: Python<'_>, items: Vec<PyBackedBytes>, domain: &[u8]) -> PyResult<Self> {
        let backend = backend()?;
        on_cores_for(py, items.len(), || curve::PointVec::hash_to_group(backend, &items, domain))?
            .map(Self)
            .map_err(error)
    }

    /// Raises InvalidBytes at a non-canonical encoding, a point off the group or the identity.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let backend = backend()?;
        on_cores_for(py, data.len() / ENCODED_BYTES, || curve::PointVec::from_bytes(backend, data))?
            .map(Self)
            .map_err(error)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &on_cores_for(py, self.0.len(), || self.0.to_bytes())?))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Every point times one scalar (32 bytes little-endian, canonical, non-zero).
    fn mul(&self, py: Python<'_>, scalar: &[u8]) -> PyResult<Self> {
        on_cores_for(py, self.0.len(), || self.0.mul(scalar))?.map(Self).map_err(error)
    }

    /// 16 bytes a point: the first ones of SHA-512 of its encoding under a fixed domain.
    fn tags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &on_cores_for(py, self.0.len(), || self.0.tags())?))
    }

    fn take(&self, py: Python<'_>, rows: PyReadonlyArray1<'_, i64>) -> PyResult<Self> {
        let rows: Vec<i64> = rows.as_array().iter().copied().collect();
        on_cores_for(py, rows.len(), || self.0.take(&rows))?.map(Self).map_err(error)
    }

    fn __repr__(&self) -> String {
        format!("PointVec({} points)", self.0.len())
    }
}

/// A uniform non-zero scalar from a 32-byte seed (64 bytes of ChaCha20 reduced).
#[pyfunction]
fn random_scalar<'py>(py: Python<'py>, seed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let seed = seed.try_into().map_err(|_| PyValueError::new_err("a seed has 32 bytes"))?;
    Ok(PyBytes::new(py, curve::random_scalar(seed).as_ref()))
}

/// VFL_NATIVE_BACKEND, else what this machine runs fastest.
fn backend() -> PyResult<Backend> {
    match std::env::var("VFL_NATIVE_BACKEND") {
        Ok(name) if !name.is_empty() => Backend::named(&name).map_err(error),
        _ => Ok(Backend::detect()),
    }
}

fn error(error: CurveError) -> PyErr {
    let message = error.to_string();
    match error {
        CurveError::Length | CurveError::Encoding(_) => InvalidBytes::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PointVec>()?;
    m.add_function(wrap_pyfunction!(random_scalar, m)?)
}
