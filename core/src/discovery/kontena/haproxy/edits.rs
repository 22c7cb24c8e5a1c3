//! What becomes of fields: `set-header`, `add-header`, `del-header` and their forerunners, in the order written.

use std::collections::BTreeMap;

/// Edits of one side's fields, each name's own by its lower-case name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Edits(BTreeMap<String, Edit>);

/// What the lines leave of one field.
#[derive(Debug, Default, PartialEq)]
struct Edit {
    /// As written.
    name: String,
    /// Takes the place of what came; empty: nothing does.
    set: Option<String>,
    /// Goes beside it.
    add: Vec<String>,
}

impl Edits {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let edit = self.of(name);
        (edit.set, edit.add) = (Some(value.to_owned()), Vec::new());
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.set(name, "");
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.of(name).add.push(value.to_owned());
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values that take the place of others; an empty value removes.
    pub(crate) fn replacing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.values().filter_map(|edit| Some((edit.name.as_str(), edit.set.as_deref()?)))
    }

    /// Names and values that go beside others.
    pub(crate) fn adding(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.values().flat_map(|edit| edit.add.iter().map(|value| (edit.name.as_str(), value.as_str())))
    }

    fn of(&mut self, name: &str) -> &mut Edit {
        let edit = self.0.entry(name.to_ascii_lowercase()).or_default();
        if edit.name.is_empty() {
            name.clone_into(&mut edit.name);
        }
        edit
    }
}
