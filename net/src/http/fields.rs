//! A field section: names and values in wire order, kept in one arena so that a head costs no allocation of its own.
//!
//! A cleared list keeps its memory; a connection reuses one list for all its messages.

use std::fmt;

/// Names and values in wire order. Names compare without regard to ASCII case and keep the case they came in.
#[derive(Clone, Default)]
pub struct Fields {
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
}

impl Fields {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
    }

    /// Gives back memory beyond `bytes`, for a connection that turns idle after an unusually large head.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.arena.shrink_to(bytes);
        self.entries.shrink_to(bytes / 64);
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a field line at the end.
    ///
    /// The caller answers for the grammar: names are tokens, values hold no CR, LF or NUL.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        let entry = self.store(name.as_bytes(), value);
        self.entries.push(entry);
    }

    /// [`Fields::append`] for a name still in bytes, which the caller has checked to be a token.
    pub(crate) fn append_token(&mut self, name: &[u8], value: &[u8]) {
        let entry = self.store(name, value);
        self.entries.push(entry);
    }

    /// Leaves exactly one line of this name; it takes the place of the first, or the end.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let Some(first) = self.position(name, 0) else { return self.append(name, value) };
        let at = self.arena.len();
        self.arena.extend_from_slice(value);
        (self.entries[first].value, self.entries[first].value_len) = (at as u32, value.len() as u32);
        let mut from = first + 1;
        while let Some(next) = self.position(name, from) {
            self.entries.remove(next);
            from = next;
        }
    }

    /// Removes every line of this name and tells whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.entries.len();
        let arena = &self.arena;
        self.entries.retain(|e| !e.name(arena).eq_ignore_ascii_case(name.as_bytes()));
        self.entries.len() != before
    }

    /// Keeps the lines for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        let arena = &self.arena;
        self.entries.retain(|e| keep(text(e.name(arena)), e.value(arena)));
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.position(name, 0).map(|i| self.entries[i].value(&self.arena))
    }

    /// The first value of this name, when it is ASCII or UTF-8 text.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Every value of this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.entries.iter().filter(move |e| e.name_is(&self.arena, name)).map(|e| e.value(&self.arena))
    }

    /// Whether a line of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name, 0).is_some()
    }

    /// All lines in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|e| (text(e.name(&self.arena)), e.value(&self.arena)))
    }

    /// All lines in wire order, names as bytes.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|e| (e.name(&self.arena), e.value(&self.arena)))
    }

    fn store(&mut self, name: &[u8], value: &[u8]) -> Entry {
        let at = self.arena.len();
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(value);
        Entry { name: at as u32, name_len: name.len() as u32, value: (at + name.len()) as u32, value_len: value.len() as u32 }
    }

    fn position(&self, name: &str, from: usize) -> Option<usize> {
        self.entries[from..].iter().position(|e| e.name_is(&self.arena, name)).map(|i| i + from)
    }
}

impl Entry {
    fn name<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.name as usize..][..self.name_len as usize]
    }

    fn value<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.value as usize..][..self.value_len as usize]
    }

    fn name_is(&self, arena: &[u8], name: &str) -> bool {
        self.name_len as usize == name.len() && self.name(arena).eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Names are tokens, so this never falls back; an empty name is safer than a panic if a caller broke the promise.
fn text(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(n, v)| (n, String::from_utf8_lossy(v)))).finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a [u8])>>(lines: T) -> Self {
        let mut fields = Self::new();
        for (name, value) in lines {
            fields.append(name, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_leaves_one_line_in_the_place_of_the_first() {
        let mut f: Fields = [("A", &b"1"[..]), ("b", b"2"), ("a", b"3"), ("c", b"4")].into_iter().collect();
        f.set("a", b"9");
        assert_eq!(f.iter().collect::<Vec<_>>(), [("A", &b"9"[..]), ("b", b"2"), ("c", b"4")]);
        assert!(f.remove("B") && !f.remove("B"));
        f.append("A", b"10");
        assert_eq!(f.get_all("a").collect::<Vec<_>>(), [&b"9"[..], b"10"]);
    }

    #[test]
    fn a_cleared_list_is_empty_and_usable() {
        let mut f: Fields = [("x", &b"1"[..])].into_iter().collect();
        f.clear();
        assert!(f.is_empty() && f.get("x").is_none());
        f.set("y", b"");
        assert_eq!(f.get("Y"), Some(&b""[..]));
    }
}
