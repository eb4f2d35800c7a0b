use super::*;

fn check(name: &str, rule: fn(&str) -> Complaint, good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(rule(value), None, "{name} {value:?}");
    }
    for value in bad {
        assert!(rule(value).is_some(), "{name} {value:?}");
    }
}

#[test]
fn syntax() {
    let (max, long) = ("a".repeat(63), "a".repeat(64));
    check("label", dns_label, &["a", "a-b", "1", &max], &["", "-a", "a-", "A", "a.b", "a_b", &long]);
    // The parts of a subdomain may be longer than 63: only the whole is measured.
    check(
        "subdomain",
        dns_subdomain,
        &["a", "a.b-c.1", &long],
        &["", "a..b", ".a", "a.", "A", &"a".repeat(254)],
    );
    check(
        "qualified",
        qualified_name,
        &["app", "App_1.x", "example.com/app", "kubernetes.io/metadata.name", &max, &format!("x/{max}")],
        &["", "/app", "a/", "a/b/c", "A.com/b", "-a", "a-", "a b", &long, "ä"],
    );
    check(
        "value",
        label_value,
        &["", "a", "A_b.c-1", "true", &max],
        &["-a", "a-", "a b", "a/b", "_a", &long],
    );
    check(
        "port",
        port_name,
        &["http", "a", "1a", "dns-tcp", "abcdefghijklmno"],
        &["", "80", "HTTP", "a--b", "-a", "a-", "a_b", "abcdefghijklmnop"],
    );
    check("segment", path_segment, &["a", "system:node", "A b", "..."], &[".", "..", "a/b", "a%b"]);
}
