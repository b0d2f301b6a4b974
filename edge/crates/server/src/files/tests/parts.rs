//! Parts and versions: ranges, conditions, precompressed siblings, files that change meanwhile.

use super::*;

#[tokio::test]
async fn one_range_is_one_part() {
    let site = Site::new();
    site.put("digits.txt", "0123456789");
    for (range, status, content_range, body) in [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=5-99", 206, "bytes 5-9/10", "56789"),
        ("bytes=10-", 416, "bytes */10", ""),
        ("lines=1-2", 200, "", "0123456789"),
        ("bytes=3-1", 200, "", "0123456789"),
    ] {
        let got = site.ask("GET", "/digits.txt", &[("range", range)]).await;
        assert_eq!(
            (got.status, got.header("content-range")),
            (status, content_range),
            "{range}"
        );
        assert_eq!(got.text(), body, "{range}");
    }
}

#[tokio::test]
async fn several_ranges_are_a_multipart_body_of_the_promised_length() {
    let site = Site::new();
    site.put("digits.txt", "0123456789");
    let got = site
        .ask("GET", "/digits.txt", &[("range", "bytes=0-1,4-5,9-")])
        .await;
    assert_eq!(got.status, 206);
    let boundary = got
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let text = got.text();
    assert_eq!(got.header("content-length"), text.len().to_string());
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    assert_eq!((parts.len(), parts[0], parts[4]), (5, "", "--\r\n"));
    for (part, range, body) in [(1, "0-1", "01"), (2, "4-5", "45"), (3, "9-9", "9")] {
        let wanted = format!("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10\r\n\r\n{body}\r\n");
        assert_eq!(parts[part], wanted);
    }
}

#[tokio::test]
async fn conditions_save_bytes_and_protect_from_mixing_versions() {
    let site = Site::new();
    site.put("a.txt", "version 1");
    let first = site.get("/a.txt").await;
    let (tag, date) = (
        first.header("etag").to_owned(),
        first.header("last-modified").to_owned(),
    );
    for condition in [
        ("if-none-match", tag.as_str()),
        ("if-modified-since", date.as_str()),
    ] {
        let got = site.ask("GET", "/a.txt", &[condition]).await;
        assert_eq!(
            (got.status, got.text().as_str(), got.header("etag")),
            (304, "", tag.as_str())
        );
        assert_eq!(got.header("cache-control"), "public, max-age=60");
        assert_eq!(got.header("content-length"), "");
    }
    assert_eq!(
        site.ask("GET", "/a.txt", &[("if-match", "\"other\"")])
            .await
            .status,
        412
    );
    let resumed = [("range", "bytes=8-"), ("if-range", tag.as_str())];
    assert_eq!(site.ask("GET", "/a.txt", &resumed).await.text(), "1");
    site.put("a.txt", "version two");
    assert_eq!(
        site.ask("GET", "/a.txt", &resumed).await.text(),
        "version two"
    );
}

fn age(path: &Path, back_s: u64) {
    let at = std::time::SystemTime::now() - Duration::from_secs(back_s);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(at)
        .unwrap();
}

#[tokio::test]
async fn precompressed_siblings_are_chosen_by_the_client() {
    let site = Site::new();
    site.put("a.js", "plain")
        .put("a.js.br", "as br")
        .put("a.js.gz", "as gz")
        .put("b.js", "alone");
    for (accept, body, encoding) in [
        ("gzip, br", "as br", "br"),
        ("gzip", "as gz", "gzip"),
        ("zstd, gzip;q=0.5", "as gz", "gzip"),
        ("br;q=0.1, gzip;q=0.9", "as gz", "gzip"),
        ("br;q=0", "plain", ""),
        ("identity", "plain", ""),
    ] {
        let got = site
            .ask("GET", "/a.js", &[("accept-encoding", accept)])
            .await;
        assert_eq!(
            (got.text().as_str(), got.header("content-encoding")),
            (body, encoding),
            "{accept}"
        );
        assert_eq!(got.header("vary"), "accept-encoding");
        assert_eq!(got.header("content-type"), "text/javascript; charset=utf-8");
    }
    assert_eq!(site.get("/b.js").await.header("vary"), "");
    let tags: std::collections::BTreeSet<String> = [
        site.ask("GET", "/a.js", &[("accept-encoding", "br")])
            .await
            .header("etag")
            .to_owned(),
        site.ask("GET", "/a.js", &[("accept-encoding", "gzip")])
            .await
            .header("etag")
            .to_owned(),
        site.get("/a.js").await.header("etag").to_owned(),
    ]
    .into();
    assert_eq!(tags.len(), 3);
}

#[tokio::test]
async fn a_sibling_older_than_its_original_is_left_alone() {
    let site = Site::new();
    site.put("a.js", "edited").put("a.js.gz", "stale");
    age(&site.dir.path().join("a.js.gz"), 60);
    let got = site
        .ask("GET", "/a.js", &[("accept-encoding", "gzip")])
        .await;
    assert_eq!((got.text().as_str(), got.header("vary")), ("edited", ""));
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_ends_in_an_error() {
    let site = Site::new();
    let path = site.dir.path().join("big.bin");
    let change: [fn(&Path); 2] = [
        |path| {
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(200_000)
                .unwrap()
        },
        |path| age(path, 5),
    ];
    for change in change {
        site.put("big.bin", vec![7; 1_000_000]);
        let parts = Request::get("/big.bin").body(()).unwrap().into_parts().0;
        let mut body = serve(&site.app, "/big.bin", &parts)
            .await
            .unwrap()
            .into_body();
        assert!(body.frame().await.unwrap().is_ok());
        change(&path);
        let rest = body.collect().await;
        assert!(rest.is_err());
    }
}

#[tokio::test]
async fn a_file_replaced_by_a_new_one_is_finished_as_it_was() {
    let site = Site::new();
    site.put("big.bin", vec![1; 500_000])
        .put("next.bin", vec![2; 500_000]);
    let parts = Request::get("/big.bin").body(()).unwrap().into_parts().0;
    let body = serve(&site.app, "/big.bin", &parts)
        .await
        .unwrap()
        .into_body();
    fs::rename(
        site.dir.path().join("next.bin"),
        site.dir.path().join("big.bin"),
    )
    .unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), vec![1; 500_000]);
}

#[tokio::test]
async fn pieces_are_bounded() {
    let site = Site::new();
    site.put("big.bin", vec![1; 3_000_000]);
    let parts = Request::get("/big.bin").body(()).unwrap().into_parts().0;
    let mut body = serve(&site.app, "/big.bin", &parts)
        .await
        .unwrap()
        .into_body();
    while let Some(frame) = body.frame().await {
        assert!(frame.unwrap().into_data().unwrap().len() <= 128 * 1024);
    }
}
