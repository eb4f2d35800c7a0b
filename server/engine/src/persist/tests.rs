use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{FlatTable, IdSet, Registry, Slab, Table, Vector};

/// Spreads like a hash, or (with few bits) collides.
fn hash(key: u32, bits: u32) -> u64 {
    u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) & (u64::MAX >> (64 - bits))
}

proptest! {
    #[test]
    fn table_is_a_map(
        steps in prop::collection::vec((0u32..2000, any::<bool>()), 0..6000),
        bits in prop::sample::select(vec![64u32, 20, 4]),
        frozen_at in 0usize..6000,
    ) {
        let (mut table, mut model) = (Table::default(), BTreeMap::new());
        let mut frozen = None;
        for (step, (key, insert)) in steps.into_iter().enumerate() {
            if step == frozen_at {
                frozen = Some((table.clone(), model.clone()));
            }
            let removed = table.remove(hash(key, bits), |(other, _): &(u32, usize)| *other == key);
            prop_assert_eq!(removed.map(|(_, value)| value), model.remove(&key));
            if insert {
                table.insert(hash(key, bits), (key, step), |(key, _)| hash(*key, bits));
                model.insert(key, step);
                let found = table.find_mut(hash(key, bits), |(other, _)| *other == key);
                prop_assert_eq!(found.copied(), Some((key, step)));
            }
        }
        for (table, model) in frozen.into_iter().chain([(table, model)]) {
            for key in 0..2000 {
                let found = table.find(hash(key, bits), |(other, _)| *other == key);
                prop_assert_eq!(found.map(|(_, value)| value), model.get(&key));
            }
        }
    }

    #[test]
    fn flat_table_is_a_map(
        steps in prop::collection::vec((0u32..2000, any::<bool>()), 0..6000),
        bits in prop::sample::select(vec![64u32, 20, 4]),
        frozen_at in 0usize..6000,
    ) {
        let (mut table, mut model) = (FlatTable::default(), BTreeMap::new());
        let mut frozen = None;
        let hasher = |(key, _): &(u32, usize)| hash(*key, bits);
        for (step, (key, insert)) in steps.into_iter().enumerate() {
            if step == frozen_at {
                frozen = Some((table.clone(), model.clone()));
            }
            let removed = table.remove(hash(key, bits), |(other, _)| *other == key, hasher);
            prop_assert_eq!(removed.map(|(_, value)| value), model.remove(&key));
            if insert {
                table.insert(hash(key, bits), (key, step), hasher);
                model.insert(key, step);
                let found = table.find_mut(hash(key, bits), |(other, _)| *other == key);
                prop_assert_eq!(found.copied(), Some((key, step)));
            }
        }
        for (table, model) in frozen.into_iter().chain([(table, model)]) {
            for key in 0..2000 {
                let found = table.find(hash(key, bits), |(other, _)| *other == key);
                prop_assert_eq!(found.map(|(_, value)| value), model.get(&key));
            }
        }
    }

    #[test]
    fn vector_is_an_array(steps in prop::collection::vec((0u32..20_000, 1u32..), 1..300)) {
        let (mut vector, mut model) = (Vector::<u32>::default(), BTreeMap::new());
        let half = steps.len() / 2;
        let mut frozen = (Vector::default(), BTreeMap::new());
        for (step, (index, value)) in steps.into_iter().enumerate() {
            if step == half {
                frozen = (vector.clone(), model.clone());
            }
            *vector.get_mut(index) = value;
            model.insert(index, value);
        }
        for (vector, model) in [frozen, (vector, model)] {
            for index in 0..20_000 {
                let value = vector.get(index).copied().unwrap_or_default();
                prop_assert_eq!(value, model.get(&index).copied().unwrap_or_default());
            }
        }
    }

    #[test]
    fn id_set_is_a_set(steps in prop::collection::vec((0u32..400, prop::bool::weighted(0.7)), 0..2000)) {
        let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
        for (id, insert) in steps {
            if insert {
                prop_assert_eq!(set.insert(id), model.insert(id));
            } else {
                prop_assert_eq!(set.remove(id), model.remove(&id));
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.contains(id), model.contains(&id));
        }
        prop_assert_eq!(set.is_empty(), model.is_empty());
        prop_assert!(set.iter().eq(model.iter().copied()));
    }
}

#[test]
fn vector_of_the_highest_index() {
    let mut vector = Vector::<u32, 8, 32>::default();
    *vector.get_mut(0) = 1;
    *vector.get_mut(u32::MAX) = 2;
    assert_eq!(vector.get(0), Some(&1));
    assert_eq!(vector.get(u32::MAX), Some(&2));
    assert_eq!(vector.get(1 << 20), None);
}

#[test]
fn slab_uses_numbers_again() {
    let mut slab = Slab::default();
    let ids: Vec<_> = (0..40).map(|value| slab.insert(value)).collect();
    assert_eq!(ids, (0..40).collect::<Vec<_>>());
    let before = slab.clone();
    assert_eq!(slab.remove(7), Some(7));
    assert_eq!(slab.remove(7), None);
    assert_eq!(slab.remove(20), Some(20));
    assert_eq!((slab.insert(100), slab.insert(101), slab.insert(102)), (20, 7, 40));
    if let Some(value) = slab.get_mut(3) {
        *value = 33;
    }
    assert_eq!((slab.get(20), slab.get(3), slab.get(41)), (Some(&100), Some(&33), None));
    assert_eq!((before.get(20), before.get(3), before.get(40)), (Some(&20), Some(&3), None));
}

#[test]
fn registry_finds_values_by_themselves() {
    let mut registry = Registry::default();
    // Both of the same hash.
    let (a, b) = (registry.insert(5, "a"), registry.insert(5, "b"));
    assert_eq!(registry.find(5, |value| *value == "b"), Some((b, &"b")));
    assert_eq!(registry.remove(5, a), Some("a"));
    assert_eq!(registry.find(5, |value| *value == "a"), None);
    assert_eq!(registry.find(5, |value| *value == "b"), Some((b, &"b")));
    assert!(registry.iter().eq([(b, &"b")]));
}
