use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn a_change_leaves_all_other_chunks_to_both() {
    let before: Map<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
    let mut after = before.clone();
    assert!(after.is_copy_of(&before));
    after.insert(5_000, 1);
    let shared = |chunk: &&Chunk<u32, u32>| before.chunks.iter().any(|other| Arc::ptr_eq(other, chunk));
    assert_eq!(after.chunks.iter().filter(shared).count(), before.chunks.len() - 1);
    assert_eq!(after.changes(&before, PartialEq::eq), [(&5_000, Some(&5_000), Some(&1))]);
    assert_eq!(before.get(&5_000), Some(&5_000));
}

#[test]
fn of_two_values_the_last_stays() {
    let map: Map<&str, u32> = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
    assert_eq!(map.iter().collect::<Vec<_>>(), [(&"a", &2), (&"b", &3)]);
}

proptest! {
    #[test]
    fn it_is_an_ordered_map(
        first in prop::collection::vec(0_u16..600, 0..400),
        steps in prop::collection::vec((0_u16..600, prop::option::of(0_u8..3)), 0..400),
    ) {
        let mut model: BTreeMap<u16, u8> = first.iter().map(|key| (*key, 0)).collect();
        let mut map: Map<u16, u8> = first.iter().map(|key| (*key, 0)).collect();
        let (before, model_before) = (map.clone(), model.clone());
        for (key, value) in steps {
            match value {
                Some(value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
            }
            prop_assert_eq!(map.get(&key), model.get(&key));
            prop_assert_eq!(map.len(), model.len());
        }
        prop_assert!(map.iter().eq(model.iter()));
        prop_assert!(before.iter().eq(model_before.iter()), "copies are not touched");
        prop_assert!(map.clone().into_iter().eq(model.clone()));
        prop_assert!(map.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
        let keys: std::collections::BTreeSet<u16> = model.keys().chain(model_before.keys()).copied().collect();
        let expected: Vec<_> = keys
            .iter()
            .map(|key| (key, model_before.get(key), model.get(key)))
            .filter(|(_, was, is)| was != is)
            .collect();
        prop_assert_eq!(map.changes(&before, PartialEq::eq), expected);
        prop_assert_eq!(map == before, model == model_before);
    }
}
