//! One fault at a time in what a snapshot says about identity: its place and the reason given.

use serde_json::json;

use super::snapshot::with;

#[test]
fn every_fault_has_its_place_and_reason() {
    for (pointer, value, path, message) in [
        (
            "/identity/app",
            json!("ghost"),
            "identity.app",
            "is not among apps",
        ),
        (
            "/identity/app",
            json!("files"),
            "identity.app",
            "is not a pool",
        ),
        (
            "/identity/mount",
            json!("/-/accounts/"),
            "identity.mount",
            "in normal form",
        ),
        (
            "/identity/issuer",
            json!(""),
            "identity.issuer",
            "1 to 256 bytes",
        ),
        (
            "/identity/issuer",
            json!("a\nb"),
            "identity.issuer",
            "without control characters",
        ),
        (
            "/identity/signing/kid",
            json!("a b"),
            "identity.signing.kid",
            "must be 1 to 64",
        ),
        (
            "/identity/signing/seed",
            json!("AAAA"),
            "identity.signing.seed",
            "32 bytes",
        ),
        (
            "/identity/signing/seed",
            json!("!"),
            "identity.signing.seed",
            "not base64",
        ),
        (
            "/identity/signing/extra",
            json!(1),
            "identity.signing.extra",
            "unknown field",
        ),
        (
            "/identity/published/0/kid",
            json!(""),
            "identity.published[0].kid",
            "must be 1 to 64",
        ),
        (
            "/identity/published/0/x",
            json!("AAAA"),
            "identity.published[0].x",
            "32 bytes in base64url",
        ),
        (
            "/identity/published/0",
            json!({"kid": "a"}),
            "identity.published[0]",
            "missing field `x`",
        ),
        (
            "/identity/refresh_before_s",
            json!(1801),
            "identity.refresh_before_s",
            "0 to 1800",
        ),
        (
            "/identity/stale_s",
            json!(1800.5),
            "identity.stale_s",
            "0 to 1800",
        ),
        ("/identity/skew_s", json!(-1), "identity.skew_s", "0 to 300"),
        (
            "/identity/poll_s",
            json!(0),
            "identity.poll_s",
            "0.01 to 60",
        ),
        (
            "/identity/call_s",
            json!(61),
            "identity.call_s",
            "0.01 to 60",
        ),
        (
            "/identity/credential_s",
            json!(3601),
            "identity.credential_s",
            "0 to 3600",
        ),
        (
            "/identity/sessions_max",
            json!(0),
            "identity.sessions_max",
            "1 to 1000000",
        ),
        (
            "/identity/credentials_max",
            json!(-1),
            "identity.credentials_max",
            "expected usize",
        ),
        (
            "/identity/revocations_max",
            json!(1_000_001),
            "identity.revocations_max",
            "1 to 1000000",
        ),
        (
            "/identity/roles/admin",
            json!("*"),
            "identity.roles.admin",
            "expected a sequence",
        ),
        (
            "/identity/roles/admin/0",
            json!(""),
            "identity.roles.admin[0]",
            "1 to 512 bytes",
        ),
        (
            "/identity/extra",
            json!(1),
            "identity.extra",
            "unknown field",
        ),
        (
            "/apps/old/access/require",
            json!([]),
            "apps.old.access.require",
            "at least one term",
        ),
        (
            "/apps/old/access/require/0",
            json!("admin"),
            "apps.old.access.require[0]",
            "\"admin\" is none of",
        ),
        (
            "/apps/old/access/require/0",
            json!("role:"),
            "apps.old.access.require[0]",
            "needs a name",
        ),
        (
            "/apps/old/access/require/0",
            json!("Role:x"),
            "apps.old.access.require[0]",
            "is none of",
        ),
        (
            "/apps/old/access/require/0",
            json!("user:ann"),
            "apps.old.access.require[0]",
            "is none of",
        ),
        (
            "/apps/old/access/guards/0/path",
            json!("/a/"),
            "apps.old.access.guards[0].path",
            "end without",
        ),
        (
            "/apps/old/access/guards/0/path",
            json!("/%61"),
            "apps.old.access.guards[0].path",
            "decoded",
        ),
        (
            "/apps/old/access/guards/0/path",
            json!(""),
            "apps.old.access.guards[0].path",
            "begin with /",
        ),
        (
            "/apps/old/access/guards/0/require",
            json!([]),
            "apps.old.access.guards[0].require",
            "at least one term",
        ),
        (
            "/apps/old/access/guards/0/require",
            json!("user"),
            "apps.old.access.guards[0].require",
            "expected a sequence",
        ),
        (
            "/apps/old/access/guards/0/methods",
            json!(["post"]),
            "apps.old.access.guards[0].methods[0]",
            "in upper case",
        ),
        (
            "/apps/old/access/guards/0/methods",
            json!([""]),
            "apps.old.access.guards[0].methods[0]",
            "in upper case",
        ),
        (
            "/apps/old/access/guards/0/extra",
            json!(1),
            "apps.old.access.guards[0].extra",
            "unknown field",
        ),
        (
            "/apps/old/access/csrf_exempt",
            json!(["hooks"]),
            "apps.old.access.csrf_exempt[0]",
            "begin with /",
        ),
        (
            "/apps/old/access/cookies",
            json!("keep"),
            "apps.old.access.cookies",
            "unknown variant",
        ),
        (
            "/apps/old/access/authorization",
            json!(true),
            "apps.old.access.authorization",
            "expected",
        ),
        (
            "/apps/old/access/headers",
            json!({"X-User": "user"}),
            "apps.old.access.headers.X-User",
            "lower-case",
        ),
        (
            "/apps/old/access/headers",
            json!({"cookie": "user"}),
            "apps.old.access.headers.cookie",
            "lower-case",
        ),
        (
            "/apps/old/access/headers",
            json!({"x-user": "sub"}),
            "apps.old.access.headers.x-user",
            "unknown variant",
        ),
        (
            "/apps/old/access/extra",
            json!(1),
            "apps.old.access.extra",
            "unknown field",
        ),
    ] {
        let found = with(pointer, value.clone());
        let one = found.iter().find(|(place, _)| place == path);
        assert!(
            one.is_some_and(|(_, said)| said.contains(message)),
            "{pointer} = {value}: {found:?}"
        );
        assert_eq!(found.len(), 1, "{pointer} = {value}: {found:?}");
    }
}
