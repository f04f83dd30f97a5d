//! What must stand in Microsoft Entra, to the letter.

use super::{
    judge::PERMISSION,
    report::EntraEntry,
    seen::{Claims, CredentialSeen},
};
use crate::config::{Config, CredentialKind};

/// All of it, whether it stands there or not: the permission, the settings, and what the app is recognised by.
#[must_use]
pub fn entries(credential: &CredentialSeen, config: &Config) -> Vec<EntraEntry> {
    let at = |page: &str| format!("App registrations, {}, {page}", config.app);
    let mut entries = vec![
        EntraEntry {
            place: at("API permissions, Microsoft Graph, Application permissions"),
            name: "Permission with admin consent",
            value: PERMISSION.to_owned(),
        },
        EntraEntry {
            place: format!("Enterprise applications, {}, Properties", config.app),
            name: "Assignment required?",
            value: "No".to_owned(),
        },
    ];
    match (&config.credential, credential) {
        (CredentialKind::Secret(_), _) => entries.push(EntraEntry {
            place: at("Certificates & secrets, Client secrets"),
            name: "Client secret",
            value: "one whose Value (not its ID) is the parameter ClientSecret".to_owned(),
        }),
        (CredentialKind::Certificate(_), CredentialSeen::Certificates(certificates)) => {
            entries.extend(certificates.iter().map(|one| EntraEntry {
                // There may be two: Entra shows which it has by their thumbprints.
                place: at(&format!("Certificates & secrets, Certificates, Upload certificate {}", one.thumbprint)),
                name: "Certificate",
                value: one.pem.clone(),
            }));
        }
        // There is none yet: what is to be done is in the row of the credential.
        (CredentialKind::Certificate(_), _) => {}
        (CredentialKind::Federated, seen) => {
            let unseen = Claims::default();
            let claims = if let CredentialSeen::Federated(claims) = seen { claims } else { &unseen };
            let place = at("Certificates & secrets, Federated credentials, Add credential, Other issuer");
            let unknown = || "(known as soon as AWS gives the renewer a token)".to_owned();
            let audience = config.login.federation_audience().to_owned();
            let parts = [
                ("Issuer", claims.issuer.clone().unwrap_or_else(unknown)),
                ("Subject identifier", claims.subject.clone().unwrap_or_else(unknown)),
                ("Audience", claims.audience.clone().unwrap_or(audience)),
            ];
            entries.extend(parts.into_iter().map(|(name, value)| EntraEntry { place: place.clone(), name, value }));
        }
    }
    entries
}
