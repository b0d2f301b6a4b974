//! Where one WebSocket frame ends and the next begins, as far as a visitor has been sent them.
//!
//! Place: tunnel.rs shows it every byte that went to a proven visitor -> [frames]
//! Rule:  no I/O, no copy; a close frame may be sent between two frames and never within one (RFC 6455 section 5.5).

/// Closes a WebSocket for a breach of policy: status 1008 without a reason (RFC 6455 section 7.4.1).
pub const CLOSE_POLICY: [u8; 4] = [0x88, 0x02, 0x03, 0xF0];

/// Longest head of a frame.
const HEAD_BYTES_MAX: usize = 14;

/// A place within a stream of frames.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    payload_left: u64,
}

impl Frames {
    /// These bytes follow.
    pub fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.payload_left > 0 {
                let left = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
                let skipped = left.min(data.len());
                self.payload_left -= skipped as u64;
                data = &data[skipped..];
                continue;
            }
            self.head[self.head_bytes] = data[0];
            self.head_bytes += 1;
            data = &data[1..];
            if let Some(payload) = payload(&self.head[..self.head_bytes]) {
                self.payload_left = payload;
                self.head_bytes = 0;
            }
        }
    }

    /// The next byte begins a frame.
    pub fn is_between(&self) -> bool {
        self.head_bytes == 0 && self.payload_left == 0
    }
}

/// The length of the payload behind a whole head; none while the head is incomplete.
fn payload(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let length_bytes = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if head.len() < 2 + length_bytes + mask_bytes {
        return None;
    }
    let length = &head[2..2 + length_bytes];
    Some(match length_bytes {
        0 => u64::from(second & 0x7F),
        _ => length
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a payload of so many bytes.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(length as u8 | mask),
            126..=65_535 => {
                frame.push(126 | mask);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(127 | mask);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0xFF; length + usize::from(masked) * 4]);
        frame
    }

    #[test]
    fn the_end_of_every_frame_is_found_however_the_bytes_arrive() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let frame = frame(length, masked);
                for piece in [1, 7, frame.len()] {
                    let mut frames = Frames::default();
                    for part in frame.chunks(piece) {
                        frames.pass(part);
                    }
                    assert!(frames.is_between(), "{length} {masked} {piece}");
                    frames.pass(&frame[..frame.len() - 1]);
                    assert!(!frames.is_between(), "{length} {masked} {piece}");
                }
            }
        }
    }
}
