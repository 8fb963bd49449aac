//! The algebra, both backends against each other, and what an outsider may feed us.

use proptest::prelude::*;

use super::*;

const SEED: Seed = [7; 32];

fn backends() -> Vec<Backend> {
    [Backend::Portable, Backend::Wide].into_iter().filter(|b| *b != Backend::Wide || Backend::wide()).collect()
}

/// Some points that differ a lot, always with both ends.
fn points(len: usize, bits: usize) -> Vec<i64> {
    let last = (1i64 << bits) - 1;
    (0..len as i64).map(|i| if i % 3 == 1 { last } else { (i * 0x9e37_79b9) & last }).collect()
}

fn deal(len: usize, bits: usize) -> [DpfKeys; 2] {
    DpfKeys::deal(&SEED, &points(len, bits), bits).unwrap()
}

fn to_i128(v: &PlainVec, i: usize) -> i128 {
    let row = v.row(i);
    let high = row.get(1).map_or((row[0] as i64) >> 63, |x| *x as i64);
    (high as i128) << 64 | row[0] as i128
}

fn values(shares: &[PlainVec]) -> Vec<Vec<i128>> {
    shares.iter().map(|t| (0..t.len()).map(|i| to_i128(t, i)).collect()).collect()
}

fn check(backend: Backend, bits: usize, points: &[i64], x: &[i64], tables: &[i64]) {
    let keys = DpfKeys::deal(&SEED, points, bits).unwrap();
    let [a, b] = [0, 1].map(|p| values(&keys[p].look_up(backend, x, tables).unwrap()));
    let sums = [0, 1].map(|p| keys[p].look_up_sums(backend, x, tables).unwrap());
    for (t, table) in tables.chunks_exact(1 << bits).enumerate() {
        let mut total = 0i128;
        for (i, (x, point)) in x.iter().zip(points).enumerate() {
            let want = table[((x - point) & ((1 << bits) - 1)) as usize] as i128;
            assert_eq!(a[t][i] + b[t][i], want, "bits {bits}, row {i}, table {t}");
            assert!(bits < 2 || a[t][i].unsigned_abs() >> 96 != 0, "a share is as wide as the ring");
            total += want;
        }
        assert_eq!(to_i128(&sums[0], t).wrapping_add(to_i128(&sums[1], t)), total);
        let by_hand = a[t].iter().fold(0i128, |s, v| s.wrapping_add(*v));
        assert_eq!(to_i128(&sums[0], t), by_hand);
    }
}

/// For every position: 1 at the point, 0 elsewhere; and tables at the ends of what an i64 holds.
#[test]
fn shares_add_up() {
    for backend in backends() {
        for bits in 1..=14 {
            let size = 1usize << bits;
            let rows = if bits <= 8 { size } else { 4 };
            let point = (size as i64) * 5 / 7;
            let mut tables = vec![0i64; 4 * size];
            tables[0] = 1;
            for (k, v) in tables[size..].iter_mut().enumerate() {
                *v = (k as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64) >> [30, 0, 1][k / size];
            }
            tables[3 * size] = i64::MIN;
            tables[4 * size - 1] = i64::MAX;
            let x: Vec<i64> = (0..rows as i64).map(|i| (point + i * size as i64 / rows as i64) % size as i64).collect();
            check(backend, bits, &vec![point; rows], &x, &tables);
            check(backend, bits, &x, &vec![point; rows], &tables);
        }
    }
}

#[test]
fn lengths() {
    for backend in backends() {
        for len in [0, 1, 7, 8, 9, 33] {
            for bits in [1, 6, 9] {
                let x: Vec<i64> = (0..len as i64).map(|i| i * 11 % (1 << bits)).collect();
                let tables: Vec<i64> = (0..3 << bits).map(|v: i64| v * v - 100).collect();
                check(backend, bits, &points(len, bits), &x, &tables);
            }
        }
    }
}

#[test]
fn large_tables() {
    for backend in backends() {
        for bits in [17, MAX_BITS] {
            let tables: Vec<i64> = (0..1i64 << bits).map(|v| (1 << 51) - v * v).collect();
            check(backend, bits, &[12345], &[(1 << bits) - 1], &tables);
        }
    }
}

#[test]
fn bytes_and_takes() {
    for bits in [1, 2, 8, 9, 10, 13, MAX_BITS] {
        let [a, b] = deal(9, bits);
        for keys in [&a, &b] {
            let data = keys.to_bytes();
            assert!(data.len() <= HEADER + 9 * (17 * bits + 33));
            let back = DpfKeys::from_bytes(&data).unwrap();
            assert_eq!((back.party(), back.bits(), back.len()), (keys.party(), bits, 9));
            assert_eq!(back.to_bytes(), data);
            let part = keys.take(2, 7).unwrap();
            assert_eq!(part.len(), 5);
            assert_eq!(part.to_bytes()[HEADER..], data[HEADER + 2 * key::size(bits)..HEADER + 7 * key::size(bits)]);
            assert!(keys.take(3, 2).is_err() && keys.take(0, 10).is_err() && keys.take(9, 9).unwrap().is_empty());
        }
        let again = deal(9, bits);
        assert_eq!(again[0].to_bytes(), a.to_bytes());
        assert_eq!(again[1].to_bytes(), b.to_bytes());
    }
}

#[test]
fn bad_arguments() {
    let [keys, _] = deal(3, 4);
    let table = [0i64; 16];
    for (x, tables) in [
        (&[0, 0][..], &table[..]),
        (&[0, 0, 16], &table),
        (&[0, -1, 0], &table),
        (&[0, 0, 0], &table[1..]),
        (&[0, 0, 0], &[]),
    ] {
        assert!(keys.look_up(Backend::Portable, x, tables).is_err());
        assert!(keys.look_up_sums(Backend::Portable, x, tables).is_err());
    }
    for (point, bits) in [(16, 4), (-1, 4), (0, 0), (0, 21), (0, 64), (i64::MAX, 20)] {
        assert!(DpfKeys::deal(&SEED, &[point], bits).is_err());
    }
}

/// Chi-square of the bytes against uniform: 255 degrees of freedom, so that 400 is far out (6.4 standard deviations).
fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
    let mut count = [0f64; 256];
    bytes.for_each(|b| count[b as usize] += 1.0);
    let expected = count.iter().sum::<f64>() / 256.0;
    count.iter().map(|c| (c - expected) * (c - expected) / expected).sum()
}

/// All points are equal here, so whatever of a key depends on the point alone would stand out.
#[test]
fn one_key_alone_is_uniform() {
    let (bits, rows) = (9, 4000);
    let keys = DpfKeys::deal(&SEED, &vec![300; rows], bits).unwrap();
    let size = key::size(bits);
    for key in &keys {
        let column = |at: usize| key.rows.chunks_exact(size).map(move |row| row[at]);
        for at in 1..size {
            assert!(chi_square(column(at)) < 400.0, "byte {at}");
        }
        assert!(chi_square(column(0)) > 400.0, "planted: the first byte holds the party");
    }
}

/// The generator on one block, by the definition: sigma(x) = (high xor low) || high.
#[test]
fn generator() {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    let salt = [3; 16];
    let hash = |x: u128| {
        let y = ((x >> 64) ^ (x & u64::MAX as u128)) << 64 | x >> 64;
        let mut block = y.to_le_bytes().into();
        aes::Aes128::new(&salt.into()).encrypt_block(&mut block);
        u128::from_le_bytes(block.into()) ^ y
    };
    let node = 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978;
    for node in [node, node | 1] {
        assert_eq!(Prg::new(&salt).pairs([node, !node])[0], [hash(node & !1), hash(node | 1)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_decode_or_not(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(keys) = DpfKeys::from_bytes(&data) {
            prop_assert_eq!(keys.to_bytes(), data);
        }
    }

    /// Bytes with a proper header evaluate to something, on both backends to the same.
    #[test]
    fn tampered_keys(bits in 1usize..=9, len in 0usize..4, at in any::<prop::sample::Index>(), flip in 1u8.., party in 0..2usize) {
        let mut data = deal(len, bits)[party].to_bytes();
        let at = at.index(data.len());
        data[at] ^= flip;
        if let Ok(keys) = DpfKeys::from_bytes(&data) {
            prop_assert_eq!(keys.to_bytes(), data);
            let x = vec![1; keys.len()];
            let tables: Vec<i64> = (0..1 << keys.bits()).collect();
            let shares = backends().into_iter().map(|b| values(&keys.look_up(b, &x, &tables).unwrap()));
            let shares: Vec<_> = shares.collect();
            prop_assert!(shares.windows(2).all(|w| w[0] == w[1]));
        }
    }

    #[test]
    fn truncated_and_padded(bits in 1usize..=14, len in 0usize..3, cut in 1usize..40) {
        let data = deal(len, bits)[1].to_bytes();
        prop_assert!(DpfKeys::from_bytes(&data[..data.len().saturating_sub(cut)]).is_err());
        let longer: Vec<u8> = data.iter().copied().chain(std::iter::repeat_n(0, cut)).collect();
        prop_assert!(DpfKeys::from_bytes(&longer).is_err());
    }

    #[test]
    fn random_rows(seed in any::<Seed>(), bits in 1usize..=11, pairs in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..5), table in any::<i64>()) {
        let last = (1u64 << bits) - 1;
        let (points, x): (Vec<i64>, Vec<i64>) = pairs.iter().map(|(a, b)| ((a & last) as i64, (b & last) as i64)).unzip();
        let entries: Vec<i64> = (0..=last as i64).map(|k| table.wrapping_mul(2 * k + 1)).collect();
        let keys = DpfKeys::deal(&seed, &points, bits).unwrap();
        let mut previous: Option<Vec<Vec<i128>>> = None;
        for backend in backends() {
            let shares: Vec<_> = keys.iter().map(|k| values(&k.look_up(backend, &x, &entries).unwrap()).remove(0)).collect();
            for i in 0..x.len() {
                let want = entries[((x[i] - points[i]) & last as i64) as usize];
                prop_assert_eq!(shares[0][i].wrapping_add(shares[1][i]), want as i128);
            }
            if let Some(previous) = previous.replace(shares.clone()) {
                prop_assert_eq!(previous, shares);
            }
        }
    }
}

/// Both parties' exclusive ors differ by the record at the point, for records of one word and of many, in small lists and in several blocks;
/// a share alone is no record.
#[test]
fn records_are_shared_by_exclusive_or() {
    for (bits, width) in [(1, 1), (2, 3), (7, 1), (9, 2), (11, 49)] {
        let size = 1usize << bits;
        let words: Vec<u64> = (0..(width * size) as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let (records, points) = (Records::new(words.clone(), bits).unwrap(), points(5, bits));
        let [a, b] = DpfKeys::deal(&SEED, &points, bits).unwrap().map(|k| k.look_up_records(&records).unwrap());
        for (i, &point) in points.iter().enumerate() {
            for w in 0..width {
                let want = words[point as usize * width + w];
                assert_eq!(a[i * width + w] ^ b[i * width + w], want, "bits {bits}, row {i}, word {w}");
                assert!(bits < 7 || a[i * width + w] != want && b[i * width + w] != want);
            }
        }
    }
}

#[test]
fn records_of_another_size_are_refused() {
    assert!(Records::new(vec![0; 3], 1).is_err());
    assert!(Records::new(vec![], 1).is_err());
    assert!(Records::new(vec![0; 4], 0).is_err());
    assert!(Records::new(vec![0; 4], 21).is_err());
    let records = Records::new(vec![0; 4], 1).unwrap();
    assert!(deal(1, 2)[0].look_up_records(&records).is_err());
    assert!(deal(0, 1)[0].look_up_records(&records).unwrap().is_empty());
}
