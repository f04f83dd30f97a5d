//! What an alert tells, before it is put into words.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::audience::Audience;
use crate::call::Caller;
use crate::location::Location;
use crate::notification::{Contradiction, MissingProof};
use crate::relation::Relation;
use crate::text::cut;

/// What is known of a call, or of what else an alert is about. Serialised, absent values are null, never missing.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the JSON document")]
pub struct Facts {
    /// The id of the call event.
    pub call_id: Option<String>,
    /// `callStarted`, `callEnded`, or what else Graph sent.
    pub event_type: Option<String>,
    /// Whether this is a test: the number dialled is a test number, or it is a drill.
    pub is_test: bool,
    /// Whether nobody called at all.
    pub is_drill: bool,
    /// Which topic the alert belongs to.
    pub audience: Audience,
    /// Whether both proofs of the sender are there.
    pub verified: bool,
    /// The proof that is not there.
    pub missing_proof: Option<MissingProof>,
    /// What the notification states although its proof says otherwise; cleaned and cut.
    pub contradictions: Vec<Contradiction>,
    /// How it relates to what was told of the same event before: `relation`, `newPlace` and `newCaller`.
    #[serde(flatten)]
    pub relation: Relation,
    /// Whether the details of the call could not be read.
    pub degraded: bool,
    /// Whether texts were cut or `raw` was left out to keep to [`MAX_JSON_BYTES`](crate::MAX_JSON_BYTES).
    pub truncated: bool,
    /// The emergency calling policy under which the call was made.
    pub policy_name: String,
    /// The tenant in which the call was made.
    pub tenant_id: String,
    /// The emergency number dialled, as sent.
    pub number_dialed: Option<String>,
    /// When the event happened; serialised as RFC 3339 in UTC.
    #[serde(serialize_with = "optional_rfc3339")]
    pub occurred_at: Option<Timestamp>,
    /// When the notification arrived; serialised as RFC 3339 in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub received_at: Timestamp,
    /// Whole seconds between the two; negative when the clocks disagree.
    pub age_seconds: Option<i64>,
    /// When an ended call started, where that was seen.
    #[serde(serialize_with = "optional_rfc3339")]
    pub started_at: Option<Timestamp>,
    /// The length of an ended call, where its start was seen.
    pub duration_seconds: Option<i64>,
    /// When the call ended, where its start arrives later than its end.
    #[serde(serialize_with = "optional_rfc3339")]
    pub ended_at: Option<Timestamp>,
    /// The number to call back in E.164, where it can be derived.
    pub callback_number: Option<String>,
    /// A link that shows the coordinates on a map.
    pub map_url: Option<String>,
    /// Who called.
    pub caller: Caller,
    /// Where the caller is, or is registered to be.
    pub location: Location,
    /// Of a drill, the parts of its place that were asked for: only these are attributes.
    #[serde(skip)]
    pub(crate) drill_place: Location,
}

impl Facts {
    /// Cuts every text to at most so many bytes.
    pub(crate) fn cut_texts(&mut self, longest: usize) {
        let Caller { display_name, upn, phone_number } = &mut self.caller;
        let own = [&mut self.call_id, &mut self.event_type, &mut self.number_dialed, display_name, upn, phone_number];
        for text in own.into_iter().chain(self.location.texts_mut()).flatten() {
            *text = cut(text, longest, "");
        }
        for text in [&mut self.policy_name, &mut self.tenant_id] {
            *text = cut(text, longest, "");
        }
    }
}

/// Shows nothing personal.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("call_id", &self.call_id)
            .field("event_type", &self.event_type)
            .field("is_test", &self.is_test)
            .field("verified", &self.verified)
            .field("degraded", &self.degraded)
            .finish_non_exhaustive()
    }
}

fn rfc3339<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn optional_rfc3339<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serializer.collect_str(moment),
        None => serializer.serialize_none(),
    }
}
