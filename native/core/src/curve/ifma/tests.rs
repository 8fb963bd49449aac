use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use num_bigint::BigUint;
use proptest::prelude::*;

use super::super::portable;
use super::lanes::Fe;
use super::*;

/// None, and the test says nothing, on a CPU without the instructions.
fn both(items: &[Vec<u8>]) -> Option<(Points, portable::Points)> {
    let expander = Expander::new(b"test")?;
    Some((Points::hash(Ifma::detect()?, items, &expander), portable::Points::hash(items, &expander)))
}

fn ids(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("customer-{i}").into_bytes()).collect()
}

fn edge_scalars() -> Vec<Scalar> {
    let one = Scalar::ONE;
    let powers = (0..253).map(|i| (0..i).fold(one, |s, _| s + s));
    let near = powers.flat_map(|p| [p - one, p, p + one, -p]).filter(|s| *s != Scalar::ZERO);
    near.chain((1..300u64).flat_map(|i| [Scalar::from(i), -Scalar::from(i), Scalar::from(i).invert()])).collect()
}

#[test]
fn hashes_as_the_crate_at_every_length() {
    for count in 0..40 {
        let Some((ours, theirs)) = both(&ids(count)) else { return };
        assert_eq!(ours.len(), count);
        assert_eq!(ours.encode(), theirs.encode());
    }
}

#[test]
fn multiplies_as_the_crate_by_edge_scalars_at_every_length() {
    for (i, scalar) in edge_scalars().iter().enumerate() {
        let Some((ours, theirs)) = both(&ids(1 + i % 17)) else { return };
        assert_eq!(ours.mul(scalar).encode(), theirs.mul(scalar).encode());
        assert_eq!(ours.mul(scalar).mul(scalar).encode(), theirs.mul(scalar).mul(scalar).encode());
    }
}

/// The extreme uniform strings, in every lane: zero, p and its neighbours, all bits.
#[test]
fn maps_extreme_strings() {
    let Some(cpu) = Ifma::detect() else { return };
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    let mut strings = vec![[0; 32], [0xff; 32], p];
    for last in 0..=255 {
        let mut near = p;
        near[0] = last;
        strings.push(near);
        strings.push(std::array::from_fn(|i| if i == 0 { last } else { 0 }));
        strings.push(std::array::from_fn(|i| if i == 31 { last } else { 0 }));
    }
    for pairs in strings.iter().zip(strings.iter().rev()).collect::<Vec<_>>().chunks(LANES) {
        let (mut low, mut high) = (Encodings::default(), Encodings::default());
        for (lane, (a, b)) in pairs.iter().enumerate() {
            (low[lane], high[lane]) = (**a, **b);
        }
        let found = cpu.encode(&cpu.map(&low, &high));
        for lane in 0..LANES {
            let uniform: Vec<u8> = [low[lane], high[lane]].concat();
            let point = RistrettoPoint::from_uniform_bytes(uniform.as_slice().try_into().unwrap());
            assert_eq!(found[lane], point.compress().to_bytes());
        }
    }
}

#[test]
fn the_order_gives_the_identity() {
    // No scalar of the public interface is the order: the parts of it cancel instead.
    let Some((ours, _)) = both(&ids(8)) else { return };
    let minus = ours.mul(&-Scalar::ONE);
    assert_eq!(minus.mul(&-Scalar::ONE).encode(), ours.encode());
    assert_eq!(ours.mul(&Scalar::ZERO).encode(), vec![[0; 32]; 8]);
}

fn decode_one(cpu: Ifma, encoding: [u8; 32], lane: usize) -> Option<[u8; 32]> {
    let mut all = [Scalar::from(5u64), Scalar::from(7u64)].map(|s| RistrettoPoint::mul_base(&s).compress().to_bytes());
    all.reverse();
    let mut encodings: Vec<_> = all.iter().cycle().take(LANES).copied().collect();
    encodings[lane] = encoding;
    match Points::decode(cpu, &encodings) {
        Ok(points) => {
            let out = points.encode();
            assert!((0..LANES).all(|i| out[i] == encodings[i]));
            Some(out[lane])
        }
        Err(error) => {
            assert_eq!(error, CurveError::Encoding(lane));
            None
        }
    }
}

fn decode_by_crate(encoding: [u8; 32]) -> Option<[u8; 32]> {
    let point = CompressedRistretto(encoding).decompress()?;
    (encoding != [0; 32]).then(|| point.compress().to_bytes())
}

/// Strings near 0, p and 2^256 and random ones, about one in sixteen of which decodes.
#[test]
fn refuses_what_the_crate_refuses() {
    let Some(cpu) = Ifma::detect() else { return };
    let mut strings: Vec<[u8; 32]> = Vec::new();
    for byte in 0..=255 {
        for (fill, last) in [(0, 0), (0, 0x80), (0xff, 0x7f), (0xff, 0xff)] {
            let mut string = [fill; 32];
            (string[0], string[31]) = (byte, last);
            strings.push(string);
        }
    }
    let expander = Expander::new(b"strings").unwrap();
    strings.extend((0..3000u32).map(|i| std::array::from_fn(|j| expander.uniform(&i.to_le_bytes())[j])));
    for (i, string) in strings.iter().enumerate() {
        let mut even = *string;
        (even[0], even[31]) = (even[0] & 0xfe, even[31] & 0x7f);
        for string in [*string, even] {
            assert_eq!(decode_one(cpu, string, i % LANES), decode_by_crate(string));
        }
    }
}

/// A point and its sums with the four-torsion are one element of the group: the encoding must not tell them apart.
#[test]
fn torsion_does_not_show() {
    let Some((ours, _)) = both(&ids(8)) else { return };
    for coset in ours.cpu.cosets(&ours.blocks[0]) {
        assert_eq!(ours.cpu.encode(&coset).to_vec(), ours.encode());
    }
}

const TIGHT: u64 = (1 << 51) + (1 << 14) - 1;
const LOOSE: u64 = (1 << 52) - 1;

fn prime() -> BigUint {
    (BigUint::from(1u8) << 255u32) - 19u8
}

fn value(element: &Fe, lane: usize) -> BigUint {
    element.limbs().iter().rev().fold(BigUint::ZERO, |sum, limb| (sum << 51u32) + limb[lane])
}

/// The limbs of lane i are `limbs[5 i ..]`, cut off at `most`.
fn element(limbs: &[u64], most: u64) -> Fe {
    Fe::from_limbs(&std::array::from_fn(|i| std::array::from_fn(|lane| limbs[(5 * lane + i) % limbs.len()].min(most))))
}

fn check_arithmetic(limbs: &[u64], others: &[u64]) {
    let Some(cpu) = Ifma::detect() else { return };
    let (p, is_tight) = (prime(), |e: &Fe| e.limbs().as_flattened().iter().all(|limb| *limb <= TIGHT));
    let (a, b) = (element(limbs, LOOSE), element(others, LOOSE));
    let products = cpu.arithmetic(&a, &b).products;
    let (c, d) = (element(limbs, TIGHT), element(others, TIGHT));
    let group::Arithmetic { sums, canonical, .. } = cpu.arithmetic(&c, &d);
    assert!(products.iter().chain(&sums).all(is_tight));
    for lane in 0..LANES {
        let (a, b, c, d) = (value(&a, lane), value(&b, lane), value(&c, lane), value(&d, lane));
        for (found, expected) in products.iter().zip([&a * &b, &a * &a]) {
            assert_eq!(value(found, lane) % &p, expected % &p);
        }
        let (q, many) = (&d % &p, &p * 3u8);
        let expected = [&c * &d * 2u8, &c + &d, &c + &many - &q, &c + &many - &q - &q, &many - &c % &p];
        for (found, expected) in sums.iter().zip(expected) {
            assert_eq!(value(found, lane) % &p, expected % &p);
        }
        assert_eq!(value(&canonical, lane), c % &p);
    }
}

#[test]
fn field_at_its_bounds() {
    let edges = [0, 1, 18, 19, (1 << 51) - 20, (1 << 51) - 19, (1 << 51) - 1, 1 << 51, TIGHT, LOOSE - 1, LOOSE];
    for a in edges {
        for b in edges {
            check_arithmetic(&[a], &[b]);
            check_arithmetic(&[a, b, b, b, b], &[b, a, a, a, a]);
            check_arithmetic(&[a, b, a, b, b], &[LOOSE]);
        }
    }
    // p - 1, p, p + 1, 2p - 1 and so on, in lanes of their own.
    let m = (1 << 51) - 1;
    let near: Vec<u64> = (0..8).flat_map(|i| [m - 22 + i, m, m, m, m]).collect();
    let twice: Vec<u64> = (0..8).flat_map(|i| [m - 22 + i, m, m, m, TIGHT]).collect();
    check_arithmetic(&near, &twice);
    check_arithmetic(&twice, &near);
}

proptest! {
    #[test]
    fn field_of_any_limbs(a in prop::collection::vec(0..=LOOSE, 40), b in prop::collection::vec(0..=LOOSE, 40)) {
        check_arithmetic(&a, &b);
    }

    #[test]
    fn agrees_with_the_crate(items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..30), wide: [u8; 32], wider: [u8; 32]) {
        let wide: Vec<u8> = [wide, wider].concat();
        let scalar = Scalar::from_bytes_mod_order_wide(wide.as_slice().try_into().unwrap());
        prop_assume!(scalar != Scalar::ZERO);
        if let Some((ours, theirs)) = both(&items) {
            let (ours, theirs) = (ours.mul(&scalar), theirs.mul(&scalar));
            prop_assert_eq!(ours.encode(), theirs.encode());
            let back = Points::decode(ours.cpu, &ours.encode()).unwrap();
            prop_assert_eq!(back.mul(&scalar).encode(), theirs.mul(&scalar).encode());
        }
    }

    #[test]
    fn takes_lanes(rows in prop::collection::vec(0..50usize, 0..60)) {
        if let Some((ours, theirs)) = both(&ids(50)) {
            prop_assert_eq!(ours.take(&rows).encode(), theirs.take(&rows).encode());
        }
    }
}
