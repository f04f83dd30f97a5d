//! Says what the crate `graph-notifications` makes of notifications, so that other implementations can be compared with it.
//!
//! Each line of standard input is a JSON object, and each gets one line of JSON on standard output:
//!
//! ```json
//! {"body": "…", "keyring": "…", "clientId": "…", "tenantId": "…", "policyNames": "…", "loginEndpoint": "…", "now": 1764000000}
//! {"ok": true, "items": [{"verdict": "accepted", "reason": null, "resource": "…"}]}
//! ```
//!
//! A member that a line leaves out is that of the line before; only `body` must always be there. `now` is in seconds since
//! 1970, `keyring` the keyring's text, `resource` the decrypted bytes in base64. `ok` is false for what is no notification
//! at all. The verdicts: `accepted`, `degraded` (authentic, but the content cannot be read), `rejected`, `lifecycle` and
//! `malformed`.
//!
//! The keyring's signing keys count as freshly fetched: a token under a key that is not among them vouches for nothing.

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use graph_notifications::authentication::RecognisedNotification;
use graph_notifications::envelope::{ChangeNotification, Item, LifecycleNotification, MalformedItem};
use graph_notifications::validation_token::{Requirements, TokenError};
use graph_notifications::{
    ChangeNotificationCollection, CheckedToken, ClientId, Keyring, Policies, SigningKeys, TenantId, ValidToken,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut receiver = None;
    for line in io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let current = Receiver::configure(receiver.take(), question.settings)?;
        serde_json::to_writer(&mut out, &current.judge(question.body.as_bytes()))?;
        out.write_all(b"\n")?;
        receiver = Some(current);
    }
    out.flush()?;
    Ok(())
}

#[derive(Deserialize)]
struct Question {
    body: String,
    #[serde(flatten)]
    settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    keyring: Option<String>,
    client_id: Option<ClientId>,
    tenant_id: Option<TenantId>,
    policy_names: Option<String>,
    login_endpoint: Option<String>,
    now: Option<i64>,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    items: Vec<Opinion>,
}

#[derive(Serialize)]
struct Opinion {
    verdict: Verdict,
    reason: Option<String>,
    resource: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accepted,
    Degraded,
    Rejected,
    Lifecycle,
    Malformed,
}

impl Opinion {
    fn new(verdict: Verdict, reason: Option<&dyn ToString>) -> Self {
        Self { verdict, reason: reason.map(ToString::to_string), resource: None }
    }

    fn accepted(resource: &[u8]) -> Self {
        Self { verdict: Verdict::Accepted, reason: None, resource: Some(BASE64_STANDARD.encode(resource)) }
    }
}

/// What a receiver of notifications knows.
struct Receiver {
    keyring: Keyring,
    client_id: ClientId,
    tenant_id: TenantId,
    policies: Policies,
    login_endpoint: String,
    now: Timestamp,
}

impl Receiver {
    fn configure(before: Option<Self>, settings: Settings) -> Result<Self, Box<dyn Error>> {
        let Some(mut receiver) = before else { return Self::new(settings) };
        receiver.tenant_id = settings.tenant_id.unwrap_or(receiver.tenant_id);
        if let Some(text) = settings.keyring {
            receiver.keyring = Keyring::from_json(&text)?;
        }
        if let Some(names) = settings.policy_names {
            receiver.policies = Policies::parse(&names, receiver.tenant_id)?;
        }
        if let Some(second) = settings.now {
            receiver.now = Timestamp::from_second(second)?;
        }
        receiver.client_id = settings.client_id.unwrap_or(receiver.client_id);
        receiver.login_endpoint = settings.login_endpoint.unwrap_or(receiver.login_endpoint);
        Ok(receiver)
    }

    fn new(settings: Settings) -> Result<Self, Box<dyn Error>> {
        let tenant_id = settings.tenant_id.ok_or("the first line lacks tenantId")?;
        Ok(Self {
            keyring: Keyring::from_json(&settings.keyring.ok_or("the first line lacks keyring")?)?,
            client_id: settings.client_id.ok_or("the first line lacks clientId")?,
            tenant_id,
            policies: Policies::parse(&settings.policy_names.ok_or("the first line lacks policyNames")?, tenant_id)?,
            login_endpoint: settings.login_endpoint.ok_or("the first line lacks loginEndpoint")?,
            now: Timestamp::from_second(settings.now.ok_or("the first line lacks now")?)?,
        })
    }

    fn judge(&self, body: &[u8]) -> Answer {
        let Ok(collection) = ChangeNotificationCollection::parse(body) else {
            return Answer { ok: false, items: Vec::new() };
        };
        let tokens: Vec<_> = collection.validation_tokens.iter().map(|token| self.verify(token)).collect();
        let items = collection.items.into_iter().map(|item| self.judge_item(item, &tokens)).collect();
        Answer { ok: true, items }
    }

    fn verify(&self, token: &str) -> Result<ValidToken, TokenError> {
        let requirements = Requirements {
            client_id: self.client_id,
            policies: &self.policies,
            login_endpoint: &self.login_endpoint,
            v1_issuers: "https://sts.windows.net",
            now: self.now,
        };
        let none = SigningKeys { fetched_at: self.now, keys: Vec::new() };
        let keys = self.keyring.signing_keys.as_ref().unwrap_or(&none);
        CheckedToken::check(token, &requirements)?.verify(keys, &self.policies)
    }

    fn judge_item(&self, item: Result<Item, MalformedItem>, tokens: &[Result<ValidToken, TokenError>]) -> Opinion {
        match item {
            Err(reason) => Opinion::new(Verdict::Malformed, Some(&reason)),
            Ok(Item::Lifecycle(notification)) => self.judge_lifecycle(&notification),
            Ok(Item::Change(notification)) => self.judge_change(notification, tokens),
        }
    }

    fn judge_lifecycle(&self, notification: &LifecycleNotification) -> Opinion {
        match notification.check(&self.policies, &self.keyring.client_states) {
            Ok(()) => Opinion::new(Verdict::Lifecycle, None),
            Err(reason) => Opinion::new(Verdict::Rejected, Some(&reason)),
        }
    }

    fn judge_change(&self, notification: ChangeNotification, tokens: &[Result<ValidToken, TokenError>]) -> Opinion {
        let recognised =
            match RecognisedNotification::recognise(notification, &self.policies, &self.keyring.client_states) {
                Ok(recognised) => recognised,
                Err((reason, _)) => return Opinion::new(Verdict::Rejected, Some(&reason)),
            };
        let valid = tokens.iter().filter_map(|token| token.as_ref().ok());
        let Some(token) = valid.copied().find(|token| token.tenant() == recognised.tenant()) else {
            return Opinion::new(Verdict::Rejected, Some(&why_not_covered(tokens)));
        };
        let authentic = match recognised.authenticate(token) {
            Ok(authentic) => authentic,
            Err(reason) => return Opinion::new(Verdict::Rejected, Some(&reason)),
        };
        match authentic.decrypt(&self.keyring) {
            Ok(resource) => Opinion::accepted(resource.as_bytes()),
            Err(reason) => Opinion::new(Verdict::Degraded, Some(&reason)),
        }
    }
}

fn why_not_covered(tokens: &[Result<ValidToken, TokenError>]) -> String {
    let failure = tokens.iter().find_map(|token| token.as_ref().err());
    failure.map_or_else(|| "no validation token covers the item's tenant".to_owned(), ToString::to_string)
}
