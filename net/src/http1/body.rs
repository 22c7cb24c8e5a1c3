//! One body in each direction: where the incoming one ends, and how the outgoing one is framed. No I/O.

use super::buffer::Buffer;
use super::chunked::{Chunked, Step, forbidden_in_trailers};
use super::limits::{Bad, Limits};
use crate::http::{Fields, Framing};

/// A body that comes.
#[derive(Default)]
pub(crate) struct Incoming {
    state: State,
    /// Where a body came in chunks: apart, because most come without.
    chunks: Option<Box<Chunks>>,
}

#[derive(Default)]
struct Chunks {
    chunked: Chunked,
    trailers: Fields,
}

#[derive(Default)]
enum State {
    #[default]
    Done,
    Length(u64),
    Chunked,
    UntilClose,
    Failed(Bad),
}

impl Incoming {
    pub(crate) fn start(&mut self, framing: Framing) {
        if let Some(chunks) = &mut self.chunks {
            chunks.chunked = Chunked::default();
            chunks.trailers.clear();
        }
        self.state = match framing {
            Framing::None | Framing::Tunnel | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Chunked,
            Framing::UntilClose => State::UntilClose,
        };
    }

    /// What comes next in `rd`; framing bytes before it are dropped.
    pub(crate) fn step(&mut self, rd: &mut Buffer, limits: &Limits) -> Result<Step, Bad> {
        let available = rd.len();
        match &mut self.state {
            State::Done => Ok(Step::End),
            State::Failed(bad) => Err(*bad),
            State::Length(_) | State::UntilClose if available == 0 => Ok(Step::Need),
            State::Length(left) => Ok(Step::Data((*left).min(available as u64) as usize)),
            State::UntilClose => Ok(Step::Data(available)),
            State::Chunked => {
                let Chunks { chunked, trailers } = &mut **self.chunks.get_or_insert_default();
                match chunked.step(rd.filled(), limits, trailers) {
                    Ok((framing, step)) => {
                        rd.consume(framing);
                        if step == Step::End {
                            self.state = State::Done;
                            trailers.retain(|name, _| !forbidden_in_trailers(name.as_bytes()));
                        }
                        Ok(step)
                    }
                    Err(bad) => {
                        self.state = State::Failed(bad);
                        Err(bad)
                    }
                }
            }
        }
    }

    pub(crate) fn took(&mut self, n: usize) {
        match &mut self.state {
            State::Length(left) => {
                *left = left.saturating_sub(n as u64);
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunked => {
                if let Some(chunks) = &mut self.chunks {
                    chunks.chunked.took(n);
                }
            }
            State::Done | State::UntilClose | State::Failed(_) => {}
        }
    }

    /// The peer ended the connection. Whether that completes the body.
    pub(crate) fn ended_by_close(&mut self) -> bool {
        let ends = matches!(self.state, State::UntilClose);
        #[cfg(planted = "length_trusted")]
        let ends = ends || matches!(self.state, State::Chunked) && crate::sim::is_planted("length_trusted");
        if ends {
            self.state = State::Done;
        }
        self.is_done()
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether it broke its framing, so that nothing after it can be told apart from it.
    pub(crate) fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// Bytes that are still to be taken, where the head said so.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            State::Chunked | State::UntilClose | State::Failed(_) => None,
        }
    }

    pub(crate) fn trailers(&self) -> Option<&Fields> {
        self.chunks.as_ref().map(|chunks| &chunks.trailers).filter(|trailers| !trailers.is_empty())
    }
}

/// A body that goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Complete, or none allowed.
    #[default]
    Done,
    /// The message has no body on the wire (HEAD, 204, 304), whatever is given for it.
    Discard,
    /// Exactly this many bytes more.
    Length(u64),
    Chunked,
    /// As it comes; the close ends it.
    UntilClose,
}

/// What is wrong with how a body was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    TooLong,
    TooShort,
}

impl Misfit {
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::TooLong => "more body bytes than the head declared",
            Self::TooShort => "fewer body bytes than the head declared",
        }
    }
}

impl Outgoing {
    /// Writes what ends the body.
    pub(crate) fn end(&mut self, wr: &mut Buffer, trailers: Option<&Fields>) -> Result<(), Misfit> {
        match *self {
            Self::Length(left) if left > 0 => return Err(Misfit::TooShort),
            Self::Chunked => {
                wr.put(b"0\r\n");
                for (name, value) in trailers.into_iter().flat_map(Fields::lines) {
                    if !forbidden_in_trailers(name) {
                        super::encode::field(wr, name, value);
                    }
                }
                wr.put(b"\r\n");
            }
            _ => {}
        }
        *self = Self::Done;
        Ok(())
    }
}

/// A chunk-size line.
pub(crate) struct SizeLine {
    bytes: [u8; 18],
    start: usize,
}

impl SizeLine {
    pub(crate) fn new(mut size: usize) -> Self {
        let mut line = Self { bytes: *b"0000000000000000\r\n", start: 16 };
        while size > 0 || line.start == 16 {
            line.start -= 1;
            line.bytes[line.start] = b"0123456789abcdef"[size & 15];
            size >>= 4;
        }
        line
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_lines_are_hexadecimal() {
        for (size, line) in
            [(0, "0\r\n"), (9, "9\r\n"), (255, "ff\r\n"), (65536, "10000\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
        {
            assert_eq!(SizeLine::new(size).bytes(), line.as_bytes());
        }
    }
}
