//! The function's environment, which the template fills from its parameters.

use emergency_alert::Settings;
use graph_notifications::{ClientId, Policies, TenantId};
use graph_subscriptions::{GraphEndpoint, LoginEndpoint};
use lambda_edge::environment::{Environment, SettingError};

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
    /// The secret that holds the app's client secret: name or ARN.
    pub client_secret_id: String,
    /// The secret that holds the keyring: name or ARN.
    pub keyring_secret_id: String,
    /// The state table.
    pub table_name: String,
    /// The event bus.
    pub bus_name: String,
    /// The function's own name, for its metrics.
    pub function_name: String,
}

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
        Settings::parse(&text("TEST_NUMBERS"), &text("TIME_ZONE"), &text("LANGUAGE"))
            .map_err(SettingError::sentence)?;
        Ok(Self {
            app: environment.parameter("CLIENT_ID", "ClientId", str::parse)?,
            policies: environment.parameter("POLICY_NAMES", "PolicyNames", |list| Policies::parse(list, tenant))?,
            graph: environment.parameter("GRAPH_ENDPOINT", "GraphEndpoint", GraphEndpoint::parse)?,
            login: environment.parameter("LOGIN_ENDPOINT", "LoginEndpoint", LoginEndpoint::parse)?,
            notification_url: environment.text("NOTIFICATION_URL")?,
            client_secret_id: environment.text("CLIENT_SECRET_ID")?,
            keyring_secret_id: environment.text("KEYRING_SECRET_ID")?,
            table_name: environment.text("STATE_TABLE_NAME")?,
            bus_name: environment.text("EVENT_BUS_NAME")?,
            function_name: environment.text("AWS_LAMBDA_FUNCTION_NAME")?,
        })
    }
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
            ("CLIENT_SECRET_ID", "arn:secret"),
            ("KEYRING_SECRET_ID", "arn:keyring"),
            ("STATE_TABLE_NAME", "table"),
            ("EVENT_BUS_NAME", "bus"),
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
            ("LOGIN_ENDPOINT", "https://login.microsoftonline.com/common", "LoginEndpoint"),
        ] {
            let mut environment = environment();
            environment.insert(variable, value);
            let sentence = read(&environment).unwrap_err().to_string();
            assert!(sentence.starts_with(&format!("the parameter {parameter} cannot be used: ")), "{sentence}");
        }
    }

    #[test]
    fn the_receivers_settings_are_checked_too() {
        for (variable, value, parameter) in [
            ("TEST_NUMBERS", "933,911", "TestNumbers"),
            ("TIME_ZONE", "Here", "TimeZone"),
            ("LANGUAGE", "tlh", "Language"),
        ] {
            let mut environment = environment();
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
