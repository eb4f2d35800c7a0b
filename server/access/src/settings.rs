//! What authentication is set up with.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::token::KeySet;
use crate::{Error, spiffe};

/// What authentication is set up with. Each part is by itself; with none of them nobody is known.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The trust domain whose SPIFFE IDs name service accounts; with it, IDs of other ones are refused.
    pub spiffe_trust_domain: Option<String>,
    /// Whether the API server is asked whether tokens are good (TokenReview).
    pub token_review: bool,
    /// Where the keys are that tokens are signed with.
    pub token_keys: Option<TokenKeys>,
    /// The issuer whose keys they are.
    pub token_issuer: Option<String>,
    /// For whom tokens have to be: one of these.
    pub token_audiences: Vec<String>,
    /// How often the file of the keys is looked at.
    pub reload_interval: Duration,
    /// How long an API server may take to say whether a token is good, or to hand out its keys.
    pub timeout: Duration,
    /// How many tokens the API server is asked about at a time; the others wait, within [`Settings::timeout`].
    pub reviews_in_flight: usize,
    /// How old the API server's keys may get before it is asked whether they still are its keys.
    pub keys_fresh: Duration,
    /// How soon after that it may be asked again, because a token is signed with an unknown key: whoever sends invented
    /// tokens must not be able to keep it busy.
    pub keys_hold: Duration,
    /// How long a token that was found good is not looked at again; it is never longer than its own time.
    pub remember_good: Duration,
    /// How long a token that was found bad is not looked at again.
    pub remember_bad: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spiffe_trust_domain: None,
            token_review: false,
            token_keys: None,
            token_issuer: None,
            token_audiences: vec!["gavel".to_owned()],
            reload_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            reviews_in_flight: 16,
            keys_fresh: Duration::from_secs(300),
            keys_hold: Duration::from_secs(5),
            remember_good: Duration::from_secs(60),
            remember_bad: Duration::from_secs(3),
        }
    }
}

/// Where the keys are that tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKeys {
    /// A JSON Web Key Set in a file, which is followed.
    File(PathBuf),
    /// The API server's, at `/openid/v1/jwks`.
    Cluster,
}

/// `cluster`, or a path; a file of that name is `./cluster`.
impl FromStr for TokenKeys {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "cluster" { TokenKeys::Cluster } else { TokenKeys::File(text.into()) })
    }
}

impl Settings {
    /// Whether tokens are taken at all.
    pub fn takes_tokens(&self) -> bool {
        self.token_review || self.token_keys.is_some()
    }

    /// Whether an API server has to be asked.
    pub fn needs_cluster(&self) -> bool {
        self.token_review || self.token_keys == Some(TokenKeys::Cluster)
    }

    /// Everything that is wrong, as far as it can be told without an API server; with the keys' file, too.
    pub fn check(&self) -> Vec<Error> {
        self.check_values().into_iter().chain(self.check_files()).collect()
    }

    /// What is wrong with the file that the settings name.
    pub fn check_files(&self) -> Option<Error> {
        let Some(TokenKeys::File(file)) = &self.token_keys else { return None };
        gavel_tls::load_parsed(file, |text| KeySet::parse(text, "", &[])).err().map(Error::Keys)
    }

    /// Everything that is wrong with the settings, without a look at the files that they name.
    pub fn check_values(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        if let Some(domain) = &self.spiffe_trust_domain
            && let Err(why) = spiffe::check_trust_domain(domain)
        {
            wrong.push(Error::TrustDomain { domain: domain.clone(), why });
        }
        let no_audience =
            self.token_audiences.is_empty() || self.token_audiences.iter().any(String::is_empty);
        if self.takes_tokens() && no_audience {
            wrong.push(Error::NoAudience);
        }
        if self.token_keys.is_some() && self.token_issuer.as_ref().is_none_or(String::is_empty) {
            wrong.push(Error::NoIssuer);
        }
        wrong
    }
}
