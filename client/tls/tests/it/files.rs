//! Files that cannot be used, and files that are not as they should be.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use gavel_tls::{ClientFiles, ClientTls, ServerFiles, ServerTls, load_text};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};

use crate::authority::{Authority, Folder, expired, not_yet_valid};

struct Good {
    folder: Folder,
    authority: Authority,
    files: ServerFiles,
}

fn good() -> Good {
    let (folder, authority) = (Folder::new(), Authority::new("a"));
    let issued = authority.issue("gavel.test");
    let files = ServerFiles {
        cert: folder.write("tls.crt", issued.certificate),
        key: folder.write("tls.key", issued.key),
        client_ca: Some(folder.write("ca.crt", authority.0.pem())),
        client_crl: Some(folder.write("ca.crl", authority.revoked(&[], false))),
    };
    Good { folder, authority, files }
}

#[test]
fn errors_name_the_file_and_what_is_wrong_with_it() {
    let Good { folder, authority, files } = good();
    ServerTls::load(&files, &[]).unwrap();
    let (certificate, key) = (std::fs::read(&files.cert).unwrap(), std::fs::read(&files.key).unwrap());
    let pem = authority.0.pem();
    let half = &pem.as_bytes()[..pem.len() / 2];
    let other_key = authority.issue("other").key;
    for (name, content, why) in [
        ("tls.crt", &b""[..], "there is no certificate"),
        ("tls.crt", b"hello", "there is no certificate"),
        ("tls.crt", &key, "there is no certificate"),
        ("tls.crt", half, "is the file whole?"),
        (
            "tls.crt",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate 1: it cannot be read",
        ),
        ("tls.crt", b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "PEM"),
        ("tls.key", b"", "there is no private key"),
        ("tls.key", &certificate, "there is no private key"),
        (
            "tls.key",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "the private key cannot be used",
        ),
        ("tls.key", other_key.as_bytes(), "do not belong together"),
        ("ca.crt", b"", "there is no certificate"),
        ("ca.crt", half, "is the file whole?"),
        ("ca.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1: "),
        ("ca.crl", &certificate, "there is no revocation list"),
        ("ca.crl", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "ca.crl: "),
    ] {
        let before = std::fs::read(folder.path(name)).unwrap();
        folder.write(name, content);
        let error = ServerTls::load(&files, &[]).unwrap_err().to_string();
        assert!(error.contains(&folder.path(name).display().to_string()), "{error}");
        assert!(error.contains(why), "{name}, {why}: {error}");
        folder.write(name, before);
    }
    for name in ["tls.crt", "tls.key", "ca.crt", "ca.crl"] {
        let before = std::fs::read(folder.path(name)).unwrap();
        std::fs::remove_file(folder.path(name)).unwrap();
        let error = ServerTls::load(&files, &[]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("No such file"), "{error}");
        std::fs::create_dir(folder.path(name)).unwrap();
        let error = ServerTls::load(&files, &[]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("not a regular file"), "{error}");
        std::fs::remove_dir(folder.path(name)).unwrap();
        folder.write(name, before);
    }
    let without_authorities = ServerFiles { client_ca: None, ..files };
    let error = ServerTls::load(&without_authorities, &[]).unwrap_err().to_string();
    assert!(error.contains("ca.crl: revocation lists need the authorities"), "{error}");
}

#[test]
fn errors_say_nothing_of_keys() {
    let Good { folder, files, .. } = good();
    let key = std::fs::read_to_string(&files.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for broken in
        [key.replace("-----END", "-----FIN"), key.replace('=', "!"), format!("{key}{key}").replace('\n', "")]
    {
        folder.write("tls.key", broken);
        if let Err(error) = ServerTls::load(&files, &[]) {
            let told = format!("{error} {error:?}");
            assert!(!told.contains(secret) && !told.contains(&secret[..20]), "{told}");
        }
    }
}

#[test]
fn what_is_served_all_the_same_is_told() {
    let Good { folder, authority, files } = good();
    assert_eq!(ServerTls::load(&files, &[]).unwrap().1, Vec::<String>::new());
    let client_only = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let of_an_authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    for (issued, why) in [
        (authority.issue_as("gavel.test", expired), "the certificate has expired"),
        (authority.issue_as("gavel.test", not_yet_valid), "the certificate is not valid yet"),
        (authority.issue_as("gavel.test", of_an_authority), "CA:TRUE"),
        (authority.issue_as("gavel.test", client_only), "lacks serverAuth"),
    ] {
        folder.write("tls.crt", issued.certificate);
        folder.write("tls.key", issued.key);
        let (_, warnings) = ServerTls::load(&files, &[]).unwrap();
        assert!(matches!(warnings.as_slice(), [one] if one.contains(why)), "{warnings:?}");
    }
    let client = ClientFiles {
        ca: folder.path("ca.crt"),
        cert_and_key: Some((files.cert.clone(), files.key.clone())),
    };
    assert_eq!(ClientTls::load(&client, &[]).unwrap().1, Vec::<String>::new());
    std::fs::set_permissions(&files.key, Permissions::from_mode(0o644)).unwrap();
    for warnings in [ServerTls::load(&files, &[]).unwrap().1, ClientTls::load(&client, &[]).unwrap().1] {
        assert!(warnings.iter().any(|one| one.contains("tls.key: everybody")), "{warnings:?}");
    }
}

#[test]
fn texts() {
    let folder = Folder::new();
    assert_eq!(load_text(folder.write("token", "abc\n")).unwrap(), "abc\n");
    for (content, why) in [(&b" \n"[..], "it is empty"), (b"ab\xff", "no UTF-8 after 2 bytes")] {
        let error = load_text(folder.write("token", content)).unwrap_err().to_string();
        assert!(error.contains("token: ") && error.contains(why), "{error}");
    }
    let large = vec![b'x'; (16 << 20) + 1];
    let error = load_text(folder.write("token", large)).unwrap_err().to_string();
    assert!(error.contains("larger than 16 MiB"), "{error}");
}
