//! Who asks, by certificate or token, and what they may call.
//!
//! [`Authenticator`] turns a client certificate or a token into a [`Caller`], or says why not ([`Refusal`]). [`Rights`]
//! tell whether a caller may make a [`Call`]: by static grants, or by RBAC of a snapshot, which the engine decides as it
//! decides for everybody else.
//!
//! A certificate that comes here has been verified by TLS: it is signed by an authority that may name anybody. Tokens are
//! verified here, see [`token`](Authenticator::token).
//!
//! What callers are told says what they have to change, and nothing that they do not know already: their own token's
//! claims, and the audiences that this server wants.

mod authenticator;
mod call;
mod caller;
mod certificate;
mod error;
mod grant;
mod rights;
mod settings;
mod spiffe;
mod token;

pub use authenticator::Authenticator;
pub use call::Call;
pub use caller::{Caller, Method, Refusal};
pub use certificate::{Identity, identity_of_der};
pub use error::Error;
pub use grant::{Grant, InvalidGrant, Subject};
pub use rights::{CachedRights, Rights};
pub use settings::{Settings, TokenKeys};
pub use spiffe::SpiffeId;
pub use token::{CacheCounts, KeySet, Unknown, Verdict};
