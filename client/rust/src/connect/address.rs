//! Addresses as they are given.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use tonic::transport::Uri;

use crate::error::Error;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// At a unix socket.
    Unix(PathBuf),
    /// At a port of a host: a name, or an IP address without brackets.
    Tcp { host: String, port: u16 },
}

/// What was said of TLS along with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Address {
    /// Reads `HOST:PORT`, `https://HOST:PORT`, `http://HOST:PORT` or `unix:PATH`.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<Scheme>), Error> {
        let wrong = || Error::Address { address: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok((Address::Unix(path.into()), None)) };
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !is_bare || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let port = match (authority.port_u16(), authority.port(), scheme) {
            (Some(port), ..) => port,
            (None, None, Some(Scheme::Http)) if !authority.as_str().ends_with(':') => 80,
            (None, None, Some(Scheme::Https)) if !authority.as_str().ends_with(':') => 443,
            _ => return Err(wrong()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            Err(wrong())
        } else {
            Ok((Address::Tcp { host: host.to_owned(), port }, scheme))
        }
    }

    /// Whether nobody else on the way can see what is sent there.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The name that a certificate there has to be for.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Address::Unix(_) => None,
            Address::Tcp { host, .. } => Some(host),
        }
    }

    /// `HOST:PORT` as a URI has it. HTTP/2 wants one also of a socket, which has none.
    pub(crate) fn authority(&self) -> String {
        match self {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Tcp { .. } => self.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_are_given() {
        let tcp = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
        let cases = [
            ("a.b:1", tcp("a.b", 1), None),
            ("127.0.0.1:9470", tcp("127.0.0.1", 9470), None),
            ("[::1]:9470", tcp("::1", 9470), None),
            ("http://a", tcp("a", 80), Some(Scheme::Http)),
            ("http://a:1/", tcp("a", 1), Some(Scheme::Http)),
            ("https://a", tcp("a", 443), Some(Scheme::Https)),
            ("https://[::1]:2", tcp("::1", 2), Some(Scheme::Https)),
            ("unix:/run/x", Address::Unix("/run/x".into()), None),
        ];
        for (text, address, scheme) in cases {
            assert_eq!(Address::parse(text).unwrap(), (address.clone(), scheme), "{text}");
            let again = address.to_string();
            assert_eq!(Address::parse(&again).unwrap().0, address, "{again}");
        }
        let wrong = [
            "",
            "a",
            ":1",
            "a:",
            "a:b",
            "a:70000",
            "unix:",
            "ftp://a:1",
            "http://",
            "http://a:",
            "http://a/b",
        ];
        for text in wrong.into_iter().chain(["http://u@a:1", "a:1/b", "a:1?b", "https://"]) {
            assert!(matches!(Address::parse(text), Err(Error::Address { .. })), "{text}");
        }
    }

    #[test]
    fn local_ones() {
        for (text, is_local) in [
            ("unix:/x", true),
            ("[::1]:1", true),
            ("127.9.9.9:1", true),
            ("localhost:1", true),
            ("a.localhost.b:1", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().0.is_local(), is_local, "{text}");
        }
    }
}
