//! `PointVec` and `random_scalar`.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use vfl_core::curve::{self, Backend, CurveError};

/// (length,) ristretto255 points (RFC 9496), canonical 32-byte encodings at the border.
#[pyclass(frozen, module = "protocols._native")]
struct PointVec(curve::PointVec);

#[pymethods]
impl PointVec {
    /// RFC 9380 expand_message_xmd(SHA-512) to 64 bytes, then the ristretto255 map (ristretto255_XMD:SHA-512_R255MAP_RO_).
    #[staticmethod]
    fn hash_to_group(py: Python<'_>, items: Vec<PyBackedBytes>, domain: &[u8]) -> PyResult<Self> {
        py.detach(|| curve::PointVec::hash_to_group(Backend::chosen(), &items, domain)).map(Self).map_err(error)
    }

    /// Raises InvalidBytes at a non-canonical encoding, a point off the group or the identity.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        py.detach(|| curve::PointVec::from_bytes(Backend::chosen(), data)).map(Self).map_err(error)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.0.to_bytes()))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Every point times one scalar (32 bytes little-endian, canonical, non-zero).
    fn mul(&self, py: Python<'_>, scalar: &[u8]) -> PyResult<Self> {
        py.detach(|| self.0.mul(scalar)).map(Self).map_err(error)
    }

    /// 16 bytes a point: the first quarter of SHA-512 of its encoding under a fixed domain.
    fn tags<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.0.tags()))
    }

    fn take(&self, py: Python<'_>, rows: PyReadonlyArray1<'_, i64>) -> PyResult<Self> {
        let rows: Vec<i64> = rows.as_array().iter().copied().collect();
        py.detach(|| self.0.take(&rows)).map(Self).map_err(error)
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

fn error(error: CurveError) -> PyErr {
    match error {
        CurveError::Length | CurveError::Encoding(_) => invalid_bytes(error.to_string()),
        CurveError::Scalar | CurveError::Row | CurveError::Domain => PyValueError::new_err(error.to_string()),
    }
}

// Until the crate declares its exceptions.
fn invalid_bytes(message: String) -> PyErr {
    Python::attach(|py| match py.import("protocols._native").and_then(|m| m.getattr("InvalidBytes")) {
        Ok(class) => class.call1((message,)).map_or_else(|e| e, PyErr::from_value),
        Err(_) => PyValueError::new_err(message),
    })
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PointVec>()?;
    m.add_function(wrap_pyfunction!(random_scalar, m)?)
}
