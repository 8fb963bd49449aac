//! Threads: one pool of all cores for whoever asks for no number, a pool of its own for a key that does.

use std::sync::{Arc, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

pub type Pool = Arc<ThreadPool>;

fn build(threads: usize) -> Result<Pool> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("vfl-{i}"))
        .build()
        .map(Arc::new)
        .map_err(|_| Error::Argument("cannot start that many threads"))
}

/// `None`: the shared pool of all cores.
pub fn pool(threads: Option<usize>) -> Result<Pool> {
    static SHARED: OnceLock<Pool> = OnceLock::new();
    match threads {
        Some(n @ 1..=1024) => build(n),
        Some(_) => Err(Error::Argument("threads must be between 1 and 1024")),
        None => match SHARED.get() {
            Some(pool) => Ok(pool.clone()),
            None => {
                let pool = build(0)?;
                Ok(SHARED.get_or_init(|| pool).clone())
            }
        },
    }
}
