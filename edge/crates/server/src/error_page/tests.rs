//! What a problem tells, to whom, and that no text of it is ever obeyed.

use http_body_util::BodyExt;

use super::*;

fn failure() -> Failure {
    Failure {
        reason: "ModuleNotFoundError: No module named 'redis'".into(),
        r#where: Some("chat/app.py:12".into()),
        next: Some("mergepoint logs chat".into()),
    }
}

fn problem(failure: &Failure) -> Problem<'_> {
    Problem {
        app: Some("chat"),
        title: "chat has no running worker".into(),
        detail: "The last start of chat failed.".into(),
        failure: Some(failure),
        retry_after_s: Some(5),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "edge.no_slot", "req-7")
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_developer_learns_the_app_the_cause_the_place_and_the_next_command() {
    let failure = failure();
    for form in [ErrorForm::Html, ErrorForm::Json, ErrorForm::Text] {
        let response = render(&problem(&failure), form, Mode::Development);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let text = text(response).await.replace("&#39;", "'");
        for told in [
            "chat",
            "No module named 'redis'",
            "chat/app.py:12",
            "mergepoint logs chat",
            "req-7",
        ] {
            assert!(text.contains(told), "{form:?} lacks {told}: {text}");
        }
    }
}

#[tokio::test]
async fn a_visitor_in_production_learns_only_the_request_id() {
    let failure = failure();
    for form in [ErrorForm::Html, ErrorForm::Json, ErrorForm::Text] {
        let text = text(render(&problem(&failure), form, Mode::Production)).await;
        for hidden in ["chat", "redis", "app.py", "mergepoint", "last start"] {
            assert!(!text.contains(hidden), "{form:?} tells {hidden}: {text}");
        }
        assert!(text.contains("req-7") && text.contains("not available right now"));
        // The code stays where programs read it.
        assert_eq!(text.contains("edge.no_slot"), form == ErrorForm::Json);
    }
}

#[tokio::test]
async fn a_clients_own_fault_is_explained_in_production_too() {
    let refused = Problem {
        detail: "The request names two hosts.".into(),
        ..Problem::new(StatusCode::BAD_REQUEST, "edge.host_twice", "r")
    };
    let text = text(render(&refused, ErrorForm::Json, Mode::Production)).await;
    assert!(text.contains("two hosts") && text.contains("edge.host_twice"));
}

#[tokio::test]
async fn problem_details_follow_their_standard() {
    let response = render(&problem(&failure()), ErrorForm::Json, Mode::Development);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let read: Value = serde_json::from_str(&text(response).await).unwrap();
    let wanted = json!({
        "type": "about:blank", "title": "chat has no running worker", "status": 503,
        "detail": "The last start of chat failed.", "code": "edge.no_slot", "app": "chat",
        "request_id": "req-7", "retry_after_s": 5, "failure": {
            "reason": "ModuleNotFoundError: No module named 'redis'",
            "where": "chat/app.py:12", "next": "mergepoint logs chat",
        },
    });
    assert_eq!(read, wanted);
}

#[tokio::test]
async fn nothing_in_a_problem_becomes_markup_or_a_terminal_command() {
    const EVIL: &str = "\"><script>alert('x')</script>&\u{1b}[2J\u{202e}\u{9b}";
    let failure = Failure {
        reason: EVIL.into(),
        r#where: Some(EVIL.into()),
        next: Some(EVIL.into()),
    };
    let problem = Problem {
        app: Some(EVIL),
        title: EVIL.into(),
        detail: EVIL.into(),
        failure: Some(&failure),
        ..Problem::new(StatusCode::BAD_GATEWAY, EVIL, EVIL)
    };
    let page = text(render(&problem, ErrorForm::Html, Mode::Development)).await;
    assert!(!page.contains("<script") && !page.contains("'x'") && !page.contains('\u{202e}'));
    assert!(page.contains("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"));
    for form in [ErrorForm::Html, ErrorForm::Json, ErrorForm::Text] {
        let text = text(render(&problem, form, Mode::Development)).await;
        assert!(!text.contains('\u{1b}'), "{form:?}");
    }
    let line = text(render(&problem, ErrorForm::Text, Mode::Development)).await;
    assert!(!line.contains('\u{9b}'));
}

#[tokio::test]
async fn the_policy_allows_exactly_the_style_on_the_page() {
    use base64::{engine::general_purpose::STANDARD, Engine as _};
    use sha2::{Digest, Sha256};
    let response = render(&problem(&failure()), ErrorForm::Html, Mode::Production);
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let page = text(response).await;
    let style = page
        .split("<style>")
        .nth(1)
        .unwrap()
        .split("</style>")
        .next()
        .unwrap();
    let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
    assert!(policy.starts_with("default-src 'none'; "));
    assert!(
        policy.contains(&format!("style-src 'sha256-{digest}'")),
        "{policy}"
    );
    assert!(!page.contains(" style=") && !page.contains("<script"));
}

#[tokio::test]
async fn only_a_developers_page_reloads_itself() {
    let failure = failure();
    let developed = text(render(
        &problem(&failure),
        ErrorForm::Html,
        Mode::Development,
    ))
    .await;
    assert!(developed.contains("http-equiv=\"refresh\" content=\"5\""));
    let served = text(render(
        &problem(&failure),
        ErrorForm::Html,
        Mode::Production,
    ))
    .await;
    assert!(!served.contains("http-equiv"));
}

#[test]
fn every_error_status_has_a_sentence() {
    for status in (400..600).filter_map(|code| StatusCode::from_u16(code).ok()) {
        let title = title(status);
        assert!(
            !title.is_empty() && !title.contains(|c: char| c.is_ascii_digit()),
            "{status}"
        );
    }
}
