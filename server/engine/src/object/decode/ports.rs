//! Ports and protocols, as they are written in several kinds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::object::Protocol;
use crate::object::validate::Errors;

/// `intstr.IntOrString` of `k8s.io/apimachinery`.
pub(super) enum IntOrString {
    Int(i32),
    String(String),
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = IntOrString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string")
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                i32::try_from(value)
                    .map(IntOrString::Int)
                    .map_err(|_| E::custom(format_args!("{value} does not fit into 32 bits")))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
                i32::try_from(value)
                    .map(IntOrString::Int)
                    .map_err(|_| E::custom(format_args!("{value} does not fit into 32 bits")))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(IntOrString::String(value.into()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The protocol of the port at `path`; unset means TCP. `None` only along with an error.
pub(super) fn protocol(name: Option<&str>, path: impl fmt::Display, errors: &mut Errors) -> Option<Protocol> {
    let Some(name) = name else { return Some(Protocol::Tcp) };
    let protocol = Protocol::parse(name);
    if protocol.is_none() {
        errors.unsupported(format_args!("{path}.protocol"), name, &["TCP", "UDP", "SCTP"]);
    }
    protocol
}

/// `IsValidPortNum`. `None` only along with an error.
pub(super) fn number(number: i32, path: impl fmt::Display, errors: &mut Errors) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    if port.is_none() {
        errors.push(path, format!("{number} is not a port: must be between 1 and 65535, inclusive"));
    }
    port
}
