//! Values, and what the functions make of them. Arguments stand as in sprig: what comes through a pipe is the last.

use crate::discovery::naming::normalize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Text(String),
    Number(i64),
    Truth(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

macro_rules! functions {
    ($($variant:ident $name:literal $least:literal..=$most:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($variant,)* }

        impl Function {
            const ALL: &[(Function, &str, usize, usize)] = &[$((Function::$variant, $name, $least, $most),)*];
        }
    };
}

functions! {
    And "and" 1..=64,
    Coalesce "coalesce" 1..=64,
    Contains "contains" 2..=2,
    Default "default" 2..=2,
    Eq "eq" 2..=64,
    First "first" 1..=1,
    HasPrefix "hasPrefix" 2..=2,
    HasSuffix "hasSuffix" 2..=2,
    Index "index" 2..=2,
    Join "join" 2..=2,
    Last "last" 1..=1,
    Len "len" 1..=1,
    Lower "lower" 1..=1,
    Ne "ne" 2..=2,
    Normalize "normalize" 1..=1,
    Not "not" 1..=1,
    Or "or" 1..=64,
    Replace "replace" 3..=3,
    Split "split" 2..=2,
    SplitList "splitList" 2..=2,
    Ternary "ternary" 3..=3,
    Trim "trim" 1..=1,
    TrimPrefix "trimPrefix" 2..=2,
    TrimSuffix "trimSuffix" 2..=2,
    Upper "upper" 1..=1,
}

impl Function {
    pub(super) fn of_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, known, ..)| *known == name);
        found.map(|(function, ..)| *function).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|(_, known, ..)| *known).collect();
            format!("the function `{name}` is not supported; there are {}", known.join(", "))
        })
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(function, ..)| *function == self).map_or("", |(_, name, ..)| name)
    }

    /// Whether it takes so many arguments.
    pub(super) fn check(self, count: usize) -> Result<(), String> {
        let Some((_, name, least, most)) = Self::ALL.iter().find(|(function, ..)| *function == self) else { return Ok(()) };
        if (*least..=*most).contains(&count) {
            return Ok(());
        }
        let expected = if least == most { least.to_string() } else { format!("at least {least}") };
        Err(format!("`{name}` takes {expected} arguments, and gets {count}"))
    }

    /// The value for `arguments`, whose number is right.
    pub(super) fn call(self, arguments: Vec<Value>) -> Result<Value, String> {
        let wrong = |message: String| format!("`{}`: {message}", self.name());
        self.apply(arguments).map_err(wrong)
    }

    fn apply(self, mut arguments: Vec<Value>) -> Result<Value, String> {
        let mut next = || if arguments.is_empty() { Value::Nothing } else { arguments.remove(0) };
        let text = |value: Value| value.into_text();
        Ok(match self {
            // Evaluated as far as needed by the caller.
            Self::And | Self::Or => next(),
            Self::Not => Value::Truth(!next().is_true()),
            Self::Lower => Value::Text(text(next())?.to_lowercase()),
            Self::Upper => Value::Text(text(next())?.to_uppercase()),
            Self::Trim => Value::Text(text(next())?.trim().to_owned()),
            Self::Normalize => Value::Text(normalize(&text(next())?)),
            Self::TrimPrefix => {
                let (prefix, from) = (text(next())?, text(next())?);
                Value::Text(from.strip_prefix(&prefix).unwrap_or(&from).to_owned())
            }
            Self::TrimSuffix => {
                let (suffix, from) = (text(next())?, text(next())?);
                Value::Text(from.strip_suffix(&suffix).unwrap_or(&from).to_owned())
            }
            Self::HasPrefix => {
                let (prefix, of) = (text(next())?, text(next())?);
                Value::Truth(of.starts_with(&prefix))
            }
            Self::HasSuffix => {
                let (suffix, of) = (text(next())?, text(next())?);
                Value::Truth(of.ends_with(&suffix))
            }
            Self::Contains => {
                let (part, of) = (text(next())?, text(next())?);
                Value::Truth(of.contains(&part))
            }
            Self::Replace => {
                let (old, new, within) = (text(next())?, text(next())?, text(next())?);
                Value::Text(within.replace(&old, &new))
            }
            Self::Default => {
                let (default, value) = (next(), next());
                if value.is_true() { value } else { default }
            }
            Self::Ternary => {
                let (then, otherwise) = (next(), next());
                if next().is_true() { then } else { otherwise }
            }
            Self::Coalesce => arguments.into_iter().find(Value::is_true).unwrap_or(Value::Nothing),
            Self::Split => {
                let (by, of) = (text(next())?, text(next())?);
                let parts = of.split(&*by).enumerate().map(|(index, part)| (format!("_{index}"), part.to_owned()));
                Value::Map(parts.collect())
            }
            Self::SplitList => {
                let (by, of) = (text(next())?, text(next())?);
                Value::List(of.split(&*by).map(str::to_owned).collect())
            }
            Self::Join => {
                let (by, of) = (text(next())?, next().into_list()?);
                Value::Text(of.join(&by))
            }
            Self::First => next().into_list()?.into_iter().next().map_or(Value::Nothing, Value::Text),
            Self::Last => next().into_list()?.pop().map_or(Value::Nothing, Value::Text),
            Self::Len => Value::Number(next().len()?),
            Self::Index => {
                let of = next();
                of.index(&next())?
            }
            Self::Ne => {
                let (a, b) = (next(), next());
                Value::Truth(!a.equals(&b)?)
            }
            Self::Eq => {
                let first = next();
                let mut found = false;
                for other in &arguments {
                    found |= first.equals(other)?;
                }
                Value::Truth(found)
            }
        })
    }
}

impl Value {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0,
            Self::Truth(truth) => *truth,
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    pub(super) fn into_text(self) -> Result<String, String> {
        match self {
            Self::Nothing => Ok(String::new()),
            Self::Text(text) => Ok(text),
            Self::Number(number) => Ok(number.to_string()),
            Self::Truth(truth) => Ok(truth.to_string()),
            Self::List(_) | Self::Map(_) => {
                Err(format!("expected a text, found {}: take one part of it with `index`", self.shape()))
            }
        }
    }

    /// `.key` of it.
    pub(super) fn field(self, key: &str) -> Result<Self, String> {
        match self {
            Self::Map(mut entries) => Ok(entries.remove(key).map_or(Self::Nothing, Self::Text)),
            other => Err(format!("`.{key}`: expected labels or the parts of `split`, found {}", other.shape())),
        }
    }

    fn index(self, at: &Self) -> Result<Self, String> {
        match (self, at) {
            (Self::Map(mut entries), Self::Text(key)) => Ok(entries.remove(key).map_or(Self::Nothing, Self::Text)),
            (Self::List(mut items), Self::Number(at)) => match usize::try_from(*at) {
                Ok(at) if at < items.len() => Ok(Self::Text(items.swap_remove(at))),
                _ => Err(format!("there is no element {at} among {}", items.len())),
            },
            (Self::Map(_), at) => Err(format!("expected a name in quotes, found {}", at.shape())),
            (Self::List(_), at) => Err(format!("expected a number, found {}", at.shape())),
            (other, _) => Err(format!("expected labels or a list, found {}", other.shape())),
        }
    }

    fn into_list(self) -> Result<Vec<String>, String> {
        match self {
            Self::List(items) => Ok(items),
            other => Err(format!("expected a list, such as `splitList` makes, found {}", other.shape())),
        }
    }

    fn len(&self) -> Result<i64, String> {
        let len = match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.len(),
            Self::Map(entries) => entries.len(),
            other => return Err(format!("expected a text or a list, found {}", other.shape())),
        };
        Ok(i64::try_from(len).unwrap_or(i64::MAX))
    }

    fn equals(&self, other: &Self) -> Result<bool, String> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Ok(a == b),
            (Self::Number(a), Self::Number(b)) => Ok(a == b),
            (Self::Truth(a), Self::Truth(b)) => Ok(a == b),
            // A label that is not there is empty.
            (Self::Nothing, Self::Text(text)) | (Self::Text(text), Self::Nothing) => Ok(text.is_empty()),
            (Self::Nothing, Self::Nothing) => Ok(true),
            (a, b) => Err(format!("{} and {} cannot be compared", a.shape(), b.shape())),
        }
    }

    fn shape(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}
