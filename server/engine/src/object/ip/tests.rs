use super::*;

#[test]
fn addresses() {
    for (text, expected) in [
        ("10.0.0.1", Some("10.0.0.1")),
        ("010.000.0.01", Some("10.0.0.1")),
        ("256.0.0.1", None),
        ("10.0.0", None),
        ("10.0.0.1.", None),
        ("10.0.0.1 ", None),
        ("", None),
        ("::", Some("::")),
        ("::1", Some("::1")),
        ("1::", Some("1::")),
        ("fd00::10:0:0:1", Some("fd00::10:0:0:1")),
        ("00001::1", Some("1::1")),
        ("12345::1", None),
        ("1:2:3:4:5:6:7:8", Some("1:2:3:4:5:6:7:8")),
        ("1:2:3:4:5:6:7", None),
        ("1:2:3:4:5:6:7:8:9", None),
        ("1:2:3:4:5:6:7::8", None),
        ("1::2::3", None),
        ("1:", None),
        (":1", None),
        ("fe80::1%eth0", None),
        ("::ffff:10.0.0.1", Some("10.0.0.1")),
        ("::ffff:a00:1", Some("10.0.0.1")),
        ("1:2:3:4:5:6:10.0.0.1", Some("1:2:3:4:5:6:a00:1")),
        ("1:2:3:4:5:6:7:10.0.0.1", None),
        ("1:2:10.0.0.1", None),
    ] {
        let expected = expected.map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(parse_ip(text), expected, "{text:?}");
    }
}

#[test]
fn cidrs() {
    for (text, expected) in [
        ("10.0.0.0/8", Some(("10.0.0.0/8", 8))),
        ("10.1.2.3/8", Some(("10.0.0.0/8", 8))),
        ("010.0.0.0/08", Some(("10.0.0.0/8", 8))),
        ("0.0.0.0/0", Some(("0.0.0.0/0", 0))),
        ("10.0.0.0/33", None),
        ("10.0.0.0/-1", None),
        ("10.0.0.0/+8", None),
        ("10.0.0.0/", None),
        ("10.0.0.0", None),
        ("10.0.0.0/8/9", None),
        ("::/0", Some(("::/0", 0))),
        ("fd00:1::5/32", Some(("fd00:1::/32", 32))),
        ("fd00::/129", None),
        ("::ffff:10.1.2.3/104", Some(("10.0.0.0/8", 104))),
        ("::ffff:0.0.0.0/96", Some(("0.0.0.0/0", 96))),
        ("::ffff:10.1.2.3/90", Some(("::ffc0:0:0/90", 90))),
    ] {
        let expected = expected.map(|(net, prefix): (&str, u8)| (net.parse::<IpNet>().unwrap(), prefix));
        assert_eq!(parse_cidr(text).map(|cidr| (cidr.net, cidr.written_prefix)), expected, "{text:?}");
    }
}
