//! A client that sends raw bytes and reads answers to the letter.
//!
//! Place: stand.rs -> [client] -> the edge's port
//! Rule:  every read has a limit; a body that is cut short is told apart from a whole one.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::{field, LIMIT};

/// An answer as it reached a client.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body was as long as announced.
    pub whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// A client that sends raw bytes.
pub struct Client(pub BufReader<TcpStream>);

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
        self
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: site.example\r\n\r\n"))
            .answer()
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: site.example\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send([head.as_bytes(), body].concat()).answer()
    }

    /// The head of the next answer.
    pub fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).unwrap() == 0 {
                break;
            }
        }
        head
    }

    /// The next answer to anything but HEAD.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let mut body = Vec::new();
        let mut whole = true;
        if let Some(length) = field(&head, "content-length") {
            let length: u64 = length.parse().unwrap();
            (&mut self.0).take(length).read_to_end(&mut body).unwrap();
            whole = body.len() as u64 == length;
        } else if field(&head, "transfer-encoding").is_some() {
            whole = self.chunks(&mut body).is_some();
        }
        Answer {
            status,
            head,
            body,
            whole,
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            let size = u64::from_str_radix(line.trim(), 16).ok()?;
            (&mut self.0).take(size).read_to_end(body).ok()?;
            let mut end = [0; 2];
            self.0.read_exact(&mut end).ok()?;
            if size == 0 {
                return Some(());
            }
        }
    }

    /// The edge has closed, with or without a reset.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}
