//! `PlainVec`.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vfl_core::{plain, ring128};

use crate::convert;
use crate::error::raise;
use crate::run::{on_all_cores, run};

/// Signed integers of any size: one row of little-endian two's complement 64-bit limbs each (same number of limbs for all).
#[pyclass(frozen, eq, module = "protocols._native")]
#[derive(PartialEq)]
pub struct PlainVec(pub plain::PlainVec);

impl PlainVec {
    /// Work on each element: here if they are few.
    fn mapped<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
        if self.0.is_short() { run(py, work) } else { on_all_cores(py, work) }
    }
}

#[pymethods]
impl PlainVec {
    #[staticmethod]
    fn from_i64(values: PyReadonlyArray1<'_, i64>) -> Self {
        Self(plain::PlainVec::from_i64(values.as_array().iter().copied()))
    }

    #[staticmethod]
    fn from_ints(values: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        convert::plain_from_ints(&values).map(Self)
    }

    #[staticmethod]
    fn zeros(length: usize) -> Self {
        Self(plain::PlainVec::zeros(length))
    }

    /// `length` integers uniform in [-2^(bits-1), 2^(bits-1)).
    #[staticmethod]
    fn random(py: Python<'_>, seed: &[u8], length: usize, bits: usize) -> PyResult<Self> {
        let seed = convert::seed(seed)?;
        on_all_cores(py, || plain::PlainVec::random(&seed, length, bits))?.map(Self).map_err(raise)
    }

    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        plain::PlainVec::from_bytes(data).map(Self).map_err(raise)
    }

    /// Canonical: equal vectors have equal bytes (smallest number of limbs that holds every element).
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    fn to_ints<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        (0..self.0.len()).map(|i| convert::limbs_to_int(py, self.0.row(i), true)).collect()
    }

    /// Raises Overflow where an element does not fit.
    fn to_i64<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        Ok(self.0.to_i64().map_err(raise)?.into_pyarray(py))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("PlainVec({} integers)", self.0.len())
    }

    fn __add__(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        run(py, || self.0.add(&other.0))?.map(Self).map_err(raise)
    }

    fn __sub__(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        run(py, || self.0.sub(&other.0))?.map(Self).map_err(raise)
    }

    fn __neg__(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self(self.mapped(py, || self.0.neg())?))
    }

    /// Elementwise sum modulo 2^128, signed.
    fn add_mod_2_128(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        run(py, || ring128::add(&self.0, &other.0))?.map(Self).map_err(raise)
    }

    /// Elementwise difference modulo 2^128, signed.
    fn sub_mod_2_128(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        run(py, || ring128::sub(&self.0, &other.0))?.map(Self).map_err(raise)
    }

    /// Elementwise product modulo 2^128, signed.
    fn mul_mod_2_128(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        run(py, || ring128::mul(&self.0, &other.0))?.map(Self).map_err(raise)
    }

    /// self @ other modulo 2^128, signed, of matrices row after row: (rows, inner), or (inner, rows) where `turned` names it, and (inner, columns),
    /// or (columns, inner).
    fn matmul_mod_2_128(
        &self,
        py: Python<'_>,
        other: &Self,
        shape: (usize, usize, usize),
        turned: (bool, bool),
    ) -> PyResult<Self> {
        let (shape, turned) = ([shape.0, shape.1, shape.2], [turned.0, turned.1]);
        on_all_cores(py, || ring128::matmul(&self.0, &other.0, shape, turned))?.map(Self).map_err(raise)
    }

    /// Each element modulo 2^128, signed.
    fn mod_2_128(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self(run(py, || ring128::wrap(&self.0))?))
    }

    /// Times one signed integer of any size.
    fn scale(&self, py: Python<'_>, factor: &Bound<'_, PyAny>) -> PyResult<Self> {
        let factor = convert::int_to_limbs(factor)?;
        Ok(Self(self.mapped(py, || self.0.scale(&factor))?))
    }

    /// Floor division by 2^bits.
    fn shift_right(&self, py: Python<'_>, bits: usize) -> PyResult<Self> {
        Ok(Self(self.mapped(py, || self.0.shift_right(bits))?))
    }

    fn shift_left(&self, py: Python<'_>, bits: usize) -> PyResult<Self> {
        self.mapped(py, || self.0.shift_left(bits))?.map(Self).map_err(raise)
    }

    fn take(&self, rows: PyReadonlyArray1<'_, i64>) -> PyResult<Self> {
        self.0.take(&convert::vector(&rows)).map(Self).map_err(raise)
    }

    /// Elements `first` to `last`, the latter left out.
    fn slice(&self, first: usize, last: usize) -> PyResult<Self> {
        self.0.slice(first, last).map(Self).map_err(raise)
    }

    fn concat(&self, other: &Self) -> Self {
        Self(self.0.concat(&other.0))
    }

    /// One after the other.
    #[staticmethod]
    fn join(parts: Vec<PyRef<'_, Self>>) -> Self {
        Self(plain::PlainVec::join(&parts.iter().map(|p| &p.0).collect::<Vec<_>>()))
    }

    fn sum(&self) -> Self {
        Self(self.0.sum())
    }

    /// Bit length of the largest magnitude.
    fn max_bits(&self) -> usize {
        self.0.max_bits()
    }

    /// matrix @ self; matrix (rows, len(self)) C-contiguous.
    fn matmul(&self, py: Python<'_>, matrix: PyReadonlyArray2<'_, i64>) -> PyResult<Self> {
        let (values, rows, columns) = convert::matrix(&matrix);
        if columns != self.0.len() {
            return Err(PyValueError::new_err("the matrix does not fit the vector"));
        }
        Ok(Self(on_all_cores(py, || self.0.linear(rows, |i, j| values[i * columns + j]))?))
    }

    /// matrix.T @ self; matrix (len(self), columns).
    fn t_matmul(&self, py: Python<'_>, matrix: PyReadonlyArray2<'_, i64>) -> PyResult<Self> {
        let (values, rows, columns) = convert::matrix(&matrix);
        if rows != self.0.len() {
            return Err(PyValueError::new_err("the matrix does not fit the vector"));
        }
        Ok(Self(on_all_cores(py, || self.0.linear(columns, |i, j| values[j * columns + i]))?))
    }

    /// Each element modulo 2^bits, in [-2^(bits-1), 2^(bits-1)).
    fn residue(&self, py: Python<'_>, bits: usize) -> PyResult<Self> {
        self.mapped(py, || self.0.residue(bits))?.map(Self).map_err(raise)
    }

    /// `slots` vectors one after the other: out[i] = sum over j of vector j's element i * 2^(width*j), modulo 2^(width*slots) and centred.
    fn stack(&self, py: Python<'_>, width: usize, slots: usize) -> PyResult<Self> {
        on_all_cores(py, || self.0.stack(width, slots))?.map(Self).map_err(raise)
    }

    /// bins (rows, features) in [0, n_bins); returns (features * n_bins,) sums, feature-major.
    fn histogram(&self, py: Python<'_>, bins: PyReadonlyArray2<'_, i64>, n_bins: usize) -> PyResult<Self> {
        let (values, rows, features) = convert::matrix(&bins);
        if rows != self.0.len() {
            return Err(PyValueError::new_err("bins do not have one row for each integer"));
        }
        on_all_cores(py, || self.0.histogram(&values, features, n_bins))?.map(Self).map_err(raise)
    }

    /// ceil(len/slots) integers: sum over j of element[i*slots + j] * 2^(width*j).  Signed slots: a carry borrows from the next and `unpack`
    /// undoes it.  Overflow if |element| >= 2^(width-1).
    fn pack(&self, py: Python<'_>, width: usize, slots: usize) -> PyResult<Self> {
        on_all_cores(py, || self.0.pack(width, slots))?.map(Self).map_err(raise)
    }

    fn unpack(&self, py: Python<'_>, width: usize, slots: usize, length: usize) -> PyResult<Self> {
        on_all_cores(py, || self.0.unpack(width, slots, length))?.map(Self).map_err(raise)
    }
}
