//! A server that wants to know who asks, over TLS.

use std::sync::OnceLock;

use gavel_server::config::DecisionLogMode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::{Folder, Said};

/// Writes an authority, a server's certificate, and those of `alice`, who may ask for all, and of `bob`.
fn certificates(folder: &Folder) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    folder.write("ca.crt", &authority.pem());
    for name in ["server", "alice", "bob"] {
        let mut params = CertificateParams::new(["gavel.test".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        folder.write(&format!("{name}.crt"), &certificate.pem());
        folder.write(&format!("{name}.key"), &key.serialize_pem());
    }
}

/// A server, in a runtime that is there as long as the tests are.
fn start(folder: &Folder) -> String {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap());
    let mut config = gavel_server::Config::local(vec![folder.path("manifests")]);
    config.access.tls_cert = Some(folder.path("server.crt"));
    config.access.tls_key = Some(folder.path("server.key"));
    config.access.tls_client_ca = Some(folder.path("ca.crt"));
    config.access.grant = vec!["user:alice=Admit,CheckFlow,Authorize".parse().unwrap()];
    config.telemetry.decision_log = DecisionLogMode::All;
    config.telemetry.decision_log_to = folder.path("decisions.jsonl").to_str().unwrap().parse().unwrap();
    let (listening, running) = runtime.block_on(async {
        let mut running = gavel_server::start(config).await.unwrap();
        running.ready().await.unwrap();
        (running.listening[0].clone(), running)
    });
    runtime.spawn(running.until(std::future::pending(), std::time::Duration::ZERO));
    listening
}

#[test]
fn who_asks() {
    let folder = Folder::new();
    certificates(&folder);
    let address = start(&folder);
    let flow = |security: &[&str]| -> Said {
        let question =
            ["check-flow", "--from", "shop/Deployment/web", "--to", "shop/StatefulSet/db", "--port", "5432"];
        folder.run(&[&question[..], &["--server", &address], security].concat(), "")
    };
    let trust = ["--server-ca", "ca.crt", "--server-name", "gavel.test"];
    let with = |who: [&'static str; 4]| [&trust[..], &who].concat();
    let alice = with(["--client-cert", "alice.crt", "--client-key", "alice.key"]);
    let said = flow(&alice);
    assert_eq!(said.code, 0, "{said:?}");
    let said = flow(&[&alice[..], &["--explain"]].concat());
    assert!(said.out.contains("\n  decision: "), "{said:?}");
    let said = flow(&[&alice[..], &["-o", "json"]].concat());
    assert!(said.documents()[0]["decisionId"].is_string(), "{said:?}");
    let question = ["admit", "-f", "workloads.yaml", "--server", &address, "-o", "json"];
    let said = folder.run(&[&question[..], &alice].concat(), "");
    assert!(said.documents()[0]["response"]["auditAnnotations"]["decision-id"].is_string(), "{said:?}");

    // Nobody, somebody without rights, a token that nobody issued.
    let said = flow(&trust);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("does not know who asks") && said.err.contains("--token-file FILE"),
        "{said:?}"
    );
    let said = flow(&with(["--client-cert", "bob.crt", "--client-key", "bob.key"]));
    assert!(said.err.contains("does not let this caller ask") && said.err.contains("bob"), "{said:?}");
    assert!(!said.err.contains("--token-file"), "{said:?}");
    // Of a server that is another one, or that wants TLS.
    let said = flow(&["--server-ca", "ca.crt"]);
    assert!(said.err.contains("is not for 127.0.0.1, but for"), "{said:?}");
    assert!(said.err.contains("--server-name"), "{said:?}");
    let said = flow(&[]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("--server-ca FILE"), "{said:?}");
    folder.write("other.crt", &std::fs::read_to_string(folder.path("bob.crt")).unwrap());
    let said = flow(&["--server-ca", "other.crt"]);
    assert!(said.err.contains("not trusted") || said.err.contains("other.crt"), "{said:?}");
}
