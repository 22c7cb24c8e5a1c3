//! Arguments of this package's commands that take numbers only.

/// The numbers of `--name N`, each as it was given or as it is by default, in the order of `known`.
///
/// # Errors
/// A name that is not known, or no number behind one.
pub fn numbers<const N: usize>(given: impl IntoIterator<Item = String>, known: [(&str, u64); N]) -> Result<[u64; N], String> {
    let mut numbers = known.map(|(_, default)| default);
    let mut given = given.into_iter();
    while let Some(name) = given.next() {
        let names = || known.map(|(name, default)| format!("{name} N ({default})")).join(", ");
        let at = known.iter().position(|(known, _)| *known == name).ok_or_else(|| format!("{name}: expected {}", names()))?;
        let value = given.next().unwrap_or_default();
        numbers[at] = value.parse().map_err(|_| format!("{name} {value}: expected a number"))?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<[u64; 2], String> {
        numbers(line.split_whitespace().map(str::to_owned), [("--a", 1), ("--b", 2)])
    }

    #[test]
    fn numbers_are_read_and_everything_else_is_told() {
        assert_eq!(read(""), Ok([1, 2]));
        assert_eq!(read("--b 5"), Ok([1, 5]));
        assert_eq!(read("--c 5").unwrap_err(), "--c: expected --a N (1), --b N (2)");
        assert!(read("--a").is_err() && read("--a x").is_err());
    }
}
