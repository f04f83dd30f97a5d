//! Doing what the plan says, in an order that a crash at any point leaves repairable.

use std::cell::RefCell;

use futures::{StreamExt as _, stream};
use graph_notifications::{ClientState, Policy, TenantId};
use graph_subscriptions::{AccessToken, GraphErrorKind, NewCertificate, NewSubscription, Renewal, Subscription};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::{
    calls::{ATTEMPTS, Calls, Failure, pause},
    keyring::KeyringStore,
    observe::{CONCURRENCY, list_in_time},
    plan::{
        Action, Create, Desired, Held, Renew, Replace, Stray, may_replace, proven_state, record_of, replace_tampered,
        watches,
    },
    ports::World,
    records::Record,
    report::{Gap, Outcome, PolicyReport, StrayReport},
    tampering::{Tampering, is_same_address, tampering},
};

/// How far ahead a subscription's end is put. Graph allows a day for emergency calls and may refuse a minute more.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(23 * 60 + 30);

/// How much earlier than requested an end may be before it is a problem.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// Why something is not replaced.
const UNRECORDED: &str =
    "it is not replaced while the state table cannot be written: its successor would be unknown to the next run";

/// How much time there must be to replace a subscription that works: deleting and creating it with all attempts.
const FOR_EXCHANGE: SignedDuration = SignedDuration::from_secs(100);

/// What acting needs.
pub struct Acting<'a, W> {
    /// Calls to Graph.
    pub calls: &'a Calls<'a, W>,
    /// What should be.
    pub desired: &'a Desired<'a>,
    /// The state table's records when the run began; `None` if it could not be read.
    pub records: Option<&'a [Record]>,
    /// The keyring, as stored.
    pub keyring: &'a KeyringStore<'a, W>,
    /// The current key's certificate, DER in base64.
    pub certificate: &'a str,
    /// The current key's name.
    pub certificate_id: &'a str,
    /// Collects what goes wrong besides.
    pub problems: &'a RefCell<Vec<String>>,
    /// Collects for how long policies had no subscription while one was replaced.
    pub gaps: &'a RefCell<Vec<Gap>>,
    /// Whether a subscription whose key is at hand may still be replaced for its certificate. One at a time, and none after
    /// one that could not be created anew: what works is not given up for what may not.
    pub may_exchange: &'a Mutex<bool>,
}

/// What came of the actions.
#[derive(Debug, Default)]
pub struct Acted {
    /// For the policies.
    pub policies: Vec<PolicyReport>,
    /// For the strays.
    pub strays: Vec<StrayReport>,
}

enum One {
    Policy(Box<PolicyReport>),
    Stray(StrayReport),
    Nothing,
}

/// What could be done for a policy.
struct Done {
    outcome: Outcome,
    subscription: Held,
    explanation: Option<String>,
}

/// What a record tells of a subscription beside what Graph says.
#[derive(Clone, Copy)]
struct Known<'a> {
    policy: &'a Policy,
    client_state_id: &'a str,
    certificate_id: &'a str,
    tampered_at: Option<Timestamp>,
}

impl<'a> Known<'a> {
    /// With the certificate that Graph names. As long as Graph does not say, the key that was last known to be needed is kept.
    fn with(self, certificate: &'a Certificate) -> Self {
        Self { certificate_id: certificate.id.as_deref().unwrap_or(self.certificate_id), ..self }
    }
}

/// The certificate of a subscription after its renewal.
struct Certificate {
    /// Its name, as far as Graph says.
    id: Option<String>,
    /// Whether another renewal would not change it.
    is_final: bool,
}

/// What could not.
struct NotDone {
    explanation: String,
    /// The subscription that is there all the same.
    subscription: Option<Held>,
}

impl NotDone {
    fn because(explanation: String) -> Self {
        Self { explanation, subscription: None }
    }
}

impl From<Failure> for NotDone {
    fn from(failure: Failure) -> Self {
        Self::because(failure.to_string())
    }
}

impl<W: World> Acting<'_, W> {
    /// Does all of it, several at a time. What fails holds back nothing else.
    pub async fn act(&self, actions: Vec<Action>) -> Acted {
        let mut acted = Acted::default();
        let mut results =
            stream::iter(actions).map(async |action| self.one(action).await).buffer_unordered(CONCURRENCY);
        while let Some(one) = results.next().await {
            match one {
                One::Policy(report) => acted.policies.push(*report),
                One::Stray(report) => acted.strays.push(report),
                One::Nothing => {}
            }
        }
        acted
    }

    async fn one(&self, action: Action) -> One {
        match action {
            Action::Renew(renew) => self.renew(renew).await,
            Action::Create(create) => {
                let outcome = if create.lost.is_some() { Outcome::Recreated } else { Outcome::Created };
                let done = self.create(&create, outcome, None).await;
                self.report(&create, done)
            }
            Action::Replace(replace) => {
                let done = self.replace(&replace).await;
                self.report(&replace.create, done)
            }
            Action::DeleteStray(stray) => self.delete_stray(stray).await,
            Action::Forget(policy) => {
                self.noted("a record cannot be deleted", self.world().delete_record(&policy).await);
                One::Nothing
            }
        }
    }

    async fn renew(&self, renew: Renew) -> One {
        let (policy, id) = (&renew.policy, &renew.subscription.id);
        let known = renew.client_state_id.as_ref().map(|client_state_id| Known {
            policy,
            client_state_id,
            certificate_id: renew.certificate_id.as_deref().unwrap_or(self.certificate_id),
            tampered_at: renew.tampered_at,
        });
        if let Some(known) = known.filter(|_| renew.adopted) {
            // Before a renewal moves the end by which it is known: if its answer were lost, nobody would know it any more.
            self.record(known, &renew.subscription, renew.lost.clone()).await;
        }
        // What the report says whatever comes of it.
        let as_is = self.create_anew(&renew, None);
        let (renewed, certificate) = match self.patch(policy, &renew.subscription).await {
            Ok(done) => done,
            Err(failure) if failure.kind() == Some(GraphErrorKind::NotFound) => {
                let create = self.create_anew(&renew, Some(id.clone()));
                let done = self.create(&create, Outcome::Recreated, None).await;
                return self.report(&create, done);
            }
            Err(failure) => {
                let not_done =
                    NotDone { explanation: failure.to_string(), subscription: Some(renew.subscription.clone()) };
                return self.report(&as_is, Err(not_done));
            }
        };
        // The renewal is the first to show it where Graph did not answer before.
        let changed = tampering(&renewed, policy, self.desired.notification_url);
        if let Some(tampering) = changed
            && let Some(known) = known
        {
            let now = self.world().now();
            if may_replace(renew.tampered_at, now) {
                let replace =
                    replace_tampered(policy, id, tampering, renew.duplicates.clone(), renew.lost.clone(), now);
                let done = self.replace(&replace).await;
                return self.report(&replace.create, done);
            }
            self.record(known.with(&certificate), &Held::from(&renewed), renew.lost.clone()).await;
            return self.report(&as_is, self.left_tampered(policy, &renewed, tampering));
        }
        let explanation = match certificate.id.as_deref() {
            Some(id) if id == self.certificate_id => None,
            None => Some("Graph does not say for which certificate it encrypts".to_owned()),
            Some(id) if self.keyring.has_key(id) => match self.exchange(&renew, &certificate).await {
                Some(report) => return report,
                None => Some(format!("Graph still encrypts for the certificate {id}, whose key is at hand")),
            },
            Some(_) if renew.client_state_id.is_none() => {
                let explanation = "Graph encrypts for a certificate whose key is lost, and the subscription cannot be \
                                   replaced while the state table cannot be read";
                let not_done =
                    NotDone { explanation: explanation.to_owned(), subscription: Some(Held::from(&renewed)) };
                return self.report(&as_is, Err(not_done));
            }
            Some(_) => {
                let replace = self.replace_for(&renew, "Graph encrypted for a certificate whose key is lost");
                let done = self.replace(&replace).await;
                return self.report(&as_is, done);
            }
        };
        let renewed = Held::from(&renewed);
        if let Some(known) = known {
            self.record(known.with(&certificate), &renewed, renew.lost.clone()).await;
        }
        for duplicate in &renew.duplicates {
            let deleted = self.delete(policy.tenant, duplicate).await;
            self.noted(&format!("the duplicate {duplicate} of {} cannot be deleted", policy.name), deleted);
        }
        let outcome = match (&renew.lost, renew.adopted) {
            (Some(_), _) => Outcome::Recreated,
            (None, true) => Outcome::Adopted,
            (None, false) => Outcome::Renewed,
        };
        let reported = Create { lost: renew.lost.clone(), ..as_is };
        self.report(&reported, Ok(Done { outcome, subscription: renewed, explanation }))
    }

    /// A changed subscription that is not replaced: one of its policy was less than a day ago.
    fn left_tampered(&self, policy: &Policy, renewed: &Subscription, tampering: Tampering) -> Result<Done, NotDone> {
        let explanation = format!(
            "the subscription {} {}; one was replaced for that less than a day ago, and this one is not, yet: somebody \
             holds the app's credential, or another installation uses the same app",
            renewed.id,
            tampering.explanation()
        );
        self.problems.borrow_mut().push(format!("{}: {explanation}", policy.name));
        let subscription = Held::from(renewed);
        if tampering.still_delivers() {
            return Ok(Done { outcome: Outcome::Renewed, subscription, explanation: Some(explanation) });
        }
        Err(NotDone { explanation, subscription: Some(subscription) })
    }

    /// Replaces a subscription that does not take the current certificate with a renewal, if that may be done now.
    async fn exchange(&self, renew: &Renew, certificate: &Certificate) -> Option<One> {
        let mut may_exchange = self.may_exchange.lock().await;
        let time_left = self.calls.deadline.duration_since(self.world().now());
        if renew.client_state_id.is_none() || !certificate.is_final || !*may_exchange || time_left < FOR_EXCHANGE {
            return None;
        }
        // Until then the subscription works, and its record tells so.
        if let Err(failure) = self.delete(renew.policy.tenant, &renew.subscription.id).await {
            *may_exchange = false;
            self.noted::<Failure>("a subscription cannot be replaced for its certificate", Err(failure));
            return None;
        }
        let why = "Graph did not take the new certificate with the renewal, so that the subscription was replaced";
        let create = Create { previous: None, ..self.create_anew(renew, renew.lost.clone()) };
        let done = self.create(&create, Outcome::Recreated, Some(why)).await;
        *may_exchange = done.is_ok();
        for duplicate in &renew.duplicates {
            self.noted("a duplicate cannot be deleted", self.delete(renew.policy.tenant, duplicate).await);
        }
        Some(self.report(&create, done))
    }

    fn replace_for(&self, renew: &Renew, why: &'static str) -> Replace {
        Replace {
            policy: renew.policy.clone(),
            ids: std::iter::once(renew.subscription.id.clone()).chain(renew.duplicates.clone()).collect(),
            why,
            works: false,
            create: Create { previous: None, ..self.create_anew(renew, renew.lost.clone()) },
        }
    }

    fn create_anew(&self, renew: &Renew, lost: Option<String>) -> Create {
        Create {
            policy: renew.policy.clone(),
            client_state_id: None,
            previous: self.records.and_then(|records| record_of(records, &renew.policy)).cloned(),
            may_delete: renew.client_state_id.is_some(),
            lost,
            tampered: None,
            tampered_at: renew.tampered_at,
        }
    }

    async fn replace(&self, replace: &Replace) -> Result<Done, NotDone> {
        // What could not be created again in this run is not deleted in it, nor, if it works, where its successor would be unknown
        // to the next run.
        self.calls.in_time()?;
        let begun_at = self.world().now();
        let may_delete = !replace.works || self.can_record(&replace.create).await?;
        for id in &replace.ids {
            let deleted = if may_delete {
                self.delete(replace.policy.tenant, id).await.map_err(|error| error.to_string())
            } else {
                Err(UNRECORDED.to_owned())
            };
            let Err(explanation) = deleted else { continue };
            if !replace.works {
                return Err(NotDone::because(explanation));
            }
            // It has to do until it can be replaced.
            let plain = Renewal { expires_at: self.world().now() + LIFETIME, certificate: None };
            let call = async |token: &AccessToken| self.world().renew(token, id, &plain).await;
            let renewed = self.calls.change_repeated(replace.policy.tenant, call).await?;
            return Err(NotDone { explanation, subscription: Some(Held::from(&renewed)) });
        }
        let done = self.create(&replace.create, Outcome::Recreated, Some(replace.why)).await;
        if done.is_ok() {
            let length = self.world().now().duration_since(begun_at);
            let Policy { tenant, name } = replace.policy.clone();
            // Rounded up: how long it was at most.
            let seconds = length.as_secs() + i64::from(length.subsec_nanos() > 0);
            self.gaps.borrow_mut().push(Gap { tenant_id: tenant, policy_name: name, seconds });
        }
        done
    }

    /// Whether the state table takes records, tried with the one that is there or with the announcement of what is to be created.
    async fn can_record(&self, create: &Create) -> Result<bool, NotDone> {
        let Some(records) = self.records else { return Ok(false) };
        let record = match record_of(records, &create.policy) {
            Some(record) => record.clone(),
            None => self.announcement(create, &self.client_state_for(create)?.0, self.requested_end(create)),
        };
        Ok(self.put(&record).await)
    }

    /// Creates a subscription. An attempt whose end is unknown is followed by a look at the list, never by a blind second
    /// attempt.
    async fn create(&self, create: &Create, outcome: Outcome, why: Option<&str>) -> Result<Done, NotDone> {
        let policy = &create.policy;
        // An attempt that cannot be made is not announced: the announcement takes the place of what is known.
        self.calls.in_time()?;
        let (client_state_id, client_state) = self.client_state_for(create)?;
        let mut outcome = outcome;
        let mut why = why.map(ToOwned::to_owned);
        let requested = self.requested_end(create);
        let announced = self.announcement(create, &client_state_id, requested);
        // Where the records could not be read, there may be a good one, which an announcement would overwrite. What was not
        // announced is not known to the next attempt, which must not delete it for that.
        let is_announced = self.records.is_some() && self.put(&announced).await;
        let may_delete = create.may_delete && is_announced;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let new = NewSubscription {
                policy,
                notification_url: self.desired.notification_url,
                expires_at: requested,
                certificate: self.certificate,
                certificate_id: self.certificate_id,
                client_state: &client_state,
            };
            let created = self
                .calls
                .change_once(policy.tenant, async |token: &AccessToken| self.world().create(token, &new).await)
                .await;
            let failure = match created {
                Ok(created) => {
                    self.check_end(policy, requested, &created);
                    let known = Known {
                        policy,
                        client_state_id: &client_state_id,
                        certificate_id: self.certificate_id,
                        tampered_at: create.tampered_at,
                    };
                    let subscription = Held::from(&created);
                    self.record(known, &subscription, create.untold()).await;
                    return Ok(Done { outcome, subscription, explanation: why });
                }
                Err(failure) => failure,
            };
            let conflict = failure.kind() == Some(GraphErrorKind::Conflict);
            let again = conflict || failure.is_ambiguous() || failure.is_retryable();
            if !again || attempt >= ATTEMPTS {
                return Err(failure.into());
            }
            if !conflict && !pause(self.world(), self.calls.deadline, attempt, failure.retry_after()).await {
                return Err(failure.into());
            }
            if !conflict && !failure.is_ambiguous() {
                continue;
            }
            if conflict && let Some(done) = self.renew_recorded(create).await? {
                return Ok(done);
            }
            let same_policy = self.in_the_way(policy, &failure).await;
            if let Some((found, proof)) = self.adoptable(create, may_delete, &announced, &same_policy) {
                if let Some(subscription) = self.adopt(create, found, proof).await? {
                    let outcome = if create.lost.is_some() { Outcome::Recreated } else { Outcome::Adopted };
                    return Ok(Done { outcome, subscription, explanation: why });
                }
                if !pause(self.world(), self.calls.deadline, attempt, None).await {
                    return Err(failure.into());
                }
            } else if conflict && same_policy.is_empty() {
                // Graph's list lags behind what it refuses.
                if !pause(self.world(), self.calls.deadline, attempt, None).await {
                    return Err(failure.into());
                }
            } else if conflict && !may_delete {
                let explanation = format!(
                    "another subscription is in the way, and nothing is deleted while the state table cannot be read and written ({failure})"
                );
                return Err(NotDone::because(explanation));
            } else if conflict {
                for blocker in &same_policy {
                    self.note_stranger(policy, blocker);
                    self.delete(policy.tenant, &blocker.id).await?;
                }
                // What Graph refuses may lag behind what it deleted.
                if attempt > 1 && !pause(self.world(), self.calls.deadline, attempt, None).await {
                    return Err(failure.into());
                }
                outcome = Outcome::Recreated;
                why = Some("another subscription for the policy was in the way and was deleted".to_owned());
            }
        }
    }

    /// The end to request: rounded as Graph is told, so that the subscription can be recognised by it. An attempt whose end is unknown
    /// is made again as it was announced, or what it may have created could not be recognised any more.
    fn requested_end(&self, create: &Create) -> Timestamp {
        let now = self.world().now();
        let unfinished =
            create.previous.as_ref().filter(|record| record.is_intent() && create.client_state_id.is_some());
        let announced = unfinished.and_then(|record| record.subscription_expires_at);
        announced.filter(|end| *end > now + LIFETIME / 2).unwrap_or_else(|| whole_seconds(now + LIFETIME))
    }

    /// Renews what turned out to be the subscription that was to be created, and records it if its client state is proven. `None` if
    /// Graph does not know it any more.
    async fn adopt(
        &self,
        create: &Create,
        found: &Subscription,
        proof: Option<&Record>,
    ) -> Result<Option<Held>, NotDone> {
        let held = Held::from(found);
        let known = proof.map(|record| Known {
            policy: &create.policy,
            client_state_id: &record.client_state_id,
            certificate_id: &record.certificate_id,
            tampered_at: create.tampered_at,
        });
        if let Some(known) = known {
            // As where a run begins with such a one.
            self.record(known, &held, create.untold()).await;
        }
        match self.patch(&create.policy, &held).await {
            Ok((renewed, certificate)) => {
                let subscription = Held::from(&renewed);
                if let Some(known) = known {
                    self.record(known.with(&certificate), &subscription, create.untold()).await;
                }
                Ok(Some(subscription))
            }
            Err(failure) if failure.kind() == Some(GraphErrorKind::NotFound) => Ok(None),
            Err(failure) => Err(NotDone { explanation: failure.to_string(), subscription: Some(held) }),
        }
    }

    /// Renews the subscription that is recorded, since Graph takes no other: it lives, whatever Graph said of it before. `None` if
    /// there is none, or Graph does not know it by its id.
    async fn renew_recorded(&self, create: &Create) -> Result<Option<Done>, NotDone> {
        let is_trusted = |record: &&Record| self.desired.client_state_ids.contains(&record.client_state_id);
        let known = create.previous.as_ref().filter(is_trusted);
        let Some((record, id)) = known.and_then(|record| Some((record, record.subscription_id.clone()?))) else {
            return Ok(None);
        };
        let (expires_at, certificate_id) = (record.subscription_expires_at, Some(record.certificate_id.clone()));
        let held = Held { id, expires_at, certificate_id };
        match self.patch(&create.policy, &held).await {
            Ok((renewed, certificate)) => {
                let known = Known {
                    policy: &create.policy,
                    client_state_id: &record.client_state_id,
                    certificate_id: &record.certificate_id,
                    tampered_at: create.tampered_at,
                };
                let subscription = Held::from(&renewed);
                self.record(known.with(&certificate), &subscription, create.untold()).await;
                let explanation = Some("Graph had not known the subscription by its id, and took no other".to_owned());
                Ok(Some(Done { outcome: Outcome::Adopted, subscription, explanation }))
            }
            Err(failure) if failure.kind() == Some(GraphErrorKind::NotFound) => Ok(None),
            Err(failure) => Err(NotDone { explanation: failure.to_string(), subscription: Some(held) }),
        }
    }

    /// What may be in the way of a new subscription: what the conflict names, and what Graph lists for the policy. What is
    /// recorded for another policy is not among it, whatever the list says.
    async fn in_the_way(&self, policy: &Policy, failure: &Failure) -> Vec<Subscription> {
        let is_others = |id: &String| {
            let mut records = self.records.into_iter().flatten();
            records.any(|record| {
                record.subscription_id.as_ref() == Some(id) && !record.policy.is(policy.tenant, &policy.name)
            })
        };
        let mut found = Vec::new();
        if let Some(id) = failure.conflicting_id() {
            let call = async |token: &AccessToken| self.world().get(token, &id).await;
            found.extend(self.calls.once(policy.tenant, call).await);
        }
        match list_in_time(self.calls, policy.tenant).await {
            Ok(listing) => {
                let listed = listing.subscriptions.into_iter().filter(|one| watches(one, policy));
                let named = found.first().map(|one| one.id.clone());
                found.extend(listed.filter(|one| Some(&one.id) != named.as_ref()));
            }
            Err(sentence) => tracing::warn!(sentence, "Graph's list cannot be had to find what is in the way"),
        }
        found.retain(|one| !is_others(&one.id));
        found
    }

    /// The subscription that is the one to be created, and the record that proves its client state, where one does.
    fn adoptable<'s>(
        &self,
        create: &'s Create,
        may_delete: bool,
        announced: &'s Record,
        same_policy: &'s [Subscription],
    ) -> Option<(&'s Subscription, Option<&'s Record>)> {
        let ours =
            same_policy.iter().filter(|one| is_same_address(&one.notification_url, self.desired.notification_url));
        ours.filter_map(|one| {
            let is_known = |id: &str| self.keyring.knows_client_state(id);
            let records = [Some(announced), create.previous.as_ref()];
            let proof =
                records.into_iter().flatten().find(|record| proven_state(is_known, Some(record), one).is_some());
            // What may not be deleted is renewed, whoever knows its client state.
            (proof.is_some() || !may_delete).then_some((one, proof))
        })
        .max_by_key(|(one, _)| one.expires_at)
    }

    async fn delete_stray(&self, stray: Stray) -> One {
        let deleted = self.delete(stray.tenant, &stray.id).await;
        One::Stray(StrayReport {
            tenant_id: stray.tenant,
            subscription_id: stray.id,
            resource: stray.resource,
            deleted: deleted.is_ok(),
            explanation: deleted.err().map(|failure| failure.to_string()),
        })
    }

    /// Renews a subscription, and gives it the current certificate if it has another.
    ///
    /// Microsoft's pages disagree on whether a renewal can change the certificate. Graph may refuse the whole renewal for
    /// it, in whatever way: then the renewal is what counts.
    async fn patch(&self, policy: &Policy, subscription: &Held) -> Result<(Subscription, Certificate), Failure> {
        let before = &subscription.certificate_id;
        let current = before.as_deref() == Some(self.certificate_id);
        let requested = self.world().now() + LIFETIME;
        let plain = Renewal { expires_at: requested, certificate: None };
        let mut refused = None;
        if !current {
            let new = NewCertificate { certificate: self.certificate, certificate_id: self.certificate_id };
            let renewal = Renewal { certificate: Some(new), ..plain };
            let call = async |token: &AccessToken| self.world().renew(token, &subscription.id, &renewal).await;
            match self.calls.change_once(policy.tenant, call).await {
                Ok(renewed) => {
                    self.check_end(policy, requested, &renewed);
                    let id = self.certificate_of(policy, &renewed).await;
                    return Ok((renewed, Certificate { id, is_final: true }));
                }
                Err(failure) if failure.kind() == Some(GraphErrorKind::NotFound) => return Err(failure),
                Err(failure) => refused = failure.kind(),
            }
        }
        let call = async |token: &AccessToken| self.world().renew(token, &subscription.id, &plain).await;
        let renewed = self.calls.change_repeated(policy.tenant, call).await?;
        self.check_end(policy, requested, &renewed);
        // What passes may have been the matter, and the next run tries again.
        let is_final = refused == Some(GraphErrorKind::Invalid);
        Ok((renewed, Certificate { id: before.clone(), is_final }))
    }

    async fn delete(&self, tenant: TenantId, id: &str) -> Result<(), Failure> {
        let call = async |token: &AccessToken| self.world().delete(token, id).await;
        match self.calls.change_repeated(tenant, call).await {
            Err(failure) if failure.kind() == Some(GraphErrorKind::NotFound) => Ok(()),
            other => other,
        }
    }

    /// The certificate that Graph encrypts for: what the renewal answers, read back if it is another than it should be;
    /// twice, since Graph's parts may learn of it one by one.
    async fn certificate_of(&self, policy: &Policy, renewed: &Subscription) -> Option<String> {
        let mut certificate_id = renewed.encryption_certificate_id.clone();
        for attempt in 0..2 {
            if certificate_id.as_deref() == Some(self.certificate_id) {
                break;
            }
            if attempt > 0 && !pause(self.world(), self.calls.deadline, attempt, None).await {
                break;
            }
            let call = async |token: &AccessToken| self.world().get(token, &renewed.id).await;
            if let Ok(read) = self.calls.repeated(policy.tenant, call).await {
                certificate_id = read.encryption_certificate_id;
            }
        }
        certificate_id
    }

    fn check_end(&self, policy: &Policy, requested: Timestamp, answered: &Subscription) {
        if answered.expires_at < requested - TOLERANCE {
            self.problems.borrow_mut().push(format!(
                "Graph lets the subscription for {} end at {} instead of {requested}",
                policy.name, answered.expires_at
            ));
        }
    }

    /// The record of an attempt that is about to be made.
    fn announcement(&self, create: &Create, client_state_id: &str, requested: Timestamp) -> Record {
        Record {
            policy: create.policy.clone(),
            subscription_id: None,
            client_state_id: client_state_id.to_owned(),
            certificate_id: self.certificate_id.to_owned(),
            subscription_expires_at: Some(requested),
            replaces: create.untold(),
            tampered_at: create.tampered_at,
            updated_at: self.world().now(),
        }
    }

    /// Records a subscription under the names of its secrets. `untold` was found lost or changed, and no event about it was sent.
    async fn record(&self, known: Known<'_>, subscription: &Held, untold: Option<String>) {
        // It might overwrite the record of one that lives.
        if self.records.is_none() {
            return;
        }
        let record = Record {
            policy: known.policy.clone(),
            subscription_id: Some(subscription.id.clone()),
            client_state_id: known.client_state_id.to_owned(),
            certificate_id: known.certificate_id.to_owned(),
            subscription_expires_at: subscription.expires_at,
            // One that lives after all was not lost.
            replaces: untold.filter(|id| *id != subscription.id),
            tampered_at: known.tampered_at,
            updated_at: self.world().now(),
        };
        self.put(&record).await;
    }

    /// Writes a record, and says whether that was possible. It holds nothing back: without it a later run renews the subscription as
    /// it is, or replaces it once records can be written.
    async fn put(&self, record: &Record) -> bool {
        let put = self.world().put_record(record).await;
        let is_put = put.is_ok();
        self.noted("a record cannot be written", put);
        is_put
    }

    /// Says whose subscription is in the way if it is not one of ours: two installations that watch the same policy with the
    /// same app take it from each other again and again, and each hears only some of the calls.
    fn note_stranger(&self, policy: &Policy, blocker: &Subscription) {
        let (_, address) = blocker.notification_url.split_once("://").unwrap_or_default();
        let host = address.split(['/', '?', '#']).next().unwrap_or_default();
        if !is_same_address(&blocker.notification_url, self.desired.notification_url) {
            self.problems.borrow_mut().push(format!(
                "the policy {} was watched for {host} with this app, and that subscription had to be deleted: if this \
                 happens again, another installation uses the same app, and each takes the other's calls",
                policy.name
            ));
        }
    }

    fn noted<E: std::fmt::Display>(&self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.problems.borrow_mut().push(format!("{what}: {error}"));
        }
    }

    /// The client state for a new subscription, with its name: of the current generation, unless an unfinished attempt may have
    /// given it another.
    fn client_state_for(&self, create: &Create) -> Result<(String, ClientState), NotDone> {
        let id = match &create.client_state_id {
            Some(id) => id.clone(),
            None => self.keyring.new_client_state().map_err(NotDone::because)?,
        };
        let state = self.keyring.client_state(&id, &create.policy);
        let state = state.ok_or_else(|| NotDone::because(format!("the keyring has no client state {id}")))?;
        Ok((id, state))
    }

    /// What became of a policy. What was found of its subscription before stands in `create`.
    fn report(&self, create: &Create, done: Result<Done, NotDone>) -> One {
        let (outcome, subscription, explanation) = match done {
            Ok(done) => (done.outcome, Some(done.subscription), done.explanation),
            Err(not) => (Outcome::Failed, not.subscription, Some(not.explanation)),
        };
        let expires_at = subscription.as_ref().and_then(|one| one.expires_at);
        let subscription_id = subscription.map(|one| one.id);
        // One that could be renewed after all was not lost.
        let lost = create.lost.clone().filter(|id| subscription_id.as_ref() != Some(id));
        let found_lost = lost.as_ref().map(|id| format!("Graph no longer had the subscription {id}"));
        One::Policy(Box::new(PolicyReport {
            tenant_id: create.policy.tenant,
            policy_name: create.policy.name.clone(),
            outcome,
            subscription_id,
            expires_at,
            seconds_remaining: seconds_remaining(expires_at, self.world().now()),
            explanation: explanation.or(found_lost),
            lost,
            known_lost: create.previous.as_ref().is_some_and(|record| record.replaces.is_some()),
            tampered: create.tampered.clone(),
        }))
    }

    fn world(&self) -> &W {
        self.calls.world
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The seconds until a subscription ends; 0 if there is none.
#[must_use]
pub fn seconds_remaining(expires_at: Option<Timestamp>, now: Timestamp) -> i64 {
    expires_at.map_or(0, |end| end.duration_since(now).as_secs().max(0))
}
