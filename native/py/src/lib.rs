//! The Python module `protocols._native`: the only crate that knows Python, and the only place where errors are mapped.

mod curve;

use pyo3::prelude::*;

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    curve::register(m)?;
    Ok(())
}
