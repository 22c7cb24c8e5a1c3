//! A list as the daemon sent it, element by element: of the next one only what differs is parsed.
//!
//! Thousands of objects are listed again because one of them changed. An element that is byte for byte the one that was kept is
//! taken over with what it was parsed to, which costs a comparison; the others are parsed. Nothing is concluded from where an
//! element stands: lists may be sorted in any way, and differently the next time.
//!
//! Deliberately absent: I/O, what the elements mean, and whether they are believed.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Bytes at the beginning of an element by which it is found again. The Engine begins objects with their id or their name.
const HEAD: usize = 48;

/// See the head of this file.
#[derive(Debug)]
pub struct List<T> {
    body: Bytes,
    elements: Vec<Element<T>>,
}

#[derive(Debug)]
struct Element<T> {
    /// Where in the body. An object, so that no other element begins with all of these bytes.
    at: Range<usize>,
    value: Arc<T>,
}

/// Derived, it would ask for the same of `T`.
impl<T> Default for List<T> {
    fn default() -> Self {
        Self { body: Bytes::new(), elements: Vec::new() }
    }
}

impl<T: DeserializeOwned> List<T> {
    /// The list in `body`, JSON; `null` is an empty one. What is the same in `known` is shared with it.
    ///
    /// # Errors
    ///
    /// This is no list, or one of its elements is no `T`.
    pub fn read(body: Bytes, known: &Self) -> Result<Self, String> {
        if body.trim_ascii() == b"null" {
            return Ok(Self { body, elements: Vec::new() });
        }
        let mut reader = Reader { body: &body, at: 0, known, expected: 0, heads: None };
        let mut elements = Vec::with_capacity(known.elements.len());
        reader.expect(b"[")?;
        if reader.peek() == Some(b']') {
            reader.at += 1;
        } else {
            loop {
                elements.push(reader.element()?);
                if reader.expect(b",]")? == b']' {
                    break;
                }
            }
        }
        match reader.peek() {
            None => Ok(Self { body, elements }),
            Some(_) => Err(format!("more after the end of the list, at byte {}", reader.at)),
        }
    }
}

impl<T> List<T> {
    /// The list as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its elements, in its order.
    pub fn values(&self) -> Vec<Arc<T>> {
        self.elements.iter().map(|element| element.value.clone()).collect()
    }

    fn bytes(&self, index: usize) -> Option<&[u8]> {
        self.body.get(self.elements.get(index)?.at.clone())
    }

    /// Elements by their beginning.
    fn heads(&self) -> BTreeMap<&[u8], usize> {
        self.elements.iter().enumerate().map(|(index, element)| (head(&self.body[element.at.clone()]), index)).collect()
    }
}

/// `{"ID":"tj8lqfxk3m4dcm5cb0pcr3rqd"`
fn head(bytes: &[u8]) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(HEAD)];
    let end = bytes.iter().position(|byte| *byte == b',').unwrap_or(bytes.len());
    &bytes[..end]
}

struct Reader<'a, T> {
    body: &'a [u8],
    at: usize,
    known: &'a List<T>,
    /// Which element of `known` comes next if nothing changed.
    expected: usize,
    /// Of `known`; made when something changed.
    heads: Option<BTreeMap<&'a [u8], usize>>,
}

impl<T: DeserializeOwned> Reader<'_, T> {
    /// The element that begins here.
    fn element(&mut self) -> Result<Element<T>, String> {
        self.peek();
        let (rest, known) = (&self.body[self.at..], self.known);
        let is_same = |index: usize| known.bytes(index).is_some_and(|bytes| rest.starts_with(bytes));
        let found = match self.expected {
            expected if is_same(expected) => Some(expected),
            _ => self.heads.get_or_insert_with(|| known.heads()).get(head(rest)).copied(),
        };
        if let Some(index) = found {
            self.expected = index + 1;
        }
        let begin = self.at;
        if let Some(index) = found.filter(|index| is_same(*index)) {
            let element = &known.elements[index];
            self.at += element.at.len();
            return Ok(Element { at: begin..self.at, value: element.value.clone() });
        }
        if rest.first() != Some(&b'{') {
            return Err(format!("no object at byte {begin}"));
        }
        let mut parser = serde_json::Deserializer::from_slice(rest).into_iter::<T>();
        let value = match parser.next() {
            Some(parsed) => parsed.map_err(|e| format!("{e}, of what begins at byte {begin}"))?,
            None => return Err("it ends too soon".to_owned()),
        };
        self.at += parser.byte_offset();
        Ok(Element { at: begin..self.at, value: Arc::new(value) })
    }
}

impl<T> Reader<'_, T> {
    /// The next byte that is no white space, which is not taken.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.body[self.at..];
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
        self.body.get(self.at).copied()
    }

    /// Takes one of these.
    fn expect(&mut self, one_of: &[u8]) -> Result<u8, String> {
        match self.peek() {
            Some(byte) if one_of.contains(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            Some(_) => Err(format!("expected one of {} at byte {}", String::from_utf8_lossy(one_of), self.at)),
            None => Err("it ends too soon".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::docker::api::Service;
    use proptest::prelude::*;

    fn read(body: &str, known: &List<Service>) -> Result<List<Service>, String> {
        List::read(Bytes::copy_from_slice(body.as_bytes()), known)
    }

    fn ids(list: &List<Service>) -> Vec<(String, u64)> {
        list.values().iter().map(|service| (service.id.clone(), service.version.index)).collect()
    }

    fn object(id: &str, index: u64) -> String {
        format!(r#"{{"ID":"{id}","Version":{{"Index":{index}}},"Spec":{{"Name":"a ] \" }} b","Labels":{{"k":"[,]"}}}}}}"#)
    }

    #[test]
    fn what_did_not_change_is_shared_and_the_rest_is_parsed() {
        let list = |objects: &[(&str, u64)]| {
            format!("[{}]\n", objects.iter().map(|(id, index)| object(id, *index)).collect::<Vec<_>>().join(","))
        };
        let before = [("a", 1), ("b", 1), ("c", 1), ("d", 1)];
        let known = read(&list(&before), &List::default()).expect("a list");
        for (now, shared) in [
            (&before[..], 4),
            (&[("a", 1), ("b", 2), ("c", 1), ("d", 1)], 3),
            (&[("a", 1), ("c", 1), ("d", 1)], 3),
            (&[("0", 1), ("a", 1), ("b", 1), ("bb", 1), ("c", 1), ("d", 1), ("e", 1)], 4),
            (&[("d", 1), ("b", 1), ("a", 1), ("c", 3)], 3),
            (&[("b", 1)], 1),
            (&[], 0),
        ] {
            let read = read(&list(now), &known).expect("a list");
            let expected: Vec<_> = now.iter().map(|(id, index)| ((*id).to_owned(), *index)).collect();
            assert_eq!(ids(&read), expected);
            let of_known = |value: &&Arc<Service>| known.elements.iter().any(|element| Arc::ptr_eq(&element.value, value));
            assert_eq!(read.values().iter().filter(of_known).count(), shared, "{now:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_wherever_it_goes_wrong() {
        let known = read(&format!("[{},{}]", object("a", 1), object("b", 1)), &List::default()).expect("a list");
        for body in [
            String::new(),
            "{}".into(),
            "[".into(),
            "[]]".into(),
            "[,]".into(),
            "nul".into(),
            "null null".into(),
            "[1]".into(),
            "[null]".into(),
            "[[]]".into(),
            format!("[{}", object("a", 1)),
            format!("[{},", object("a", 1)),
            format!("[{},]", object("a", 1)),
            format!("[{}{}]", object("a", 1), object("b", 1)),
            format!("[{}] x", object("a", 1)),
            format!("[{},{}", object("a", 1), &object("b", 2)[..20]),
            format!("[{},{{\"ID\":7}}]", object("a", 1)),
        ] {
            assert!(read(&body, &known).is_err(), "{body}");
        }
        for body in ["null", " null\n", "[]", " [ ] "] {
            assert_eq!(ids(&read(body, &known).expect("an empty list")), []);
        }
    }

    proptest! {
        /// Whatever was known before, a list means what it means by itself.
        #[test]
        fn what_is_known_makes_no_difference(
            before in proptest::collection::vec((0u8..12, 0u64..3), 0..12),
            after in proptest::collection::vec((0u8..12, 0u64..3), 0..12),
            space in "[ \n]{0,2}",
        ) {
            let list = |objects: &[(u8, u64)]| {
                let objects: Vec<_> = objects.iter().map(|(id, index)| object(&id.to_string(), *index)).collect();
                format!("[{space}{}]", objects.join(&format!("{space},{space}")))
            };
            let known = read(&list(&before), &List::default()).expect("a list");
            let text = list(&after);
            let plain: Vec<Service> = serde_json::from_str(&text).expect("services");
            let read = read(&text, &known).expect("a list");
            prop_assert_eq!(read.values().iter().map(|value| Service::clone(value)).collect::<Vec<_>>(), plain);
        }

        /// What the whole would be refused for is not overlooked.
        #[test]
        fn damage_is_found_or_means_the_same(at in 0usize..400, byte in proptest::sample::select(b"{}[],:\"\\ x1".to_vec())) {
            let text = format!("[{},{},{}]", object("a", 1), object("b", 1), object("c", 1));
            let known = read(&text, &List::default()).expect("a list");
            let mut damaged = text.into_bytes();
            let at = at % damaged.len();
            damaged[at] = byte;
            let plain = serde_json::from_slice::<Vec<Service>>(&damaged).ok();
            let read = List::<Service>::read(damaged.into(), &known).ok();
            let read = read.map(|list| list.values().iter().map(|value| Service::clone(value)).collect::<Vec<_>>());
            prop_assert_eq!(read, plain);
        }
    }
}
