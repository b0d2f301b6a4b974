//! Watches the raw bytes of an HTTP/1 connection for what hyper's parser repairs in silence.
//!
//! Place: client/io.rs feeds it every read -> [watch] -> exchange.rs asks before a request is accepted
//! Rule:  it only ever adds refusals, so a mistake here cannot let anything through. No I/O, no allocation
//!        beyond the start of one line.
//!
//! hyper drops a `Content-Length` beside `Transfer-Encoding`, joins equal lengths, accepts bare line feeds and
//! cuts fragments off targets. The strict layer sees none of that, and two programs could read each differently.

/// What a head holds although no honest client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// A line that ends without a carriage return.
    BareLineFeed,
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoFramings,
    /// More than one `Content-Length` or `Transfer-Encoding`.
    RepeatedFraming,
    /// `#` in the target.
    Fragment,
}

impl Oddity {
    /// A stable code for errors and logs.
    pub fn code(self) -> &'static str {
        match self {
            Oddity::BareLineFeed => "edge.line_end",
            Oddity::TwoFramings => "edge.framing_ambiguous",
            Oddity::RepeatedFraming => "edge.framing_repeated",
            Oddity::Fragment => "edge.target_invalid",
        }
    }

    /// One sentence for the client.
    pub fn message(self) -> &'static str {
        match self {
            Oddity::BareLineFeed => "A line of the request ends without a carriage return.",
            Oddity::TwoFramings => "The request has both Content-Length and Transfer-Encoding.",
            Oddity::RepeatedFraming => "The request gives the length of its body more than once.",
            Oddity::Fragment => "The address of the request holds a fragment.",
        }
    }
}

/// Enough of a line to know its name and, for a length, its digits.
const LINE_START_BYTES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before or within a head.
    Head,
    /// Within a body of known length.
    Body(u64),
    /// Within the line that gives a chunk's size, digits so far.
    ChunkSize(u64, bool),
    /// Within a chunk and its line end.
    Chunk(u64),
    /// After the last chunk; whether the current line is still empty.
    Trailers(bool),
}

/// The watcher of one connection.
#[derive(Debug)]
pub struct Watch {
    place: Place,
    start: [u8; LINE_START_BYTES],
    /// Bytes of the current line, line end not included.
    line_length: usize,
    last: u8,
    first_line: bool,
    lengths: u32,
    codings: u32,
    length: u64,
    heads: u64,
    alien: bool,
    oddity: Option<(u64, Oddity)>,
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            place: Place::Head,
            start: [0; LINE_START_BYTES],
            line_length: 0,
            last: 0,
            first_line: true,
            lengths: 0,
            codings: 0,
            length: 0,
            heads: 0,
            alien: false,
            oddity: None,
        }
    }
}

impl Watch {
    /// Look at what was read.
    pub fn feed(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            data = match self.place {
                Place::Head => self.head(data),
                Place::Body(left) => self.skip(data, left, Place::Body, Place::Head),
                Place::ChunkSize(size, counting) => self.chunk_size(data, size, counting),
                Place::Chunk(left) => {
                    self.skip(data, left, Place::Chunk, Place::ChunkSize(0, true))
                }
                Place::Trailers(empty) => self.trailer(data, empty),
            };
        }
    }

    /// What is odd about head number `head`, counted from 1.
    pub fn oddity_of(&self, head: u64) -> Option<Oddity> {
        self.oddity
            .filter(|(at, _)| *at == head)
            .map(|(_, oddity)| oddity)
    }

    /// The very first line is none of HTTP/1.
    pub fn is_alien(&self) -> bool {
        self.alien
    }

    /// Some bytes of the next head have come, but not all.
    pub fn within_head(&self) -> bool {
        self.place == Place::Head && (self.line_length > 0 || !self.first_line)
    }

    fn note(&mut self, oddity: Oddity) {
        self.oddity.get_or_insert((self.heads + 1, oddity));
    }

    /// One line or the part of one that has come; the rest is returned.
    fn head<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', data) else {
            self.grow_line(data);
            return &[];
        };
        let line = &data[..end];
        if self.line_length == 0 {
            // The whole line is here: no copy.
            let ends_well = line.last() == Some(&b'\r');
            self.whole_line(if ends_well { &line[..end - 1] } else { line }, ends_well);
        } else {
            self.grow_line(line);
            let ends_well = self.last == b'\r';
            let length = (self.line_length - usize::from(ends_well)).min(LINE_START_BYTES);
            let start = self.start;
            self.whole_line(&start[..length], ends_well);
        }
        self.line_length = 0;
        self.last = 0;
        &data[end + 1..]
    }

    fn grow_line(&mut self, part: &[u8]) {
        if let Some(room) = self.start.get_mut(self.line_length..) {
            let taken = room.len().min(part.len());
            room[..taken].copy_from_slice(&part[..taken]);
        }
        if self.first_line && part.contains(&b'#') {
            self.note(Oddity::Fragment);
        }
        self.line_length += part.len();
        self.last = part.last().copied().unwrap_or(self.last);
    }

    fn whole_line(&mut self, line: &[u8], ends_well: bool) {
        if !ends_well {
            self.note(Oddity::BareLineFeed);
        }
        match (line.is_empty(), self.first_line) {
            // Empty lines before a request line are allowed and skipped.
            (true, true) => {}
            (true, false) => self.end_head(),
            (false, true) => {
                self.first_line = false;
                // Of a longer line only the start may be here, without the version.
                self.alien = self.heads == 0
                    && line.len() < LINE_START_BYTES
                    && memchr::memmem::find(line, b" HTTP/1.").is_none();
                if line.contains(&b'#') {
                    self.note(Oddity::Fragment);
                }
            }
            (false, false) => self.field(line),
        }
    }

    fn field(&mut self, line: &[u8]) {
        // Only two names matter and they differ in length.
        if let Some(value) = value_of(line, b"content-length") {
            self.lengths += 1;
            self.length =
                value
                    .iter()
                    .filter(|byte| byte.is_ascii_digit())
                    .fold(0, |sum: u64, digit| {
                        sum.saturating_mul(10)
                            .saturating_add(u64::from(digit - b'0'))
                    });
        } else if value_of(line, b"transfer-encoding").is_some() {
            self.codings += 1;
        }
    }

    fn end_head(&mut self) {
        if self.lengths > 0 && self.codings > 0 {
            self.note(Oddity::TwoFramings);
        } else if self.lengths > 1 || self.codings > 1 {
            self.note(Oddity::RepeatedFraming);
        }
        self.place = match (self.codings, self.length) {
            (0, 0) => Place::Head,
            (0, length) => Place::Body(length),
            _ => Place::ChunkSize(0, true),
        };
        self.heads += 1;
        self.first_line = true;
        (self.lengths, self.codings, self.length) = (0, 0, 0);
    }

    fn skip<'a>(
        &mut self,
        data: &'a [u8],
        left: u64,
        here: fn(u64) -> Place,
        then: Place,
    ) -> &'a [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let left = left - taken as u64;
        self.place = if left == 0 { then } else { here(left) };
        &data[taken..]
    }

    fn chunk_size<'a>(&mut self, data: &'a [u8], mut size: u64, mut counting: bool) -> &'a [u8] {
        for (at, byte) in data.iter().enumerate() {
            if *byte == b'\n' {
                self.place = if size == 0 {
                    Place::Trailers(true)
                } else {
                    Place::Chunk(size.saturating_add(2))
                };
                return &data[at + 1..];
            }
            match char::from(*byte).to_digit(16) {
                Some(digit) if counting => {
                    size = size.saturating_mul(16).saturating_add(u64::from(digit))
                }
                _ => counting = false,
            }
        }
        self.place = Place::ChunkSize(size, counting);
        &[]
    }

    fn trailer<'a>(&mut self, data: &'a [u8], mut empty: bool) -> &'a [u8] {
        for (at, byte) in data.iter().enumerate() {
            match byte {
                b'\n' if empty => {
                    self.place = Place::Head;
                    return &data[at + 1..];
                }
                b'\n' => empty = true,
                b'\r' => {}
                _ => empty = false,
            }
        }
        self.place = Place::Trailers(empty);
        &[]
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let found = line.get(..name.len())?;
    let colon = line.get(name.len()) == Some(&b':');
    (colon && found.eq_ignore_ascii_case(name)).then(|| &line[name.len() + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(bytes: &[u8]) -> Watch {
        let mut watch = Watch::default();
        watch.feed(bytes);
        watch
    }

    fn oddity(bytes: &[u8]) -> Option<Oddity> {
        let whole = watched(bytes).oddity_of(1);
        let mut single = Watch::default();
        bytes.iter().for_each(|byte| single.feed(&[*byte]));
        assert_eq!(whole, single.oddity_of(1), "byte by byte");
        whole
    }

    #[test]
    fn honest_heads_are_not_odd() {
        assert_eq!(
            oddity(b"\r\nGET /?a HTTP/1.1\r\nHost: a\r\nX: #\r\n\r\n"),
            None
        );
        assert_eq!(
            oddity(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nb"),
            None
        );
    }

    #[test]
    fn what_hyper_hides_is_seen() {
        assert_eq!(
            oddity(b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
            Some(Oddity::BareLineFeed)
        );
        assert_eq!(
            oddity(b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
            Some(Oddity::Fragment)
        );
        let both = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 3\r\n\r\n";
        assert_eq!(oddity(both), Some(Oddity::TwoFramings));
        let twice = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(oddity(twice), Some(Oddity::RepeatedFraming));
    }

    #[test]
    fn bodies_are_skipped_so_that_the_next_head_is_found() {
        let bodies: [&[u8]; 2] = [
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n\n\n#\n\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA;x=1\r\n\n\n\n\n\n\n\n\n\n\n\r\n0\r\nT: 1\r\n\r\n",
        ];
        for first in bodies {
            let all = [first, b"GET / HTTP/1.1\nHost: a\r\n\r\n"].concat();
            let mut single = Watch::default();
            all.iter().for_each(|byte| single.feed(&[*byte]));
            for watch in [watched(&all), single] {
                assert_eq!(watch.oddity_of(1), None);
                assert_eq!(watch.oddity_of(2), Some(Oddity::BareLineFeed));
            }
        }
    }

    #[test]
    fn a_client_that_speaks_something_else_is_known() {
        assert!(watched(b"INVALID CONNECTION PREFACE\r\n\r\n").is_alien());
        assert!(!watched(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nx\r\n").is_alien());
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(100));
        let mut single = Watch::default();
        long.bytes().for_each(|byte| single.feed(&[byte]));
        assert!(!single.is_alien());
    }

    #[test]
    fn a_partial_head_is_noticed() {
        assert!(!watched(b"").within_head());
        assert!(watched(b"G").within_head());
        assert!(watched(b"GET / HTTP/1.1\r\n").within_head());
        assert!(!watched(b"GET / HTTP/1.1\r\n\r\n").within_head());
    }
}
