//! Python integers, arrays and seeds in and out.

use num_bigint::{BigInt, BigUint, Sign};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};
use vfl_core::plain::PlainVec;
use vfl_core::random::Seed;
use zeroize::Zeroizing;

/// Little-endian two's complement, a whole number of 64-bit limbs.
pub fn int_to_limbs(value: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    let value = value.cast::<PyInt>().map_err(|_| PyTypeError::new_err("an integer is needed"))?;
    let bits: usize = value.call_method0("bit_length")?.extract()?;
    let limbs = bits / 64 + 1;
    let kwargs = pyo3::types::PyDict::new(value.py());
    kwargs.set_item("signed", true)?;
    let bytes = value.call_method("to_bytes", (8 * limbs, "little"), Some(&kwargs))?;
    let bytes = bytes.cast::<PyBytes>()?.as_bytes();
    Ok(bytes.chunks_exact(8).map(|c| c.iter().rev().fold(0u64, |x, &b| x << 8 | b as u64)).collect())
}

pub fn limbs_to_int<'py>(py: Python<'py>, limbs: &[u64], signed: bool) -> PyResult<Bound<'py, PyAny>> {
    let bytes: Vec<u8> = limbs.iter().flat_map(|x| x.to_le_bytes()).collect();
    let kwargs = pyo3::types::PyDict::new(py);
    kwargs.set_item("signed", signed)?;
    py.get_type::<PyInt>().call_method("from_bytes", (PyBytes::new(py, &bytes), "little"), Some(&kwargs))
}

/// A non-negative integer.
pub fn int_to_big(value: &Bound<'_, PyAny>) -> PyResult<BigUint> {
    let limbs = int_to_limbs(value)?;
    let bytes: Vec<u8> = limbs.iter().flat_map(|x| x.to_le_bytes()).collect();
    match BigInt::from_signed_bytes_le(&bytes).into_parts() {
        (Sign::Minus, _) => Err(PyValueError::new_err("a negative integer")),
        (_, magnitude) => Ok(magnitude),
    }
}

pub fn plain_from_ints(values: &[Bound<'_, PyAny>]) -> PyResult<PlainVec> {
    let rows = values.iter().map(int_to_limbs).collect::<PyResult<Vec<_>>>()?;
    let width = rows.iter().map(Vec::len).max().unwrap_or(1);
    let mut limbs = Vec::with_capacity(rows.len() * width);
    for row in rows {
        let fill = ((row[row.len() - 1] as i64) >> 63) as u64;
        let pad = width - row.len();
        limbs.extend(row);
        limbs.extend(std::iter::repeat_n(fill, pad));
    }
    Ok(PlainVec::from_limbs(limbs, width))
}

pub fn seed(bytes: &[u8]) -> PyResult<Zeroizing<Seed>> {
    let seed: Seed = bytes.try_into().map_err(|_| PyValueError::new_err("a seed has 32 bytes"))?;
    Ok(Zeroizing::new(seed))
}

pub fn vector(array: &PyReadonlyArray1<'_, i64>) -> Vec<i64> {
    array.as_array().iter().copied().collect()
}

/// Row-major values and (rows, columns).
pub fn matrix(array: &PyReadonlyArray2<'_, i64>) -> (Vec<i64>, usize, usize) {
    let view = array.as_array();
    let (rows, columns) = view.dim();
    (view.iter().copied().collect(), rows, columns)
}
