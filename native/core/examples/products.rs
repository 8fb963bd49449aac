//! Nanoseconds a product and a squaring modulo m^2, and the share of the multiplier's peak that they reach.  One thread; JSON lines.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use vfl_core::bigint::ring::{Backend, Ring};

/// The fastest of many batches of about half a millisecond: what else runs on the machine can only add.
fn nanoseconds(mut work: impl FnMut(usize), per: usize) -> f64 {
    let mut repeat = 1;
    loop {
        let start = Instant::now();
        work(repeat);
        if start.elapsed().as_micros() >= 500 {
            break;
        }
        repeat *= 2;
    }
    (0..60)
        .map(|_| {
            let start = Instant::now();
            work(repeat);
            start.elapsed().as_nanos() as f64 / (repeat * per) as f64
        })
        .fold(f64::MAX, f64::min)
}

fn main() {
    let peak = vfl_core::bigint::ring::multiplier_peak(); // instructions a nanosecond
    for bits in [512usize, 768, 1024, 1536, 2048, 3072] {
        let mut m = vec![u64::MAX; bits / 64];
        m[0] -= 188;
        for name in ["serial", "avx2", "ifma"] {
            let Ok(backend) = Backend::named(name) else { continue };
            let ring = Ring::new(&m, backend, Arc::new(AtomicU64::new(0)), 1);
            let mut lanes = ring.bench_lanes();
            let n = ring.prefers_batches_of();
            let product = nanoseconds(|r| lanes.multiply(r), n);
            let square = nanoseconds(|r| lanes.square(r), n);
            black_box(&lanes);
            // instructions for eight lanes: a product has five half-width products of h^2 limb products, low and high; a squaring three and a half
            let h = ((bits + 4).div_ceil(52)).next_multiple_of(5) as f64;
            let share = |ns: f64, halves: f64| match (peak, name) {
                (Some(peak), "ifma") => format!("{:.3}", 2.0 * halves * h * h / 8.0 / ns / peak),
                _ => "null".into(),
            };
            println!(
                "{{\"backend\": \"{name}\", \"modulus_bits\": {}, \"product_ns\": {product:.1}, \"square_ns\": {square:.1}, \
                 \"product_of_peak\": {}, \"square_of_peak\": {}, \"peak_per_ns\": {}}}",
                2 * bits,
                share(product, 5.0),
                share(square, 3.5),
                peak.map_or("null".into(), |p| format!("{p:.3}")),
            );
        }
    }
}
