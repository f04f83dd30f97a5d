//! The app registrations with their credentials, and their service principals in each tenant, as they are now.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::{Application, FederatedCredential, Tenant};
use super::keys::read_certificate;

/// Limits of Entra's for federated credentials.
const MOST_FEDERATED: usize = 20;
const LONGEST_MEMBER: usize = 600;

/// What an application may do in one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServicePrincipal {
    /// The application permissions with consent, which tokens list.
    pub(crate) roles: Vec<String>,
    /// Whether nobody gets tokens.
    pub(crate) disabled: bool,
    /// Whether assignment is required, so that Graph sends no validation tokens.
    pub(crate) assignment_required: bool,
}

/// Credentials of an application; those that are given replace those of their kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsChange {
    /// The application; the first one if absent.
    pub client_id: Option<String>,
    /// Certificates, each base64 of its DER.
    pub certificates: Option<Vec<String>>,
    /// Federated credentials.
    pub federated: Option<Vec<FederatedCredential>>,
    /// Client secrets. They are good again, even if the old ones had expired.
    pub client_secrets: Option<Vec<String>>,
}

/// A change of what an application is allowed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplicationChange {
    /// The application; the first one if absent.
    pub client_id: Option<String>,
    /// The tenant in which it changes; all of them if absent. Secrets expire everywhere.
    pub tenant: Option<String>,
    /// The application permissions with consent.
    pub roles: Option<Vec<String>>,
    /// Whether it gets no tokens.
    pub disabled: Option<bool>,
    /// Whether its service principal requires assignment.
    pub assignment_required: Option<bool>,
    /// Whether its client secrets have expired.
    pub secret_expired: Option<bool>,
}

/// A change that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationsError {
    /// There is no such application.
    #[error("there is no application {0}")]
    UnknownApplication(String),
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    UnknownTenant(String),
    /// The certificate at this position, counted from 1, is none.
    #[error("certificate number {0} is not base64 of a certificate's DER")]
    Certificate(usize),
    /// Entra would not take these federated credentials.
    #[error(
        "an application has at most 20 federated credentials, no two with the same issuer and subject, and none with an \
         empty member or one of more than 600 characters"
    )]
    Federated,
}

/// All of them.
pub(crate) struct Applications {
    registered: Vec<Application>,
    /// By tenant and client id.
    principals: BTreeMap<(String, String), ServicePrincipal>,
}

impl Applications {
    /// These, with consent in each of the tenants.
    pub(crate) fn new(registered: Vec<Application>, tenants: &[Tenant]) -> Self {
        let principals = tenants.iter().flat_map(|tenant| {
            registered.iter().map(|application| {
                let principal =
                    ServicePrincipal { roles: application.roles.clone(), disabled: false, assignment_required: false };
                ((tenant.id.clone(), application.client_id.clone()), principal)
            })
        });
        Self { principals: principals.collect(), registered }
    }

    pub(crate) fn get(&self, client_id: &str) -> Option<&Application> {
        self.registered.iter().find(|application| application.client_id == client_id)
    }

    pub(crate) fn principal(&self, tenant: &str, client_id: &str) -> Option<&ServicePrincipal> {
        self.principals.get(&(tenant.to_owned(), client_id.to_owned()))
    }

    /// The tenants and client ids for which Graph sends no validation tokens.
    pub(crate) fn requiring_assignment(&self) -> BTreeSet<(String, String)> {
        let requiring = self.principals.iter().filter(|(_, principal)| principal.assignment_required);
        requiring.map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn change_credentials(&mut self, change: CredentialsChange) -> Result<(), ApplicationsError> {
        let certificates = change.certificates.map(|certificates| {
            let read = |(index, text): (usize, &String)| {
                read_certificate(text.as_bytes()).ok_or(ApplicationsError::Certificate(index + 1))
            };
            certificates.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()
        });
        let certificates = certificates.transpose()?;
        change.federated.as_deref().map_or(Ok(()), check_federated)?;
        let application = self.named(change.client_id)?;
        if let Some(certificates) = certificates {
            application.certificates = certificates;
        }
        if let Some(federated) = change.federated {
            application.federated = federated;
        }
        if let Some(secrets) = change.client_secrets {
            application.client_secrets = secrets;
            application.secret_expired = false;
        }
        Ok(())
    }

    pub(crate) fn change(&mut self, change: ApplicationChange) -> Result<(), ApplicationsError> {
        let client_id = self.named(change.client_id)?.client_id.clone();
        let tenant = change.tenant.map(|tenant| tenant.to_ascii_lowercase());
        let concerned = self
            .principals
            .iter_mut()
            .filter(|((of, client), _)| *client == client_id && tenant.as_ref().is_none_or(|tenant| tenant == of));
        let concerned: Vec<_> = concerned.map(|(_, principal)| principal).collect();
        if let (true, Some(tenant)) = (concerned.is_empty(), tenant) {
            return Err(ApplicationsError::UnknownTenant(tenant));
        }
        for principal in concerned {
            principal.roles = change.roles.clone().unwrap_or_else(|| principal.roles.clone());
            principal.disabled = change.disabled.unwrap_or(principal.disabled);
            principal.assignment_required = change.assignment_required.unwrap_or(principal.assignment_required);
        }
        let application = self.named(Some(client_id))?;
        application.secret_expired = change.secret_expired.unwrap_or(application.secret_expired);
        Ok(())
    }

    /// How many credentials each has.
    pub(crate) fn credential_counts(&self) -> Value {
        let counts = self.registered.iter().map(|application| {
            json!({
                "clientId": application.client_id,
                "certificates": application.certificates.len(),
                "federated": application.federated.len(),
                "clientSecrets": application.client_secrets.len(),
            })
        });
        counts.collect()
    }

    /// What each is allowed in each tenant.
    pub(crate) fn as_json(&self) -> Value {
        let all = self.registered.iter().map(|application| {
            let principals = self.principals.iter().filter(|((_, client), _)| *client == application.client_id);
            let tenants: BTreeMap<_, _> = principals.map(|((tenant, _), principal)| (tenant, principal)).collect();
            json!({
                "clientId": application.client_id,
                "secretExpired": application.secret_expired,
                "tenants": tenants,
            })
        });
        all.collect()
    }

    fn named(&mut self, client_id: Option<String>) -> Result<&mut Application, ApplicationsError> {
        let client_id = client_id.map(|id| id.to_ascii_lowercase());
        let wanted = |application: &&mut Application| client_id.as_ref().is_none_or(|id| *id == application.client_id);
        let found = self.registered.iter_mut().find(wanted);
        found.ok_or_else(|| ApplicationsError::UnknownApplication(client_id.unwrap_or_default()))
    }
}

fn check_federated(credentials: &[FederatedCredential]) -> Result<(), ApplicationsError> {
    let pairs: BTreeSet<_> = credentials.iter().map(|one| (&one.issuer, &one.subject)).collect();
    let members = credentials.iter().flat_map(|one| [&one.issuer, &one.subject, &one.audience]);
    let fit = members.into_iter().all(|text| (1..=LONGEST_MEMBER).contains(&text.chars().count()));
    if fit && pairs.len() == credentials.len() && credentials.len() <= MOST_FEDERATED {
        Ok(())
    } else {
        Err(ApplicationsError::Federated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::config::{CLIENT_ID, CLIENT_SECRET, ROLE, TENANT_ID};
    use crate::simulator::keys::shared;

    const OTHER_TENANT: &str = "11111111-2222-3333-4444-555555555555";

    fn applications() -> Applications {
        let tenants = [TENANT_ID, OTHER_TENANT].map(|id| Tenant { id: id.to_owned(), policies: None });
        let application = Application {
            client_id: CLIENT_ID.to_owned(),
            client_secrets: vec![CLIENT_SECRET.to_owned()],
            roles: vec![ROLE.to_owned()],
            ..Application::default()
        };
        Applications::new(vec![application], &tenants)
    }

    fn federated(issuer: &str, subject: &str) -> FederatedCredential {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        FederatedCredential { issuer, subject, audience: "api://AzureADTokenExchange".to_owned(), jwks: None }
    }

    #[test]
    fn given_credentials_replace_those_of_their_kind() {
        let mut applications = applications();
        let certificates = Some(vec![shared(2048, 0).certificate_base64()]);
        applications.change_credentials(CredentialsChange { certificates, ..CredentialsChange::default() }).unwrap();
        let federated = Some(vec![federated("https://a", "b"), federated("https://a", "c")]);
        applications.change_credentials(CredentialsChange { federated, ..CredentialsChange::default() }).unwrap();
        let counts = json!([{"clientId": CLIENT_ID, "certificates": 1, "federated": 2, "clientSecrets": 1}]);
        assert_eq!(applications.credential_counts(), counts);
    }

    #[test]
    fn what_entra_would_not_register_is_refused() {
        let mut applications = applications();
        let certificates = Some(vec![shared(2048, 0).certificate_base64(), "AAAA".to_owned()]);
        let change = CredentialsChange { certificates, ..CredentialsChange::default() };
        assert_eq!(applications.change_credentials(change), Err(ApplicationsError::Certificate(2)));
        let many = (0..21).map(|number| federated("https://a", &number.to_string())).collect();
        for wrong in [
            vec![federated("https://a", "b"), federated("https://a", "b")],
            vec![federated("", "b")],
            vec![federated("https://a", &"b".repeat(601))],
            many,
        ] {
            let change = CredentialsChange { federated: Some(wrong), ..CredentialsChange::default() };
            assert_eq!(applications.change_credentials(change), Err(ApplicationsError::Federated));
        }
        let change = CredentialsChange { client_id: Some("other".to_owned()), ..CredentialsChange::default() };
        assert!(matches!(applications.change_credentials(change), Err(ApplicationsError::UnknownApplication(_))));
    }

    #[test]
    fn a_new_secret_has_not_expired() {
        let mut applications = applications();
        applications.change(ApplicationChange { secret_expired: Some(true), ..ApplicationChange::default() }).unwrap();
        assert!(applications.get(CLIENT_ID).unwrap().secret_expired);
        let change = CredentialsChange { client_secrets: Some(vec!["new".to_owned()]), ..CredentialsChange::default() };
        applications.change_credentials(change).unwrap();
        assert!(!applications.get(CLIENT_ID).unwrap().secret_expired);
    }

    #[test]
    fn a_change_is_for_one_tenant_or_for_all() {
        let mut applications = applications();
        let change = ApplicationChange {
            tenant: Some(OTHER_TENANT.to_owned()),
            roles: Some(Vec::new()),
            assignment_required: Some(true),
            ..ApplicationChange::default()
        };
        applications.change(change).unwrap();
        let here = |applications: &Applications, tenant| applications.principal(tenant, CLIENT_ID).unwrap().clone();
        assert_eq!(here(&applications, TENANT_ID).roles, [ROLE]);
        assert!(here(&applications, OTHER_TENANT).roles.is_empty());
        assert_eq!(applications.requiring_assignment(), [(OTHER_TENANT.to_owned(), CLIENT_ID.to_owned())].into());
        applications.change(ApplicationChange { disabled: Some(true), ..ApplicationChange::default() }).unwrap();
        assert!(here(&applications, TENANT_ID).disabled && here(&applications, OTHER_TENANT).disabled);
        let change = ApplicationChange { tenant: Some("other".to_owned()), ..ApplicationChange::default() };
        assert!(matches!(applications.change(change), Err(ApplicationsError::UnknownTenant(_))));
    }
}
