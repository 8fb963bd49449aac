//! The arithmetic of a look-up on shares, for protocols/look_up.py.

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use vfl_core::look_up::{self, Opened};
use vfl_core::plain;

use crate::error::raise;
use crate::plain::PlainVec;
use crate::run::on_all_cores;

fn inner<'a>(vectors: &'a [PyRef<'_, PlainVec>]) -> Vec<&'a plain::PlainVec> {
    vectors.iter().map(|v| &v.0).collect()
}

/// The first party's shares of dealt products, from both parties' factors and the second party's shares.
#[pyfunction]
fn look_up_products(
    py: Python<'_>,
    first: &PlainVec,
    second: &PlainVec,
    theirs: &PlainVec,
    rows: usize,
    curves: usize,
) -> PyResult<PlainVec> {
    let work = || look_up::deal(&first.0, &second.0, &theirs.0, rows, curves);
    on_all_cores(py, work)?.map(PlainVec).map_err(raise)
}

/// Of each share of a number: its cell of 2^cell units modulo 2^bits, and the rest in units of 2^drop.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn look_up_cells<'py>(
    py: Python<'py>,
    share: &PlainVec,
    cell: usize,
    bits: usize,
    drop: usize,
) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>)> {
    let (cells, rest) = on_all_cores(py, || look_up::locate(&share.0, cell, bits, drop))?.map_err(raise)?;
    Ok((cells.into_pyarray(py), rest.into_pyarray(py)))
}

/// t - b, and each curve's coefficients less their pads; found: four for each curve.
#[pyfunction]
fn look_up_masked(
    py: Python<'_>,
    t: &PlainVec,
    found: Vec<PyRef<'_, PlainVec>>,
    factors: &PlainVec,
) -> PyResult<(PlainVec, PlainVec)> {
    let (found, t, factors) = (inner(&found), &t.0, &factors.0);
    let (rest, masked) = on_all_cores(py, || look_up::mask(t, &found, factors))?.map_err(raise)?;
    Ok((PlainVec(rest), PlainVec(masked)))
}

/// One party's shares of each curve's values: `rest` and `masked` of both parties together; constants: of each curve; cut: bits that all lose.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn look_up_values(
    py: Python<'_>,
    first: bool,
    rest: &PlainVec,
    masked: &PlainVec,
    factors: &PlainVec,
    products: &PlainVec,
    constants: Vec<PyRef<'_, PlainVec>>,
    unit: usize,
    cut: usize,
) -> PyResult<Vec<PlainVec>> {
    let opened = Opened { first, rest: &rest.0, masked: &masked.0, factors: &factors.0, products: &products.0 };
    let constants = inner(&constants);
    let values = on_all_cores(py, || opened.values(&constants, unit, cut))?.map_err(raise)?;
    Ok(values.into_iter().map(PlainVec).collect())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(look_up_products, m)?)?;
    m.add_function(wrap_pyfunction!(look_up_cells, m)?)?;
    m.add_function(wrap_pyfunction!(look_up_masked, m)?)?;
    m.add_function(wrap_pyfunction!(look_up_values, m)?)
}
