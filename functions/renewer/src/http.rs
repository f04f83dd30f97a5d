//! Reading answers over HTTP, bounded in time and length.

use std::time::Duration;

use graph_subscriptions::http::transport_text;
use reqwest::Response;

/// As long as Graph waits for the answer to a validation request.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The body; an error if it is longer than that or breaks off.
pub(crate) async fn read(mut response: Response, longest: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(error, PATIENCE))? {
        if body.len() + chunk.len() > longest {
            return Err(format!("the answer is longer than {longest} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error of the HTTP client with all its causes, and without the address.
pub(crate) fn transport(error: reqwest::Error, patience: Duration) -> String {
    if error.is_timeout() {
        return format!("it timed out after {} seconds", patience.as_secs());
    }
    transport_text(error)
}
