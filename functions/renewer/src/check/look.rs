//! Looking at all links, at the same time but for what is timed. Nothing is changed, and what does not answer is itself something seen.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{StreamExt as _, future::join_all, stream};
use graph_notifications::{Keyring, TenantId};
use graph_subscriptions::{
    AccessToken, ClientCertificate, Credential, GraphError, GraphErrorKind, Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    ports::Surroundings,
    seen::{
        CertificateSeen, Claims, CredentialSeen, Granted, Handshake, KeyName, KeyringSeen, KeyringUnseen, Seen,
        TenantSeen,
    },
};
use crate::topics::Topic;
use crate::{
    app_certificates::{AppCertificate, AppCertificates},
    config::{Config, CredentialKind},
    coverage::{Coverage, coverage, covered_topics, is_visible},
    credential::{candidates, fallback},
    observe::CONCURRENCY,
    ports::{OutsideError, StoredSecret, by},
};

/// What is left of the invocation for the report.
const RESERVE: SignedDuration = SignedDuration::from_secs(5);

const SILENCE: &str = "no answer came in time";

/// Looks at all links. No call outlasts the invocation, which is ended from outside at `ends_at`.
pub async fn look<S: Surroundings>(world: &S, config: &Config, ends_at: Timestamp) -> Seen {
    let eyes = Eyes { world, config, until: ends_at - RESERVE };
    let microsoft = async {
        let (credential, credentials) = eyes.credentials().await;
        let tenants = config.policies.tenants();
        let tenants = stream::iter(tenants).map(|tenant| eyes.tenant(tenant, &credentials)).buffered(CONCURRENCY);
        (credential, tenants.collect().await)
    };
    let records = eyes.bounded(world.records(), outside);
    let alarms = eyes.bounded(world.alarms(), outside);
    let ((credential, tenants), keyring, records, handshake, topics, coverage, alarms) =
        tokio::join!(microsoft, eyes.keyring(), records, eyes.handshake(), eyes.topics(), eyes.coverage(), alarms);
    // Alone, or it would be timed how long the rest takes.
    let second_way = eyes.second_way().await;
    Seen { credential, tenants, keyring, records, handshake, topics, coverage, second_way, alarms }
}

struct Eyes<'a, S> {
    world: &'a S,
    config: &'a Config,
    until: Timestamp,
}

impl<S: Surroundings> Eyes<'_, S> {
    /// The call's answer, or what `silent` makes of none.
    async fn bounded<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        silent: impl FnOnce(String) -> E,
    ) -> Result<T, E> {
        by(self.world, self.until, call).await.unwrap_or_else(|| Err(silent(SILENCE.to_owned())))
    }

    /// What the app signs in with, as it may be shown and as it is.
    async fn credentials(&self) -> (CredentialSeen, Vec<Credential>) {
        let had = match &self.config.credential {
            CredentialKind::Certificate(id) => self.certificates(id).await,
            CredentialKind::Secret(_) | CredentialKind::Federated => {
                self.bounded(candidates(self.world, self.config), |text| text).await.map(|credentials| {
                    let token = credentials.iter().find_map(|credential| match credential {
                        Credential::Federated(token) => Some(token),
                        _ => None,
                    });
                    (
                        token.map_or(CredentialSeen::Secret, |token| CredentialSeen::Federated(claims(token))),
                        credentials,
                    )
                })
            }
        };
        had.unwrap_or_else(|sentence| (CredentialSeen::Missing(sentence), Vec::new()))
    }

    async fn certificates(&self, secret_id: &str) -> Result<(CredentialSeen, Vec<Credential>), String> {
        let all = self.bounded(AppCertificates::read(self.world, secret_id), |text| text).await?;
        let now = self.world.now();
        let usable = all.certificates.iter().rev().filter(|one| one.is_valid(now));
        let (seen, credentials): (Vec<_>, Vec<_>) =
            usable.map(certificate).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        if credentials.is_empty() {
            return Err("the app has no certificate yet".to_owned());
        }
        Ok((CredentialSeen::Certificates(seen), credentials))
    }

    async fn tenant(&self, tenant: TenantId, credentials: &[Credential]) -> TenantSeen {
        let ((answers, settings, subscriptions), signing_keys) =
            tokio::join!(self.app_in(tenant, credentials), self.signing_keys(tenant));
        TenantSeen { tenant, answers, settings, subscriptions, signing_keys }
    }

    async fn app_in(&self, tenant: TenantId, credentials: &[Credential]) -> AppIn {
        let mut answers = Vec::new();
        let mut usable = None;
        for credential in credentials {
            let asked = self.world.token(tenant, credential, self.world.now());
            let answer = self.bounded(asked, no_token).await;
            answers.push(answer.as_ref().map(|token| Granted { roles: token.roles() }).map_err(Clone::clone));
            usable = usable.or(answer.ok());
        }
        // What serves until Entra knows the credential is not judged, but it lets the rest be seen.
        let other = async || fallback(self.world, self.config).await.ok_or_else(String::new);
        if usable.is_none()
            && let Ok(secret) = self.bounded(other(), |text| text).await
        {
            let asked = self.world.token(tenant, &secret, self.world.now());
            usable = self.bounded(asked, no_token).await.ok();
        }
        let Some(token) = usable else { return (answers, None, None) };
        let (settings, subscriptions) = tokio::join!(
            self.bounded(self.world.service_principal(&token), no_graph),
            self.subscriptions(tenant, &token),
        );
        (answers, Some(settings), Some(subscriptions))
    }

    /// What Graph lists, and above that what it says of each recorded subscription by its id: the list leaves live ones out and names
    /// some that are gone.
    async fn subscriptions(&self, tenant: TenantId, token: &AccessToken) -> Result<Vec<Subscription>, GraphError> {
        let listing = async { self.world.list(token).await.map(|listing| listing.subscriptions) };
        let records = self.bounded(self.world.records(), outside).await.unwrap_or_default();
        let own = records.into_iter().filter(|record| record.policy.tenant == tenant);
        let by_id = stream::iter(own.filter_map(|record| record.subscription_id))
            .map(async |id| (self.bounded(self.world.get(token, &id), no_graph).await, id))
            .buffer_unordered(CONCURRENCY)
            .collect::<Vec<_>>();
        let (listed, by_id) = tokio::join!(self.bounded(listing, no_graph), by_id);
        let mut found = match listed {
            Err(error) if by_id.iter().all(|(shown, _)| shown.is_err()) => return Err(error),
            listed => listed.unwrap_or_default(),
        };
        for (shown, id) in by_id {
            match shown {
                Ok(shown) => {
                    found.retain(|one| one.id != id);
                    found.push(shown);
                }
                Err(error) if error.kind == GraphErrorKind::NotFound => found.retain(|one| one.id != id),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    async fn signing_keys(&self, tenant: TenantId) -> Vec<(TokenVersion, Result<Vec<KeyName>, SigningKeysError>)> {
        let document = async |version| {
            let asked = self.world.signing_keys(tenant, version, self.world.now());
            let keys = self.bounded(asked, SigningKeysError::Transport).await;
            (version, keys.map(|keys| KeyName::all(&keys.keys)))
        };
        join_all(TokenVersion::ALL.map(document)).await
    }

    async fn keyring(&self) -> Result<KeyringSeen, KeyringUnseen> {
        let read = self.bounded(self.world.read(&self.config.keyring_secret_id), outside).await;
        let stored = read.map_err(|error| KeyringUnseen::Unreadable(error.to_string()))?;
        let text = stored.as_ref().and_then(StoredSecret::text).ok_or(KeyringUnseen::Empty)?;
        let keyring = Keyring::from_json(text).map_err(|error| KeyringUnseen::Unusable(error.to_string()))?;
        Ok(KeyringSeen::of(&keyring))
    }

    /// Asks our own address as Graph does, with a token of the form that Graph's have, and another one each time.
    async fn handshake(&self) -> Handshake {
        let digits: String =
            (0..4).map(|_| self.world.short_name().unwrap_or_else(|_| "00000000".to_owned())).collect();
        let guid = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default()).join("-");
        let token = format!("Validation: Testing client application reachability for subscription Request-Id: {guid}");
        let answer = self.bounded(self.world.handshake(&self.config.notification_url, &token), outside).await;
        Handshake { token, answer }
    }

    async fn topics(&self) -> Vec<(Topic, Result<crate::ports::Subscribers, OutsideError>)> {
        join_all(
            Topic::of(self.config)
                .map(async |(topic, arn)| (topic, self.bounded(self.world.subscribers(arn), outside).await)),
        )
        .await
    }

    async fn coverage(&self) -> Vec<(Topic, Result<Coverage, OutsideError>)> {
        join_all(covered_topics(self.config).map(async |(topic, arn)| {
            if !is_visible(arn, self.config) {
                return (topic, Err(OutsideError("its subscriptions belong to another account".to_owned())));
            }
            (topic, self.bounded(coverage(self.world, arn), outside).await)
        }))
        .await
    }

    async fn second_way(&self) -> Option<Result<Duration, OutsideError>> {
        let topic = self.config.second_alert_topic.as_ref()?;
        Some(self.bounded(self.world.reach(topic), outside).await)
    }
}

/// What came of the tokens, and through them of the app's settings and its subscriptions.
type AppIn = (
    Vec<Result<Granted, TokenError>>,
    Option<Result<graph_subscriptions::ServicePrincipal, GraphError>>,
    Option<Result<Vec<graph_subscriptions::Subscription>, GraphError>>,
);

fn outside(text: String) -> OutsideError {
    OutsideError(text)
}

fn no_token(message: String) -> TokenError {
    TokenError { status: None, codes: Vec::new(), message, retry_after: None }
}

fn no_graph(message: String) -> GraphError {
    GraphError {
        kind: GraphErrorKind::Transport,
        status: None,
        code: None,
        message,
        request_id: None,
        retry_after: None,
    }
}

/// A certificate as Entra takes and shows it, and what signs with it.
fn certificate(one: &AppCertificate) -> Result<(CertificateSeen, Credential), String> {
    let unusable = |error: &dyn std::fmt::Display| format!("a certificate of the app cannot be used: {error}");
    let der = one.pair.certificate_base64().map_err(|error| unusable(&error))?;
    let key = one.pair.private_key_base64().map_err(|error| unusable(&error))?;
    let signing = ClientCertificate::from_base64(&der, &key).map_err(|error| unusable(&error))?;
    let seen =
        CertificateSeen { thumbprint: one.pair.thumbprint().to_owned(), ends_at: one.pair.not_after(), pem: pem(&der) };
    Ok((seen, Credential::Certificate(signing)))
}

fn pem(base64: &str) -> String {
    let lines = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----")
}

/// What a web identity token says. It is not verified: Entra does that.
fn claims(token: &str) -> Claims {
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let claims = token.split('.').nth(1).and_then(decode);
    let claims: Option<serde_json::Value> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let text = |value: Option<&serde_json::Value>| value?.as_str().map(ToOwned::to_owned);
    let Some(claims) = claims else { return Claims::default() };
    let audience = claims.get("aud");
    Claims {
        issuer: text(claims.get("iss")),
        subject: text(claims.get("sub")),
        audience: text(audience).or_else(|| text(audience?.get(0))),
    }
}
