//! The function's environment, which the template fills from its parameters.

use emergency_alert::Settings;
use graph_notifications::{ClientId, Policies, TenantId};
use graph_subscriptions::{AllowedHosts, GraphEndpoint, LoginEndpoint};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use lambda_edge::{
    environment::{Environment, SettingError},
    topic::SecondTopic,
};

/// What the function is set up to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The app registration.
    pub app: ClientId,
    /// The policies to watch.
    pub policies: Policies,
    /// Microsoft Graph.
    pub graph: GraphEndpoint,
    /// Microsoft Entra.
    pub login: LoginEndpoint,
    /// Where Graph delivers.
    pub notification_url: String,
    /// What proves to Entra that it is the app that asks.
    pub credential: CredentialKind,
    /// The secret with a client secret beside another credential: it serves until Entra knows that one.
    pub fallback_secret_id: Option<String>,
    /// How old an encryption key becomes before another takes its place.
    pub key_rotation: SignedDuration,
    /// How often the subscriptions are compared with what they should be, as far as the schedule says so: 30 minutes otherwise,
    /// and at most.
    pub renewal_interval: SignedDuration,
    /// When the client secret ends, if an operator has said so.
    pub client_secret_expires_at: Option<Timestamp>,
    /// How alerts read: a drill does as a call would. The quiet hours of the night are reckoned in their time zone.
    pub alert_settings: Settings,
    /// The secret that holds the keyring: name or ARN.
    pub keyring_secret_id: String,
    /// The state table.
    pub table_name: String,
    /// The event bus.
    pub bus_name: String,
    /// The topic of emergency calls.
    pub alert_topic_arn: String,
    /// The topic in another Region for emergency calls that the first does not take.
    pub second_alert_topic: Option<SecondTopic>,
    /// The topic of test calls.
    pub test_topic_arn: String,
    /// The topic of alarms.
    pub operations_topic_arn: String,
    /// The topic for chat, where there is one.
    pub chat_topic_arn: Option<String>,
    /// The stack, whose name the names of its alarms begin with.
    pub stack_name: String,
    /// The stack's ARN, by which CloudFormation's own requests are known.
    pub stack_id: String,
    /// The function's own name, for its metrics.
    pub function_name: String,
}

/// What proves to Entra that it is the app that asks: the template parameter `GraphCredential`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// A client secret, which an operator keeps in this secret.
    Secret(String),
    /// A certificate, whose key this function makes and keeps in this secret.
    Certificate(String),
    /// A token by which AWS says which role asks. Nothing is stored.
    Federated,
}

/// The number is no age for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a number of days from 1 to 365")]
pub struct NotARotation;

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// On the first value that is missing or cannot be used, with a sentence that names the template's parameter. The
    /// receiver's own settings are among them: the receiver starts only when somebody calls, and that would be too late
    /// to learn that it cannot.
    pub fn read(environment: &Environment<'_>) -> Result<Self, SettingError> {
        let tenant: TenantId = environment.parameter("TENANT_ID", "TenantId", str::parse)?;
        let text = |variable: &str| environment.0(variable).unwrap_or_default();
        let hosts = AllowedHosts::parse(&text("ALLOW_OTHER_ENDPOINTS"))
            .map_err(|error| SettingError::of_parameter("AllowOtherEndpoints", error))?;
        let (test_numbers, time_zone) = (text("TEST_NUMBERS"), text("TIME_ZONE"));
        let alert_settings = Settings::parse(&test_numbers, &time_zone, &text("LANGUAGE"), &text("MAP_LINK"))
            .map_err(SettingError::sentence)?;
        Ok(Self {
            app: environment.parameter("CLIENT_ID", "ClientId", str::parse)?,
            policies: environment.parameter("POLICY_NAMES", "PolicyNames", |list| Policies::parse(list, tenant))?,
            graph: environment
                .parameter("GRAPH_ENDPOINT", "GraphEndpoint", |text| GraphEndpoint::parse(text, hosts))?,
            login: environment
                .parameter("LOGIN_ENDPOINT", "LoginEndpoint", |text| LoginEndpoint::parse(text, hosts))?,
            notification_url: environment.text("NOTIFICATION_URL")?,
            credential: credential(environment)?,
            fallback_secret_id: environment.text("CLIENT_SECRET_ID").ok(),
            key_rotation: environment.parameter("KEY_ROTATION_DAYS", "KeyRotationDays", rotation)?,
            renewal_interval: interval(&text("RENEWAL_SCHEDULE")),
            client_secret_expires_at: end_of_secret(text("CLIENT_SECRET_EXPIRES_ON").trim())
                .map_err(|error| SettingError::of_parameter("ClientSecretExpiresOn", error))?,
            alert_settings,
            keyring_secret_id: environment.text("KEYRING_SECRET_ID")?,
            table_name: environment.text("STATE_TABLE_NAME")?,
            bus_name: environment.text("EVENT_BUS_NAME")?,
            alert_topic_arn: environment.text("ALERT_TOPIC_ARN")?,
            second_alert_topic: SecondTopic::read(environment)?,
            test_topic_arn: environment.text("TEST_TOPIC_ARN")?,
            operations_topic_arn: environment.text("OPERATIONS_TOPIC_ARN")?,
            chat_topic_arn: environment.text("CHAT_TOPIC_ARN").ok(),
            stack_name: environment.text("STACK_NAME")?,
            stack_id: environment.text("STACK_ID")?,
            function_name: environment.text("AWS_LAMBDA_FUNCTION_NAME")?,
        })
    }
}

/// The kind of credential, with the secret that it needs.
fn credential(environment: &Environment<'_>) -> Result<CredentialKind, SettingError> {
    match environment.text("GRAPH_CREDENTIAL")?.as_str() {
        "Secret" => Ok(CredentialKind::Secret(environment.text("CLIENT_SECRET_ID")?)),
        "Certificate" => Ok(CredentialKind::Certificate(environment.text("APP_CERTIFICATES_SECRET_ID")?)),
        "Federated" => Ok(CredentialKind::Federated),
        _ => Err(SettingError::of_parameter("GraphCredential", "it must be Secret, Certificate or Federated")),
    }
}

/// The text is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a day such as 2027-06-30, or empty")]
pub struct NotADay;

/// The beginning of the day on which the client secret ends.
fn end_of_secret(day: &str) -> Result<Option<Timestamp>, NotADay> {
    if day.is_empty() {
        return Ok(None);
    }
    let day: Date = day.parse().map_err(|_| NotADay)?;
    Ok(Some(day.to_zoned(TimeZone::UTC).map_err(|_| NotADay)?.timestamp()))
}

/// The longest time between two runs that keeps the subscriptions delivering.
const LONGEST_INTERVAL: SignedDuration = SignedDuration::from_mins(30);

/// The time between two runs of an EventBridge Scheduler expression. When a `cron` expression runs is not looked into.
fn interval(schedule: &str) -> SignedDuration {
    let rate = schedule.trim().strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')'));
    let minutes = rate.and_then(|rate| {
        let (number, unit) = rate.trim().split_once(' ')?;
        unit.trim().starts_with("minute").then_some(number.parse::<u8>().ok()?)
    });
    minutes.map_or(LONGEST_INTERVAL, |minutes| SignedDuration::from_mins(minutes.into()).min(LONGEST_INTERVAL))
}

fn rotation(days: &str) -> Result<SignedDuration, NotARotation> {
    let days: i64 = days.parse().map_err(|_| NotARotation)?;
    if (1..=365).contains(&days) { Ok(SignedDuration::from_hours(24 * days)) } else { Err(NotARotation) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn environment() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("TENANT_ID", "11111111-2222-3333-4444-555555555555"),
            ("CLIENT_ID", "99999999-8888-7777-6666-555555555555"),
            ("POLICY_NAMES", "Global,Warehouse"),
            ("GRAPH_ENDPOINT", "https://graph.microsoft.com/v1.0"),
            ("LOGIN_ENDPOINT", "https://login.microsoftonline.com"),
            ("NOTIFICATION_URL", "https://example.org/notifications"),
            ("GRAPH_CREDENTIAL", "Secret"),
            ("CLIENT_SECRET_ID", "arn:secret"),
            ("KEY_ROTATION_DAYS", "90"),
            ("KEYRING_SECRET_ID", "arn:keyring"),
            ("STATE_TABLE_NAME", "table"),
            ("EVENT_BUS_NAME", "bus"),
            ("ALERT_TOPIC_ARN", "arn:alerts"),
            ("TEST_TOPIC_ARN", "arn:tests"),
            ("OPERATIONS_TOPIC_ARN", "arn:operations"),
            ("STACK_NAME", "stack"),
            ("STACK_ID", "arn:aws:cloudformation:us-east-1:123456789012:stack/stack/0b1f"),
            ("TIME_ZONE", "Europe/Berlin"),
            ("LANGUAGE", "en"),
            ("AWS_LAMBDA_FUNCTION_NAME", "renewer"),
        ])
    }

    fn read(environment: &HashMap<&str, &str>) -> Result<Config, SettingError> {
        Config::read(&Environment(&|name| environment.get(name).map(|&value| value.to_owned())))
    }

    #[test]
    fn the_template_fills_it() {
        let config = read(&environment()).unwrap();
        assert_eq!(config.policies.iter().count(), 2);
        assert_eq!(config.graph.token_scope(), "https://graph.microsoft.com/.default");
        assert_eq!(config.credential, CredentialKind::Secret("arn:secret".to_owned()));
        assert_eq!(config.key_rotation, SignedDuration::from_hours(90 * 24));
        assert_eq!(config.alert_settings.time_zone.iana_name(), Some("Europe/Berlin"));
    }

    #[test]
    fn the_interval_is_the_schedules_and_half_an_hour_at_most() {
        for (schedule, minutes) in [
            ("rate(15 minutes)", 15),
            ("rate(1 minute)", 1),
            (" rate( 20  minutes ) ", 20),
            ("rate(30 minutes)", 30),
            ("rate(45 minutes)", 30),
            ("rate(1 hour)", 30),
            ("rate(1000 minutes)", 30),
            ("cron(0/10 * * * ? *)", 30),
            ("", 30),
        ] {
            assert_eq!(interval(schedule), SignedDuration::from_mins(minutes), "{schedule}");
        }
    }

    #[test]
    fn the_end_of_a_client_secret_is_a_day_or_unknown() {
        assert_eq!(end_of_secret(""), Ok(None));
        assert_eq!(end_of_secret("2027-06-30"), Ok(Some("2027-06-30T00:00:00Z".parse().unwrap())));
        for wrong in ["30.06.2027", "2027-02-30", "soon"] {
            assert_eq!(end_of_secret(wrong), Err(NotADay), "{wrong}");
        }
    }

    #[test]
    fn each_credential_has_its_secret_or_none() {
        let with = |kind, variable: Option<(&'static str, &'static str)>| {
            let mut environment = environment();
            environment.remove("CLIENT_SECRET_ID");
            environment.insert("GRAPH_CREDENTIAL", kind);
            environment.extend(variable);
            read(&environment).map(|config| config.credential)
        };
        let secret = Some(("APP_CERTIFICATES_SECRET_ID", "arn:certificates"));
        assert_eq!(with("Certificate", secret), Ok(CredentialKind::Certificate("arn:certificates".to_owned())));
        assert!(with("Certificate", None).is_err());
        assert_eq!(with("Federated", None), Ok(CredentialKind::Federated));
        assert_eq!(read(&environment()).unwrap().fallback_secret_id.as_deref(), Some("arn:secret"));
    }

    #[test]
    fn a_bad_value_is_reported_under_its_parameters_name() {
        for (variable, value, parameter) in [
            ("TENANT_ID", "contoso", "TenantId"),
            ("TENANT_ID", "", "TenantId"),
            ("CLIENT_ID", "x", "ClientId"),
            ("POLICY_NAMES", " , ", "PolicyNames"),
            ("POLICY_NAMES", "contoso/Global", "PolicyNames"),
            ("GRAPH_ENDPOINT", "http://graph.microsoft.com/v1.0", "GraphEndpoint"),
            ("GRAPH_ENDPOINT", "https://graph.rnicrosoft.com/v1.0", "GraphEndpoint"),
            ("LOGIN_ENDPOINT", "https://login.example", "LoginEndpoint"),
            ("ALLOW_OTHER_ENDPOINTS", "perhaps", "AllowOtherEndpoints"),
            ("LOGIN_ENDPOINT", "https://login.microsoftonline.com/common", "LoginEndpoint"),
            ("GRAPH_CREDENTIAL", "Password", "GraphCredential"),
            ("KEY_ROTATION_DAYS", "0", "KeyRotationDays"),
            ("KEY_ROTATION_DAYS", "366", "KeyRotationDays"),
            ("KEY_ROTATION_DAYS", "often", "KeyRotationDays"),
            ("CLIENT_SECRET_EXPIRES_ON", "soon", "ClientSecretExpiresOn"),
        ] {
            let mut environment = environment();
            environment.insert(variable, value);
            let sentence = read(&environment).unwrap_err().to_string();
            assert!(sentence.starts_with(&format!("the parameter {parameter} cannot be used: ")), "{sentence}");
        }
    }

    #[test]
    fn secrets_go_to_another_host_only_if_a_parameter_says_so() {
        let mut environment = environment();
        environment.insert("GRAPH_ENDPOINT", "https://graph.example/v1.0");
        environment.insert("LOGIN_ENDPOINT", "https://login.example");
        for refused in ["", "false"] {
            environment.insert("ALLOW_OTHER_ENDPOINTS", refused);
            let sentence = read(&environment).unwrap_err().to_string();
            assert!(sentence.contains("deploy with AllowOtherEndpoints=true"), "{sentence}");
        }
        environment.insert("ALLOW_OTHER_ENDPOINTS", "true");
        assert_eq!(read(&environment).unwrap().login.as_str(), "https://login.example");
    }

    #[test]
    fn the_receivers_settings_are_checked_too() {
        for (variable, value, parameter) in [
            ("TEST_NUMBERS", "933,911", "TestNumbers"),
            ("TIME_ZONE", "Here", "TimeZone"),
            ("LANGUAGE", "tlh", "Language"),
            ("MAP_LINK", "ftp://maps.example/", "MapLink"),
            ("SECOND_ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:Alerts", "SecondAlertTopicArn"),
        ] {
            let mut environment = environment();
            environment.insert("AWS_REGION", "us-east-1");
            environment.insert(variable, value);
            assert!(read(&environment).unwrap_err().to_string().contains(&format!("the parameter {parameter} ")));
        }
    }

    #[test]
    fn every_variable_is_needed() {
        for variable in environment().keys() {
            let mut environment = environment();
            environment.remove(variable);
            assert!(read(&environment).is_err(), "{variable}");
        }
    }
}
