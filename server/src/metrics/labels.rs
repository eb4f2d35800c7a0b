//! Values of labels: closed sets, so that a scrape stays small whatever a cluster holds and whoever asks.

use tonic::Code;

/// A closed set, whose values are words of labels.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// All of them, in order.
            pub(crate) const ALL: [Self; [$($text),*].len()] = [$(Self::$value),*];

            /// The word.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text),* }
            }
        }
    };
}

labels! {
    /// A call.
    Rpc {
        Admit = "Admit",
        CheckFlow = "CheckFlow",
        Authorize = "Authorize",
        BatchAdmit = "BatchAdmit",
        BatchCheckFlow = "BatchCheckFlow",
        StreamCheckFlow = "StreamCheckFlow",
        GetSnapshot = "GetSnapshot",
        WatchSnapshot = "WatchSnapshot",
        WatchNodePods = "WatchNodePods",
        /// `Check` of health.
        Check = "Check",
        /// `Watch` of health.
        HealthWatch = "HealthWatch",
        Reflection = "Reflection",
        /// No call that there is.
        Other = "other",
    }
}

labels! {
    /// A call that decides.
    Decides {
        Admit = "Admit",
        CheckFlow = "CheckFlow",
        Authorize = "Authorize",
    }
}

labels! {
    /// What came out.
    Verdict {
        Allow = "allow",
        Deny = "deny",
        Error = "error",
    }
}

labels! {
    /// Why a request was not let in.
    Rejection {
        Unauthenticated = "unauthenticated",
        Forbidden = "forbidden",
        CallerRate = "caller_rate",
        CallerInFlight = "caller_in_flight",
        InFlight = "in_flight",
        HeldBytes = "held_bytes",
        Deadline = "deadline",
    }
}

labels! {
    /// Why a connection was not taken, or cut.
    ConnectionRejection {
        Limit = "limit",
        AddressLimit = "address_limit",
        HandshakeFailed = "handshake_failed",
        HandshakeTimeout = "handshake_timeout",
        /// Nothing came that could be HTTP/2.
        Silent = "silent",
        /// A request did not end.
        Stuck = "stuck",
    }
}

labels! {
    /// What became of a record of the decision log.
    RecordResult {
        Written = "written",
        /// There was no room for it.
        Dropped = "dropped",
        /// It could not be written.
        Failed = "failed",
    }
}

impl Verdict {
    pub(crate) const fn of(allowed: bool) -> Self {
        if allowed { Verdict::Allow } else { Verdict::Deny }
    }
}

/// A status code as gRPC writes it.
pub(super) const fn code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
