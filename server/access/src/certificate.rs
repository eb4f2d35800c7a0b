//! Who a certificate names.
//!
//! As Kubernetes reads client certificates (`CommonNameUserConversion` of `k8s.io/apiserver`): the common name is the
//! user, the organizations are the groups. A certificate with a SPIFFE ID is an X.509-SVID, and read by that standard
//! (`X509-SVID.md` of <https://github.com/spiffe/spiffe>): its ID is who it names, whatever its subject says.

use std::time::SystemTime;

use gavel_engine::rbac::User;
use gavel_tls::Validity;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{
    AttributeTypeAndValue, FromDer as _, GeneralName, X509Certificate, X509Extension,
};

use crate::caller::authenticated;
use crate::{Caller, Method, Refusal, SpiffeId};

/// Who a certificate names, and from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name and groups.
    pub user: User,
    /// From when to when it is good.
    pub validity: Validity,
}

/// Reads who a certificate in DER names. That it is signed by whom, and that it is good by now, is not looked at.
/// `trust_domain` is that whose SPIFFE IDs name service accounts; with it, IDs of other ones are refused.
///
/// # Errors
/// Why it names nobody, in words for the caller.
pub fn identity_of_der(der: &[u8], trust_domain: Option<&str>) -> Result<Identity, String> {
    let unreadable = |what: &str| format!("the client certificate cannot be read: {what}");
    let validity = Validity::of_der(der).map_err(|why| unreadable(&why))?;
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unreadable("it is not X.509"))?;
    let names =
        certificate.subject_alternative_name().map_err(|_| unreadable("subject alternative names"))?;
    // x509-parser sets aside what it cannot read; a name that nobody could read is no reason to believe another one.
    let extensions = certificate.extensions().iter();
    if extensions.map(X509Extension::parsed_extension).any(|parsed| parsed.error().is_some()) {
        return Err(unreadable("an extension is malformed"));
    }
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect();
    let user = if uris.iter().any(|uri| SpiffeId::is_meant(uri)) {
        svid(&certificate, &uris, trust_domain)?
    } else {
        common_name(&certificate)?
    };
    Ok(Identity { user: authenticated(user), validity })
}

/// Whom a chain names that TLS has verified; the leaf comes first.
pub(crate) fn caller(
    chain: &[CertificateDer<'_>],
    trust_domain: Option<&str>,
    now: SystemTime,
) -> Result<Caller, Refusal> {
    let (leaf, issuers) = chain
        .split_first()
        .ok_or_else(|| Refusal::Unauthenticated("no client certificate was shown".to_owned()))?;
    let identity = identity_of_der(leaf, trust_domain).map_err(Refusal::Unauthenticated)?;
    // TLS has looked at this as well, but not where a session is resumed.
    if now < identity.validity.not_before || now > identity.validity.not_after {
        return Err(Refusal::Unauthenticated(
            "the client certificate has expired, or is not valid yet".to_owned(),
        ));
    }
    // Of the issuers only those count that can be read: a client may send along what it likes.
    let until = issuers.iter().filter_map(|issuer| Validity::of_der(issuer).ok()).map(|one| one.not_after);
    let expires = until.fold(identity.validity.not_after, SystemTime::min);
    Ok(Caller::new(identity.user, Method::Certificate, Some(expires)))
}

/// X.509-SVID, section 5.2.
fn svid(
    certificate: &X509Certificate<'_>,
    uris: &[&str],
    trust_domain: Option<&str>,
) -> Result<User, String> {
    let wrong = |why: &str| format!("the client certificate is no good X.509-SVID: {why}");
    let [uri] = uris else { return Err(wrong("it has more than one URI among its names")) };
    let id = SpiffeId::parse(uri).map_err(|why| wrong(&why))?;
    if id.path.is_empty() {
        return Err(wrong("its SPIFFE ID has no path: it names a trust domain, not a workload"));
    }
    let constraints = certificate.basic_constraints().map_err(|_| wrong("its basic constraints"))?;
    let usage = certificate.key_usage().map_err(|_| wrong("its key usage"))?;
    let is_ca = constraints.is_some_and(|constraints| constraints.value.ca);
    if is_ca || usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign()) {
        return Err(wrong("it is made for signing certificates, not for naming somebody"));
    }
    id.user(trust_domain).map_err(|why| wrong(&why))
}

fn common_name(certificate: &X509Certificate<'_>) -> Result<User, String> {
    fn text<'a>(value: &'a AttributeTypeAndValue<'_>) -> Result<&'a str, String> {
        value.as_str().map_err(|_| "the client certificate's subject cannot be read as text".to_owned())
    }
    let subject = certificate.subject();
    // Of several the last, as Go's `pkix.Name` has it.
    let name = subject.iter_common_name().last().map(text).transpose()?.unwrap_or_default();
    if name.is_empty() {
        return Err(
            "the client certificate names nobody: its subject has no common name (CN), and it has no \
                    SPIFFE ID"
                .to_owned(),
        );
    }
    let groups: Result<Vec<_>, _> =
        subject.iter_organization().map(|group| text(group).map(str::to_owned)).collect();
    Ok(User { name: name.to_owned(), groups: groups? })
}
