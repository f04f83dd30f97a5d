//! What the template tells the function.

use emergency_alert::{Settings, SettingsError};
use graph_notifications::{ClientId, Policies, TenantId, UnverifiedCalls};
use graph_subscriptions::{AllowedHosts, LoginEndpoint};
use lambda_edge::{
    environment::{Environment, SettingError},
    topic::SecondTopic,
};

/// The function's configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Our application.
    pub client_id: ClientId,
    /// The policies whose calls alert.
    pub policies: Policies,
    /// Where Entra issues tokens and publishes its signing keys.
    pub login_endpoint: LoginEndpoint,
    /// What becomes of items with one proof of their sender.
    pub unverified_calls: UnverifiedCalls,
    /// How alerts read, and what is a test.
    pub alert_settings: Settings,
    /// The secret that holds the keyring.
    pub keyring_secret_id: String,
    /// The table in which published alerts are marked.
    pub state_table_name: String,
    /// The topic for real calls.
    pub alert_topic_arn: String,
    /// The topic in another Region for real calls that the first does not take.
    pub second_alert_topic: Option<SecondTopic>,
    /// The topic for calls to test numbers.
    pub test_topic_arn: String,
    /// The bus for machines.
    pub event_bus_name: String,
    /// The function's own name, for its metrics.
    pub function_name: String,
    /// Optional settings that cannot be used: the function goes on without them.
    pub set_aside: Vec<SettingError>,
}

impl Config {
    /// Reads the configuration from the function's environment.
    ///
    /// A second topic, test numbers, a time zone, a language or a map that cannot be used is set aside for none, none, UTC,
    /// English and the usual map, and an unknown word for unverified calls for alerts. The renewer refuses a deployment with it, but the receiver is updated before, and calls come in between.
    ///
    /// # Errors
    /// One sentence that names the template parameter which is wrong, of those that there is no doing without.
    pub fn read(environment: &Environment<'_>) -> Result<Self, SettingError> {
        let tenant: TenantId = environment.parameter("TENANT_ID", "TenantId", str::parse)?;
        let hosts = AllowedHosts::parse(&environment.0("ALLOW_OTHER_ENDPOINTS").unwrap_or_default())
            .map_err(|error| SettingError::of_parameter("AllowOtherEndpoints", error))?;
        let mut set_aside = Vec::new();
        let alert_settings = alert_settings(environment, &mut set_aside)?;
        let unverified_calls = unverified_calls(environment).unwrap_or_else(|error| {
            set_aside.push(error);
            UnverifiedCalls::default()
        });
        let second_alert_topic = SecondTopic::read(environment).unwrap_or_else(|error| {
            set_aside.push(error);
            None
        });
        Ok(Self {
            client_id: environment.parameter("CLIENT_ID", "ClientId", str::parse)?,
            policies: environment.parameter("POLICY_NAMES", "PolicyNames", |list| Policies::parse(list, tenant))?,
            login_endpoint: environment
                .parameter("LOGIN_ENDPOINT", "LoginEndpoint", |text| LoginEndpoint::parse(text, hosts))?,
            unverified_calls,
            alert_settings,
            keyring_secret_id: environment.text("KEYRING_SECRET_ID")?,
            state_table_name: environment.text("STATE_TABLE_NAME")?,
            alert_topic_arn: environment.text("ALERT_TOPIC_ARN")?,
            second_alert_topic,
            test_topic_arn: environment.text("TEST_TOPIC_ARN")?,
            event_bus_name: environment.text("EVENT_BUS_NAME")?,
            function_name: environment.text("AWS_LAMBDA_FUNCTION_NAME")?,
            set_aside,
        })
    }
}

fn unverified_calls(environment: &Environment<'_>) -> Result<UnverifiedCalls, SettingError> {
    match environment.0("UNVERIFIED_CALLS").as_deref().map(str::trim) {
        None | Some("" | "Alert") => Ok(UnverifiedCalls::Alert),
        Some("Reject") => Ok(UnverifiedCalls::Reject),
        Some(other) => {
            let sentence = format!("the template parameter UnverifiedCalls is '{other}'; it must be Alert or Reject");
            Err(SettingError::sentence(sentence))
        }
    }
}

/// How alerts read, and what is a test. What cannot be used is set aside.
fn alert_settings(environment: &Environment<'_>, set_aside: &mut Vec<SettingError>) -> Result<Settings, SettingError> {
    const TIME_ZONE: &str = "UTC";
    const LANGUAGE: &str = "en";
    const USUAL_MAP: &str = "";
    // Then every call is real: rather an alarm for a test than the other way round.
    const NO_TESTS: &str = "";
    let text = |variable: &str| environment.0(variable).unwrap_or_default();
    let mut usable = |variable: &str, default: &str, alone: &dyn Fn(&str) -> Result<Settings, SettingsError>| {
        let value = text(variable);
        match alone(&value) {
            Ok(_) => value,
            Err(error) => {
                set_aside.push(SettingError::sentence(error));
                default.to_owned()
            }
        }
    };
    let time_zone = usable("TIME_ZONE", TIME_ZONE, &|zone| Settings::parse("", zone, LANGUAGE, USUAL_MAP));
    let language = usable("LANGUAGE", LANGUAGE, &|language| Settings::parse("", TIME_ZONE, language, USUAL_MAP));
    let map_link = usable("MAP_LINK", USUAL_MAP, &|map_link| Settings::parse("", TIME_ZONE, LANGUAGE, map_link));
    let test_numbers = usable("TEST_NUMBERS", NO_TESTS, &|list| Settings::parse(list, TIME_ZONE, LANGUAGE, USUAL_MAP));
    Settings::parse(&test_numbers, &time_zone, &language, &map_link).map_err(SettingError::sentence)
}

#[cfg(test)]
mod tests {
    use emergency_alert::{Language, MapLink};

    use super::*;

    const GOOD: [(&str, &str); 15] = [
        ("TENANT_ID", "11111111-2222-3333-4444-555555555555"),
        ("CLIENT_ID", "cccccccc-2222-3333-4444-555555555555"),
        ("POLICY_NAMES", "Global, Site"),
        ("LOGIN_ENDPOINT", "https://login.microsoftonline.com"),
        ("TEST_NUMBERS", "933"),
        ("TIME_ZONE", "America/New_York"),
        ("LANGUAGE", "en"),
        ("MAP_LINK", "none"),
        ("KEYRING_SECRET_ID", "keyring"),
        ("STATE_TABLE_NAME", "state"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:1:alert"),
        ("TEST_TOPIC_ARN", "arn:aws:sns:us-east-1:1:test"),
        ("EVENT_BUS_NAME", "bus"),
        ("AWS_LAMBDA_FUNCTION_NAME", "receiver"),
        ("AWS_REGION", "us-east-1"),
    ];

    fn read(changed: &str, value: Option<&str>) -> Result<Config, SettingError> {
        let lookup = |variable: &str| {
            let good = GOOD.iter().find(|(name, _)| *name == variable).map(|(_, value)| *value);
            if variable == changed { value } else { good }.map(ToOwned::to_owned)
        };
        Config::read(&Environment(&lookup))
    }

    #[test]
    fn a_right_configuration_is_read() {
        let config = read("", None).unwrap();
        assert_eq!(config.policies.iter().count(), 2);
        assert_eq!(config.function_name, "receiver");
        assert_eq!(config.alert_settings.time_zone.iana_name(), Some("America/New_York"));
        assert_eq!(config.set_aside, []);
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (variable, value, parameter) in [
            ("TENANT_ID", "contoso.com", "TenantId"),
            ("CLIENT_ID", "", "ClientId"),
            ("POLICY_NAMES", " , ", "PolicyNames"),
            ("LOGIN_ENDPOINT", "http://login.microsoftonline.com", "LoginEndpoint"),
            ("LOGIN_ENDPOINT", "https://login.example", "LoginEndpoint"),
            ("ALLOW_OTHER_ENDPOINTS", "perhaps", "AllowOtherEndpoints"),
        ] {
            let sentence = read(variable, Some(value)).unwrap_err().to_string();
            assert!(sentence.contains(parameter) && !sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn without_a_map_link_there_is_the_usual_map() {
        assert!(read("MAP_LINK", None).is_ok());
    }

    #[test]
    fn a_second_topic_is_optional() {
        assert_eq!(read("", None).unwrap().second_alert_topic, None);
        let config = read("SECOND_ALERT_TOPIC_ARN", Some("arn:aws:sns:us-west-2:123456789012:Alerts")).unwrap();
        assert_eq!(config.second_alert_topic.unwrap().region(), "us-west-2");
    }

    #[test]
    fn a_wrong_optional_parameter_is_named_and_set_aside_alone() {
        for (variable, value, parameter) in [
            ("SECOND_ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:Alerts", "SecondAlertTopicArn"),
            ("TEST_NUMBERS", "933,911", "TestNumbers"),
            ("TIME_ZONE", "Atlantis/Poseidonis", "TimeZone"),
            ("LANGUAGE", "tlh", "Language"),
            ("MAP_LINK", "http://maps.example", "MapLink"),
        ] {
            let config = read(variable, Some(value)).unwrap();
            let sentences: Vec<_> = config.set_aside.iter().map(ToString::to_string).collect();
            let [sentence] = &sentences[..] else { panic!("{sentences:?}") };
            assert!(sentence.contains(parameter) && !sentence.contains('\n'), "{sentence}");
            let settings = config.alert_settings;
            let zone = if variable == "TIME_ZONE" { "UTC" } else { "America/New_York" };
            let map_link = if variable == "MAP_LINK" { MapLink::default() } else { MapLink::parse("none").unwrap() };
            assert_eq!(config.second_alert_topic, None);
            assert_eq!(settings.time_zone.iana_name(), Some(zone), "{variable}");
            assert_eq!(settings.language(), Language::default(), "{variable}");
            assert_eq!(settings.map_link, map_link, "{variable}");
            assert_eq!(settings.test_numbers.contains("933"), variable != "TEST_NUMBERS", "then every call is real");
            assert!(!settings.test_numbers.contains("911"));
        }
    }

    #[test]
    fn what_the_template_sets_must_be_there() {
        for (variable, _) in &GOOD[8..14] {
            assert!(read(variable, None).unwrap_err().to_string().contains(variable), "{variable}");
        }
    }
}
