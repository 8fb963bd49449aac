//! The scheme against the textbook in `num-bigint`; injected faults; bytes from anyone.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use num_bigint::BigUint;
use num_integer::Integer;
use proptest::prelude::*;

use super::private::{Stage, apart, primes_of};
use super::proof::jacobi;
use super::public::hash_to_ring;
use super::{CipherVec, PrivateKey, PublicKey};
use crate::bigint::limbs;
use crate::bigint::ring::Backend;
use crate::error::Error;
use crate::plain::PlainVec;
use crate::pool::pool;

fn backends() -> Vec<Backend> {
    ["serial", "avx2", "ifma"].iter().filter_map(|name| Backend::named(name).ok()).collect()
}

fn key(bits: usize, backend: Backend) -> PrivateKey {
    PrivateKey::generate(bits, &[7; 32], backend, pool(Some(2)).unwrap()).unwrap()
}

/// One key for all cases of a property.
fn shared() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| key(256, Backend::detect()))
}

fn plain(values: &[i64]) -> PlainVec {
    PlainVec::from_i64(values.iter().copied())
}

fn encrypt(key: &PrivateKey, values: &[i64]) -> CipherVec {
    key.public().encrypt(&plain(values), &[3; 32], key.public().bits() / 2).unwrap()
}

#[test]
fn the_textbook_opens_what_we_encrypt() {
    for backend in backends() {
        let key = key(512, backend);
        let (p, q) = primes_of(&key);
        let n = &p * &q;
        let phi = (&p - 1u32) * (&q - 1u32);
        let values = [0i64, 1, -1, i64::MAX, i64::MIN];
        let bytes = encrypt(&key, &values).to_bytes();
        for (c, &m) in bytes.chunks_exact(128).zip(&values) {
            let x = BigUint::from_bytes_le(c).modpow(&phi, &(&n * &n));
            let opened = (x - 1u32) / &n * phi.modinv(&n).unwrap() % &n;
            let expected = if m < 0 { &n - BigUint::from(m.unsigned_abs()) } else { BigUint::from(m as u64) };
            assert_eq!(opened, expected);
        }
    }
}

#[test]
fn ten_thousand_faults_are_caught() {
    let stages = [Stage::Reduced, Stage::Power, Stage::Quotient, Stage::Residue, Stage::Joined];
    for backend in backends() {
        let key = key(128, backend);
        let values = [5i64, -6, 7];
        let ciphers = encrypt(&key, &values);
        let width = key.half_width();
        for round in 0..10_000usize {
            let (stage, half) = (stages[round % 5], round / 5 % 2 == 0);
            let hits = AtomicUsize::new(0);
            let spoil = |at: Stage, first: bool, data: &mut [u64]| {
                // one bit, in the first element that passes here; rows hold limbs of either radix, of which a low bit always counts, or
                // digits in doubles, of which a low bit of the whole number does
                if at == stage && (first == half || stage == Stage::Joined) && hits.fetch_add(1, Ordering::Relaxed) == 0
                {
                    let bit = round / 10 % 30;
                    let limb = match stage {
                        Stage::Reduced | Stage::Power => round / 300 % width,
                        _ => 0,
                    };
                    data[limb] = match (backend.name(), stage) {
                        ("avx2", Stage::Reduced | Stage::Power) => {
                            ((f64::from_bits(data[limb]) as i64 ^ 1 << bit) as f64).to_bits()
                        }
                        _ => data[limb] ^ 1 << bit,
                    };
                }
            };
            let result = key.decrypt_spoiled(&ciphers, Some(&spoil));
            assert!(matches!(result, Err(Error::Fault(_))), "{backend:?} {stage:?} {half} round {round}");
            assert!(hits.into_inner() > 0);
        }
        assert_eq!(key.decrypt(&ciphers).unwrap(), plain(&values));
    }
}

/// Rows of doubles hold bits that count for nothing: whichever is spoilt, a decryption is right or refused.
#[test]
fn any_bit_of_a_double_may_be_spoilt() {
    let Ok(backend) = Backend::named("avx2") else { return };
    let key = key(128, backend);
    let values = [5i64, -6, 7];
    let ciphers = encrypt(&key, &values);
    let mut refused = 0;
    for round in 0..64 * 2 * 8 {
        let hits = AtomicUsize::new(0);
        let spoil = |at: Stage, first: bool, data: &mut [u64]| {
            if at == Stage::Power && first == (round % 2 == 0) && hits.fetch_add(1, Ordering::Relaxed) == 0 {
                data[round / 128] ^= 1 << (round / 2 % 64);
            }
        };
        match key.decrypt_spoiled(&ciphers, Some(&spoil)) {
            Ok(opened) => assert_eq!(opened, plain(&values), "round {round}"),
            Err(error) => {
                assert!(matches!(error, Error::Fault(_)), "round {round}");
                refused += 1;
            }
        }
        assert!(hits.into_inner() > 0);
    }
    assert!(refused > 400, "{refused} refused");
}

/// A task that waits for its parts may be given another thread's whole task meanwhile: whoever held a lock while it waited would then wait for itself.
#[test]
fn threads_that_share_a_key_do_not_wait_for_each_other() {
    let (done, all) = std::sync::mpsc::channel();
    for round in 0..20u8 {
        let key = Arc::new(PrivateKey::generate(512, &[round; 32], Backend::detect(), pool(Some(2)).unwrap()).unwrap());
        for thread in 0..4u8 {
            let (key, done) = (key.clone(), done.clone());
            std::thread::spawn(move || {
                for length in [1usize, 60, 900, 4000] {
                    let ciphers =
                        key.public().encrypt(&PlainVec::from_i64(0..length as i64), &[thread; 32], 256).unwrap();
                    assert_eq!(key.decrypt(&ciphers).unwrap().len(), length);
                }
                done.send(()).unwrap();
            });
        }
        for _ in 0..4 {
            all.recv_timeout(std::time::Duration::from_secs(60)).expect("the threads wait for each other");
        }
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let pool = pool(Some(1)).unwrap();
    let new = |n: &BigUint| PublicKey::new(n, Backend::Serial, pool.clone());
    let (p, q) = primes_of(shared());
    assert!(new(&(&p * &q)).is_ok());
    let small = BigUint::from(65521u32);
    for bad in [
        BigUint::from(0u32),
        BigUint::from(1u32),
        BigUint::from(15u32),
        p.clone(),
        &p * &p,
        &p * &p * &p * &p,
        &p * &q * &small,
        (&p * &q) << 8,
        &p * &q + 2u32,
    ] {
        assert!(new(&bad).is_err(), "{bad}");
    }
}

#[test]
fn deterministic_in_the_seed_on_every_backend() {
    let all: Vec<_> = backends().iter().map(|&b| key(320, b).to_bytes().to_vec()).collect();
    assert!(all.iter().all(|bytes| *bytes == all[0]));
}

#[test]
fn the_jacobi_symbol_is_the_product_of_legendre_symbols() {
    let (p, q) = primes_of(shared());
    let n = &p * &q;
    let legendre = |x: &BigUint, p: &BigUint| match x.modpow(&((p - 1u32) >> 1u32), p) {
        y if y == BigUint::ZERO => 0,
        y if y == BigUint::from(1u32) => 1,
        _ => -1,
    };
    for i in 0..200u32 {
        let x = hash_to_ring(b"test", &n, i);
        assert_eq!(jacobi(&x, &n), legendre(&x, &p) * legendre(&x, &q));
    }
    assert_eq!(jacobi(&p, &n), 0);
    assert_eq!(jacobi(&BigUint::ZERO, &n), 0);
    assert_eq!(jacobi(&(&n - 1u32), &n), 1);
}

#[test]
fn keys_whose_halves_share_a_factor_are_drawn_again() {
    let one = BigUint::from(1u32);
    let mut shared = 0;
    for seed in 0..40u8 {
        let [p, q] = [0, 1].map(|i| crate::bigint::prime::find(64, &mut crate::random::stream(&[seed; 32], i)));
        let gcd = ((limbs::to_big(&p) - 1u32) >> 1u32).gcd(&((limbs::to_big(&q) - 1u32) >> 1u32));
        assert_eq!(apart(&p, &q), gcd == one);
        shared += usize::from(gcd != one);
        let (p, q) =
            primes_of(&PrivateKey::generate(128, &[seed; 32], Backend::Serial, pool(Some(1)).unwrap()).unwrap());
        assert_eq!(((p - 1u32) >> 1u32).gcd(&((q - 1u32) >> 1u32)), one);
    }
    assert!(shared > 3); // the test meets such pairs
}

#[test]
fn proofs_are_repeated_and_hold() {
    for seed in 0..20u8 {
        let key = PrivateKey::generate(256, &[seed; 32], Backend::detect(), pool(Some(2)).unwrap()).unwrap();
        let proof = key.prove().unwrap();
        assert_eq!(proof.len(), 177 * 32);
        assert!(key.public().verify(&proof));
        assert_eq!(proof, key.prove().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_as_ciphertexts(data in proptest::collection::vec(any::<u8>(), 0..256)) {
        let public: &Arc<PublicKey> = shared().public();
        if let Ok(ciphers) = public.ciphers_from_bytes(&data) {
            prop_assert_eq!(ciphers.to_bytes(), data);
            let _ = shared().decrypt(&ciphers);
        }
    }

    #[test]
    fn any_integers_in_range_as_ciphertexts(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 64), 1..12)) {
        let public = shared().public();
        let square = public.n() * public.n();
        let data: Vec<u8> = values
            .iter()
            .flat_map(|v| limbs::to_le_bytes(&limbs::from_big(&(BigUint::from_bytes_le(v) % &square), 8), 64))
            .collect();
        let ciphers = public.ciphers_from_bytes(&data).unwrap();
        prop_assert_eq!(ciphers.to_bytes(), data);
    }

    #[test]
    fn any_bytes_as_a_plain_vector(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(vector) = PlainVec::from_bytes(&data) {
            prop_assert_eq!(vector.to_bytes(), data);
        }
    }

    #[test]
    fn almost_valid_plain_vectors(values in proptest::collection::vec(any::<i64>(), 0..9), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let mut data = plain(&values).to_bytes();
        prop_assert_eq!(PlainVec::from_bytes(&data), Ok(plain(&values)));
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        if let Ok(vector) = PlainVec::from_bytes(&data) {
            prop_assert_eq!(vector.to_bytes(), data);
        }
    }

    #[test]
    fn any_bytes_as_a_private_key(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(PrivateKey::from_bytes(&data, Backend::Serial, pool(Some(1)).unwrap()).is_err());
    }

    #[test]
    fn any_bytes_as_a_proof(data in proptest::collection::vec(any::<u8>(), 177 * 32)) {
        prop_assert!(!shared().public().verify(&data));
    }

    #[test]
    fn any_integer_as_a_key(data in proptest::collection::vec(any::<u8>(), 0..48)) {
        let _ = PublicKey::new(&BigUint::from_bytes_le(&data), Backend::Serial, pool(None).unwrap());
    }

    #[test]
    fn packing_of_eight_bit_slots(values in proptest::collection::vec(-127i64..128, 1..60), slots in 1usize..9) {
        let vector = plain(&values);
        let packed = vector.pack(8, slots).unwrap();
        prop_assert_eq!(packed.unpack(8, slots, values.len()).unwrap(), vector.clone());
        let ciphers = encrypt(shared(), &values).pack(8, slots).unwrap();
        prop_assert_eq!(shared().decrypt(&ciphers).unwrap(), packed);
    }

    #[test]
    fn plain_arithmetic(a in proptest::collection::vec(any::<i128>(), 5), b in proptest::collection::vec(any::<i64>(), 5), shift in 0usize..200) {
        let wide = PlainVec::from_limbs(a.iter().flat_map(|x| [*x as u64, (*x >> 64) as u64]).collect(), 2);
        let narrow = plain(&b);
        let sum = wide.add(&narrow).unwrap();
        prop_assert_eq!(sum.sub(&narrow).unwrap(), wide.clone());
        prop_assert_eq!(wide.neg().neg(), wide.clone());
        prop_assert_eq!(wide.shift_left(shift).unwrap().shift_right(shift), wide.clone());
        let by = wide.scale(&[b[0] as u64]);
        prop_assert_eq!(by.linear(1, |_, j| b[j]), wide.linear(1, |_, j| b[j]).scale(&[b[0] as u64]));
    }
}
