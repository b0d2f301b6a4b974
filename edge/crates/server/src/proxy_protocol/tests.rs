//! Each header whole, byte by byte, with a tail, cut at every place, and at random.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn v2_tcp4(extensions: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xd4, 0x31, 0x01, 0xbb];
    v2(0x21, 0x11, &[&addresses[..], extensions].concat())
}

fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut v6 = [0u8; 36];
    v6[..2].copy_from_slice(&[0x20, 0x01]);
    v6[15] = 1;
    v6[32..34].copy_from_slice(&443u16.to_be_bytes());
    vec![
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 54321 443\r\n".to_vec(),
            Some("192.0.2.7:54321"),
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
            Some("[2001:db8::1]:1"),
        ),
        (
            b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(),
            Some("192.0.2.7:1"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
        (v2_tcp4(b""), Some("192.0.2.7:54321")),
        (v2_tcp4(b"\x04\x00\x03abc"), Some("192.0.2.7:54321")),
        (v2(0x21, 0x21, &v6), Some("[2001::1]:443")),
        (v2(0x20, 0x00, b""), None),
        (v2(0x21, 0x31, &[0; 216]), None),
    ]
}

async fn read_from(bytes: &[u8]) -> Result<(Option<SocketAddr>, Vec<u8>), ProxyError> {
    let (mut ours, theirs) = tokio::io::duplex(1 << 17);
    ours.write_all(bytes).await.unwrap();
    drop(ours);
    let (address, mut stream) = read(theirs, Duration::from_secs(5)).await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    Ok((address, rest))
}

#[tokio::test]
async fn the_clients_address_is_read_and_the_next_byte_is_left() {
    for (header, wanted) in good() {
        for tail in [&b""[..], b"G", b"GET / HTTP/1.1\r\n\r\n", b"\r\n"] {
            let (address, rest) = read_from(&[&header, tail].concat()).await.unwrap();
            assert_eq!(address.map(|found| found.to_string()).as_deref(), wanted);
            assert_eq!(rest, tail);
        }
    }
}

#[tokio::test]
async fn a_header_may_arrive_byte_by_byte() {
    for (header, wanted) in good() {
        let (mut ours, theirs) = tokio::io::duplex(1);
        let reading = tokio::spawn(read(theirs, Duration::from_secs(5)));
        ours.write_all(&header).await.unwrap();
        let (address, _) = reading.await.unwrap().unwrap();
        assert_eq!(address.map(|found| found.to_string()).as_deref(), wanted);
    }
}

#[tokio::test]
async fn a_header_cut_short_is_an_error_at_every_place() {
    for (header, _) in good() {
        for length in 0..header.len() {
            assert!(
                read_from(&header[..length]).await.is_err(),
                "{length} of {header:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_exactly_a_header_is_refused() {
    let lines: [&[u8]; 12] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 54321\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        b"PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    ];
    for line in lines {
        assert!(
            matches!(read_from(line).await, Err(ProxyError::Malformed(_))),
            "{line:?}"
        );
    }
    for bytes in [
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x12, &[0; 12]),
    ] {
        assert!(
            matches!(read_from(&bytes).await, Err(ProxyError::Malformed(_))),
            "{bytes:?}"
        );
    }
}

#[tokio::test]
async fn an_endless_header_is_refused_at_its_bound() {
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 5000]].concat();
    assert!(matches!(
        read_from(&long).await,
        Err(ProxyError::Malformed(_))
    ));
    let long = v2(0x20, 0, &vec![0; HEADER_BYTES_MAX + 1]);
    assert!(matches!(
        read_from(&long).await,
        Err(ProxyError::Malformed(_))
    ));
    let longest = v2(0x20, 0, &vec![0; HEADER_BYTES_MAX]);
    assert!(read_from(&longest).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_in_time() {
    let (_ours, theirs) = tokio::io::duplex(64);
    let given_up = read(theirs, Duration::from_secs(3)).await;
    assert!(matches!(given_up, Err(ProxyError::Timeout(_))));
}

proptest! {
    #[test]
    fn any_bytes_after_a_signature_give_an_answer_and_never_a_panic(
        signature in any::<bool>(),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let start = if signature { SIGNATURE } else { b"PROXY TCP4 1" };
        let bytes = [start, &rest, b"\r\n"].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _ = runtime.block_on(read_from(&bytes));
    }

    #[test]
    fn every_address_comes_back_from_either_version(ip in any::<[u8; 4]>(), port in any::<u16>()) {
        let wanted = SocketAddr::from((ip, port));
        let line = format!("PROXY TCP4 {} 192.0.2.1 {port} 80\r\n", wanted.ip());
        prop_assert_eq!(parse::line(line.as_bytes()).unwrap(), Some(wanted));
        let [high, low] = port.to_be_bytes();
        let rest = [&ip[..], &[1, 2, 3, 4, high, low, 0, 80]].concat();
        prop_assert_eq!(parse::binary(0x21, 0x11, &rest).unwrap(), Some(wanted));
    }
}
