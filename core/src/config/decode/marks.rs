//! Field types that the deserializer treats in their own way.

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use std::{fmt, marker::PhantomData, time::Duration};

pub(super) const SPAN: &str = "$span";
pub(super) const SWITCH: &str = "$switch";
pub(super) const UNSUPPORTED: &str = "$unsupported";
pub(super) const OLD: &str = "$old";
pub(super) const IGNORED: &str = "$ignored";
pub(super) const MISPLACED: &str = "$misplaced";

/// A duration as Traefik writes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    nanos: i64,
}

impl Span {
    /// Negative ones are none.
    pub(crate) fn get(self) -> Duration {
        super::duration(self.nanos)
    }

    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }
}

/// A struct that may stand alone: empty or `true` makes it with its defaults, `false` unmakes it with all that is below.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Switch<T>(pub(crate) Option<T>);

impl<T> Default for Switch<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A key of Traefik's that Fairlead does not have yet: an error, so that nobody believes it has an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// A key of Traefik 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Old;

/// A key whose effect Fairlead always has, or never needs: a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignored;

/// A section of the dynamic configuration among the static one, or the other way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Misplaced;

/// What to say to a spelling of Traefik 1.
pub(super) fn old(key: &str) -> (String, String) {
    let name = key.trim_start_matches('-').rsplit(['.', '/']).next().unwrap_or_default().to_ascii_lowercase();
    let remedy = match name.as_str() {
        "traefiklog" => "use `log.level`, `log.format` and `log.filePath`",
        "respondingtimeouts" | "lifecycle" => "use `entryPoints.<name>.transport`",
        "gracetimeout" => "use `entryPoints.<name>.transport.lifeCycle.graceTimeOut`",
        "file" => {
            "use `providers.file.filename` or `providers.file.directory`, with routers and services instead of frontends and backends"
        }
        "etcd" | "etcdv3" => {
            "use `providers.etcd.endpoints` and its neighbours, with routers and services instead of frontends and backends"
        }
        "retry" => "declare a middleware of kind `retry`",
        "acme" => "list certificates under `tls.certificates` of the dynamic configuration",
        _ => "remove it",
    };
    ("is Traefik 1's spelling, and not supported yet".to_owned(), remedy.to_owned())
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nanos;
        impl Visitor<'_> for Nanos {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration")
            }
            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<Span, E> {
                Ok(Span { nanos })
            }
        }
        deserializer.deserialize_newtype_struct(SPAN, Nanos)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Whole<T> {
            type Value = Switch<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or keys")
            }
            fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Switch(None))
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                T::deserialize(deserializer).map(|value| Switch(Some(value)))
            }
        }
        deserializer.deserialize_newtype_struct(SWITCH, Whole(PhantomData))
    }
}

macro_rules! unit {
    ($($type:ident $mark:ident;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Nothing;
                impl Visitor<'_> for Nothing {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("anything")
                    }
                    fn visit_unit<E: de::Error>(self) -> Result<$type, E> {
                        Ok($type)
                    }
                }
                deserializer.deserialize_newtype_struct($mark, Nothing)
            }
        }
    )*};
}

unit! {
    Unsupported UNSUPPORTED;
    Old OLD;
    Ignored IGNORED;
    Misplaced MISPLACED;
}
