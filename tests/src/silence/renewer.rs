//! The renewer's ports over the world in memory. Calls take no time; pauses do.

use std::{cell::Cell, time::Duration};

use ::renewer::{
    filter_policy::FilterPolicy,
    ports::{
        EventBus, Host, LeaseName, Microsoft, OutsideError, Secrets, StateTable, StoredSecret, Subscribers,
        Subscriptions, Topics, WebIdentity,
    },
    records::{Health, Record, sort_key},
    subscriber::Subscriber,
    watch::ports::{Diary, Notes, PostProbe, SealProbe},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use graph_notifications::{ClientStateKey, KeyPair, Policy, SigningKeys, TenantId, keyring::StoredKeyPair, probe};
use graph_subscriptions::{
    AccessToken, Credential, GraphError, GraphErrorKind, Listing, NewSubscription, Renewal, Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use super::{
    receiver::{self, System, published_keys},
    world::State,
};
use crate::simulator::keys::shared;

/// The RSA key that the renewer makes.
const ENCRYPTION: usize = 10;

/// One run, with a clock of its own: others go on meanwhile.
pub(super) struct Run<'a> {
    system: &'a System,
    elapsed: Cell<SignedDuration>,
}

impl<'a> Run<'a> {
    pub(super) fn begun(system: &'a System) -> Self {
        Self { system, elapsed: Cell::default() }
    }

    fn table<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, OutsideError> {
        let mut state = self.system.state.borrow_mut();
        if state.table_down { Err(OutsideError("DynamoDB is down".to_owned())) } else { Ok(effect(&mut state)) }
    }

    fn graph<T>(&self, effect: impl FnOnce(&mut State) -> Result<T, GraphErrorKind>) -> Result<T, GraphError> {
        let mut state = self.system.state.borrow_mut();
        if state.graph_down { Err(GraphErrorKind::Unavailable) } else { effect(&mut state) }.map_err(|kind| {
            GraphError {
                kind,
                status: None,
                code: None,
                message: "as told".to_owned(),
                request_id: None,
                retry_after: None,
            }
        })
    }
}

impl Microsoft for Run<'_> {
    async fn token(&self, tenant: TenantId, _: &Credential, now: Timestamp) -> Result<AccessToken, TokenError> {
        let (refused, at_times) = {
            let state = self.system.state.borrow();
            (state.entra_refuses.contains(&tenant.to_string().as_str()), state.entra_refuses_at_times)
        };
        if refused || (at_times && self.system.now.get().as_second() / 300 % 2 == 0) {
            let message = "the secret has expired".to_owned();
            return Err(TokenError { status: Some(401), codes: vec![7_000_222], message, retry_after: None });
        }
        Ok(AccessToken::new(tenant, "token".to_owned(), now, now + SignedDuration::from_hours(1)))
    }

    async fn signing_keys(
        &self,
        _: TenantId,
        _: TokenVersion,
        now: Timestamp,
    ) -> Result<SigningKeys, SigningKeysError> {
        if self.system.state.borrow().signing_keys_down {
            return Err(SigningKeysError::Status(503));
        }
        Ok(published_keys(now))
    }

    async fn list(&self, token: &AccessToken) -> Result<Listing, GraphError> {
        let now = self.now();
        self.graph(|state| {
            state.held.retain(|(_, held)| held.expires_at > now);
            let of_tenant = state.held.iter().filter(|(tenant, _)| *tenant == token.tenant());
            let subscriptions = of_tenant.map(|(_, held)| held.clone()).collect();
            Ok(Listing { subscriptions, ..Listing::default() })
        })
    }

    async fn get(&self, _: &AccessToken, id: &str) -> Result<Subscription, GraphError> {
        self.graph(|state| {
            let found = state.held.iter().find(|(_, held)| held.id == id);
            found.map(|(_, held)| held.clone()).ok_or(GraphErrorKind::NotFound)
        })
    }

    async fn create(&self, token: &AccessToken, new: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        self.graph(|state| {
            if state.creations_refused {
                return Err(GraphErrorKind::Forbidden);
            }
            state.names += 1;
            let created = Subscription {
                id: format!("subscription-{}", state.names),
                resource: new.policy.resource(),
                notification_url: new.notification_url.to_owned(),
                lifecycle_notification_url: Some(new.notification_url.to_owned()),
                expires_at: new.expires_at,
                encryption_certificate_id: Some(new.certificate_id.to_owned()),
            };
            state.held.push((token.tenant(), created.clone()));
            Ok(created)
        })
    }

    async fn renew(&self, _: &AccessToken, id: &str, renewal: &Renewal<'_>) -> Result<Subscription, GraphError> {
        self.graph(|state| {
            let fails = state.renewals_fail_for.clone();
            let found = state.held.iter_mut().find(|(_, held)| held.id == id);
            let (_, held) = found.ok_or(GraphErrorKind::NotFound)?;
            if fails.iter().any(|policy| held.resource.contains(policy)) {
                return Err(GraphErrorKind::Unavailable);
            }
            held.expires_at = renewal.expires_at;
            if let Some(certificate) = renewal.certificate {
                held.encryption_certificate_id = Some(certificate.certificate_id.to_owned());
            }
            Ok(held.clone())
        })
    }

    async fn delete(&self, _: &AccessToken, id: &str) -> Result<(), GraphError> {
        self.graph(|state| {
            state.held.retain(|(_, held)| held.id != id);
            Ok(())
        })
    }
}

impl WebIdentity for Run<'_> {
    async fn web_identity_token(&self, _: &str) -> Result<Zeroizing<String>, OutsideError> {
        Err(OutsideError("the app has a client secret".to_owned()))
    }
}

impl Secrets for Run<'_> {
    async fn read(&self, id: &str) -> Result<Option<StoredSecret>, OutsideError> {
        let stored = |value: &String| StoredSecret { value: Zeroizing::new(value.clone()), version: value.clone() };
        Ok(self.system.state.borrow().secrets.get(id).map(stored))
    }

    async fn replace(&self, id: &str, read: Option<&str>, value: &str) -> Result<bool, OutsideError> {
        let mut state = self.system.state.borrow_mut();
        let is_current = state.secrets.get(id).map(String::as_str) == read;
        if is_current {
            state.secrets.insert(id.to_owned(), value.to_owned());
        }
        Ok(is_current)
    }
}

impl StateTable for Run<'_> {
    async fn take_lease(
        &self,
        name: LeaseName,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, OutsideError> {
        self.table(|state| {
            let lease = state.leases.get(&name);
            let held = lease.is_some_and(|(holder, end)| holder != owner && *end > now);
            if !held {
                state.leases.insert(name, (owner.to_owned(), until));
            }
            !held
        })
    }

    async fn release_lease(&self, name: LeaseName, _: &str) -> Result<(), OutsideError> {
        self.table(|state| drop(state.leases.remove(&name)))
    }

    async fn records(&self) -> Result<Vec<Record>, OutsideError> {
        self.table(|state| state.records.values().cloned().collect())
    }

    async fn put_record(&self, record: &Record) -> Result<(), OutsideError> {
        self.table(|state| drop(state.records.insert(sort_key(&record.policy), record.clone())))
    }

    async fn delete_record(&self, policy: &Policy) -> Result<(), OutsideError> {
        self.table(|state| drop(state.records.remove(&sort_key(policy))))
    }

    async fn note_reconciled(&self, at: Timestamp) -> Result<(), OutsideError> {
        self.table(|state| state.reconciled_at = Some(at))
    }

    async fn lifecycle_run(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.table(|state| state.lifecycle_run)
    }

    async fn announce_lifecycle_run(&self, _: Option<Timestamp>, next: Timestamp) -> Result<bool, OutsideError> {
        self.table(|state| {
            state.lifecycle_run = Some(next);
            true
        })
    }
}

impl EventBus for Run<'_> {
    async fn put_health(&self, _: &Health) -> Result<(), OutsideError> {
        Ok(())
    }
}

impl Topics for Run<'_> {
    async fn subscribers(&self, topic: &str) -> Result<Subscribers, OutsideError> {
        let confirmed = self.system.state.borrow().subscribers.get(topic).copied();
        let confirmed = confirmed.ok_or_else(|| OutsideError("Amazon SNS: NotFound".to_owned()))?;
        Ok(Subscribers { confirmed, pending: 0 })
    }
}

impl Subscriptions for Run<'_> {
    async fn list_subscribers(&self, topic: &str) -> Result<Vec<Subscriber>, OutsideError> {
        let confirmed = usize::try_from(self.subscribers(topic).await?.confirmed).unwrap_or(usize::MAX);
        Ok(vec![Subscriber::listed("email", "ann@example.com", "arn"); confirmed])
    }

    async fn filter_policy(&self, topic: &str, _: &str) -> Result<Option<FilterPolicy>, OutsideError> {
        let filtered = self.system.state.borrow().filtered.contains(&topic);
        Ok(FilterPolicy::of_attributes(filtered.then_some(r#"{"city": ["Bern"]}"#), None))
    }
}

impl SealProbe for Run<'_> {
    fn seal_probe(&self, key: &StoredKeyPair, now: Timestamp) -> Result<String, OutsideError> {
        let random = ring::rand::SystemRandom::new();
        probe::seal(key, now, &random).map_err(|error| OutsideError(error.to_string()))
    }
}

impl PostProbe for Run<'_> {
    async fn post_probe(&self, _: &str, body: &str) -> Result<u16, OutsideError> {
        receiver::post(self.system, body).await.ok_or_else(|| OutsideError("it cannot be reached".to_owned()))
    }
}

impl Diary for Run<'_> {
    async fn reconciled_at(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.table(|state| state.reconciled_at)
    }

    async fn latest_notification(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.table(|state| state.latest_notification)
    }

    async fn notes(&self) -> Result<Option<Notes>, OutsideError> {
        self.table(|state| state.notes.clone())
    }

    async fn put_notes(&self, notes: &Notes) -> Result<(), OutsideError> {
        self.table(|state| state.notes = Some(notes.clone()))
    }
}

impl Host for Run<'_> {
    fn now(&self) -> Timestamp {
        self.system.now.get() + self.elapsed.get()
    }

    async fn sleep(&self, duration: Duration) {
        self.elapsed.set(self.elapsed.get() + SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO));
    }

    fn chance(&self) -> f64 {
        0.5
    }

    fn short_name(&self) -> Result<String, OutsideError> {
        let mut state = self.system.state.borrow_mut();
        state.names += 1;
        Ok(format!("{:08x}", state.names))
    }

    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError> {
        let key = serde_json::from_value(BASE64_URL_SAFE_NO_PAD.encode([7; 32]).into());
        key.map_err(|error| OutsideError(error.to_string()))
    }

    fn key_pair(&self, _: Timestamp, _: Timestamp) -> Result<KeyPair, OutsideError> {
        let pair = shared(2048, ENCRYPTION);
        let key = pair.private_key.private_key_to_pkcs8().map_err(|error| OutsideError(error.to_string()))?;
        KeyPair::from_base64(&pair.certificate_base64(), &BASE64_STANDARD.encode(key))
            .map_err(|error| OutsideError(error.to_string()))
    }

    fn emit(&self, line: &str) {
        self.system.state.borrow_mut().lines.push(line.to_owned());
    }
}
