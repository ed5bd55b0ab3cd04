//! The one table between refusals of the API and gRPC status codes, in both directions.

use tonic::{Code, Status};

use crate::error::{ApiError, CallError, WireError};

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        status_of(&error)
    }
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Self {
        Status::invalid_argument(error.to_string())
    }
}

/// The gRPC status of a refusal.
pub fn status_of(error: &ApiError) -> Status {
    match error {
        ApiError::Unknown { what } => Status::not_found(what),
        ApiError::Invalid { problem } => Status::invalid_argument(problem),
        ApiError::Refused { reason } => Status::failed_precondition(reason),
        ApiError::Unavailable { reason } => Status::resource_exhausted(reason),
        ApiError::Unauthenticated => Status::unauthenticated(error.to_string()),
        ApiError::Incompatible { reason } => Status::unimplemented(reason),
    }
}

/// What a status means to the caller of the coordinator at `url`.
pub fn error_of(url: &str, status: &Status) -> CallError {
    let message = status.message().to_owned();
    match status.code() {
        Code::NotFound => ApiError::Unknown { what: message }.into(),
        Code::InvalidArgument => ApiError::Invalid { problem: message }.into(),
        Code::FailedPrecondition => ApiError::Refused { reason: message }.into(),
        Code::ResourceExhausted => ApiError::Unavailable { reason: message }.into(),
        Code::Unauthenticated | Code::PermissionDenied => ApiError::Unauthenticated.into(),
        Code::Unimplemented => ApiError::Incompatible { reason: message }.into(),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown => {
            CallError::Unreachable { url: url.to_owned(), reason: message }
        }
        _ => CallError::Server { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_wire() {
        let text = || "x".to_owned();
        for error in [
            ApiError::Unknown { what: text() },
            ApiError::Invalid { problem: text() },
            ApiError::Refused { reason: text() },
            ApiError::Unavailable { reason: text() },
            ApiError::Unauthenticated,
            ApiError::Incompatible { reason: text() },
        ] {
            match error_of("url", &status_of(&error)) {
                CallError::Answer(back) => assert_eq!(back, error),
                other => panic!("{error:?} came back as {other:?}"),
            }
        }
    }
}
