//! What went wrong with a connection, in words that tell what to do.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError};
use tonic::Status;

/// A status in a line. Of a broken connection the innermost cause: `transport error` alone tells nobody anything.
pub(crate) fn describe(status: &Status) -> String {
    let message = status.message();
    match status.source() {
        None if message.is_empty() => status.code().to_string(),
        None => format!("{:?}: {message}", status.code()),
        Some(source) => {
            let cause = innermost(source);
            if message.contains(&cause) { message.to_owned() } else { format!("{message}: {cause}") }
        }
    }
}

/// The innermost cause of an error.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return tls(error);
        }
        // An io::Error that was made of another error does not name that one as its source, but the source of it.
        let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inside.map(|inside| inside as &(dyn StdError + 'static)).or_else(|| cause.source()) {
            Some(inner) => cause = inner,
            None => return cause.to_string(),
        }
    }
}

/// Whether the server was closing the connection, as servers do when it has come of age, or when they end: the call was
/// not looked at, or is safe to be asked again, and nothing is known against the server.
pub(crate) fn is_closing(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let reason = error.reason();
            return (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
                || reason == Some(h2::Reason::REFUSED_STREAM);
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_canceled() || error.is_closed())
        {
            return true;
        }
        source = cause.source();
    }
    false
}

/// TLS, in words.
fn tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => certificate(why),
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "it does not speak TLS".to_owned()
        }
        rustls::Error::AlertReceived(alert) => refused(*alert),
        other => format!("TLS: {other}"),
    }
}

/// What is wrong with the server's certificate.
fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "its certificate is not trusted: none of the authorities that were given signed it".to_owned()
        }
        CertificateError::BadSignature => {
            "its certificate is not trusted: an authority of the same name signed it with another key"
                .to_owned()
        }
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let seconds = time.as_secs().saturating_sub(not_after.as_secs());
            format!("its certificate has expired, {seconds} s ago")
        }
        CertificateError::NotValidYet => "its certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => {
            let seconds = not_before.as_secs().saturating_sub(time.as_secs());
            format!("its certificate is not valid yet, for another {seconds} s")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            // As rustls has them: `DnsName("a.b")`, `IpAddress(127.0.0.1)`.
            let bare = |name: &String| {
                let inside = name.split_once('(').and_then(|(_, name)| name.strip_suffix(')'));
                inside.unwrap_or(name).trim_matches('"').to_owned()
            };
            let names: Vec<String> = presented.iter().map(bare).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!(
                "its certificate is not for {}, but for {names}: if that is the server, say its name (--server-name)",
                expected.to_str()
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one to serve with (extended key usage)".to_owned()
        }
        other => format!("its certificate cannot be used: {other}"),
    }
}

/// What is told of a server that was asked without TLS, and answers in TLS.
pub(crate) const WANTS_TLS: &str = "it was asked without TLS, and wants it (--server-ca FILE)";
/// What is told of a server that was asked without TLS, and says nothing.
pub(crate) const CLOSED: &str =
    "it closed the connection without a word: it may be about to end, or want TLS (--server-ca FILE)";
/// What is told of a server that says nothing after TLS was agreed on.
pub(crate) const CLOSED_AFTER_TLS: &str = "it closed the connection right after TLS was agreed on: it may be about to end, or want a client certificate \
     (--client-cert FILE --client-key FILE), or another one";

/// What the server says of our side.
pub(crate) fn refused(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it wants a client certificate (--client-cert FILE --client-key FILE)".to_owned()
        }
        AlertDescription::UnknownCA => "it does not trust the client certificate's authority".to_owned(),
        AlertDescription::CertificateExpired => "it says that the client certificate has expired".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => format!("it refuses the client certificate: {alert:?}"),
        other => format!("it refuses TLS: {other:?}"),
    }
}
