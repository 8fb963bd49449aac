use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;

use super::hash::Expander;
use super::*;

const OPRF_DOMAIN: &[u8] = b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512";

/// The fields of every vector of one kind.
fn vectors(kind: &str) -> Vec<Vec<Vec<u8>>> {
    let lines = include_str!("vectors.txt").lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found: Vec<_> = lines.filter(|f| f[0] == kind).map(|f| f[1..].iter().map(|h| unhex(h)).collect()).collect();
    assert!(!found.is_empty(), "no vector of kind {kind}");
    found
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_matches('-').as_bytes();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn backends() -> impl Iterator<Item = Backend> {
    [Some(Backend::Serial), Backend::ifma()].into_iter().flatten()
}

fn ids(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("customer-{i}").into_bytes()).collect()
}

#[test]
fn expands_as_rfc_9380() {
    let expander = Expander::new(b"QUUX-V01-CS02-with-expander-SHA512-256").unwrap();
    for vector in vectors("expand") {
        assert_eq!(expander.expand(&vector[0], vector[1].len() as u16), vector[1]);
    }
    assert_eq!(expander.uniform(b"abc").to_vec(), expander.expand(b"abc", 64));
}

#[test]
fn a_long_domain_is_hashed_and_an_empty_one_refused() {
    assert!(Expander::new(b"").is_none());
    let long = [7u8; 256];
    let short: Vec<u8> = {
        use sha2::{Digest, Sha512};
        Sha512::new().chain_update(b"H2C-OVERSIZE-DST-").chain_update(long).finalize().to_vec()
    };
    let at_most = Expander::new(&[7u8; 255]).unwrap().uniform(b"x");
    assert_eq!(Expander::new(&long).unwrap().uniform(b"x"), Expander::new(&short).unwrap().uniform(b"x"));
    assert_ne!(at_most, Expander::new(&long).unwrap().uniform(b"x"));
}

#[test]
fn derives_as_rfc_9496() {
    for vector in vectors("derive") {
        let point = RistrettoPoint::from_uniform_bytes(vector[0].as_slice().try_into().unwrap());
        assert_eq!(point.compress().to_bytes().to_vec(), vector[1]);
    }
}

#[test]
fn hashes_and_multiplies_as_rfc_9497() {
    for backend in backends() {
        for vector in vectors("blind") {
            let hashed = PointVec::hash_to_group(backend, &[&vector[0]], OPRF_DOMAIN).unwrap();
            assert_eq!(hashed.mul(&vector[1]).unwrap().to_bytes(), vector[2]);
        }
    }
}

#[test]
fn multiples_of_the_generator() {
    for backend in backends() {
        let multiples: Vec<u8> = vectors("multiple").concat().concat();
        assert_eq!(PointVec::from_bytes(backend, &multiples).unwrap().to_bytes(), multiples);
        let generator = PointVec::from_bytes(backend, &multiples[..32]).unwrap();
        for (i, expected) in multiples.chunks(32).enumerate() {
            let scalar = Scalar::from(i as u64 + 1).to_bytes();
            assert_eq!(generator.mul(&scalar).unwrap().to_bytes(), expected);
        }
    }
}

#[test]
fn refuses_what_is_no_point_and_says_where() {
    for backend in backends() {
        let good = PointVec::hash_to_group(backend, &ids(20), b"test").unwrap().to_bytes();
        for vector in vectors("invalid") {
            for at in [0, 7, 8, 19] {
                let mut bytes = good.clone();
                bytes[32 * at..][..32].copy_from_slice(&vector[0]);
                assert_eq!(PointVec::from_bytes(backend, &bytes).err(), Some(CurveError::Encoding(at)));
            }
        }
        assert_eq!(PointVec::from_bytes(backend, &good[1..]).err(), Some(CurveError::Length));
        assert_eq!(PointVec::from_bytes(backend, &[]).unwrap().len(), 0);
    }
}

#[test]
fn refuses_what_is_no_scalar() {
    for backend in backends() {
        let points = PointVec::hash_to_group(backend, &ids(1), b"test").unwrap();
        let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        for bad in [vec![0; 32], order, vec![0xff; 32], vec![1; 31], vec![1; 33], vec![]] {
            assert_eq!(points.mul(&bad).err(), Some(CurveError::Scalar));
        }
    }
}

#[test]
fn two_keys_commute_and_agree_with_the_crate() {
    for backend in backends() {
        let (a, b) = (random_scalar(&[1; 32]), random_scalar(&[2; 32]));
        let points = PointVec::hash_to_group(backend, &ids(700), b"test").unwrap();
        let sent = PointVec::from_bytes(backend, &points.mul(a.as_ref()).unwrap().to_bytes()).unwrap();
        let (there, back) = (sent.mul(b.as_ref()).unwrap(), points.mul(b.as_ref()).unwrap().mul(a.as_ref()).unwrap());
        assert_eq!(there.to_bytes(), back.to_bytes());
        assert_eq!(there.tags(), back.tags());
        assert_eq!(there.tags().len(), 700 * TAG_BYTES);
        let product = Scalar::from_canonical_bytes(*a).unwrap() * Scalar::from_canonical_bytes(*b).unwrap();
        for (before, after) in points.to_bytes().chunks(32).zip(there.to_bytes().chunks(32)) {
            let point = CompressedRistretto::from_slice(before).unwrap().decompress().unwrap();
            assert_eq!((point * product).compress().to_bytes(), after);
        }
    }
}

#[test]
fn takes_rows_in_order_and_refuses_others() {
    for backend in backends() {
        let points = PointVec::hash_to_group(backend, &ids(21), b"test").unwrap();
        let bytes = points.to_bytes();
        let taken = points.take(&[20, 0, 0, 9]).unwrap().to_bytes();
        let expected: Vec<u8> = [20, 0, 0, 9].iter().flat_map(|i| bytes[32 * i..][..32].to_vec()).collect();
        assert_eq!(taken, expected);
        for bad in [21, -1, i64::MIN, i64::MAX] {
            assert_eq!(points.take(&[0, bad]).err(), Some(CurveError::Row));
        }
    }
}

#[test]
fn scalars_are_canonical_and_follow_the_seed() {
    let first = random_scalar(&[3; 32]);
    assert_eq!(*first, *random_scalar(&[3; 32]));
    assert_ne!(*first, *random_scalar(&[4; 32]));
    assert!(bool::from(Scalar::from_canonical_bytes(*first).is_some()));
}
