//! Operations a second by number of threads, 2048 bits; JSON lines.  `scaling [backend] [elements]`

use std::hint::black_box;
use std::time::Instant;

use vfl_core::bigint::ring::Backend;
use vfl_core::paillier::PrivateKey;
use vfl_core::plain::PlainVec;
use vfl_core::pool::pool;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let backend =
        arguments.next().map_or(Backend::detect(), |name| Backend::named(&name).expect("a backend of this machine"));
    let size: usize = arguments.next().map_or(4000, |n| n.parse().expect("a number of elements"));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let (rows, columns) = (20, 1000.min(size));
    let matrix: Vec<i64> = (0..rows * columns).map(|i| ((i as i64 * 7_919_993) & 0xffff_ffff) - (1 << 31)).collect();
    let bins: Vec<i64> = (0..size * 10).map(|i| (i as i64 * 7919) % 32).collect();
    for threads in [1usize, 2, 4, 8, 16].into_iter().filter(|&t| t <= cores) {
        let key = PrivateKey::generate(2048, &[1; 32], backend, pool(Some(threads)).expect("threads")).expect("a key");
        let public = key.public();
        let plain = PlainVec::from_i64((0..size as i64).map(|i| i * 1_234_567));
        let scalars = PlainVec::from_i64((0..size as i64).map(|i| (1 << 31) + i));
        let c = public.encrypt(&plain, &[2; 32], 1024).expect("ciphertexts");
        let few = c.take(&(0..size.min(512) as i64).collect::<Vec<_>>()).expect("rows");
        let vector = c.take(&(0..columns as i64).collect::<Vec<_>>()).expect("rows");
        let time = |name: &str, count: usize, work: &dyn Fn()| {
            work();
            let mut times: Vec<f64> = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    work();
                    start.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!(
                "{{\"backend\": \"{}\", \"threads\": {threads}, \"op\": \"{name}\", \"per_second\": {:.0}}}",
                backend.name(),
                count as f64 / times[2]
            );
        };
        time("encrypt", size, &|| drop(black_box(public.encrypt(&plain, &[3; 32], 1024))));
        time("encrypt_key_holder", size, &|| drop(black_box(key.encrypt(&plain, &[3; 32], 1024))));
        time("decrypt", few.len(), &|| drop(black_box(key.decrypt(&few))));
        time("add", size, &|| drop(black_box(c.add(&c))));
        time("mul_32", size, &|| drop(black_box(c.mul_plain(&scalars))));
        time("matmul", rows * columns, &|| drop(black_box(vector.matmul(&matrix, rows))));
        time("histogram", 10 * size, &|| drop(black_box(c.histogram(&bins, 10, 32))));
    }
}
