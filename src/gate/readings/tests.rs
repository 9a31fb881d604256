//! Which readings a path has.

use proptest::prelude::*;

use super::*;

fn readings(sent: &str) -> Vec<String> {
    let readings = PathReadings::from_path(sent).unwrap_or_else(|e| panic!("{sent}: {e}"));
    readings.iter().map(|reading| path::to_printable(reading.path())).collect()
}

fn canonical(sent: &str) -> String {
    readings(sent).remove(0)
}

/// Asserts that these are exactly the readings: the canonical one first, the others in any order.
fn assert_readings(sent: &str, first: &str, others: &[&str]) {
    let mut got = readings(sent);
    assert_eq!(got.remove(0), first, "{sent}");
    let mut others = others.to_vec();
    others.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, others, "{sent}");
}

#[test]
fn a_path_that_nobody_reads_differently_has_one_reading_without_a_copy() {
    for (sent, path) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("/Static/app-1.2_3~x.min.js", "/Static/app-1.2_3~x.min.js"),
        ("/a=b,c:d@e!$&'()*+", "/a=b,c:d@e!$&'()*+"),
    ] {
        let readings = PathReadings::from_path(sent).unwrap();
        assert!(matches!(readings.canonical.path, Cow::Borrowed(_)) && readings.others.is_empty(), "{sent}");
        assert_eq!(readings.canonical().path(), path.as_bytes());
    }
    for sent in [
        "/.well-known/x",
        "/%61dmin",
        "/%E8%B4%A2%E5%8A%A1",
        "/财务",
        "/%D6%D0",
        "/100%25",
        "/%zz",
        "/a[1]|b",
    ] {
        assert_eq!(readings(sent).len(), 1, "{sent}");
    }
}

#[test]
fn the_canonical_reading_is_decoded_once_without_empty_and_dot_segments() {
    for (sent, path) in [
        ("//a///b//", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/..", "/"),
        ("/..", "/"),
        ("/a/...", "/a/..."),
        ("/%61dmin", "/admin"),
        ("/%E8%B4%A2%E5%8A%A1", "/财务"),
        ("/a%20b", "/a%20b"),
        ("/C%23", "/C#"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/a%2fb", "/a%2Fb"),
        ("/%D6%d0", "/%D6%D0"),
    ] {
        assert_eq!(canonical(sent), path, "{sent}");
    }
}

#[test]
fn case_9_each_oddity_is_also_read_as_other_programs_read_it() {
    assert_readings("/a%2Fb", "/a%2Fb", &["/a/b"]);
    assert_readings("/a%5Cb", "/a\\b", &["/a/b"]);
    assert_readings("/a\\b", "/a\\b", &["/a/b"]);
    assert_readings("/%2561", "/%61", &["/a"]);
    assert_readings("/%u0061%u8d22", "/%u0061%u8d22", &["/a财"]);
    assert_readings("/a;v=1/b;jsessionid=9/", "/a;v=1/b;jsessionid=9", &["/a/b"]);
    assert_readings("/a%3bv/b", "/a;v/b", &["/a/b"]);
    assert_readings("/a/../b", "/b", &["/a/../b"]);
    assert_readings("/a/%2e%2E/b", "/b", &["/a/../b"]);
    assert_readings("/a/..;x/b", "/a/..;x/b", &["/a/../b", "/b"]);
    assert_readings("/a;v/../b", "/b", &["/a;v/../b", "/a/../b"]);
    assert_readings("/a%20b", "/a%20b", &["/a"]);
    assert_readings("/a%00.png", "/a%00.png", &["/a"]);
}

#[test]
fn case_42_empty_segments_stand_or_go_and_after_two_slashes_a_host_may_be_read() {
    assert_readings("/a//b", "/a/b", &["/a//b"]);
    assert_readings("//x/admin", "/x/admin", &["//x/admin", "/admin"]);
    assert_readings("///x/admin", "/x/admin", &["///x/admin", "/admin"]);
    assert_readings("//x", "/x", &["//x", "/"]);
    assert_readings("/\\x/admin", "/\\x/admin", &["//x/admin", "/x/admin", "/admin"]);
    // Once by nginx's rule, once by that of RFC 3986.
    assert_readings("/a//../b", "/b", &["/a//../b", "/a/../b", "/a/b"]);
    let found = readings("/.//x/admin");
    assert!(found.contains(&"/admin".to_owned()), "{found:?}");
}

#[test]
fn case_44_a_decoded_question_mark_hash_or_blank_ends_a_path_that_is_written_anew() {
    assert_readings("/admin%3f/x", "/admin?/x", &["/admin"]);
    assert_readings("/admin%23x", "/admin#x", &["/admin"]);
    assert_readings("/admin%253fx", "/admin%3fx", &["/admin?x", "/admin"]);
    assert_readings("/admin%20%3fx", "/admin%20?x", &["/admin%20", "/admin"]);
    for sent in ["/a%0d%0aX:%20y", "/a%0a", "/a%250A"] {
        assert_eq!(PathReadings::from_path(sent), Err(UnreadablePath::LineBreak), "{sent}");
    }
}

#[test]
fn case_9_dot_segments_in_disguise_are_dot_segments() {
    for disguise in [
        "..%20",
        "%20..",
        "..%09",
        "..%00",
        "%E2%80%A5",
        "．．",
        "%EF%BC%8E.",
        "..%E3%80%80",
        "%E2%80%8B..",
        "%c0%ae%c0%ae",
        "%c0%ae.",
        "%e0%80%ae.",
        "%252e%252e",
        "..%c0%af..",
        "..／.",
        "%25u002e.",
        "..;a=b",
        "%2e%2e%3b",
        ".%2e;",
    ] {
        let found = readings(&format!("/public/{disguise}/admin"));
        assert!(found.contains(&"/admin".to_owned()), "{disguise}: {found:?}");
    }
    // A segment that only looks similar is a name.
    for name in ["...", "..a", "文档(公开)", "喇叭"] {
        let found = readings(&format!("/public/{name}/x"));
        assert_eq!(found, [format!("/public/{name}/x")]);
    }
}

#[test]
fn names_in_disguise_are_the_names_too() {
    for sent in [
        "/%20admin/x",
        "/admin%C2%A0/x",
        "/%E3%80%80admin%20/x",
        "/ad%09min/x",
        "/public/.%09./admin/x",
        "/%EF%BD%81dmin/x",
        "/ａdmin/x",
        "/admin./x",
        "/admin.%20./x",
        "/(S(a))/admin/x",
        "/admin/(A(b)F(c))/x",
        "/public/(S(a))%2f..%2fadmin/x",
    ] {
        let found = readings(sent);
        assert!(
            found.iter().any(|path| path.starts_with("/admin/x") || path == "/admin/"),
            "{sent}: {found:?}"
        );
    }
    assert_readings("/文档（公开）/x", "/文档（公开）/x", &["/文档(公开)/x"]);
    assert_readings("/a．b/x", "/a．b/x", &["/a.b/x"]);
}

#[test]
fn what_is_encoded_deeper_does_not_hide_what_a_program_sees_before_it_decodes_that() {
    for (sent, also) in [
        // nginx reads this as climbing in; only a program that decodes twice climbs out again.
        ("/x%2F..%2Fadmin/index.php/..%252F..%252F..%252Fy", "/admin/index.php/..%2F..%2F..%2Fy"),
        ("/p/x%2F..%2Fadmin/..%252F..%252Fy", "/p/admin/..%2F..%2Fy"),
        ("/x/..;/admin/export/..%3b/..%3b/y", "/admin/export/..;/..;/y"),
        ("/x\\..\\admin/..%5c..%5cy", "/admin/..\\..\\y"),
        ("/./admin/%2e%2e", "/admin/.."),
        ("/a%2Fb/%252e%252e/admin/x", "/admin/x"),
        ("//h/admin//%2fx", "/admin///x"),
    ] {
        let found = readings(sent);
        assert!(found.contains(&also.to_owned()), "{sent}: {found:?}");
    }
}

#[test]
fn oddities_are_read_together_in_any_order() {
    for (sent, also) in [
        ("/public/..%2fadmin/x", "/admin/x"),
        ("/public/..%252fadmin/x", "/admin/x"),
        ("/public/..%5c..%5cadmin;x/y", "/admin/y"),
        ("/public/%2e%2e;/admin%3fx", "/admin"),
        ("/%5c%5cx/admin;a/b%20c", "/admin/b"),
        ("/a%2F%2e%2e%2F%2Fx%2Fadmin", "/admin"),
        ("//x%2Fy//admin", "/admin"),
    ] {
        let found = readings(sent);
        assert!(found.contains(&also.to_owned()), "{sent}: {found:?}");
    }
}

#[test]
fn a_path_with_more_readings_than_any_browser_sends_is_not_read() {
    let nested = format!("/a%{}2Fb;x//c", "25".repeat(70));
    assert_eq!(PathReadings::from_path(&nested), Err(UnreadablePath::TooManyReadings));
    let long = format!("/{}%2Fb;x//c%3fd", "a".repeat(60_000));
    assert_eq!(PathReadings::from_path(&long), Err(UnreadablePath::TooManyReadings));
    let ordinary = format!("/files/{}%2Fb;v=1//My%20Report", "a".repeat(4000));
    assert!(PathReadings::from_path(&ordinary).is_ok());
}

#[test]
fn a_reading_says_what_was_done_to_the_path() {
    let readings = PathReadings::from_path("/a%2Fb;x").unwrap();
    let words: Vec<String> =
        readings.iter().map(|r| format!("{}: {}", path::to_printable(r.path()), r.changes())).collect();
    assert_eq!(
        words,
        [
            "/a%2Fb;x: as sent",
            "/a/b;x: %2F as a slash",
            "/a%2Fb: without ;parameters",
            "/a/b: %2F as a slash, without ;parameters"
        ]
    );
}

fn encoded(path: &[u8]) -> String {
    path.split(|b| *b == b'/')
        .map(|s| urlencoding::encode_binary(s).into_owned())
        .collect::<Vec<_>>()
        .join("/")
}

const ODD: &str = "/(/|\\.|\\.\\.|;|%2[ef5]|%[0-9a-f]{2}|[a-cA]|财|．|//|\\\\|%){0,12}";

proptest! {
    #[test]
    fn case_9_reading_any_path_ends_with_readings_that_begin_with_a_slash(sent in ODD) {
        if let Ok(readings) = PathReadings::from_path(&sent) {
            let all: Vec<_> = readings.iter().collect();
            prop_assert!(all.len() <= MAX_READINGS);
            for (n, reading) in all.iter().enumerate() {
                prop_assert!(reading.path().starts_with(b"/"));
                prop_assert!(!all[..n].iter().any(|other| other.path() == reading.path()), "twice");
            }
            let canonical = readings.canonical().path();
            prop_assert!(!canonical.windows(2).any(|w| w == b"//"));
            prop_assert!(!canonical.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
        }
    }

    #[test]
    fn the_readings_of_a_reading_are_readings_of_the_path(sent in ODD) {
        let Ok(readings) = PathReadings::from_path(&sent) else { return Ok(()) };
        for reading in readings.iter() {
            if reading.path().len() > 1 && reading.path().ends_with(b"/") {
                continue; // a trailing slash goes by itself
            }
            // Encoding makes sure that decoding once gives this reading again, and what it leads
            // to.
            let again = encoded(reading.path());
            let Ok(again) = PathReadings::from_path(&again) else { continue };
            for further in again.iter() {
                prop_assert!(readings.iter().any(|r| r.path() == further.path()), "{:?}", path::to_printable(further.path()));
            }
        }
    }

    #[test]
    fn the_short_way_agrees_with_the_long_one(sent in "/[a-bA./@~-]{0,12}") {
        if path::is_plain(&sent) {
            let long = path::decode_once(sent.as_bytes());
            let short = PathReadings::from_path(&sent).unwrap();
            prop_assert_eq!(short.canonical().path(), path::without_trailing_slash(&long));
            prop_assert!(PathChange::ALL.iter().all(|change| change.apply(short.canonical().path()).is_none()));
        }
    }
}
