//! `DpfKeys`, and tables that they look up in.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vfl_core::dpf::{self, Backend, Records, Tables};

use crate::convert;
use crate::error::raise;
use crate::plain::PlainVec;
use crate::run::{on_all_cores, on_cores_for};

/// (length,) keys of one of two parties for point functions on tables of 2^bits entries (Boyle, Gilboa, Ishai, CCS 2016), leaves in Z_2^128.
#[pyclass(frozen, module = "protocols._native")]
struct DpfKeys(dpf::DpfKeys);

/// (t, 2^bits) tables, laid out once for the look-ups of many keys.
#[pyclass(frozen, module = "protocols._native")]
struct DpfTables(Tables);

#[pymethods]
impl DpfTables {
    /// Of 64-bit integers; 32 bytes an entry, 16 where a table spans less than 2^52.
    #[new]
    fn new(py: Python<'_>, tables: PyReadonlyArray2<'_, i64>) -> PyResult<Self> {
        let (values, _, columns) = convert::matrix(&tables);
        if !columns.is_power_of_two() {
            return Err(PyValueError::new_err("tables do not have 2^bits entries"));
        }
        let bits = columns.trailing_zeros() as usize;
        on_all_cores(py, || Tables::new(&values, bits))?.map(Self).map_err(raise)
    }

    /// How many tables.
    fn __len__(&self) -> usize {
        self.0.count()
    }

    /// As `DpfKeys.look_up` of the same tables.
    fn look_up(&self, py: Python<'_>, keys: &DpfKeys, x: PyReadonlyArray1<'_, i64>) -> PyResult<Vec<PlainVec>> {
        let (x, backend) = (convert::vector(&x), backend()?);
        let shares = on_cores_for(py, x.len(), || keys.0.look_up_in(backend, &x, &self.0))?.map_err(raise)?;
        Ok(shares.into_iter().map(PlainVec).collect())
    }

    fn __repr__(&self) -> String {
        format!("DpfTables({} tables of {} entries)", self.0.count(), self.0.size())
    }
}

/// 2^bits records of whole 64-bit words.
#[pyclass(frozen, module = "protocols._native")]
struct DpfRecords(Records);

#[pymethods]
impl DpfRecords {
    /// `words`: record after record.
    #[new]
    fn new(words: PyReadonlyArray1<'_, u64>, bits: usize) -> PyResult<Self> {
        Records::new(words.as_array().to_vec(), bits).map(Self).map_err(raise)
    }

    /// How many.
    fn __len__(&self) -> usize {
        self.0.size()
    }

    /// (rows * words,) for every key this party's share, by exclusive or, of the record at its point.
    fn look_up<'py>(&self, py: Python<'py>, keys: &DpfKeys) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let shares = on_all_cores(py, || keys.0.look_up_records(&self.0))?.map_err(raise)?;
        Ok(shares.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        format!("DpfRecords({} records of {} words)", self.0.size(), self.0.width())
    }
}

#[pymethods]
impl DpfKeys {
    /// Keys of party 0 and 1 of the functions that are 1 at points[i], in [0, 2^bits).  Deterministic in the 32-byte seed, which must deal once.
    #[staticmethod]
    fn deal(
        py: Python<'_>,
        seed: &[u8],
        points: PyReadonlyArray1<'_, i64>,
        bits: usize,
    ) -> PyResult<(DpfKeys, DpfKeys)> {
        let (seed, points) = (convert::seed(seed)?, zeroize::Zeroizing::new(convert::vector(&points)));
        let [first, second] =
            on_cores_for(py, points.len(), || dpf::DpfKeys::deal(&seed, &points, bits))?.map_err(raise)?;
        Ok((DpfKeys(first), DpfKeys(second)))
    }

    /// Raises InvalidBytes at whatever `to_bytes` cannot have written.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        dpf::DpfKeys::from_bytes(data).map(Self).map_err(raise)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn bits(&self) -> usize {
        self.0.bits()
    }

    /// 0 or 1.
    #[getter]
    fn party(&self) -> u8 {
        self.0.party()
    }

    /// The keys of rows start to stop (exclusive).
    fn take(&self, start: usize, stop: usize) -> PyResult<Self> {
        self.0.take(start, stop).map(Self).map_err(raise)
    }

    /// For each of the (t, 2^bits) tables and every row this party's share of table[(x[i] - point[i]) mod 2^bits].
    fn look_up(
        &self,
        py: Python<'_>,
        x: PyReadonlyArray1<'_, i64>,
        tables: PyReadonlyArray2<'_, i64>,
    ) -> PyResult<Vec<PlainVec>> {
        let (x, tables, backend) = (convert::vector(&x), self.tables(&tables)?, backend()?);
        let shares = on_all_cores(py, || self.0.look_up(backend, &x, &tables))?.map_err(raise)?;
        Ok(shares.into_iter().map(PlainVec).collect())
    }

    /// (t,) the same, summed over the rows modulo 2^128.
    fn look_up_sums(
        &self,
        py: Python<'_>,
        x: PyReadonlyArray1<'_, i64>,
        tables: PyReadonlyArray2<'_, i64>,
    ) -> PyResult<PlainVec> {
        let (x, tables, backend) = (convert::vector(&x), self.tables(&tables)?, backend()?);
        on_all_cores(py, || self.0.look_up_sums(backend, &x, &tables))?.map(PlainVec).map_err(raise)
    }

    fn __repr__(&self) -> String {
        format!("DpfKeys({} rows, {} bits, party {})", self.0.len(), self.0.bits(), self.0.party())
    }
}

impl DpfKeys {
    fn tables(&self, tables: &PyReadonlyArray2<'_, i64>) -> PyResult<Vec<i64>> {
        let (values, _, columns) = convert::matrix(tables);
        if columns != 1 << self.0.bits() {
            return Err(PyValueError::new_err("tables do not have 2^bits entries"));
        }
        Ok(values)
    }
}

/// VFL_NATIVE_BACKEND, else what this machine runs fastest.
fn backend() -> PyResult<Backend> {
    match std::env::var("VFL_NATIVE_BACKEND") {
        Ok(name) if !name.is_empty() => Backend::named(&name).map_err(raise),
        _ => Ok(Backend::detect()),
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<DpfTables>()?;
    m.add_class::<DpfRecords>()?;
    m.add_class::<DpfKeys>()
}
