//! The one place where errors become Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyArithmeticError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use vfl_core::Error;

create_exception!(
    protocols._native,
    InvalidBytes,
    PyValueError,
    "Bytes (or integers) from outside that are no valid object."
);
create_exception!(protocols._native, Interrupted, PyRuntimeError, "Somebody interrupted the process.");
create_exception!(protocols._native, Overflow, PyArithmeticError, "A plaintext beyond its head-room.");

pub fn raise(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Argument(_) => PyValueError::new_err(message),
        Error::Invalid(_) => InvalidBytes::new_err(message),
        Error::Overflow(_) => Overflow::new_err(message),
        Error::Fault(_) => PyRuntimeError::new_err(message),
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("InvalidBytes", m.py().get_type::<InvalidBytes>())?;
    m.add("Interrupted", m.py().get_type::<Interrupted>())?;
    m.add("Overflow", m.py().get_type::<Overflow>())
}
