//! Issuing: whether a certificate is needed, and making one.

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::pair::{Pair, certificates, server_name, validity};
use crate::config::Issue;

/// Clocks differ: a certificate is good a while before it was made.
const BACKDATED: Duration = Duration::HOUR;
/// Authorities of the past that stay trusted, so that replicas that still serve their certificates do.
const MOST_OLD: usize = 2;
const END: &str = "-----END CERTIFICATE-----";

/// What is to be issued.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) names: Vec<String>,
    days: u16,
}

/// A certificate as it is kept from now on.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) pair: Pair,
    /// Why a new one was issued, if it was.
    pub(super) issued: Option<String>,
}

impl Order {
    /// What the settings ask for.
    pub(super) fn new(issue: &Issue) -> anyhow::Result<Self> {
        anyhow::ensure!(!issue.dns_name.is_empty(), "--dns-name must be given: what is the certificate for?");
        for name in &issue.dns_name {
            server_name(name)?;
        }
        Ok(Self { names: issue.dns_name.clone(), days: issue.days })
    }

    /// The old one where it is still good; otherwise a new one, and why.
    pub(super) fn fill(&self, old: Option<&Pair>) -> anyhow::Result<Kept> {
        let now = OffsetDateTime::now_utc();
        let why = match old {
            None => "there was none".to_owned(),
            Some(old) => match self.why_not(old, now.unix_timestamp()) {
                None => return Ok(Kept { pair: old.clone(), issued: None }),
                Some(why) => why,
            },
        };
        let pair = self.issue(old, now).context("a certificate cannot be issued")?;
        Ok(Kept { pair, issued: Some(why) })
    }

    /// Why a certificate cannot stay.
    fn why_not(&self, pair: &Pair, now: i64) -> Option<String> {
        let told = |error: &anyhow::Error| format!("the one there: {error:#}");
        let validity = match pair.certified_key() {
            Ok((_, validity)) => validity,
            Err(error) => return Some(told(&error)),
        };
        if let Err(error) = pair.verify(&self.names, now) {
            return Some(told(&error));
        }
        let (left, life) = (validity.to - now, validity.to - validity.from);
        (left <= life / 3).then(|| format!("the one there ends on {}", date(validity.to)))
    }

    fn issue(&self, old: Option<&Pair>, now: OffsetDateTime) -> anyhow::Result<Pair> {
        let (from, to) = (now - BACKDATED, now + Duration::days(self.days.into()));
        let params = |common_name: String, names: Vec<String>| -> anyhow::Result<CertificateParams> {
            let mut params = CertificateParams::new(names)?;
            (params.not_before, params.not_after) = (from, to);
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, common_name);
            Ok(params)
        };
        // The time tells the authorities of a bundle apart.
        let mut authority = params(format!("gavel-webhook authority {}", now.unix_timestamp()), Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut serving = params("gavel-webhook".to_owned(), self.names.clone())?;
        serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        serving.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = serving.signed_by(&key, &authority)?;

        let mut authorities = authority.pem();
        for old in still_good(old, now.unix_timestamp()) {
            authorities.push_str(&old);
        }
        Ok(Pair {
            authorities: authorities.into_bytes(),
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        })
    }
}

/// The authorities of an old certificate that have not ended yet, in PEM.
fn still_good(old: Option<&Pair>, now: i64) -> Vec<String> {
    let text = old.map(|old| String::from_utf8_lossy(&old.authorities)).unwrap_or_default();
    let is_good = |pem: &str| {
        certificates(pem.as_bytes())
            .ok()
            .and_then(|certificates| validity(certificates.first()?).ok())
            .is_some_and(|validity| validity.to > now)
    };
    text.split_inclusive(END)
        .map(str::trim)
        .filter(|pem| is_good(pem))
        .take(MOST_OLD)
        .map(|pem| format!("{pem}\n"))
        .collect()
}

/// A day, as people write it.
pub(super) fn date(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(time) => format!("{}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day()),
        Err(_) => format!("second {seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[&str], days: u16) -> Order {
        let dns_name = names.iter().map(|name| (*name).to_owned()).collect();
        Order::new(&Issue { dns_name, days, ..Issue::default() }).unwrap()
    }

    fn count(pem: &[u8]) -> usize {
        certificates(pem).unwrap().len()
    }

    #[test]
    fn issued_only_when_needed() {
        let names = ["gavel-webhook.gavel-system.svc", "127.0.0.1"];
        let order_now = order(&names, 90);
        let first = order_now.fill(None).unwrap();
        assert_eq!(first.issued.as_deref(), Some("there was none"));
        assert_eq!((count(&first.pair.authorities), count(&first.pair.certificate)), (1, 1));
        assert_eq!(order_now.fill(Some(&first.pair)).unwrap().issued, None);
        assert_eq!(
            order(&names[..1], 90).fill(Some(&first.pair)).unwrap().issued,
            None,
            "a name less is good"
        );

        // For another name; the old authority stays trusted.
        let second = order(&["other.gavel-system.svc"], 90).fill(Some(&first.pair)).unwrap();
        assert!(second.issued.unwrap().contains("not good for other.gavel-system.svc"));
        assert_eq!(count(&second.pair.authorities), 2);
        assert!(
            String::from_utf8(second.pair.authorities.clone())
                .unwrap()
                .ends_with(std::str::from_utf8(&first.pair.authorities).unwrap())
        );

        // Halves of different pairs, and what is no certificate at all.
        let mixed = Pair { key: first.pair.key.clone(), ..second.pair.clone() };
        assert!(order_now.fill(Some(&mixed)).unwrap().issued.unwrap().contains("do not go together"));
        let foreign = Pair { authorities: first.pair.authorities.clone(), ..second.pair };
        assert!(order(&["other.gavel-system.svc"], 90).fill(Some(&foreign)).unwrap().issued.is_some());
        let empty = order_now.fill(Some(&Pair::default())).unwrap();
        assert!(empty.issued.unwrap().contains("no certificate"));
        assert_eq!(count(&empty.pair.authorities), 1);
    }

    #[test]
    fn renewed_when_a_third_is_left() {
        let order = order(&["a.b.svc"], 90);
        let pair = order.fill(None).unwrap().pair;
        let day = |days: i64| OffsetDateTime::now_utc().unix_timestamp() + days * 24 * 3600;
        assert_eq!(order.why_not(&pair, day(59)), None);
        assert!(order.why_not(&pair, day(61)).unwrap().contains("ends on"));
        assert!(order.why_not(&pair, day(91)).unwrap().contains("not good for a.b.svc"));
    }

    #[test]
    fn names_that_no_certificate_can_be_for() {
        for name in ["", "a b", "*.gavel.svc", "https://x"] {
            let issue = Issue { dns_name: vec![name.to_owned()], days: 1, ..Issue::default() };
            assert!(Order::new(&issue).is_err(), "{name}");
        }
        assert_eq!(date(0), "1970-01-01");
    }
}
