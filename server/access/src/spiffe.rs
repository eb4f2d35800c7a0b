//! SPIFFE IDs, by the standard `SPIFFE-ID.md` of <https://github.com/spiffe/spiffe>.

use gavel_engine::rbac::User;

const SCHEME: &str = "spiffe://";
/// Section 2.3.
const MOST_ID_BYTES: usize = 2048;
/// Section 2.3, by RFC 3986.
const MOST_TRUST_DOMAIN_BYTES: usize = 255;

/// A SPIFFE ID: `spiffe://TRUST-DOMAIN/PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiffeId<'a> {
    uri: &'a str,
    /// Who vouches for it.
    pub trust_domain: &'a str,
    /// What it is, from the first `/` on; empty for a trust domain itself.
    pub path: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Whether a URI is meant to be a SPIFFE ID, be it a good one or not.
    pub(crate) fn is_meant(uri: &str) -> bool {
        uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"))
    }

    /// Reads a SPIFFE ID.
    ///
    /// # Errors
    /// What is wrong with it. Nothing is normalised: a text that would have to be is none.
    pub fn parse(uri: &'a str) -> Result<Self, String> {
        if uri.len() > MOST_ID_BYTES {
            return Err(format!("a SPIFFE ID is at most {MOST_ID_BYTES} bytes long"));
        }
        let rest = uri.strip_prefix(SCHEME).ok_or("a SPIFFE ID begins with spiffe://")?;
        let (trust_domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        check_trust_domain(trust_domain)?;
        // Sections 2.2: no empty segment, and so no trailing slash; no segment that means another one.
        for segment in path.split('/').skip(1) {
            if segment.is_empty() {
                return Err("a SPIFFE ID's path has no empty segments, and no slash at its end".to_owned());
            }
            if segment == "." || segment == ".." {
                return Err("a SPIFFE ID's path has no segments . and ..".to_owned());
            }
            if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                return Err("a SPIFFE ID's path is of letters, digits, and - . _".to_owned());
            }
        }
        Ok(Self { uri, trust_domain, path })
    }

    /// The user it stands for. Of the trust domain of this cluster, `/ns/NAMESPACE/sa/NAME` is a service account (the
    /// path that Istio and SPIRE's controller manager use); everything else is a name as it is, without groups.
    ///
    /// # Errors
    /// When it is of another trust domain than the one that is trusted, if there is one.
    pub(crate) fn user(&self, trusted: Option<&str>) -> Result<User, String> {
        let as_it_is = || User { name: self.uri.to_owned(), groups: Vec::new() };
        let Some(trusted) = trusted else { return Ok(as_it_is()) };
        if self.trust_domain != trusted {
            return Err("its SPIFFE ID is of a trust domain that is not trusted here".to_owned());
        }
        let segments: Vec<_> = self.path.split('/').collect();
        Ok(match segments.as_slice() {
            ["", "ns", namespace, "sa", name] => User::service_account(namespace, name),
            _ => as_it_is(),
        })
    }
}

/// Whether a text can be a trust domain.
///
/// # Errors
/// Why it cannot.
pub(crate) fn check_trust_domain(domain: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    if domain.is_empty() || domain.len() > MOST_TRUST_DOMAIN_BYTES || !domain.bytes().all(is_allowed) {
        return Err(format!(
            "a SPIFFE trust domain is of lower-case letters, digits, and - . _, at most {MOST_TRUST_DOMAIN_BYTES}"
        ));
    }
    Ok(())
}
