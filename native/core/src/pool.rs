//! Threads: one pool of all cores for whoever asks for no number, a pool of its own for a key that does.  A forked process has no threads: it
//! starts its own when it first computes.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::{mem, process};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// Threads of the process that it is used in.
#[derive(Clone)]
pub struct Pool(Arc<Threads>);

struct Threads {
    number: usize, // 0: one a core
    live: RwLock<Arc<Live>>,
}

struct Live {
    process: u32,
    pool: ThreadPool,
}

impl Pool {
    fn new(number: usize) -> Result<Pool> {
        let live = RwLock::new(build(number)?);
        Ok(Pool(Arc::new(Threads { number, live })))
    }

    /// Runs `work` on these threads, and waits for it.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.here().pool.install(work)
    }
}

impl Threads {
    fn here(&self) -> Arc<Live> {
        let found = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        if found.process == process::id() {
            return found;
        }
        mem::forget(found); // the parent's threads do not run here: to drop their pool would be to wake them
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.process != process::id() {
            let own = build(self.number).expect("as many threads were started in the parent process");
            mem::forget(mem::replace(&mut *live, own));
        }
        live.clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let live = self.live.get_mut().unwrap_or_else(PoisonError::into_inner);
        if live.process != process::id() {
            mem::forget(live.clone());
        }
    }
}

fn build(number: usize) -> Result<Arc<Live>> {
    ThreadPoolBuilder::new()
        .num_threads(number)
        .thread_name(|i| format!("vfl-{i}"))
        .build()
        .map(|pool| Arc::new(Live { process: process::id(), pool }))
        .map_err(|_| Error::Argument("cannot start that many threads"))
}

/// Elements that are worked on where they are asked for, without another thread: to wake one takes longer.
pub const FEW: usize = 8;

/// What `of` makes of each chunk of `items` and its number, in order; in parallel where there are several chunks, at least
/// `least` of them per thread.
pub fn chunks<T: Sync, R: Send>(
    items: &[T],
    size: usize,
    least: usize,
    of: impl Fn(usize, &[T]) -> R + Send + Sync,
) -> Vec<R> {
    if items.len() <= size {
        return items.chunks(size).map(|chunk| of(0, chunk)).collect();
    }
    items.par_chunks(size).with_min_len(least).enumerate().map(|(at, chunk)| of(at, chunk)).collect()
}

/// `None`: the shared pool of all cores.
pub fn pool(threads: Option<usize>) -> Result<Pool> {
    static SHARED: OnceLock<Pool> = OnceLock::new();
    match threads {
        Some(n @ 1..=1024) => Pool::new(n),
        Some(_) => Err(Error::Argument("threads must be between 1 and 1024")),
        None => match SHARED.get() {
            Some(pool) => Ok(pool.clone()),
            None => {
                let pool = Pool::new(0)?;
                Ok(SHARED.get_or_init(|| pool).clone())
            }
        },
    }
}
