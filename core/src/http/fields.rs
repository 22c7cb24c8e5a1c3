//! A field list for tests and for `explain`, and the traits through references.

use super::{Fields, FieldsMut};

/// Field lines in order, each on the heap. The data plane keeps its own list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VecFields(pub Vec<(String, Vec<u8>)>);

impl VecFields {
    /// Lines from text.
    pub fn of(lines: &[(&str, &str)]) -> Self {
        Self(lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect())
    }

    /// Every value of this name as text, for assertions.
    pub fn all(&self, name: &str) -> Vec<String> {
        let lines = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

impl Fields for VecFields {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().any(|(n, value)| n.eq_ignore_ascii_case(name) && test(value))
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}

impl FieldsMut for VecFields {
    fn set(&mut self, name: &str, value: &[u8]) {
        match self.0.iter().position(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some(first) => {
                self.0[first].1 = value.to_vec();
                let mut at = 0;
                self.0.retain(|(n, _)| {
                    at += 1;
                    at - 1 <= first || !n.eq_ignore_ascii_case(name)
                });
            }
            None => self.append(name, value),
        }
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_vec()));
    }

    fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.0.len() != before
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&str, &[u8]) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }
}

impl<T: Fields + ?Sized> Fields for &T {
    fn get(&self, name: &str) -> Option<&[u8]> {
        (**self).get(name)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        (**self).any(name, test)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        (**self).each(visit);
    }
}

impl<T: Fields + ?Sized> Fields for &mut T {
    fn get(&self, name: &str) -> Option<&[u8]> {
        (**self).get(name)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        (**self).any(name, test)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        (**self).each(visit);
    }
}

impl<T: FieldsMut + ?Sized> FieldsMut for &mut T {
    fn set(&mut self, name: &str, value: &[u8]) {
        (**self).set(name, value);
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        (**self).append(name, value);
    }

    fn remove(&mut self, name: &str) -> bool {
        (**self).remove(name)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&str, &[u8]) -> bool) {
        (**self).retain(keep);
    }
}
