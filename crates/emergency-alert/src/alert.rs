//! The alert that goes out for a call.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::address::Address;
use crate::audience::Audience;
use crate::call::{Caller, EmergencyCall};
use crate::facts::Facts;
use crate::inert::inert;
use crate::location::{Location, degrees};
use crate::moment::{age_seconds, clock_as_of};
use crate::notification::{Contradiction, DegradedReason, Notification};
use crate::phone::{self, International};
use crate::relation::{Difference, End, Relation};
use crate::settings::Settings;
use crate::text::{Alphabet, CUT_MARK, clean, cut};
use crate::wording::{Occasion, Wording};

/// An event that is older when its notification arrives is late.
const LATE_SECONDS: i64 = 60;

/// The event that begins a call.
const STARTED: &str = "callStarted";

/// The event that ends a call.
const ENDED: &str = "callEnded";

/// The event type of a drill.
const DRILL: &str = "drill";

/// The largest alert document, in bytes. Its place is in a JSON string inside an SNS message of 256 KiB, where
/// escaping can double it.
pub const MAX_JSON_BYTES: usize = 100_000;

/// The room for texts that are made of the facts, escaped: each of their values is of bounded length.
const MAX_DERIVED_BYTES: usize = 40_000;

/// The longest value in a sentence, in bytes.
const MAX_VALUE_BYTES: usize = 400;

/// What the end of a call is to know of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// When the call started.
    pub at: Timestamp,
    /// Whether the number dialled was a test number.
    pub is_test: bool,
}

/// An alert. How it reads as JSON, email, SMS and in a chat stands beside each of these.
#[derive(Clone)]
pub struct Alert {
    facts: Facts,
    /// The decrypted document as received, where there is room for it.
    raw: Value,
    degraded: Option<DegradedReason>,
    /// Whether it is the start of a call whose end was told before.
    has_ended: bool,
    /// When that was, for readers.
    ended_clock: Option<String>,
    deduplication_key: String,
    /// The number to call back in international form, where it can be derived.
    international_callback: Option<International>,
    settings: Settings,
}

impl Alert {
    /// The alert for a call whose document was read.
    #[must_use]
    pub fn from_call(call: EmergencyCall, notification: &Notification, settings: &Settings) -> Self {
        let is_test = call.number_dialed.as_deref().is_some_and(|number| settings.test_numbers.contains(number));
        let event_time = call.occurred_at.map(|moment| moment.to_string()).or(call.event_date_time);
        // Without an id or a time only the content tells two events apart: the envelope's id is its sender's to choose.
        let content = (call.call_id.is_none() || call.occurred_at.is_none()).then(|| canonical(&call.raw));
        let deduplication_key =
            json!(["call", notification.tenant_id, call.call_id, call.event_type, event_time, content]).to_string();
        let call_id = call.call_id.or_else(|| notification.call_id.clone());
        let facts = Facts {
            call_id,
            event_type: call.event_type,
            is_test,
            number_dialed: call.number_dialed,
            occurred_at: call.occurred_at,
            age_seconds: call.occurred_at.map(|moment| age_seconds(moment, notification.received_at)),
            caller: call.caller,
            location: call.location,
            audience: if is_test { Audience::Test } else { Audience::Alert },
            ..facts_of(notification)
        };
        Self::new(facts, call.raw, None, deduplication_key, settings)
    }

    /// The alert for an authentic notification whose details cannot be read.
    ///
    /// `fingerprint` tells such notifications apart: a digest of the encrypted content, or of the whole item where
    /// there is none. It must be the same when the same notification is delivered again.
    #[must_use]
    pub fn degraded(
        reason: DegradedReason,
        fingerprint: &str,
        notification: &Notification,
        settings: &Settings,
    ) -> Self {
        let facts = Facts { degraded: true, ..facts_of(notification) };
        // Nothing of the envelope: it is its sender's to choose.
        let deduplication_key = json!(["degraded", notification.tenant_id, fingerprint]).to_string();
        Self::new(facts, Value::Null, Some(reason), deduplication_key, settings)
    }

    /// An alert that tests the way to its audience: nobody called. Where a call would have facts it says what would
    /// stand there. `notification` has the id of the drill for the id of a call.
    #[must_use]
    pub fn drill(audience: Audience, notification: &Notification, settings: &Settings) -> Self {
        let Notification { tenant_id, call_id, received_at, .. } = notification;
        let say = |phrase| Some(settings.wording.say(phrase));
        let facts = Facts {
            event_type: Some(DRILL.to_owned()),
            is_test: true,
            is_drill: true,
            audience,
            occurred_at: Some(*received_at),
            age_seconds: Some(0),
            caller: Caller {
                display_name: say("drill-caller"),
                upn: say("drill-account"),
                phone_number: say("drill-callback"),
            },
            location: Location {
                street: say("drill-street"),
                additional_info: say("drill-unit"),
                city: say("drill-city"),
                ..Location::default()
            },
            ..facts_of(notification)
        };
        let deduplication_key = json!(["drill", tenant_id, call_id, received_at.to_string()]).to_string();
        Self::new(facts, Value::Null, None, deduplication_key, settings)
    }

    /// Gives a drill a city and a site, a street line, so that filters on them can be tried. Of no effect for other alerts.
    pub fn set_drill_place(&mut self, city: Option<&str>, site: Option<&str>) {
        if !self.facts.is_drill {
            return;
        }
        let (city, street) = (city.map(ToOwned::to_owned), site.map(ToOwned::to_owned));
        let Location { city: shown_city, street: shown_street, .. } = &mut self.facts.location;
        *shown_city = city.clone().or(shown_city.take());
        *shown_street = street.clone().or(shown_street.take());
        self.facts.drill_place = Location { street, city, ..Location::default() };
        self.show_place();
    }

    fn new(
        mut facts: Facts,
        mut raw: Value,
        degraded: Option<DegradedReason>,
        deduplication_key: String,
        settings: &Settings,
    ) -> Self {
        bound(&mut facts, &mut raw);
        let number = facts.caller.phone_number.as_deref();
        let country = facts.location.country_or_region.as_deref();
        let international_callback = number.and_then(|number| phone::international(number, country));
        facts.callback_number = international_callback.as_ref().map(|number| number.e164.clone());
        let mut alert = Self {
            facts,
            raw,
            degraded,
            has_ended: false,
            ended_clock: None,
            deduplication_key,
            international_callback,
            settings: settings.clone(),
        };
        alert.show_place();
        alert
    }

    /// Puts the place on one line and on a map.
    fn show_place(&mut self) {
        let location = &self.facts.location;
        let map_url = location.point().and_then(|(latitude, longitude)| self.settings.map_link.to(latitude, longitude));
        let text = Address::new(location, clean, self.wording()).one_line();
        self.facts.map_url = map_url;
        self.facts.location.text = text;
    }

    /// Tells an ended call how it started: when, and whether as a test, which its end may not say. Of no effect for other
    /// events; a time after the end is not taken.
    pub fn set_start(&mut self, start: Start) {
        if !self.is_end() {
            return;
        }
        if let Some(ended_at) = self.facts.occurred_at.filter(|ended_at| *ended_at >= start.at) {
            self.facts.started_at = Some(start.at);
            self.facts.duration_seconds = Some(age_seconds(start.at, ended_at));
        }
        if self.facts.number_dialed.is_none() && start.is_test {
            self.facts.is_test = true;
            self.facts.audience = Audience::Test;
        }
    }

    /// How the call started, if this is its start.
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        let started = self.facts.event_type.as_deref() == Some(STARTED);
        let at = self.facts.occurred_at.filter(|_| started)?;
        Some(Start { at, is_test: self.facts.is_test })
    }

    /// Tells a start whose end was told before that the call has ended, so that it opens no incident. Of no effect for
    /// other events; a time before the start is not told.
    pub fn set_end(&mut self, end: End) {
        if self.facts.event_type.as_deref() != Some(STARTED) {
            return;
        }
        self.has_ended = true;
        let started_at = self.facts.occurred_at;
        self.facts.ended_at = Some(end.at).filter(|at| started_at.is_none_or(|started_at| started_at <= *at));
        let received_at = self.facts.received_at;
        self.ended_clock = self.facts.ended_at.map(|at| clock_as_of(received_at, at, self.time_zone()));
    }

    /// When the call ended, if this is its end and says so.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let at = self.facts.occurred_at.filter(|_| self.is_end())?;
        Some(End { at })
    }

    /// Says how it relates to what was told of the same event before. Of no effect where the alert cannot be in that
    /// relation: only a verified alert is now verified or updated, only another is another report.
    pub fn set_relation(&mut self, relation: Relation) {
        let verified = self.is_verified();
        let fits = match relation {
            Relation::First => true,
            Relation::NowVerified { .. } => verified,
            Relation::Updated { place, caller } => verified && Difference::of(place, caller).is_some(),
            Relation::OtherReport => !verified,
        };
        if fits {
            self.facts.relation = relation;
        }
    }

    /// Whether this is the end of a call.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.facts.event_type.as_deref() == Some(ENDED)
    }

    /// Whether both proofs of the sender are there.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.facts.verified
    }

    /// Whether the call is over: this is its end, or its start that arrived later than its end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_end() || self.has_ended
    }

    /// What all verified events of a call share, and all unverified ones: a JSON array. An unverified event has nothing
    /// in common with a verified one, so that it ends, starts and updates nothing verified. None without the id of the
    /// call.
    #[must_use]
    pub fn call_key(&self) -> Option<String> {
        let call_id = self.facts.call_id.as_ref()?;
        let kind = if self.is_verified() { "call" } else { "unverified call" };
        Some(json!([kind, self.facts.tenant_id, call_id]).to_string())
    }

    /// Equal for two alerts that tell the same place: a JSON array, the same for all that tell none. It may contain
    /// personal data, so only a digest of it is fit for storing.
    #[must_use]
    pub fn place_key(&self) -> String {
        let location = &self.facts.location;
        let point = location.point().map(|(latitude, longitude)| [degrees(latitude), degrees(longitude)]);
        let parts = location.parts().map(told);
        json!(["place", parts, point]).to_string()
    }

    /// Equal for two alerts that tell the same caller: a JSON array, the same for all that tell none. It may contain
    /// personal data, so only a digest of it is fit for storing.
    #[must_use]
    pub fn caller_key(&self) -> String {
        let Caller { display_name, upn, phone_number } = &self.facts.caller;
        let parts = [display_name, upn, phone_number].map(|part| told(part.as_deref()));
        json!(["caller", parts]).to_string()
    }

    /// What the alert tells.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The decrypted document as received; null where there is none, and where there is no room for it.
    pub(crate) fn raw(&self) -> &Value {
        &self.raw
    }

    /// Which topic the alert belongs to.
    #[must_use]
    pub fn audience(&self) -> Audience {
        self.facts.audience
    }

    /// Whether this is a test: the number dialled is a test number, or nobody called at all.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.facts.is_test
    }

    /// Why the details are missing, if they are.
    #[must_use]
    pub fn degraded_reason(&self) -> Option<DegradedReason> {
        self.degraded
    }

    /// Equal for two deliveries of the same event and for no two events: a JSON array of what identifies it.
    /// It may contain personal data, so only a digest of it is fit for storing.
    #[must_use]
    pub fn deduplication_key(&self) -> String {
        self.deduplication_key.clone()
    }

    /// What the alert is about.
    pub(crate) fn occasion(&self) -> Occasion<'_> {
        match (self.degraded, self.facts.event_type.as_deref()) {
            (Some(_), _) => Occasion::Unreadable,
            _ if self.facts.is_drill => Occasion::Drill,
            (None, Some(STARTED)) if self.has_ended => Occasion::StartedAndEnded(self.ended_clock.as_deref()),
            (None, Some(STARTED)) => Occasion::Started,
            (None, Some(ENDED)) => Occasion::Ended(self.facts.duration_seconds),
            (None, kind) => Occasion::Other(kind),
        }
    }

    /// What happened, as a sentence with values in `alphabet`.
    pub(crate) fn headline(&self, alphabet: Alphabet) -> String {
        let value = |text: &str| cut(&inert(&alphabet(text)), MAX_VALUE_BYTES, CUT_MARK);
        let number = self.facts.number_dialed.as_deref().map(value).filter(|number| !number.is_empty());
        let kind = self.facts.event_type.as_deref().map(value).filter(|kind| !kind.is_empty());
        let occasion = match self.occasion() {
            Occasion::Other(_) => Occasion::Other(kind.as_deref()),
            occasion => occasion,
        };
        self.wording().headline(occasion, number.as_deref(), &value(&self.facts.policy_name))
    }

    /// What to do about a call that is not verified, in few words. A test asks nobody to act.
    pub(crate) fn confirmation(&self) -> Option<String> {
        let asks = !self.is_verified() && !self.facts.is_test;
        asks.then(|| self.wording().say("confirm"))
    }

    /// The phrase that stands for a value that is not there.
    pub(crate) fn missing_phrase(&self) -> &'static str {
        if self.degraded.is_some() { "not-readable" } else { "not-given" }
    }

    /// The age of the event, in seconds, where it is late.
    pub(crate) fn lateness(&self) -> Option<i64> {
        self.facts.age_seconds.filter(|age| *age > LATE_SECONDS)
    }

    /// The policy, named as such, in `alphabet`; where a location is missing, often the only hint of the building.
    pub(crate) fn policy(&self, alphabet: Alphabet, wording: &Wording) -> Option<String> {
        let name = inert(&alphabet(&self.facts.policy_name));
        (!name.is_empty()).then(|| wording.under_policy(&name))
    }

    /// The number to call back in international form, where it can be derived.
    pub(crate) fn international_callback(&self) -> Option<&International> {
        self.international_callback.as_ref()
    }

    /// The zone of the times in messages.
    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.settings.time_zone
    }

    /// The words of messages.
    pub(crate) fn wording(&self) -> &Wording {
        &self.settings.wording
    }
}

/// Shows nothing personal.
impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alert").field("facts", &self.facts).field("degraded", &self.degraded).finish_non_exhaustive()
    }
}

/// What the envelope says, and nothing else.
fn facts_of(notification: &Notification) -> Facts {
    Facts {
        call_id: notification.call_id.clone(),
        event_type: None,
        is_test: false,
        is_drill: false,
        audience: Audience::Alert,
        verified: notification.proof.is_verified(),
        missing_proof: notification.proof.missing(),
        contradictions: Contradiction::told(&notification.contradictions),
        relation: Relation::First,
        degraded: false,
        truncated: false,
        policy_name: notification.policy_name.clone(),
        tenant_id: notification.tenant_id.clone(),
        number_dialed: None,
        occurred_at: None,
        received_at: notification.received_at,
        age_seconds: None,
        started_at: None,
        duration_seconds: None,
        ended_at: None,
        callback_number: None,
        map_url: None,
        caller: Caller::default(),
        location: Location::default(),
        drill_place: Location::default(),
    }
}

/// Keeps to [`MAX_JSON_BYTES`] with room for what is derived: first without `raw`, which says everything twice; if that is not
/// enough, with the texts cut.
fn bound(facts: &mut Facts, raw: &mut Value) {
    let length = |facts: &Facts, raw: &Value| {
        let of_facts = serde_json::to_string(facts).expect("strings, numbers and JSON values always serialise").len();
        of_facts + raw.to_string().len()
    };
    let mut longest = MAX_JSON_BYTES;
    while length(facts, raw) > MAX_JSON_BYTES - MAX_DERIVED_BYTES {
        facts.truncated = true;
        if raw.is_null() {
            // Escaping may lengthen a text sixfold, so the right length is found by trying.
            longest /= 2;
            facts.cut_texts(longest);
        }
        *raw = Value::Null;
    }
}

/// What a text shows, in which two deliveries of it must not differ.
fn told(text: Option<&str>) -> Option<String> {
    text.map(clean).filter(|text| !text.is_empty())
}

/// The document with the members of its objects in order, since another delivery may order them differently.
///
/// Sorting has an effect only where some crate of the build switches on `preserve_order` of `serde_json`.
fn canonical(raw: &Value) -> String {
    let mut sorted = raw.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}
