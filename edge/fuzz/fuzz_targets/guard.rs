//! Every reading of a path is normal, and a path never escapes a guard by being encoded once or twice more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::identity::guard::{is_csrf_exempt, is_guard_path, judge, Readings};
use mergepoint_edge_core::identity::{Requirement, Roles, Verdict};
use mergepoint_edge_core::snapshot::{Access, AuthorizationPolicy, CookiePolicy, Guard};
use mergepoint_edge_core::target::NormalPath;

fn access() -> Access {
    Access {
        require: vec![Requirement::Public],
        guards: vec![Guard {
            path: "/admin".to_owned(),
            methods: Vec::new(),
            require: vec![Requirement::Nobody],
        }],
        csrf_exempt: vec!["/hooks".to_owned()],
        cookies: CookiePolicy::Confine,
        headers: Default::default(),
        authorization: AuthorizationPolicy::Consume,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for reading in Readings::of(text).iter() {
        assert_eq!(reading.first(), Some(&b'/'));
        let segments: Vec<&[u8]> = reading[1..].split(|b| *b == b'/').collect();
        for segment in &segments {
            assert!(!matches!(*segment, b"." | b".."));
            assert!(!segment.contains(&b';') && !segment.contains(&b'\\'));
            assert!(!segment.is_empty() || reading == b"/");
        }
        let decoded = std::str::from_utf8(reading).ok();
        // What a guard may name is read as itself.
        if let Some(path) = decoded.filter(|path| is_guard_path(path)) {
            assert_eq!(Readings::of(path).iter().next(), Some(path.as_bytes()));
        }
    }
    let (access, roles) = (access(), Roles::new());
    let verdict = judge(&access, &roles, None, "GET", text);
    let _ = is_csrf_exempt(&access, text);
    let encoded: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let once = judge(&access, &roles, None, "GET", &encoded);
    let first_is_closed = Readings::of(text).iter().next().is_some_and(|r| r.starts_with(b"/admin/"));
    if first_is_closed && !text.contains('%') {
        assert_ne!(verdict, Verdict::Allowed);
        assert_ne!(once, Verdict::Allowed);
    }
    // What the edge lets in means the same to guards before and after its own normal form.
    if let Ok(path) = NormalPath::parse(text) {
        assert_eq!(judge(&access, &roles, None, "GET", path.as_str()), verdict);
    }
});
