use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn a_change_leaves_all_other_chunks_to_both() {
    let mut before = Slots::default();
    (0..1_000).for_each(|place| before.set(place, Some(place)));
    let mut after = before.clone();
    after.set(500, None);
    let shared = before.chunks.iter().zip(&*after.chunks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
    assert_eq!((shared, before.chunks.len()), (15, 16));
    assert_eq!((before.get(500), after.get(500), after.get(501)), (Some(&500), None, Some(&501)));
}

proptest! {
    #[test]
    fn it_is_an_array_with_gaps(steps in prop::collection::vec((0_u32..300, prop::option::of(0_u8..9)), 0..200)) {
        let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
        for (place, value) in steps {
            let (before, model_before) = (slots.clone(), model.get(&place).copied());
            slots.set(place, value);
            match value {
                Some(value) => drop(model.insert(place, value)),
                None => drop(model.remove(&place)),
            }
            prop_assert_eq!(slots.get(place), value.as_ref());
            prop_assert_eq!(before.get(place).copied(), model_before, "copies are not touched");
        }
        prop_assert!(slots.values().eq(model.values()));
        prop_assert_eq!(slots.chunks.len(), model.last_key_value().map_or(0, |(last, _)| *last as usize / CHUNK + 1));
        prop_assert_eq!(slots.get(u32::MAX), None);
    }
}
