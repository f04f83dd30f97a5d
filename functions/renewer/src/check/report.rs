//! What a check says: rows for machines, and the same as lines for people.

use jiff::Timestamp;
use serde::Serialize;

use crate::finding::{Link, Row, State, lines};

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// What was asked for: `check`.
    pub action: &'static str,
    /// Whether no row is `failed`.
    pub ok: bool,
    /// When the chain was looked at.
    pub checked_at: Timestamp,
    /// What was found, in the order of the chain.
    pub rows: Vec<Row>,
    /// What must stand in Microsoft Entra, whether it stands there or not.
    pub entra: Vec<EntraEntry>,
    /// All of it for people, line by line.
    pub table: Vec<String>,
}

/// A setting in Microsoft Entra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntraEntry {
    /// Where in the Microsoft Entra admin centre.
    pub place: String,
    /// The setting's name there.
    pub name: &'static str,
    /// What must stand there, to the letter; a certificate has several lines.
    pub value: String,
}

impl CheckReport {
    /// The report of these rows.
    #[must_use]
    pub fn new(checked_at: Timestamp, rows: Vec<Row>, entra: Vec<EntraEntry>) -> Self {
        let table = table(&rows, &entra);
        let ok = rows.iter().all(|row| row.state != State::Failed);
        Self { action: "check", ok, checked_at, rows, entra, table }
    }
}

fn table(rows: &[Row], entra: &[EntraEntry]) -> Vec<String> {
    let mut lines = lines(rows);
    // Whoever may not look at the app's settings, which is the rule, needs no reminder each time.
    let wrong = |row: &Row| {
        matches!(row.link, Link::Credential | Link::Roles | Link::AppSettings)
            && matches!(row.state, State::Failed | State::Warning)
    };
    if rows.iter().any(wrong) && !entra.is_empty() {
        lines.push(String::new());
        lines.push("What must stand in Microsoft Entra:".to_owned());
        for entry in entra {
            if entry.value.contains('\n') {
                lines.push(format!("  {}, {}:", entry.place, entry.name));
                lines.extend(entry.value.lines().map(ToOwned::to_owned));
            } else {
                lines.push(format!("  {}, {}: {}", entry.place, entry.name, entry.value));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(rows: Vec<Row>) -> CheckReport {
        let place = "App registrations, the app, Certificates & secrets".to_owned();
        let entra = vec![
            EntraEntry { place: place.clone(), name: "Issuer", value: "https://issuer.example".to_owned() },
            EntraEntry { place, name: "Certificate", value: "-----BEGIN\nMII\n-----END".to_owned() },
        ];
        CheckReport::new(Timestamp::constant(1_764_000_000, 0), rows, entra)
    }

    #[test]
    fn its_json_and_its_table_are_stable() {
        let report = report(vec![
            Row::failed(Link::Credential, "1111", "Microsoft Entra gave\r\nno access token.", "Do something."),
            Row::ok(Link::EncryptionCertificate, "key-1", "It is good."),
            Row::unknown(Link::AppSettings, "1111", "It cannot be seen.", "Look by hand."),
            Row::warning(Link::Topic, "AlertTopic", "1 has not confirmed.", "Ask."),
        ]);
        let table = [
            "failed   credential              1111        Microsoft Entra gave no access token.",
            "         -> Do something.",
            "ok       encryption-certificate  key-1       It is good.",
            "unknown  app-settings            1111        It cannot be seen.",
            "         -> Look by hand.",
            "warning  topic                   AlertTopic  1 has not confirmed.",
            "         -> Ask.",
            "",
            "What must stand in Microsoft Entra:",
            "  App registrations, the app, Certificates & secrets, Issuer: https://issuer.example",
            "  App registrations, the app, Certificates & secrets, Certificate:",
            "-----BEGIN",
            "MII",
            "-----END",
        ];
        let place = "App registrations, the app, Certificates & secrets";
        let expected = json!({
            "action": "check", "ok": false, "checkedAt": "2025-11-24T16:00:00Z",
            "rows": [
                {"link": "credential", "subject": "1111", "state": "failed",
                 "finding": "Microsoft Entra gave no access token.", "step": "Do something."},
                {"link": "encryption-certificate", "subject": "key-1", "state": "ok", "finding": "It is good.", "step": null},
                {"link": "app-settings", "subject": "1111", "state": "unknown", "finding": "It cannot be seen.",
                 "step": "Look by hand."},
                {"link": "topic", "subject": "AlertTopic", "state": "warning", "finding": "1 has not confirmed.", "step": "Ask."},
            ],
            "entra": [
                {"place": place, "name": "Issuer", "value": "https://issuer.example"},
                {"place": place, "name": "Certificate", "value": "-----BEGIN\nMII\n-----END"},
            ],
            "table": table,
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }

    #[test]
    fn the_words_are_those_of_the_json() {
        for link in [
            Link::Credential,
            Link::Roles,
            Link::AppSettings,
            Link::SigningKeys,
            Link::Keyring,
            Link::EncryptionCertificate,
            Link::StateTable,
            Link::Subscription,
            Link::Endpoint,
            Link::EventBus,
            Link::Topic,
            Link::SecondWay,
            Link::Alarm,
        ] {
            assert_eq!(serde_json::to_value(link).unwrap(), link.word());
        }
        for state in [State::Ok, State::Warning, State::Failed, State::Unknown] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }

    #[test]
    fn only_a_failure_is_not_ok() {
        let row = |state| Row { state, ..Row::ok(Link::Alarm, "x", "y") };
        assert!(report(vec![row(State::Ok), row(State::Warning), row(State::Unknown)]).ok);
        assert!(!report(vec![row(State::Ok), row(State::Failed)]).ok);
    }

    #[test]
    fn people_read_what_to_enter_while_entra_is_not_as_it_should_be() {
        let speaks = |rows| report(rows).table.iter().any(|line| line.contains("Microsoft Entra"));
        assert!(!speaks(vec![Row::ok(Link::Credential, "", ""), Row::failed(Link::Topic, "", "", "")]));
        assert!(!speaks(vec![Row::unknown(Link::AppSettings, "", "", "")]));
        for link in [Link::Credential, Link::Roles, Link::AppSettings] {
            assert!(speaks(vec![Row::warning(link, "", "", "")]), "{link:?}");
            assert!(speaks(vec![Row::failed(link, "", "", "")]), "{link:?}");
        }
    }
}
