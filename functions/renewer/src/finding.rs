//! What a check or a drill finds at one link of the chain, for machines and for people.

use std::fmt;

use serde::Serialize;

/// What was found at one link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The link.
    pub link: Link,
    /// Which one of its kind: a tenant, a policy, a topic.
    pub subject: String,
    /// How it stands.
    pub state: State,
    /// What was seen, in a sentence.
    pub finding: String,
    /// What to do about it, if anything.
    pub step: Option<String>,
}

/// A link of the chain from Microsoft Entra to the people who are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The app signs in to Entra.
    Credential,
    /// It has the permission.
    Roles,
    /// Its settings let Graph notify it.
    AppSettings,
    /// The keys that verify validation tokens.
    SigningKeys,
    /// The secrets that receiving needs.
    Keyring,
    /// The certificate that Graph encrypts for.
    EncryptionCertificate,
    /// What the renewer remembers of the subscriptions.
    StateTable,
    /// Graph watches the policy.
    Subscription,
    /// The address that Graph delivers to.
    Endpoint,
    /// The way to machines.
    EventBus,
    /// Those who are told.
    Topic,
    /// The topic in another Region is near enough.
    SecondWay,
    /// What tells that the system is ill.
    Alarm,
}

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Calls are reported, but something needs attention.
    Warning,
    /// Calls go unreported, or soon will.
    Failed,
    /// It could not be seen.
    Unknown,
}

impl Row {
    /// All is well.
    pub(crate) fn ok(link: Link, subject: impl fmt::Display, finding: impl fmt::Display) -> Self {
        Self::new(State::Ok, link, subject, finding, None)
    }

    /// Something needs attention.
    pub(crate) fn warning(
        link: Link,
        subject: impl fmt::Display,
        finding: impl fmt::Display,
        step: impl fmt::Display,
    ) -> Self {
        Self::new(State::Warning, link, subject, finding, Some(line(step)))
    }

    /// Calls go unreported, or soon will.
    pub(crate) fn failed(
        link: Link,
        subject: impl fmt::Display,
        finding: impl fmt::Display,
        step: impl fmt::Display,
    ) -> Self {
        Self::new(State::Failed, link, subject, finding, Some(line(step)))
    }

    /// It could not be seen.
    pub(crate) fn unknown(
        link: Link,
        subject: impl fmt::Display,
        finding: impl fmt::Display,
        step: impl fmt::Display,
    ) -> Self {
        Self::new(State::Unknown, link, subject, finding, Some(line(step)))
    }

    fn new(
        state: State,
        link: Link,
        subject: impl fmt::Display,
        finding: impl fmt::Display,
        step: Option<String>,
    ) -> Self {
        Self { link, subject: line(subject), state, finding: line(finding), step }
    }
}

/// In one line: what other services say may come in several.
pub(crate) fn line(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The rows for people.
pub(crate) fn lines(rows: &[Row]) -> Vec<String> {
    let wide = |cell: &str| cell.chars().count();
    let links = rows.iter().map(|row| wide(row.link.word())).max().unwrap_or_default();
    let subjects = rows.iter().map(|row| wide(&row.subject)).max().unwrap_or_default();
    let mut lines = Vec::new();
    for row in rows {
        let (state, link) = (row.state.word(), row.link.word());
        lines.push(format!("{state:<7}  {link:<links$}  {:<subjects$}  {}", row.subject, row.finding));
        lines.extend(row.step.as_ref().map(|step| format!("         -> {step}")));
    }
    lines
}

impl Link {
    /// The word for it in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Roles => "roles",
            Self::AppSettings => "app-settings",
            Self::SigningKeys => "signing-keys",
            Self::Keyring => "keyring",
            Self::EncryptionCertificate => "encryption-certificate",
            Self::StateTable => "state-table",
            Self::Subscription => "subscription",
            Self::Endpoint => "endpoint",
            Self::EventBus => "event-bus",
            Self::Topic => "topic",
            Self::SecondWay => "second-way",
            Self::Alarm => "alarm",
        }
    }
}

impl State {
    /// The word for it in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}
