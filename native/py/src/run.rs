//! How work leaves the interpreter: the GIL is released, and an interrupt ends it early.

use pyo3::prelude::*;
use vfl_core::pool::{self, FEW};
use vfl_core::stop::{self, Stopped};

use crate::error::{Interrupted, raise};

/// `work` with the GIL released, on the threads that it chooses.
pub fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| stop::catch(work)).map_err(|Stopped| Interrupted::new_err("the computation was interrupted"))
}

/// The same on all cores.
pub fn on_all_cores<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let pool = pool::pool(None).map_err(raise)?;
    run(py, || pool.install(work))
}

/// The same for this number of elements: here if they are few.
pub fn on_cores_for<T: Send>(py: Python<'_>, len: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if len <= FEW { run(py, work) } else { on_all_cores(py, work) }
}

/// Whether computations end early from now on, in all threads of this process: they raise Interrupted.
#[pyfunction]
fn interrupt(on: bool) {
    stop::request(on);
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(interrupt, m)?)
}
