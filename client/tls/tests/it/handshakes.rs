//! Who gets through, and who does not.

use std::sync::Arc;

use gavel_tls::{ClientFiles, ClientTls, ServerFiles, ServerTls};
use rcgen::{ExtendedKeyUsagePurpose, SerialNumber};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::{Authority, Folder, Issued, expired, not_yet_valid};

const H2: &[&[u8]] = &[b"h2"];

/// What the server knows of a client it let in.
#[derive(Debug)]
struct Seen {
    certificates: usize,
    protocol: Option<Vec<u8>>,
    was_resumed: bool,
}

/// A handshake and a byte each way, with both sides' errors in words.
async fn shake(server: &ServerTls, client: &ClientTls) -> Result<Seen, String> {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let serving = async {
        let mut stream = TlsAcceptor::from(server.config.clone()).accept(here).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        let connection = stream.get_ref().1;
        let seen = Seen {
            certificates: connection.peer_certificates().map_or(0, <[_]>::len),
            protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            was_resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        };
        std::io::Result::Ok((seen, stream))
    };
    let connecting = async {
        let name = ServerName::try_from("gavel.test").unwrap();
        let mut stream = TlsConnector::from(client.config.clone()).connect(name, there).await?;
        stream.read_u8().await?;
        std::io::Result::Ok(stream)
    };
    match tokio::join!(serving, connecting) {
        (Ok((seen, _)), Ok(_)) => Ok(seen),
        (server, client) => {
            let words =
                |error: Option<std::io::Error>| error.map_or("fine".to_owned(), |error| error.to_string());
            Err(format!("server: {}; client: {}", words(server.err()), words(client.err())))
        }
    }
}

/// A server and its clients' authorities, in files.
struct Site {
    folder: Folder,
    authority: Authority,
    server: ServerFiles,
}

impl Site {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("of servers and clients"));
        let issued = authority.issue("gavel.test");
        let server = ServerFiles {
            cert: folder.write("tls.crt", issued.certificate),
            key: folder.write("tls.key", issued.key),
            client_ca: Some(folder.write("ca.crt", authority.0.pem())),
            client_crl: None,
        };
        Self { folder, authority, server }
    }

    fn server(&self) -> ServerTls {
        ServerTls::load(&self.server, H2).unwrap().0
    }

    fn client(&self, issued: Option<&Issued>) -> ClientTls {
        let cert_and_key = issued.map(|issued| {
            let Issued { certificate, key } = issued;
            (self.folder.write("client.crt", certificate), self.folder.write("client.key", key))
        });
        let files = ClientFiles { ca: self.folder.path("ca.crt"), cert_and_key };
        ClientTls::load(&files, H2).unwrap().0
    }

    async fn shake(&self, issued: Option<&Issued>) -> Result<Seen, String> {
        shake(&self.server(), &self.client(issued)).await
    }
}

#[tokio::test]
async fn with_a_certificate_and_without() {
    let site = Site::new();
    let seen = site.shake(None).await.unwrap();
    assert_eq!((seen.certificates, seen.protocol.as_deref()), (0, Some(&b"h2"[..])));
    let seen = site.shake(Some(&site.authority.issue("alice"))).await.unwrap();
    assert_eq!(seen.certificates, 1);
}

#[tokio::test]
async fn certificates_that_are_no_good() {
    let site = Site::new();
    let server_only = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    for (issued, why) in [
        (Authority::new("of others").issue("alice"), "UnknownIssuer"),
        (site.authority.issue_as("alice", expired), "expired"),
        (site.authority.issue_as("alice", not_yet_valid), "not valid yet"),
        (site.authority.issue_as("alice", server_only), "extended key usage"),
    ] {
        let error = site.shake(Some(&issued)).await.unwrap_err();
        assert!(error.contains("server: invalid peer certificate") && error.contains(why), "{error}");
    }
    // A client that trusts somebody else does not talk to the server.
    let mut client = site.client(None);
    let foreign = ClientFiles {
        ca: site.folder.write("foreign.crt", Authority::new("of others").0.pem()),
        cert_and_key: None,
    };
    client.config = ClientTls::load(&foreign, H2).unwrap().0.config;
    let error = shake(&site.server(), &client).await.unwrap_err();
    assert!(error.contains("client: invalid peer certificate: UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn intermediates_come_with_the_certificate() {
    let site = Site::new();
    let intermediate = site.authority.intermediate("in between");
    let mut issued = intermediate.issue("alice");
    let error = site.shake(Some(&issued)).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    issued.certificate.push_str(&intermediate.0.pem());
    assert_eq!(site.shake(Some(&issued)).await.unwrap().certificates, 2);
}

#[tokio::test]
async fn several_authorities() {
    let mut site = Site::new();
    let other = Authority::new("of more clients");
    let bundle = format!("# two of them\n{}\n{}", site.authority.0.pem(), other.0.pem());
    site.server.client_ca = Some(site.folder.write("bundle.crt", bundle));
    for authority in [&site.authority, &other] {
        site.shake(Some(&authority.issue("alice"))).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_revoked() {
    let mut site = Site::new();
    let with_serial = |serial: u64| {
        site.authority.issue_as("alice", |params| params.serial_number = Some(SerialNumber::from(serial)))
    };
    let (revoked, good) = (with_serial(7), with_serial(8));
    site.server.client_crl = Some(site.folder.write("ca.crl", site.authority.revoked(&[7], false)));
    let error = site.shake(Some(&revoked)).await.unwrap_err();
    assert!(error.contains("server: invalid peer certificate: Revoked"), "{error}");
    site.shake(Some(&good)).await.unwrap();
    site.shake(None).await.unwrap();
    // A list that is overdue, and one of somebody else: it cannot be told whether a certificate is revoked.
    site.folder.write("ca.crl", site.authority.revoked(&[7], true));
    let error = site.shake(Some(&good)).await.unwrap_err();
    assert!(error.contains("revocation list expired"), "{error}");
    site.folder.write("ca.crl", Authority::new("of others").revoked(&[], false));
    let error = site.shake(Some(&good)).await.unwrap_err();
    assert!(error.contains("UnknownRevocationStatus"), "{error}");
}

#[tokio::test]
async fn no_session_outlives_the_authorities_it_began_under() {
    let site = Site::new();
    let (server, client) = (site.server(), site.client(Some(&site.authority.issue("alice"))));
    assert!(!shake(&server, &client).await.unwrap().was_resumed);
    let seen = shake(&server, &client).await.unwrap();
    assert!(seen.was_resumed && seen.certificates == 1, "{seen:?}");
    // The authority is trusted no more: the session that is kept by the client is of no use.
    site.folder.write("new.crt", Authority::new("of new clients").0.pem());
    let files = ServerFiles { client_ca: Some(site.folder.path("new.crt")), ..site.server.clone() };
    let later = ServerTls::load(&files, H2).unwrap().0;
    let error = shake(&later, &client).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn versions_of_tls() {
    let site = Site::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = site.client(None);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(site.authority.0.der().clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        client.config = Arc::new(config);
        shake(&site.server(), &client).await.unwrap();
    }
}
