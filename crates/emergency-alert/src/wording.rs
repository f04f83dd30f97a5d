//! Every phrase that people read, in the language of the messages. Layout is elsewhere.
//!
//! The words are in `locales/*.ftl`, in the syntax of Project Fluent.

use std::fmt;
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use jiff::Zoned;
use unic_langid::LanguageIdentifier;

use crate::language::Language;
use crate::location::degrees;
use crate::notification::{Contradiction, DegradedReason, MissingProof};
use crate::phone::dialed;
use crate::relation::{Difference, Relation};

/// What an alert is about.
#[derive(Clone, Copy)]
pub(crate) enum Occasion<'a> {
    /// `callStarted`
    Started,
    /// `callStarted`, heard of after the end; with the time of the end where it is known.
    StartedAndEnded(Option<&'a str>),
    /// `callEnded`, with the length of the call in seconds where its start was seen.
    Ended(Option<i64>),
    /// An event type of unknown meaning, or none.
    Other(Option<&'a str>),
    /// Nothing but the envelope could be read.
    Unreadable,
    /// Not a call at all.
    Drill,
}

/// The words of one language.
#[derive(Clone)]
pub(crate) struct Wording {
    language: Language,
    words: Arc<Words>,
    english: Arc<Words>,
}

type Words = FluentBundle<FluentResource>;

type Arg<'a> = (&'a str, FluentValue<'a>);

impl Wording {
    pub(crate) fn new(language: Language) -> Self {
        let english = Arc::new(read(Language::English));
        let words = if language == Language::English { english.clone() } else { Arc::new(read(language)) };
        Self { language, words, english }
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The words to use where only ASCII is allowed.
    pub(crate) fn in_ascii(&self) -> Self {
        let language = self.language.in_ascii();
        let words = if language == self.language { &self.words } else { &self.english };
        Self { language, words: words.clone(), english: self.english.clone() }
    }

    /// A phrase that is always the same.
    pub(crate) fn say(&self, phrase: &str) -> String {
        self.fill(phrase, [])
    }

    /// What happened, as a sentence.
    pub(crate) fn headline(&self, occasion: Occasion<'_>, number: Option<&str>, policy: &str) -> String {
        let id = match occasion {
            Occasion::Started => "headline-started",
            Occasion::StartedAndEnded(Some(_)) => "headline-started-ended-at",
            Occasion::StartedAndEnded(None) => "headline-started-ended",
            Occasion::Ended(Some(_)) => "headline-ended-after",
            Occasion::Ended(None) => "headline-ended",
            Occasion::Other(Some(_)) => "headline-event",
            Occasion::Other(None) => "headline-unknown-event",
            Occasion::Unreadable => "headline-unreadable",
            Occasion::Drill => "headline-drill",
        };
        self.occasion(id, occasion, number, policy, Self::duration)
    }

    /// What happened, in the fewest words.
    pub(crate) fn short_headline(&self, occasion: Occasion<'_>, number: Option<&str>) -> String {
        let id = match occasion {
            Occasion::Started => "short-started",
            Occasion::StartedAndEnded(Some(_)) => "short-started-ended-at",
            Occasion::StartedAndEnded(None) => "short-started-ended",
            Occasion::Ended(Some(_)) => "short-ended-after",
            Occasion::Ended(None) => "short-ended",
            Occasion::Other(Some(_)) => "short-event",
            Occasion::Other(None) => "short-unknown-event",
            Occasion::Unreadable => "short-unreadable",
            Occasion::Drill => "short-drill",
        };
        self.occasion(id, occasion, number, "", Self::brief_duration)
    }

    fn occasion(
        &self,
        id: &str,
        occasion: Occasion<'_>,
        number: Option<&str>,
        policy: &str,
        duration: fn(&Self, i64) -> String,
    ) -> String {
        // A word in the number's place could pass for a mark, as that of a test.
        let number = number.filter(|number| !dialed(number).contains(char::is_alphabetic));
        let (kind, time, length) = match occasion {
            Occasion::Other(kind) => (kind, None, None),
            Occasion::StartedAndEnded(time) => (None, time, None),
            Occasion::Ended(length) => (None, None, length),
            _ => (None, None, None),
        };
        let known = if number.is_some() { "yes" } else { "no" };
        self.fill(
            id,
            [
                ("known", known.into()),
                ("number", number.unwrap_or_default().into()),
                ("kind", kind.unwrap_or_default().into()),
                ("time", time.unwrap_or_default().into()),
                ("duration", length.map(|seconds| duration(self, seconds)).unwrap_or_default().into()),
                ("policy", policy.into()),
            ],
        )
    }

    /// How the alert relates to what was told before, in the fewest words.
    pub(crate) fn relation_tags(&self, relation: Relation) -> Vec<String> {
        match relation {
            Relation::First => Vec::new(),
            Relation::NowVerified { other_place, other_caller } => {
                let differs = Difference::of(other_place, other_caller).map(|what| self.about("tag-differs", what));
                [Some(self.say("tag-now-verified")), differs].into_iter().flatten().collect()
            }
            Relation::Updated { place, caller } => {
                Difference::of(place, caller).map(|what| self.about("tag-updated", what)).into_iter().collect()
            }
            Relation::OtherReport => vec![self.say("tag-other-report")],
        }
    }

    /// The same in sentences.
    pub(crate) fn relation_warnings(&self, relation: Relation) -> Vec<String> {
        match relation {
            Relation::First => Vec::new(),
            Relation::NowVerified { other_place, other_caller } => {
                let differs = Difference::of(other_place, other_caller).map(|what| self.about("warning-differs", what));
                [Some(self.say("warning-now-verified")), differs].into_iter().flatten().collect()
            }
            Relation::Updated { place, caller } => {
                Difference::of(place, caller).map(|what| self.about("warning-updated", what)).into_iter().collect()
            }
            Relation::OtherReport => vec![self.say("warning-other-report")],
        }
    }

    /// A phrase about the place, the caller or both.
    fn about(&self, phrase: &str, what: Difference) -> String {
        let what = match what {
            Difference::Place => "place",
            Difference::Caller => "caller",
            Difference::Both => "both",
        };
        self.fill(phrase, [("what", what.into())])
    }

    /// Which proof of the sender is not there.
    pub(crate) fn missing_proof(&self, missing: MissingProof) -> String {
        self.say(match missing {
            MissingProof::ValidationToken => "missing-validation-token",
            MissingProof::ClientState => "missing-client-state",
        })
    }

    /// What the notification states although its proof says otherwise.
    pub(crate) fn contradiction(&self, what: &Contradiction, stated: &str) -> String {
        let id = match what {
            Contradiction::Tenant(_) => "contradiction-tenant",
            Contradiction::Policy(_) => "contradiction-policy",
        };
        self.fill(id, [("stated", stated.into())])
    }

    /// Why the details of a call are not there, and what to do about it.
    pub(crate) fn unreadable_warning(&self, reason: DegradedReason) -> String {
        self.say(match reason {
            DegradedReason::NoEncryptedContent => "warning-no-content",
            DegradedReason::Undecryptable => "warning-undecryptable",
            DegradedReason::Unparseable => "warning-unparseable",
        })
    }

    pub(crate) fn test_warning(&self, number: Option<&str>) -> String {
        let known = if number.is_some() { "yes" } else { "no" };
        self.fill("warning-test", [("known", known.into()), ("number", number.unwrap_or_default().into())])
    }

    pub(crate) fn late_warning(&self, seconds: i64) -> String {
        self.fill("warning-late", [("duration", self.duration(seconds).into())])
    }

    pub(crate) fn late_tag(&self, seconds: i64) -> String {
        self.fill("tag-late-by", [("duration", self.short_duration(seconds).into())])
    }

    /// How many calls there are.
    pub(crate) fn calls(&self, count: usize) -> String {
        self.fill("combined-calls", [("count", count.into())])
    }

    /// The same in a sentence.
    pub(crate) fn calls_headline(&self, count: usize) -> String {
        self.fill("combined-headline", [("count", count.into())])
    }

    /// How many calls are not told one by one.
    pub(crate) fn more_calls(&self, count: usize) -> String {
        self.fill("combined-more", [("count", count.into())])
    }

    /// A value behind its label.
    pub(crate) fn labelled(&self, label: &str, value: &str) -> String {
        self.joined(&self.say(label), value)
    }

    /// A text behind what it belongs to.
    pub(crate) fn joined(&self, label: &str, value: &str) -> String {
        self.fill("labelled", [("label", label.into()), ("value", value.into())])
    }

    pub(crate) fn call_back(&self, number: &str) -> String {
        self.fill("call-back", [("number", number.into())])
    }

    pub(crate) fn under_policy(&self, policy: &str) -> String {
        self.fill("under-policy", [("policy", policy.into())])
    }

    pub(crate) fn county(&self, name: &str) -> String {
        self.fill("county", [("county", name.into())])
    }

    pub(crate) fn house(&self, number: &str) -> String {
        self.fill("house", [("number", number.into())])
    }

    /// Floor, suite or room: a bare number would be taken for anything.
    pub(crate) fn unit(&self, text: &str) -> String {
        if text.contains(char::is_alphabetic) { text.to_owned() } else { self.fill("unit", [("unit", text.into())]) }
    }

    pub(crate) fn coordinates(&self, latitude: f64, longitude: f64) -> String {
        let mark = self.say("decimal-mark");
        let shown = |value| degrees(value).replace('.', &mark);
        self.fill("coordinates", [("latitude", shown(latitude).into()), ("longitude", shown(longitude).into())])
    }

    /// A point in time with its day, in the form of the language.
    pub(crate) fn moment(&self, moment: &Zoned) -> String {
        self.fill(
            "moment",
            [
                ("weekday", moment.weekday().to_monday_one_offset().into()),
                ("month", moment.month().into()),
                ("day", moment.day().into()),
                ("year", moment.year().to_string().into()),
                ("time", moment.strftime("%H:%M:%S %Z").to_string().into()),
            ],
        )
    }

    pub(crate) fn at_time(&self, time: &str) -> String {
        self.fill("at", [("time", time.into())])
    }

    /// When the notification arrived, where the time of the call is not known.
    pub(crate) fn received_at(&self, time: &str) -> String {
        self.fill("received-at", [("time", time.into())])
    }

    /// How long ago an event happened.
    pub(crate) fn age(&self, seconds: i64) -> String {
        let id = if seconds < 0 { "ahead" } else { "before" };
        self.fill(id, [("duration", self.duration(seconds).into())])
    }

    /// A length of time in its two largest units.
    pub(crate) fn duration(&self, seconds: i64) -> String {
        self.two_units(seconds, ["duration-days", "duration-hours", "duration-minutes", "duration-seconds"])
    }

    /// The same, with the units abbreviated.
    fn brief_duration(&self, seconds: i64) -> String {
        self.two_units(seconds, ["short-days", "short-hours", "short-minutes", "short-seconds"])
    }

    fn two_units(&self, seconds: i64, [days, hours, minutes, rest]: [&str; 4]) -> String {
        let seconds = seconds.unsigned_abs();
        let counts = [
            (days, seconds / 86_400),
            (hours, seconds / 3_600 % 24),
            (minutes, seconds / 60 % 60),
            (rest, seconds % 60),
        ];
        let first = counts.iter().position(|(_, count)| *count > 0).unwrap_or(counts.len() - 1);
        let (id, count) = counts[first];
        let longer = self.count(id, count);
        match counts.get(first + 1) {
            Some((id, count)) if *count > 0 => {
                let shorter = self.count(id, *count);
                self.fill("duration-pair", [("longer", longer.into()), ("shorter", shorter.into())])
            }
            _ => longer,
        }
    }

    /// A length of time in its largest unit.
    fn short_duration(&self, seconds: i64) -> String {
        match seconds.unsigned_abs() {
            seconds if seconds >= 86_400 => self.count("short-days", seconds / 86_400),
            seconds if seconds >= 3_600 => self.count("short-hours", seconds / 3_600),
            seconds => self.count("short-minutes", seconds / 60),
        }
    }

    fn count(&self, id: &str, count: u64) -> String {
        self.fill(id, [("count", count.into())])
    }

    /// A phrase with its gaps filled. A phrase that this language lacks is said in English: half an alert in another
    /// language is better than none.
    fn fill<'a>(&self, id: &str, args: impl IntoIterator<Item = Arg<'a>>) -> String {
        let args: FluentArgs<'_> = args.into_iter().collect();
        [&self.words, &self.english].into_iter().find_map(|words| phrase(words, id, &args)).unwrap_or_default()
    }
}

/// Shows the language.
impl fmt::Debug for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wording").field(&self.language).finish()
    }
}

fn phrase(words: &Words, id: &str, args: &FluentArgs<'_>) -> Option<String> {
    let pattern = words.get_message(id)?.value()?;
    let mut errors = Vec::new();
    let said = words.format_pattern(pattern, Some(args), &mut errors);
    errors.is_empty().then(|| said.into_owned())
}

fn read(language: Language) -> Words {
    let tag: LanguageIdentifier = language.tag().parse().unwrap_or_default();
    let mut words = FluentBundle::new_concurrent(vec![tag]);
    // Foreign text is already free of what changes the direction of writing, and text messages have no marks for it.
    words.set_use_isolating(false);
    // An entry with a mistake is left out, and what is left is used.
    let resource = FluentResource::try_new(language.words().to_owned()).unwrap_or_else(|(rest, _)| rest);
    words.add_resource_overriding(resource);
    words
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

    use super::*;

    type Phrases = BTreeMap<String, BTreeSet<String>>;

    /// The phrases of a language, with the names of their gaps and of the phrases they refer to.
    fn phrases(language: Language) -> Phrases {
        let resource = fluent_syntax::parser::parse(language.words()).expect("every entry is well formed");
        let mut found = Phrases::new();
        for entry in resource.body {
            let Entry::Message(message) = entry else { continue };
            let mut names = BTreeSet::new();
            gaps(message.value.as_ref().expect("every message has a text"), &mut names);
            let known = found.insert(message.id.name.to_owned(), names);
            assert!(known.is_none(), "{} is there twice in {}", message.id.name, language.tag());
        }
        found
    }

    fn gaps(pattern: &Pattern<&str>, names: &mut BTreeSet<String>) {
        for element in &pattern.elements {
            let PatternElement::Placeable { expression } = element else { continue };
            match expression {
                Expression::Inline(inline) => gap(inline, names),
                Expression::Select { selector, variants } => {
                    gap(selector, names);
                    for variant in variants {
                        gaps(&variant.value, names);
                    }
                }
            }
        }
    }

    fn gap(inline: &InlineExpression<&str>, names: &mut BTreeSet<String>) {
        match inline {
            InlineExpression::VariableReference { id } => {
                // Which word is chosen for a known number is up to the language, and Chinese counts without plurals.
                names.insert(format!("${}", id.name));
            }
            InlineExpression::MessageReference { id, .. } => {
                names.insert(id.name.to_owned());
            }
            _ => {}
        }
    }

    #[test]
    fn every_phrase_exists_in_every_language_with_the_same_gaps() {
        let english = phrases(Language::English);
        for language in Language::ALL {
            let own = phrases(language);
            let ids = |phrases: &Phrases| phrases.keys().cloned().collect::<Vec<_>>();
            assert_eq!(ids(&own), ids(&english), "{}", language.tag());
            for (id, names) in &own {
                assert_eq!(names, &english[id], "{id} in {}", language.tag());
            }
        }
    }

    #[test]
    fn no_sentence_is_left_in_english() {
        let english = Wording::new(Language::English);
        for language in &Language::ALL[1..] {
            let own = Wording::new(*language);
            for id in phrases(*language).into_keys().filter(|id| english.say(id).contains(' ')) {
                assert_ne!(own.say(&id), english.say(&id), "{id} in {}", language.tag());
            }
        }
    }

    /// A phrase whose gaps are not all filled would be left out at run time.
    #[test]
    fn every_phrase_is_said_in_every_language() {
        for language in Language::ALL {
            let wording = Wording::new(language);
            let reasons =
                [DegradedReason::NoEncryptedContent, DegradedReason::Undecryptable, DegradedReason::Unparseable];
            let occasions = [
                Occasion::Started,
                Occasion::StartedAndEnded(None),
                Occasion::StartedAndEnded(Some("09:00 UTC")),
                Occasion::Ended(None),
                Occasion::Ended(Some(61)),
                Occasion::Other(None),
                Occasion::Other(Some("kind")),
                Occasion::Unreadable,
                Occasion::Drill,
            ];
            let mut said: Vec<String> = reasons.map(|reason| wording.unreadable_warning(reason)).to_vec();
            for occasion in occasions {
                for number in [None, Some("911")] {
                    said.push(wording.headline(occasion, number, "Global"));
                    said.push(wording.short_headline(occasion, number));
                }
            }
            for seconds in [-5, 0, 1, 61, 3_601, 90_000, 900_000] {
                said.extend([wording.age(seconds), wording.late_warning(seconds), wording.late_tag(seconds)]);
            }
            for count in [0, 1, 2, 30] {
                said.extend([wording.calls(count), wording.calls_headline(count), wording.more_calls(count)]);
            }
            for what in [Difference::Place, Difference::Caller, Difference::Both] {
                for phrase in ["tag-differs", "tag-updated", "warning-differs", "warning-updated"] {
                    said.push(wording.about(phrase, what));
                }
            }
            said.extend([
                wording.contradiction(&Contradiction::Tenant(String::new()), "x"),
                wording.contradiction(&Contradiction::Policy(String::new()), "x"),
                wording.test_warning(Some("933")),
                wording.test_warning(None),
                wording.labelled("label-caller", "x"),
                wording.call_back("1"),
                wording.under_policy("p"),
                wording.county("King"),
                wording.house("7"),
                wording.unit("7"),
                wording.coordinates(1.0, 2.0),
                wording.moment(&"2024-01-01T10:00:00[UTC]".parse().unwrap()),
                wording.at_time("t"),
                wording.received_at("t"),
            ]);
            for id in phrases(language).into_iter().filter(|(_, gaps)| gaps.is_empty()).map(|(id, _)| id) {
                said.push(wording.say(&id));
            }
            assert!(said.iter().all(|text| !text.is_empty() && !text.contains(['{', '$'])), "{said:#?}");
        }
    }

    #[test]
    fn a_phrase_that_a_language_lacks_is_said_in_english() {
        let english = Arc::new(read(Language::English));
        let words = Arc::new(FluentBundle::new_concurrent(vec![]));
        let wording = Wording { language: Language::French, words, english };
        assert_eq!(wording.call_back("1"), "Call back 1");
    }

    #[test]
    fn durations_are_said_in_their_two_largest_units() {
        let wording = Wording::new(Language::English);
        for (seconds, long) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (185, "3 minutes 5 seconds"),
            (3_600, "1 hour"),
            (7_320, "2 hours 2 minutes"),
            (90_000, "1 day 1 hour"),
            (-5, "5 seconds"),
        ] {
            assert_eq!(wording.duration(seconds), long);
        }
        let short = [61, 7_199, 7_200, 200_000].map(|seconds| wording.short_duration(seconds));
        assert_eq!(short, ["1 min", "1 h", "2 h", "2 d"]);
        assert_eq!(wording.age(-1), "1 second ahead of the clock of this system");
        assert_eq!(wording.age(0), "0 seconds before this message was made");
        assert_eq!([7, 185, 3_725].map(|seconds| wording.brief_duration(seconds)), ["7 s", "3 min 5 s", "1 h 2 min"]);
    }

    #[test]
    fn dates_and_numbers_have_the_form_of_the_language() {
        let moment: Zoned = "2024-03-01T10:05:09[UTC]".parse().unwrap();
        for (language, date, coordinates) in [
            (Language::English, "Friday, March 1, 2024, 10:05:09 UTC", "47.63960, -122.12810"),
            (Language::Spanish, "viernes, 1 de marzo de 2024, 10:05:09 UTC", "47,63960; -122,12810"),
            (Language::French, "vendredi 1er mars 2024, 10:05:09 UTC", "47,63960 ; -122,12810"),
            (Language::SimplifiedChinese, "2024年3月1日星期五 10:05:09 UTC", "47.63960, -122.12810"),
        ] {
            let wording = Wording::new(language);
            assert_eq!(wording.moment(&moment), date);
            assert_eq!(wording.coordinates(47.6396, -122.1281), coordinates);
        }
    }

    #[test]
    fn text_that_looks_like_a_template_stays_as_it_is() {
        let wording = Wording::new(Language::English);
        assert_eq!(wording.call_back("{ $number } { ask } {\"x\"}"), "Call back { $number } { ask } {\"x\"}");
    }

    #[test]
    fn subjects_are_in_a_language_of_latin_letters() {
        for (language, subject) in [(Language::French, "Appel au 911"), (Language::SimplifiedChinese, "911 call")] {
            let wording = Wording::new(language).in_ascii();
            assert_eq!(wording.short_headline(Occasion::Started, Some("911")), subject);
        }
    }
}
