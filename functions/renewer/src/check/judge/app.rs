//! The app in Microsoft Entra: whether it can sign in, what it may, and whether Graph may notify it.

use graph_subscriptions::{GraphErrorKind, TokenError};
use jiff::Timestamp;

use super::{PERMISSION, end_in_words, graph_step, state_of_end};
use crate::finding::{Link, Row, State};
use crate::{
    check::seen::{CertificateSeen, CredentialSeen, Granted, Seen, TenantSeen},
    config::{Config, CredentialKind},
};

const NO_TOKEN: &str = "Without an access token this cannot be seen.";
const TOKEN_FIRST: &str = "See to the credential first.";

/// Each tenant's sign-in, each certificate of the app, and a client secret whose end nobody is told.
pub(super) fn credentials(seen: &Seen, config: &Config, now: Timestamp) -> Vec<Row> {
    let mut rows: Vec<Row> = seen.tenants.iter().map(|tenant| sign_in(&seen.credential, tenant, config)).collect();
    if let CredentialSeen::Certificates(certificates) = &seen.credential {
        let judged = |(index, one)| certificate(index, one, certificates, &seen.tenants, now);
        rows.extend(certificates.iter().enumerate().map(judged));
    }
    if matches!(seen.credential, CredentialSeen::Secret) {
        rows.extend(end_of_secret(config.client_secret_expires_at, now));
    }
    rows
}

/// The app may not read when its secret ends, so that an alarm rings before only if somebody says when.
fn end_of_secret(ends_at: Option<Timestamp>, now: Timestamp) -> Option<Row> {
    let step =
        "Deploy with ClientSecretExpiresOn, the day that Entra shows for the secret under Certificates & secrets.";
    let finding = match ends_at {
        None => "Nobody has said when it ends, so that no alarm rings before.".to_owned(),
        Some(end) if end <= now => {
            format!(
                "By ClientSecretExpiresOn it {}: either it was replaced, or nothing can be renewed.",
                end_in_words(ends_at, now)
            )
        }
        Some(_) => return None,
    };
    Some(Row::warning(Link::Credential, "client secret", finding, step))
}

fn sign_in(credential: &CredentialSeen, tenant: &TenantSeen, config: &Config) -> Row {
    let subject = tenant.tenant;
    let with = match credential {
        CredentialSeen::Missing(sentence) => {
            let finding = format!("The app has nothing to sign in with: {sentence}.");
            return Row::failed(Link::Credential, subject, finding, how_to_get_one(&config.credential));
        }
        CredentialSeen::Secret => "for the client secret",
        CredentialSeen::Certificates(_) => "for a certificate",
        CredentialSeen::Federated(_) => "for the web identity of the renewer's role",
    };
    if tenant.granted().is_some() {
        return Row::ok(Link::Credential, subject, format!("Microsoft Entra gave an access token {with}."));
    }
    // What is wrong besides the credential, since that stays when the credential is right.
    let errors = || tenant.answers.iter().filter_map(|answer| answer.as_ref().err());
    match errors().find(|error| !error.is_credential_refused()).or_else(|| errors().next()) {
        Some(error) => Row::failed(Link::Credential, subject, refusal(error), advice(error)),
        None => Row::unknown(Link::Credential, subject, "Microsoft Entra was not asked.", "Check again."),
    }
}

fn how_to_get_one(kind: &CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Secret(_) => {
            "Make a client secret in Entra and deploy with its Value (not its ID) as the parameter ClientSecret. If that was \
             done, the renewer's role must be allowed to read it."
        }
        CredentialKind::Certificate(_) => {
            "Run make ask ACTION=reconcile STACK_NAME=...: it makes a certificate. Then check again, and upload what this shows."
        }
        CredentialKind::Federated => {
            "Enable it once in the AWS account: aws iam enable-outbound-web-identity-federation. The renewer's role must be \
             allowed sts:GetWebIdentityToken."
        }
    }
}

fn refusal(error: &TokenError) -> String {
    match error.status {
        Some(status) => format!("Microsoft Entra gave no access token (status {status}: {}).", error.message),
        None => format!("Microsoft Entra gave no answer ({}).", error.message),
    }
}

fn advice(error: &TokenError) -> String {
    match (error.advice(), error.status, error.codes.first()) {
        (Some(advice), ..) => sentence(advice),
        (None, None, _) => "Check LoginEndpoint, and that the renewer can reach it; then check again.".to_owned(),
        (None, Some(429 | 500..), _) => {
            "Microsoft Entra has a passing failure: check again in some minutes.".to_owned()
        }
        (None, Some(_), Some(code)) => {
            format!("Look the number up at https://login.microsoftonline.com/error?code={code}.")
        }
        (None, Some(_), None) => "Check LoginEndpoint, TenantId and ClientId.".to_owned(),
    }
}

fn sentence(advice: &str) -> String {
    let mut letters = advice.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).chain(['.']).collect()
}

fn certificate(
    index: usize,
    one: &CertificateSeen,
    all: &[CertificateSeen],
    tenants: &[TenantSeen],
    now: Timestamp,
) -> Row {
    const UPLOAD: &str = "Upload its public half, which this shows, to the app in Entra: Certificates & secrets, \
                          Certificates, Upload certificate.";
    let subject = format!("certificate {}", one.thumbprint);
    let end = end_in_words(one.ends_at, now);
    let accepted = |index: usize| tenants.iter().any(|tenant| matches!(tenant.answers.get(index), Some(Ok(_))));
    let lasts = |other: &CertificateSeen| state_of_end(other.ends_at, now) == State::Ok;
    if !accepted(index) {
        let errors = || tenants.iter().filter_map(|tenant| tenant.answers.get(index)?.as_ref().err());
        if errors().any(TokenError::is_credential_refused) {
            let finding = format!("Microsoft Entra does not accept it; it {end}.");
            return if (0..all.len()).any(accepted) {
                Row::warning(Link::Credential, subject, finding, UPLOAD)
            } else {
                Row::failed(Link::Credential, subject, finding, UPLOAD)
            };
        }
        let finding = format!("Whether Microsoft Entra accepts it cannot be seen; it {end}.");
        return Row::unknown(Link::Credential, subject, finding, format!("{TOKEN_FIRST} {UPLOAD}"));
    }
    let finding = format!("Microsoft Entra accepts it; it {end}.");
    let followed = all.iter().enumerate().any(|(other, next)| accepted(other) && lasts(next));
    match state_of_end(one.ends_at, now) {
        State::Ok => Row::ok(Link::Credential, subject, finding),
        _ if followed => Row::ok(Link::Credential, subject, format!("{finding} A later one is accepted, too.")),
        state => {
            let step = "Run make ask ACTION=reconcile STACK_NAME=..., which makes the next one in time; then upload that one, \
                        as this shows.";
            let row = if state == State::Failed { Row::failed } else { Row::warning };
            row(Link::Credential, &subject, &finding, &step)
        }
    }
}

/// Each tenant's consent to the permission.
pub(super) fn roles(seen: &Seen) -> Vec<Row> {
    let judged = |tenant: &TenantSeen| {
        let subject = tenant.tenant;
        match tenant.granted() {
            None => Row::unknown(Link::Roles, subject, NO_TOKEN, TOKEN_FIRST),
            Some(Granted { roles: None }) => Row::unknown(
                Link::Roles,
                subject,
                "The access token cannot be read; only Graph knows what it grants.",
                "Look at the subscriptions: if Graph lists them, the permission is there.",
            ),
            Some(Granted { roles: Some(roles) }) if roles.iter().any(|role| role == PERMISSION) => {
                Row::ok(Link::Roles, subject, format!("The app has {PERMISSION}."))
            }
            Some(Granted { roles: Some(_) }) => Row::failed(
                Link::Roles,
                subject,
                format!("The app lacks the application permission {PERMISSION}."),
                "Add it under App registrations, the app, API permissions, Microsoft Graph, Application permissions; then an \
                 administrator must grant admin consent there, or in another organisation's tenant under Enterprise \
                 applications, the app, Permissions. A new token shows it within minutes.",
            ),
        }
    };
    seen.tenants.iter().map(judged).collect()
}

/// Each tenant's settings of the app.
pub(super) fn settings(seen: &Seen) -> Vec<Row> {
    seen.tenants.iter().flat_map(settings_in).collect()
}

fn settings_in(tenant: &TenantSeen) -> Vec<Row> {
    const BY_HAND: &str = "Look by hand: Enterprise applications, the app, Properties. 'Assignment required?' must be No, \
                           'Enabled for users to sign-in?' must be Yes.";
    let subject = tenant.tenant;
    let settings = match &tenant.settings {
        None => return vec![Row::unknown(Link::AppSettings, subject, NO_TOKEN, BY_HAND)],
        Some(Err(error)) if error.kind == GraphErrorKind::Forbidden => {
            let finding =
                "The app may not read its own settings (that takes Application.Read.All, which nothing else needs).";
            return vec![Row::unknown(Link::AppSettings, subject, finding, BY_HAND)];
        }
        Some(Err(error)) if error.kind == GraphErrorKind::NotFound => {
            let finding = "The tenant has no enterprise application for ClientId.";
            let step =
                "Check ClientId; in another organisation's tenant an administrator must consent to the app first.";
            return vec![Row::failed(Link::AppSettings, subject, finding, step)];
        }
        Some(Err(error)) => {
            let step = format!("{} {BY_HAND}", graph_step(error));
            return vec![Row::unknown(Link::AppSettings, subject, format!("{error}."), step)];
        }
        Some(Ok(settings)) => settings,
    };
    let mut rows = Vec::new();
    if settings.app_role_assignment_required {
        rows.push(Row::failed(
            Link::AppSettings,
            subject,
            "'Assignment required?' is Yes, so that Graph sends notifications without validation tokens: calls alert as not verified, or not at all with UnverifiedCalls=Reject.",
            "Set it to No: Enterprise applications, the app, Properties, 'Assignment required?'.",
        ));
    }
    if !settings.account_enabled {
        rows.push(Row::failed(
            Link::AppSettings,
            subject,
            "The app is disabled in this tenant.",
            "Enable it: Enterprise applications, the app, Properties, 'Enabled for users to sign-in?'.",
        ));
    }
    if rows.is_empty() {
        rows.push(Row::ok(Link::AppSettings, subject, "'Assignment required?' is No, and the app is enabled."));
    }
    rows
}
