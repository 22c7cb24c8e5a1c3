//! Replays every corpus, and mutations of it from a fixed seed, on any compiler.

use fairlead_fuzz::TARGETS;
use std::{fs, path::Path};

/// Mutations of each file in each run; cargo-fuzz is for more.
const MUTATIONS: u32 = 400;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.sort();
    files.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a corpus file can be read"))).collect()
}

/// Bytes that mean something to one parser or another.
const TELLING: &[u8] = b"\r\n\0 :;,/.%(`)\"&|!=\\\t\x80x0";

/// xorshift64: the same mutations in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn mutate(&mut self, of: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = of.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, TELLING[self.below(TELLING.len())]),
                2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                3 if at < bytes.len() => {
                    bytes.remove(at);
                }
                _ => {
                    let from = self.below(other.len());
                    let to = from + self.below(other.len() - from + 1);
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        bytes
    }
}

#[test]
fn corpora_hold() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() >= 5, "the corpus of {name} is missing");
        for (path, bytes) in &corpus {
            let outcome = std::panic::catch_unwind(|| target(bytes));
            assert!(outcome.is_ok(), "{name} fails on {path}");
        }
    }
}

#[test]
fn mutations_of_corpora_hold() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
        for (path, bytes) in &corpus {
            for _ in 0..MUTATIONS {
                let other = &corpus[draw.below(corpus.len())].1;
                let mutated = draw.mutate(bytes, other);
                let outcome = std::panic::catch_unwind(|| target(&mutated));
                assert!(outcome.is_ok(), "{name} fails on a mutation of {path}: {:?}", String::from_utf8_lossy(&mutated));
            }
        }
    }
}
