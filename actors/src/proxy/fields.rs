//! The network layer's field list, seen through core's eyes.

use fairlead_core::http as core;
use fairlead_net::http::Fields;

/// A borrowed field list on which core decides and edits in place.
#[derive(Debug)]
pub struct View<'a>(pub &'a mut Fields);

impl core::Fields for View<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.get_all(name).any(test)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}

impl core::FieldsMut for View<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.set(name, value);
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        self.0.append(name, value);
    }

    fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&str, &[u8]) -> bool) {
        self.0.retain(keep);
    }
}
