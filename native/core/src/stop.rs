//! Long computations end early when somebody interrupts the process: every piece of work asks here before it begins.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// What a computation that was ended unwinds with.
pub struct Stopped;

/// From now on all computations end early (`true`), or new ones may begin (`false`).
pub fn request(stop: bool) {
    STOP.store(stop, Ordering::Relaxed);
}

/// Unwinds with `Stopped` if that is requested.
pub fn check() {
    if STOP.load(Ordering::Relaxed) {
        panic::resume_unwind(Box::new(Stopped)); // no hook: this is no bug, and nothing is printed
    }
}

/// What `work` returns, or `Stopped`.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Stopped> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|cause: Box<dyn Any + Send>| {
        match cause.downcast::<Stopped>() {
            Ok(stopped) => *stopped,
            Err(other) => panic::resume_unwind(other),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_panics_pass() {
        let planted = panic::catch_unwind(|| catch(|| panic::resume_unwind(Box::new("a bug"))));
        assert_eq!(planted.err().and_then(|e| e.downcast_ref::<&str>().copied()), Some("a bug"));
        assert!(matches!(catch(|| 7), Ok(7)));
        assert!(catch(|| panic::resume_unwind(Box::new(Stopped))).is_err());
    }
}
