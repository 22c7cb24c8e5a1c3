//! What can be made smaller in a plan: edits of its JSON, pass by pass.
//!
//! Knows little of what a plan holds, so that it goes on to fit when plans grow: an edit that makes no plan of it is refused by
//! [`Plan::from_json`]. Owns what must be known: which lists are meant by index, and which numbers are names.

use crate::plan::Plan;
use serde_json::{Value, json};

/// One way to make a plan smaller. Places are JSON pointers into the plan that the edit was made for.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// An element of a list goes.
    Remove { list: String, index: usize },
    /// A value is replaced by a smaller one.
    Set { place: String, value: Value },
    /// A field goes, so that its default holds.
    Omit { object: String, field: String },
}

/// The ways of one kind.
pub struct Pass {
    pub name: &'static str,
    pub edits: fn(&Value) -> Vec<Edit>,
    /// Whether the edits that come of an accepted one are tried at once.
    pub again: bool,
}

/// What is tried, in this order: the first passes make every later try cheap.
pub const PASSES: [Pass; 8] = [
    Pass { name: "steps", edits: |plan| removals(plan, &|list| list == "/steps"), again: false },
    Pass { name: "clients", edits: emptied, again: false },
    Pass { name: "requests", edits: |plan| removals(plan, &|list| list.ends_with("/asks")), again: false },
    Pass { name: "lists", edits: |plan| removals(plan, &|list| list != "/steps" && !list.ends_with("/asks")), again: false },
    Pass { name: "tails", edits: tails, again: true },
    Pass { name: "peculiarities", edits: plainer, again: false },
    Pass { name: "magnitudes", edits: halved, again: true },
    Pass { name: "counts", edits: lessened, again: true },
];

/// Lists whose elements others mean by their index: they are cut off at their end only.
const INDEXED: [&str; 9] = ["servers", "clients", "apps", "gateways", "managers", "members", "nodes", "networks", "hosts"];

/// What the world begins with: without it the judges' model of it would be another one.
const GIVEN: &str = "/first/units";

/// Numbers that are names, or draw what a run does in detail: another one is no smaller one.
const NAMES: [&str; 6] = ["seed", "scenario", "generation", "order", "pick", "source"];

/// Pauses before what is removed are kept, so that the rest happens when it happened.
const PAUSE: &str = "pause";

/// A number up to this is a count of few, worth going down one by one.
const FEW: u64 = 8;

/// The plan with these edits. Their order does not matter.
pub fn apply(plan: &Value, edits: &[&Edit]) -> Value {
    let mut plan = plan.clone();
    for edit in edits {
        match edit {
            Edit::Set { place, value } => {
                if let Some(old) = plan.pointer_mut(place) {
                    *old = value.clone();
                }
            }
            Edit::Omit { object, field } => {
                if let Some(Value::Object(fields)) = plan.pointer_mut(object) {
                    fields.remove(field);
                }
            }
            Edit::Remove { .. } => {}
        }
    }
    let mut removals: Vec<_> = edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::Remove { list, index } => Some((list.matches('/').count(), list, *index)),
            _ => None,
        })
        .collect();
    // Inner lists and later elements first: the places of the others stay what they are.
    removals.sort_unstable_by(|a, b| b.cmp(a));
    for (_, list, index) in removals {
        if let Some(Value::Array(all)) = plan.pointer_mut(list)
            && index < all.len()
        {
            let gone = all.remove(index);
            if let (Some(before), Some(next)) = (gone.get(PAUSE).and_then(Value::as_u64), all.get_mut(index))
                && let Some(own) = next.get(PAUSE).and_then(Value::as_u64)
            {
                next[PAUSE] = json!(own + before);
            }
        }
    }
    plan
}

/// Whether this is a plan.
pub fn is_plan(plan: &Value) -> bool {
    Plan::from_json(&plan.to_string()).is_ok()
}

fn is_indexed(place: &str, list: &[Value]) -> bool {
    list.first().is_some_and(Value::is_object) && INDEXED.contains(&last(place))
}

/// The name of the field that a place leads to, or of the list that it is in.
fn last(place: &str) -> &str {
    place.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap_or_default()
}

fn removals(plan: &Value, of: &dyn Fn(&str) -> bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk("", plan, &mut |place, value| {
        let Value::Array(all) = value else { return };
        if of(place) && place != GIVEN && !is_indexed(place, all) {
            edits.extend((0..all.len()).map(|index| Edit::Remove { list: place.to_owned(), index }));
        }
    });
    edits
}

/// Lists in elements that are meant by index: the element stays, and has nothing left to do.
fn emptied(plan: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk("", plan, &mut |place, value| {
        let inside = INDEXED.iter().any(|list| place.starts_with(&format!("/{list}/")));
        if inside && value.as_array().is_some_and(|all| !all.is_empty()) {
            edits.push(Edit::Set { place: place.to_owned(), value: json!([]) });
        }
    });
    edits
}

/// The last element of lists that are meant by index.
fn tails(plan: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk("", plan, &mut |place, value| {
        if let Value::Array(all) = value
            && is_indexed(place, all)
        {
            edits.push(Edit::Remove { list: place.to_owned(), index: all.len() - 1 });
        }
    });
    edits
}

/// Values as plain as can be: absent, false, none, nothing.
fn plainer(plan: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk("", plan, &mut |place, value| {
        if is_name(place) || place.is_empty() || place == GIVEN {
            return;
        }
        let set = |value: Value| Edit::Set { place: place.to_owned(), value };
        let plain = match value {
            Value::Bool(true) => vec![json!(false), Value::Null],
            Value::Number(number) if number.as_u64() == Some(0) => vec![Value::Null],
            // Where it may be absent, nothing at all is plainer than a zero, which is an extreme of its own.
            Value::Number(_) if is_optional(plan, place) => vec![Value::Null],
            Value::Number(_) => vec![json!(0)],
            Value::Array(pair) if is_range(place, pair) => vec![json!([0, 0])],
            // A variant with content, or a part of the plan that may be absent.
            Value::Object(_) => vec![Value::Null, json!("whole"), json!("none")],
            _ => vec![],
        };
        edits.extend(plain.into_iter().filter(|plain| plain != value).map(set));
        if let Some((object, field)) = place.rsplit_once('/')
            && field.parse::<usize>().is_err()
        {
            edits.push(Edit::Omit { object: object.to_owned(), field: field.to_owned() });
        }
    });
    edits
}

/// Numbers halved, and both ends of ranges.
fn halved(plan: &Value) -> Vec<Edit> {
    numbers(plan, &|number| (number > 0).then_some(number / 2))
}

/// Small numbers, less one.
fn lessened(plan: &Value) -> Vec<Edit> {
    numbers(plan, &|number| (1..=FEW).contains(&number).then(|| number - 1))
}

fn numbers(plan: &Value, smaller: &dyn Fn(u64) -> Option<u64>) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk("", plan, &mut |place, value| {
        if is_name(place) {
            return;
        }
        let smaller = |value: &Value| value.as_u64().and_then(smaller);
        let value = match value {
            Value::Number(_) => smaller(value).filter(|smaller| *smaller > 0 || !is_optional(plan, place)).map(Value::from),
            Value::Array(pair) if is_range(place, pair) => {
                let both: Vec<_> = pair.iter().map(|end| smaller(end).map_or_else(|| end.clone(), Value::from)).collect();
                (both != *pair).then_some(Value::Array(both))
            }
            _ => None,
        };
        edits.extend(value.map(|value| Edit::Set { place: place.to_owned(), value }));
    });
    edits
}

fn is_range(place: &str, pair: &[Value]) -> bool {
    !INDEXED.contains(&last(place)) && matches!(pair, [low, high] if low.is_number() && high.as_u64() >= low.as_u64())
}

/// A name, an index in a list of indices, or the index of what the world begins with.
fn is_name(place: &str) -> bool {
    let of_list = place.rsplit('/').next().is_some_and(|part| part.parse::<usize>().is_ok());
    let given = place.starts_with(GIVEN) && place.ends_with("/service");
    given || NAMES.contains(&last(place)) || of_list && INDEXED.contains(&last(place))
}

/// Whether the value may be absent.
fn is_optional(plan: &Value, place: &str) -> bool {
    is_plan(&apply(plan, &[&Edit::Set { place: place.to_owned(), value: Value::Null }]))
}

/// Visits every value with its place; numbers of a range only as the range.
fn walk(place: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(&format!("{place}/{name}"), value, visit)),
        Value::Array(all) if !is_range(place, all) => {
            all.iter().enumerate().for_each(|(index, value)| walk(&format!("{place}/{index}"), value, visit));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remove(list: &str, index: usize) -> Edit {
        Edit::Remove { list: list.to_owned(), index }
    }

    #[test]
    fn edits_apply_in_any_order_and_pauses_are_kept() {
        let plan = json!({"steps": [1, 2, 3], "clients": [{"asks": [{"pause": 5}, {"pause": 7}, {"pause": 1}, {"pause": 2}]}]});
        let edits = [remove("/clients/0/asks", 0), remove("/steps", 2), remove("/clients/0/asks", 2), remove("/steps", 0)];
        let smaller = json!({"steps": [2], "clients": [{"asks": [{"pause": 12}, {"pause": 3}]}]});
        assert_eq!(apply(&plan, &edits.iter().collect::<Vec<_>>()), smaller);
        assert_eq!(apply(&plan, &edits.iter().rev().collect::<Vec<_>>()), smaller);
    }

    #[test]
    fn what_is_meant_by_index_stays_where_it_is() {
        let plan = json!({"servers": [{"think": [1, 2]}, {}], "steps": [{"what": {"start": 1}}]});
        let of_servers = |edits: Vec<Edit>| {
            edits.into_iter().filter(|edit| matches!(edit, Edit::Remove { list, .. } if list == "/servers")).collect::<Vec<_>>()
        };
        assert_eq!(of_servers(removals(&plan, &|_| true)), []);
        assert_eq!(of_servers(tails(&plan)), [remove("/servers", 1)]);
    }

    #[test]
    fn what_may_be_absent_is_never_zero() {
        let mut plan = crate::scenario::named("rolling_update").expect("a scenario").plan(1);
        plan.servers[0].idle_close = Some(1);
        let plan: Value = serde_json::from_str(&plan.to_json()).expect("plans are JSON");
        let place = "/servers/0/idle_close";
        let values = |edits: Vec<Edit>| {
            let of_place = |edit| match edit {
                Edit::Set { place: at, value } if at == place => Some(value),
                _ => None,
            };
            edits.into_iter().filter_map(of_place).collect::<Vec<_>>()
        };
        assert_eq!(values(plainer(&plan)), [Value::Null]);
        assert_eq!([values(halved(&plan)), values(lessened(&plan))].concat(), [Value::Null; 0]);
    }

    #[test]
    fn numbers_that_are_names_are_left_alone() {
        let plan = json!({"seed": 7, "network": {"latency": [100, 900], "short_io": 9}, "first": {"generation": 4, "units": [{"service": 3, "servers": [1, 4]}]}});
        let places: Vec<_> = halved(&plan)
            .into_iter()
            .map(|edit| match edit {
                Edit::Set { place, value } => (place, value),
                other => panic!("{other:?} halves nothing"),
            })
            .collect();
        let of = |place: &str, value: Value| (place.to_owned(), value);
        assert_eq!(places, [of("/network/latency", json!([50, 450])), of("/network/short_io", json!(4))]);
    }
}
