//! The Python module `protocols._native`: the only crate that knows Python, and the only place where errors are mapped.

mod convert;
mod curve;
mod dpf;
mod error;
mod look_up;
mod paillier;
mod plain;
mod run;

use pyo3::prelude::*;

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    error::register(m)?;
    paillier::register(m)?;
    run::register(m)?;
    curve::register(m)?;
    dpf::register(m)?;
    look_up::register(m)
}
