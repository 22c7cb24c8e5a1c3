//! A collection that is handed on by reference and copied when it is changed: a configuration passes from hand to hand, however large.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared<C>(Arc<C>);

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: PartialEq> Shared<C> {
    /// The other, if it is the same.
    pub(in crate::config) fn unless_same(self, other: &Self) -> Self {
        if self == *other { other.clone() } else { self }
    }
}

impl<C: Default> Default for Shared<C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<C: PartialEq> PartialEq for Shared<C> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<C> Deref for Shared<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

/// Copies if somebody else has it too.
impl<C: Clone> DerefMut for Shared<C> {
    fn deref_mut(&mut self) -> &mut C {
        Arc::make_mut(&mut self.0)
    }
}

impl<C: Clone + IntoIterator> IntoIterator for Shared<C> {
    type Item = C::Item;
    type IntoIter = C::IntoIter;

    fn into_iter(self) -> C::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a, C> IntoIterator for &'a Shared<C>
where
    &'a C: IntoIterator,
{
    type Item = <&'a C as IntoIterator>::Item;
    type IntoIter = <&'a C as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (*self.0).into_iter()
    }
}
