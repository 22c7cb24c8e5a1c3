//! A strict reader of HTTP/1.1, independent of the product's own: what the gateway sends to servers and to clients is read by this.
//!
//! Strict means that whatever two readers could understand differently is an error: a length that is repeated or stands beside a
//! coding, a line that does not end in CR LF, a name with anything but token characters. Pure: bytes in, heads and bodies out.

use bytes::{Buf as _, Bytes, BytesMut};

/// More than a head may measure.
const LONGEST_HEAD: usize = 64 << 10;

/// A message head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The three parts of its first line.
    pub line: [String; 3],
    pub fields: Vec<(String, String)>,
}

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What is wrong with what was read.
pub type Fault = String;

impl Head {
    /// Takes a head from the beginning of `buf`, once it is whole.
    ///
    /// # Errors
    /// It can be read in more than one way, or is no HTTP.
    pub fn take(buf: &mut BytesMut) -> Result<Option<Self>, Fault> {
        let Some(end) = buf.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if buf.len() > LONGEST_HEAD { Err("a head without end".into()) } else { Ok(None) };
        };
        let bytes = buf.split_to(end + 4);
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut parts = first.splitn(3, ' ').map(str::to_owned);
        let line = [0; 3].map(|_| parts.next().unwrap_or_default());
        if line[..2].iter().any(String::is_empty) || has_control(first) {
            return Err(format!("{first:?} is no first line"));
        }
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Some(Self { line, fields }))
    }

    /// The only value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The number that this field holds.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.line[1].parse().unwrap_or(0)
    }

    /// How the body of this request ends.
    ///
    /// # Errors
    /// That can be understood in more than one way.
    pub fn request_framing(&self) -> Result<Framing, Fault> {
        Ok(self.framing()?.unwrap_or(Framing::None))
    }

    /// How the body of this response ends.
    ///
    /// # Errors
    /// That can be understood in more than one way.
    pub fn response_framing(&self) -> Result<Framing, Fault> {
        let framing = self.framing()?;
        Ok(match self.status() {
            100..=199 | 204 | 304 => Framing::None,
            _ => framing.unwrap_or(Framing::UntilClose),
        })
    }

    fn framing(&self) -> Result<Option<Framing>, Fault> {
        let lengths: Vec<_> = self.all("content-length").collect();
        let codings: Vec<_> = self.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Ok(None),
            ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(|length| Some(Framing::Length(length))).map_err(|_| format!("a length of {length}"))
            }
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            _ => Err(format!("lengths {lengths:?} and codings {codings:?}")),
        }
    }
}

fn field(line: &str) -> Result<(String, String), Fault> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is no field"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) || has_control(value) {
        return Err(format!("{line:?} is no field"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
}

/// A body as it is read.
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of data follow.
    Data(u64),
    Size,
    /// The end of a chunk.
    End,
    Trailer,
    Done,
}

impl Body {
    /// Before its first byte.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Data(n),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::Data(u64::MAX),
        };
        Self { framing, state }
    }

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection ended: whether that completes it.
    pub fn ends_with_connection(&self) -> bool {
        self.is_done() || self.framing == Framing::UntilClose
    }

    /// Takes what there is of it from `buf`; `None`: nothing more for now.
    ///
    /// # Errors
    /// A chunk is framed in a way that another reader might understand differently.
    pub fn take(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Data(_) if buf.is_empty() => return Ok(None),
                State::Data(left) => {
                    let data = buf.split_to((buf.len() as u64).min(left) as usize).freeze();
                    let left = left - data.len() as u64;
                    self.state = match (left, self.framing) {
                        (0, Framing::Chunked) => State::End,
                        (0, _) => State::Done,
                        _ => State::Data(left),
                    };
                    return Ok(Some(data));
                }
                State::End => match buf.get(..2) {
                    None => return Ok(None),
                    Some(b"\r\n") => {
                        buf.advance(2);
                        self.state = State::Size;
                    }
                    Some(_) => return Err("a chunk that is longer than its size".into()),
                },
                State::Size | State::Trailer => {
                    let Some(end) = buf.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
                    let line = buf.split_to(end + 2);
                    self.line(&line[..end])?;
                }
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let text = std::str::from_utf8(line).map_err(|_| "a line between chunks that is no text")?;
        self.state = match (self.state, text) {
            (State::Trailer, "") => State::Done,
            (State::Trailer, _) => {
                field(text)?;
                State::Trailer
            }
            _ if text.is_empty() || text.len() > 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                return Err(format!("{text:?} is no size of a chunk"));
            }
            _ => match u64::from_str_radix(text, 16) {
                Ok(0) => State::Trailer,
                Ok(size) => State::Data(size),
                Err(_) => return Err(format!("{text:?} is no size of a chunk")),
            },
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Fault> {
        Head::take(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head_is_taken_when_it_is_whole_and_what_follows_stays() {
        let mut buf = BytesMut::from("GET /a HTTP/1.1\r\nHost: a\r\nX-N: 7 \r\n\r\nrest");
        let head = Head::take(&mut buf).unwrap().unwrap();
        assert_eq!((head.line[1].as_str(), head.get("host"), head.number("x-n")), ("/a", Some("a"), Some(7)));
        assert_eq!(&buf[..], b"rest");
        assert_eq!(self::head("GET /a HTTP/1.1\r\nHost: a\r\n"), Ok(None));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "GET /a\r\n : b\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET /a HTTP/1.1\r\n folded\r\n\r\n",
        ] {
            assert!(head(text).is_err(), "{text:?}");
        }
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Content-Length: +1",
            "Content-Length: 1, 1",
        ] {
            let head = head(&format!("POST /a HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap().unwrap();
            assert!(head.request_framing().is_err(), "{fields}");
        }
    }

    #[test]
    fn bodies_end_as_their_framing_says() {
        let all = |framing, bytes: &str| {
            let (mut body, mut buf, mut read) = (Body::new(framing), BytesMut::from(bytes), Vec::new());
            while let Some(data) = body.take(&mut buf)? {
                read.extend_from_slice(&data);
            }
            Ok::<_, Fault>((String::from_utf8(read).unwrap(), body.is_done(), buf.len()))
        };
        assert_eq!(all(Framing::Length(3), "abcd"), Ok(("abc".into(), true, 1)));
        assert_eq!(all(Framing::Chunked, "2\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\nd"), Ok(("abc".into(), true, 1)));
        assert_eq!(all(Framing::Chunked, "2\r\nab\r\n"), Ok(("ab".into(), false, 0)));
        assert!(all(Framing::Chunked, "2\r\nabc\r\n").is_err());
        assert!(all(Framing::Chunked, "2;x\r\nab\r\n").is_err());
    }
}
