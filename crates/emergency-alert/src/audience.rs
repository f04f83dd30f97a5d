//! For whom an alert is.

use serde::Serialize;

/// Which of the two topics an alert belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Audience {
    /// Those who are responsible for the building.
    Alert,
    /// Those who test, so that tests page nobody else.
    Test,
}
