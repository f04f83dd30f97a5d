//! What AWS's SDK says of a call that failed.

use std::fmt::Write as _;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::ports::OutsideError;

/// What went wrong, from the SDK's structured fields only: its debugging output holds whole answers, and with them secrets.
pub(crate) fn outside<E, R>(service: &str, error: &SdkError<E, R>) -> OutsideError
where
    E: ProvideErrorMetadata,
{
    OutsideError(match error {
        SdkError::ServiceError(refused) => {
            let (code, message) = (refused.err().code(), refused.err().message());
            format!("{service}: {}: {}", code.unwrap_or("unknown error"), message.unwrap_or("no reason given"))
        }
        SdkError::TimeoutError(_) => format!("{service} did not answer in time"),
        SdkError::DispatchFailure(failure) => {
            let mut text = format!("{service} cannot be reached");
            let mut cause = failure.as_connector_error().map(|error| error as &dyn std::error::Error);
            while let Some(error) = cause {
                let _ = write!(text, ": {error}");
                cause = error.source();
            }
            text
        }
        SdkError::ResponseError(_) => format!("{service} gave an answer that cannot be read"),
        _ => format!("{service} cannot be asked: the request cannot be built"),
    })
}
