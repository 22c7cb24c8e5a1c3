//! Qualified names: `web@file`.

use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of a router, service, middleware, transport or TLS options with the provider that owns it, as in `web@file`.
///
/// `default` for TLS options is the one name without a provider. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// A reference as written, seen from an object of `provider`: one that holds `@` is taken as it is.
    pub fn qualify(reference: &str, provider: &str) -> Self {
        if reference.contains('@') { Self(reference.into()) } else { Self(format!("{reference}@{provider}").into()) }
    }

    /// A name that is whole already.
    pub fn whole(name: &str) -> Self {
        Self(name.into())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole text, shared with this name.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The part before `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or(&self.0, |(local, _)| local)
    }

    /// The part after `@`, or the empty string.
    pub fn provider(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, provider)| provider)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
