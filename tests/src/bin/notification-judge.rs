//! Says what the crate `graph-notifications` makes of notifications, so that other implementations can be compared with it.
//!
//! Each line of standard input is a JSON object, and each gets one line of JSON on standard output:
//!
//! ```json
//! {"body": "…", "keyring": "…", "clientId": "…", "tenantId": "…", "policyNames": "…", "loginEndpoint": "…", "now": 1764000000,
//!  "unverifiedCalls": "Alert"}
//! {"ok": true, "items": [{"verdict": "verified", "reason": null, "resource": "…"}]}
//! ```
//!
//! A member that a line leaves out is that of the line before; only `body` must always be there. `now` is in seconds since
//! 1970, `keyring` the keyring's text, `resource` the decrypted bytes in base64. `ok` is false for what is no notification
//! at all. The verdicts are the outcomes of the table in `graph_notifications::authentication`, `verified`,
//! `verifiedWithoutDetails`, `unverified`, `notTold` and `ignored`, and besides `lifecycle` (it knows a client state),
//! `lifecycleUnknown` and `malformed`.
//!
//! The keyring's signing keys count as freshly fetched: a token under a key that is not among them is refuted.

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use graph_notifications::authentication::{
    ExaminedNotification, Opened, Outcome, Proof, TokenVerdicts, UnverifiedCalls,
};
use graph_notifications::envelope::{ChangeNotification, Item, LifecycleNotification, MalformedItem};
use graph_notifications::validation_token::{Requirements, TokenError};
use graph_notifications::{ChangeNotificationCollection, ClientId, Keyring, Policies, SigningKeys, TenantId};
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
    unverified_calls: Option<Mode>,
}

#[derive(Clone, Copy, Deserialize)]
enum Mode {
    Alert,
    Reject,
}

impl From<Mode> for UnverifiedCalls {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Alert => Self::Alert,
            Mode::Reject => Self::Reject,
        }
    }
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

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Verified,
    VerifiedWithoutDetails,
    Unverified,
    NotTold,
    Ignored,
    Lifecycle,
    LifecycleUnknown,
    Malformed,
}

impl Opinion {
    fn new(verdict: Verdict, reason: Option<&dyn ToString>) -> Self {
        Self { verdict, reason: reason.map(ToString::to_string), resource: None }
    }

    fn told(verdict: Verdict, reason: Option<&dyn ToString>, resource: &[u8]) -> Self {
        Self { resource: Some(BASE64_STANDARD.encode(resource)), ..Self::new(verdict, reason) }
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
    unverified: UnverifiedCalls,
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
        if let Some(mode) = settings.unverified_calls {
            receiver.unverified = mode.into();
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
            unverified: settings.unverified_calls.map(Into::into).unwrap_or_default(),
        })
    }

    fn judge(&self, body: &[u8]) -> Answer {
        let Ok(collection) = ChangeNotificationCollection::parse(body) else {
            return Answer { ok: false, items: Vec::new() };
        };
        let tokens = self.verdicts(&collection.validation_tokens);
        let items = collection.items.into_iter().map(|item| self.judge_item(item, &tokens)).collect();
        Answer { ok: true, items }
    }

    fn verdicts(&self, tokens: &[String]) -> TokenVerdicts {
        let requirements = Requirements {
            client_id: self.client_id,
            policies: &self.policies,
            login_endpoint: &self.login_endpoint,
            v1_issuers: "https://sts.windows.net",
            now: self.now,
        };
        let none = SigningKeys { fetched_at: self.now, keys: Vec::new() };
        let keys = self.keyring.signing_keys.as_ref().unwrap_or(&none);
        let mut verdicts = TokenVerdicts::by_keys(tokens.iter().map(String::as_str), &requirements, keys);
        for tenant in verdicts.undecided() {
            verdicts.set(tenant, Proof::Refuted(TokenError::UnknownKey));
        }
        verdicts
    }

    fn judge_item(&self, item: Result<Item, MalformedItem>, tokens: &TokenVerdicts) -> Opinion {
        match item {
            Err(reason) => Opinion::new(Verdict::Malformed, Some(&reason)),
            Ok(Item::Lifecycle(notification)) => self.judge_lifecycle(&notification),
            Ok(Item::Change(notification)) => self.judge_change(notification, tokens),
        }
    }

    fn judge_lifecycle(&self, notification: &LifecycleNotification) -> Opinion {
        match notification.client_state_proof(self.keyring.known_client_states(), &self.policies) {
            Proof::Refuted(reason) => Opinion::new(Verdict::LifecycleUnknown, Some(&reason)),
            Proof::Proven(_) | Proof::Undecided => Opinion::new(Verdict::Lifecycle, None),
        }
    }

    fn judge_change(&self, notification: ChangeNotification, tokens: &TokenVerdicts) -> Opinion {
        let examined =
            ExaminedNotification::examine(notification, tokens, &self.keyring, &self.policies, self.unverified);
        let authentic = match examined.proven() {
            Ok(authentic) => authentic,
            Err(examined) => return Opinion::new(Verdict::Ignored, Some(&missing(&examined.0))),
        };
        let decrypted = authentic.decrypt(&self.keyring);
        let opened = if decrypted.is_ok() { Opened::Yes } else { Opened::No };
        let verdict = match authentic.examined().outcome(self.unverified, opened) {
            Outcome::Verified => Verdict::Verified,
            Outcome::VerifiedWithoutDetails => Verdict::VerifiedWithoutDetails,
            Outcome::Unverified => Verdict::Unverified,
            Outcome::NotTold | Outcome::Retry => Verdict::NotTold,
            Outcome::Ignored => Verdict::Ignored,
        };
        match (verdict, decrypted) {
            (Verdict::Verified, Ok(resource)) => Opinion::told(verdict, None, resource.as_bytes()),
            (Verdict::Unverified, Ok(resource)) => {
                Opinion::told(verdict, Some(&missing(authentic.examined())), resource.as_bytes())
            }
            (_, Ok(_)) => Opinion::new(verdict, Some(&missing(authentic.examined()))),
            (_, Err(reason)) => Opinion::new(verdict, Some(&reason)),
        }
    }
}

/// Why a proof is missing; the client state's if both are.
fn missing(examined: &ExaminedNotification) -> String {
    match (examined.client_state(), examined.token()) {
        (Proof::Refuted(reason), _) => reason.to_string(),
        (_, Proof::Refuted(reason)) => reason.to_string(),
        _ => String::new(),
    }
}
