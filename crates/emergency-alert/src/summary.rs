//! The alert on one line: flags, number dialled, who and where.

use crate::address::Address;
use crate::alert::Alert;
use crate::inert::{account, inert};
use crate::text::{Alphabet, cut};
use crate::wording::{Occasion, Wording};

/// The longest number or event type, in bytes.
const MAX_NUMBER_BYTES: usize = 20;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 30;

/// The line in at most `max` bytes, most telling part first. What need not be there is there only if it fits; what must be
/// is cut with `mark` where it is longer.
pub(crate) fn summary(alert: &Alert, wording: &Wording, alphabet: Alphabet, max: usize, mark: &str) -> String {
    let headline = alert.short_headline(wording, alphabet);
    // There is nobody and no place in a drill, nor in a call that cannot be read.
    let (about, more) = if alert.facts().is_drill || alert.degraded_reason().is_some() {
        (alert.policy(alphabet, wording), Vec::new())
    } else {
        let address = Address::new(&alert.facts().location, alphabet, wording);
        let about = [vec![who(alert, wording, alphabet)], places(alert, &address, wording, alphabet)].concat();
        (Some(about.join(", ")), address.more().into_iter().map(str::to_owned).collect())
    };
    let line = about.map_or_else(|| headline.clone(), |about| wording.joined(&headline, &about));
    let mut line = alphabet(&format!("{}{line}", tags(alert, wording)));
    for part in more {
        let longer = format!("{line}, {part}");
        if longer.len() <= max {
            line = longer;
        }
    }
    cut(&line, max, mark)
}

/// What the reader must know before anything else, each in brackets.
pub(crate) fn tags(alert: &Alert, wording: &Wording) -> String {
    let facts = alert.facts();
    let say = |(shown, tag): (bool, &str)| shown.then(|| wording.say(tag));
    let mut tags = vec![
        say((facts.is_drill, "tag-drill")),
        say((facts.is_test && !facts.is_drill, "tag-test")),
        say((!facts.verified, "tag-unverified")),
    ];
    tags.extend(wording.relation_tags(facts.relation).into_iter().map(Some));
    tags.push(say((alert.lateness().is_some(), "tag-late")));
    in_brackets(tags.into_iter().flatten())
}

/// Each tag in brackets, with a space behind it.
pub(crate) fn in_brackets(tags: impl Iterator<Item = String>) -> String {
    tags.fold(String::new(), |line, tag| line + "[" + &tag + "] ")
}

impl Alert {
    /// What happened, in the fewest words.
    pub(crate) fn short_headline(&self, wording: &Wording, alphabet: Alphabet) -> String {
        let facts = self.facts();
        let number = bounded(facts.number_dialed.as_ref(), alphabet, MAX_NUMBER_BYTES);
        let kind = bounded(facts.event_type.as_ref(), alphabet, MAX_NUMBER_BYTES);
        let occasion = match self.occasion() {
            Occasion::Other(_) => Occasion::Other(kind.as_deref()),
            occasion => occasion,
        };
        wording.short_headline(occasion, number.as_deref())
    }
}

fn who(alert: &Alert, wording: &Wording, alphabet: Alphabet) -> String {
    let caller = &alert.facts().caller;
    bounded(caller.display_name.as_ref(), alphabet, MAX_NAME_BYTES)
        .or_else(|| written(caller.upn.as_ref(), alphabet, account, MAX_NAME_BYTES))
        .or_else(|| bounded(caller.phone_number.as_ref(), alphabet, MAX_NAME_BYTES))
        .unwrap_or_else(|| wording.say("unknown-caller"))
}

/// Where to go, or that nobody knows.
fn places(alert: &Alert, address: &Address, wording: &Wording, alphabet: Alphabet) -> Vec<String> {
    let places = address.shortest();
    if places.is_empty() {
        return [Some(wording.say("no-location")), alert.policy(alphabet, wording)].into_iter().flatten().collect();
    }
    places.into_iter().map(str::to_owned).collect()
}

/// A value in the alphabet and inert, if anything of it is left.
fn bounded(text: Option<&String>, alphabet: Alphabet, max: usize) -> Option<String> {
    written(text, alphabet, inert, max)
}

/// A value in the alphabet, made fit to be read.
pub(crate) fn written(
    text: Option<&String>,
    alphabet: Alphabet,
    fit: fn(&str) -> String,
    max: usize,
) -> Option<String> {
    let text = cut(&fit(&alphabet(text?)), max, "...");
    (!text.is_empty()).then_some(text)
}
