//! INVALID_ARGUMENT, with the field that is to blame.

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

/// A status INVALID_ARGUMENT with a `google.rpc.BadRequest` that names the field.
pub(crate) fn invalid(field: impl Into<String>, description: impl Into<String>) -> Status {
    let (field, description) = (field.into(), description.into());
    let message = format!("{field}: {description}");
    Status::with_error_details(
        tonic::Code::InvalidArgument,
        message,
        ErrorDetails::with_bad_request_violation(field, description),
    )
}
