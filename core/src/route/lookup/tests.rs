use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn put(lookup: &mut Lookup<u32>, key: &str, value: u32) {
    lookup.change(key, |known| {
        *known = value;
        true
    });
}

#[test]
fn a_change_leaves_all_other_shards_to_both() {
    let mut before = Lookup::default();
    (0..10_000).for_each(|n| put(&mut before, &format!("h{n}"), n));
    let mut after = before.clone();
    put(&mut after, "h5000", 1);
    assert_eq!((after.shards_apart(&before), before.shards.len() > 100), (1, true));
    assert_eq!((before.get("h5000"), after.get("h5000"), after.get("other")), (Some(&5_000), Some(&1), None));
}

#[test]
fn shards_hold_neither_many_keys_nor_few() {
    let mut lookup = Lookup::default();
    (0..10_000).for_each(|n| put(&mut lookup, &format!("h{n}"), n));
    let fullest = |lookup: &Lookup<u32>| lookup.shards.iter().map(|shard| shard.len()).max();
    assert!(fullest(&lookup).is_some_and(|most| most < 2 * MANY));
    (10..10_000).for_each(|n| lookup.change(&format!("h{n}"), |_| false));
    assert_eq!((lookup.len(), lookup.shards.len()), (10, 1));
}

proptest! {
    #[test]
    fn it_is_a_map(steps in prop::collection::vec((0_u16..400, prop::option::of(0_u32..9)), 0..800)) {
        let (mut lookup, mut model) = (Lookup::default(), BTreeMap::<String, u32>::new());
        for (key, value) in steps {
            let key = key.to_string();
            let (before, model_before) = (lookup.clone(), model.get(&key).copied());
            match value {
                Some(value) => {
                    put(&mut lookup, &key, value);
                    model.insert(key.clone(), value);
                }
                None => {
                    lookup.change(&key, |_| false);
                    model.remove(&key);
                }
            }
            prop_assert_eq!(lookup.get(&key), model.get(&key));
            prop_assert_eq!(before.get(&key).copied(), model_before, "copies are not touched");
            prop_assert_eq!(lookup.len(), model.len());
        }
        let all: BTreeMap<String, u32> = lookup.iter().map(|(key, value)| (key.to_owned(), *value)).collect();
        prop_assert_eq!(all, model);
    }
}
