//! A flow: what is asked about, and answered.

use std::net::IpAddr;

use gavel_client::v1;

/// A transport protocol that policies speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As in `/etc/protocols`, in capitals, as policies write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }

    const fn to_wire(self) -> v1::Protocol {
        match self {
            Protocol::Tcp => v1::Protocol::Tcp,
            Protocol::Udp => v1::Protocol::Udp,
            Protocol::Sctp => v1::Protocol::Sctp,
        }
    }
}

/// A connection's ends and service, as policies look at them: the source's port is none of their business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: Protocol,
    /// The destination's; 1 to 65535.
    pub(crate) port: u16,
}

impl Flow {
    /// The question, as it goes to a server.
    pub(crate) fn to_question(self) -> v1::CheckFlowRequest {
        let end = |address: IpAddr| Some(v1::End { end: Some(v1::end::End::Ip(address.to_string())) });
        v1::CheckFlowRequest {
            source: end(self.source),
            destination: end(self.destination),
            protocol: self.protocol.to_wire().into(),
            port: self.port.into(),
            explain: false,
            consistency: None,
        }
    }
}

/// What was answered, as far as packets are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    /// For which identities it holds; 0: for that address alone.
    pub(crate) source_identity: u64,
    pub(crate) destination_identity: u64,
}

impl From<&v1::CheckFlowResponse> for Answer {
    fn from(answer: &v1::CheckFlowResponse) -> Self {
        Self {
            allowed: answer.verdict() == v1::Verdict::Allow,
            source_identity: answer.source_identity,
            destination_identity: answer.destination_identity,
        }
    }
}
