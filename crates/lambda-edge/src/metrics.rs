//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics.
//!
//! Follows "Specification: Embedded metric format". Every metric has the dimension `FunctionName`, so that two
//! installations in one account do not cover each other's silence.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "TeamsEmergencyAlerts";

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A length of time.
    Seconds,
}

/// Some metrics of one function at one moment.
#[derive(Debug, Clone)]
pub struct Metrics {
    function_name: String,
    dimension: Option<(&'static str, String)>,
    values: Vec<(&'static str, Unit, Value)>,
    notes: Vec<(&'static str, Value)>,
}

impl Metrics {
    /// No metric yet; all of them will be of this function.
    #[must_use]
    pub fn of_function(function_name: &str) -> Self {
        Self { function_name: function_name.to_owned(), dimension: None, values: Vec::new(), notes: Vec::new() }
    }

    /// Publishes the metrics a second time under one more dimension. CloudWatch takes ASCII only there, and drops the whole
    /// line otherwise: other characters are written as their numbers.
    #[must_use]
    pub fn by(mut self, dimension: &'static str, value: &str) -> Self {
        let plain = |c: char| c.is_ascii() && !c.is_ascii_control();
        let write = |c: char| if plain(c) { c.to_string() } else { format!("u+{:04x}", u32::from(c)) };
        self.dimension = Some((dimension, value.chars().map(write).collect()));
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn with(mut self, name: &'static str, unit: Unit, value: impl Into<Value>) -> Self {
        self.values.push((name, unit, value.into()));
        self
    }

    /// Adds a number that stands in the log beside the metrics, and is none.
    #[must_use]
    pub fn noting(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.notes.push((name, value.into()));
        self
    }

    /// The line to write to standard output.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        let mut line = Map::new();
        let mut dimensions = vec![vec!["FunctionName"]];
        line.insert("FunctionName".into(), self.function_name.clone().into());
        if let Some((name, value)) = &self.dimension {
            dimensions.push(vec!["FunctionName", name]);
            line.insert((*name).into(), value.clone().into());
        }
        let metrics: Vec<Value> =
            self.values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")})).collect();
        for (name, _, value) in &self.values {
            line.insert((*name).into(), value.clone());
        }
        for (name, value) in &self.notes {
            line.insert((*name).into(), value.clone());
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
        line.insert("_aws".into(), json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]}));
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_ascii() {
        let line = Metrics::of_function("renewer").by("Policy", "Zürich\n2").line(Timestamp::UNIX_EPOCH);
        assert!(line.contains(r#""Policy":"Zu+00fcrichu+000a2""#), "{line}");
    }

    #[test]
    fn a_line_says_what_and_of_what() {
        let metrics = Metrics::of_function("receiver")
            .by("Reason", "TokenExpired")
            .with("NotificationsRejected", Unit::Count, 2)
            .with("AlertAgeSeconds", Unit::Seconds, vec![1, 5])
            .noting("signaturesVerified", 3);
        let line = metrics.line(Timestamp::constant(1_764_000_000, 5_000_000));
        assert!(!line.contains('\n'));
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({
                "FunctionName": "receiver",
                "Reason": "TokenExpired",
                "NotificationsRejected": 2,
                "AlertAgeSeconds": [1, 5],
                "signaturesVerified": 3,
                "_aws": {"Timestamp": 1_764_000_000_005_i64, "CloudWatchMetrics": [{
                    "Namespace": "TeamsEmergencyAlerts",
                    "Dimensions": [["FunctionName"], ["FunctionName", "Reason"]],
                    "Metrics": [
                        {"Name": "NotificationsRejected", "Unit": "Count"},
                        {"Name": "AlertAgeSeconds", "Unit": "Seconds"},
                    ],
                }]},
            })
        );
    }
}
