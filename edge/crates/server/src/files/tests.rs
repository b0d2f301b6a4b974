//! Real files behind real requests: what is sent, what is not, and what is said about it.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use tempfile::TempDir;

use super::*;

mod parts;

struct Site {
    dir: TempDir,
    app: StaticFiles,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let app = StaticFiles {
            access: None,
            root: dir.path().to_owned(),
            index: vec!["index.html".into()],
            fallback: None,
            cache_control: Some("public, max-age=60".into()),
            compress: false,
        };
        Self { dir, app }
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let rest = parts.uri.path().to_owned();
        match serve(&self.app, &rest, &parts).await {
            Ok(response) => Answered::of(response).await,
            Err(refusal) => Answered {
                status: refusal.status.as_u16(),
                headers: HeaderMap::new(),
                body: Ok(refusal.code.into()),
            },
        }
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, &[]).await
    }
}

#[derive(Debug)]
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Result<Vec<u8>, String>,
}

impl Answered {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|all| all.to_bytes().to_vec());
        let body = body.map_err(|fault| fault.to_string());
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_file_is_sent_whole_and_described() {
    let site = Site::new();
    site.put("css/site.css", "body{}");
    let got = site.get("/css/site.css").await;
    assert_eq!((got.status, got.text().as_str()), (200, "body{}"));
    assert_eq!(got.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(got.header("content-length"), "6");
    assert_eq!(got.header("cache-control"), "public, max-age=60");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("accept-ranges"), "bytes");
    assert!(got.header("etag").starts_with('"') && got.header("last-modified").ends_with("GMT"));
    let head = site.ask("HEAD", "/css/site.css", &[]).await;
    assert_eq!(
        (
            head.status,
            head.text().as_str(),
            head.header("content-length")
        ),
        (200, "", "6")
    );
}

#[tokio::test]
async fn large_and_empty_files_arrive_byte_for_byte() {
    let site = Site::new();
    let large: Vec<u8> = (0..700_001u32).flat_map(|n| n.to_le_bytes()).collect();
    site.put("large.bin", &large).put("empty.txt", "");
    assert_eq!(site.get("/large.bin").await.body.unwrap(), large);
    let empty = site.get("/empty.txt").await;
    assert_eq!(
        (
            empty.status,
            empty.text().as_str(),
            empty.header("content-length")
        ),
        (200, "", "0")
    );
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let site = Site::new();
    site.put("a.txt", "a");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let got = site.ask(method, "/a.txt", &[]).await;
        assert_eq!((got.status, got.header("allow")), (405, "GET, HEAD"));
    }
}

#[tokio::test]
async fn directories_show_their_index_and_send_links_right() {
    let site = Site::new();
    site.put("docs/index.html", "<p>docs")
        .put("index.html", "<p>home")
        .put("bare/x", "x");
    assert_eq!(site.get("/docs/").await.text(), "<p>docs");
    assert_eq!(site.get("/").await.text(), "<p>home");
    let redirect = site.get("/docs?a=1").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (308, "/docs/?a=1")
    );
    for path in ["/bare/", "/bare", "/index.html/", "/docs/index.html/"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_mount_without_its_slash_and_doubled_slashes_stay_on_this_host() {
    let site = Site::new();
    site.put("index.html", "home")
        .put("evil.example/index.html", "x");
    let parts = Request::get("/mount").body(()).unwrap().into_parts().0;
    let got = Answered::of(serve(&site.app, "", &parts).await.unwrap()).await;
    assert_eq!((got.status, got.header("location")), (308, "/mount/"));
    let mut parts = Request::get("/").body(()).unwrap().into_parts().0;
    parts.uri = http::Uri::builder()
        .path_and_query("//evil.example")
        .build()
        .unwrap();
    let got = Answered::of(serve(&site.app, "//evil.example", &parts).await.unwrap()).await;
    assert_eq!(
        (got.status, got.header("location")),
        (308, "/evil.example/")
    );
}

#[tokio::test]
async fn the_fallback_answers_for_pages_not_for_missing_parts_of_them() {
    let mut site = Site::new();
    site.put("app.html", "<div id=app>");
    site.app.fallback = Some("app.html".into());
    for (path, accept) in [
        ("/users/7", "*/*"),
        ("/", ""),
        ("/v1.2/x", "*/*"),
        ("/a.png", "text/html,*/*"),
    ] {
        let got = site.ask("GET", path, &[("accept", accept)]).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, "<div id=app>"),
            "{path}"
        );
        assert_eq!(got.header("content-type"), "text/html; charset=utf-8");
    }
    for path in ["/main.js", "/logo.png", "/app.css"] {
        assert_eq!(
            site.ask("GET", path, &[("accept", "*/*")]).await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_hidden_special_or_outside_is_not_there() {
    let site = Site::new();
    site.put("ok.txt", "ok")
        .put(".env", "SECRET=1")
        .put(".git/config", "x")
        .put("a/.b/c", "x");
    site.put(".well-known/security.txt", "mail us");
    fs::write(site.dir.path().parent().unwrap().join("mpe-outside"), "out").unwrap();
    symlink("../mpe-outside", site.dir.path().join("out")).unwrap();
    symlink("/etc/passwd", site.dir.path().join("passwd")).unwrap();
    symlink("/proc/self/environ", site.dir.path().join("environ")).unwrap();
    symlink("ok.txt", site.dir.path().join("alias.txt")).unwrap();
    symlink("loop", site.dir.path().join("loop")).unwrap();
    let pipe = site.dir.path().join("pipe");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, rustix::fs::Mode::RUSR, 0).unwrap();
    let long = format!("/{}", "x".repeat(300));
    for path in [
        "/.env",
        "/.git/config",
        "/a/.b/c",
        "/out",
        "/passwd",
        "/environ",
        "/loop",
        "/pipe",
        "/none",
        "/ok.txt/x",
        "/%2e%2e/mpe-outside",
        "/..%2fmpe-outside",
        "/ok.txt%00",
        "/%2fetc%2fpasswd",
        &long,
    ] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    assert_eq!(site.get("/alias.txt").await.text(), "ok");
    assert_eq!(
        site.get("/.well-known/security.txt").await.text(),
        "mail us"
    );
    fs::remove_file(site.dir.path().parent().unwrap().join("mpe-outside")).unwrap();
}

#[tokio::test]
async fn a_missing_root_and_a_closed_file_are_told_apart_from_a_missing_file() {
    let mut site = Site::new();
    site.put("closed.txt", "x");
    fs::set_permissions(
        site.dir.path().join("closed.txt"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    if !rustix::process::geteuid().is_root() {
        assert_eq!(site.get("/closed.txt").await.text(), "edge.file_forbidden");
    }
    site.app.root = "/no/such/root".into();
    let parts = Request::get("/a").body(()).unwrap().into_parts().0;
    let refusal = serve(&site.app, "/a", &parts).await.unwrap_err();
    assert_eq!(refusal.status, 500);
    assert!(
        refusal.detail.contains("/no/such/root"),
        "{}",
        refusal.detail
    );
}
