//! The alert as an email.

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::address::Address;
use crate::alert::Alert;
use crate::inert::{account, inert};
use crate::moment;
use crate::summary::{summary, tags};
use crate::text::{CUT_MARK, ascii, clean, cut};
use crate::warnings::warnings;
use crate::wording::Wording;

/// SNS takes subjects of fewer than 100 characters.
pub(crate) const MAX_SUBJECT: usize = 99;

/// The width that plain-text mail programs show without wrapping.
const WIDTH: usize = 72;

/// What goes on under a line. Little, so that a narrow screen has room for the text.
pub(crate) const INDENT: &str = "  ";

/// The longest value in the body, in bytes; with the number of lines it keeps the body below 16 kB.
const MAX_VALUE_BYTES: usize = 400;

/// An email in plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// Printable ASCII on one line, fewer than 100 characters; in English where the language has no Latin letters.
    pub subject: String,
    /// Lines of at most 72 columns wherever words allow, ending in `\n`; at most 16 kB.
    pub body: String,
}

impl Alert {
    /// The alert as an email in plain text.
    #[must_use]
    pub fn email(&self) -> Email {
        let subject = summary(self, &self.wording().in_ascii(), ascii, MAX_SUBJECT, "...");
        Email { subject, body: body(self) }
    }
}

/// What happened; who; where; when; what to beware of; what it belongs to.
fn body(alert: &Alert) -> String {
    let mut page = Page::new(alert.wording());
    if alert.facts().is_drill {
        page.mark = format!("{} | ", alert.wording().say("tag-drill"));
    }
    page.missing(alert.missing_phrase());
    // Foreign text must not begin a line: it could pass for another fact.
    page.wrapped(&format!("{}{}", tags(alert, alert.wording()), alert.headline(clean)), "", INDENT);
    page.blank();
    caller(&mut page, alert);
    page.blank();
    let address = Address::new(&alert.facts().location, clean, alert.wording());
    location(&mut page, alert, &address);
    page.blank();
    time(&mut page, alert);
    let number = value(alert.facts().number_dialed.as_ref());
    for warning in warnings(alert, alert.wording(), &address, number.as_deref()) {
        page.blank();
        page.paragraph(&warning);
    }
    if !address.is_empty() && !alert.facts().is_drill {
        page.blank();
        page.paragraph(&alert.wording().say("registered-location"));
    }
    page.blank();
    origin(&mut page, alert);
    page.text()
}

fn caller(page: &mut Page<'_>, alert: &Alert) {
    let facts = alert.facts();
    page.labelled("label-caller", value(facts.caller.display_name.as_ref()));
    if let upn @ Some(_) = written(facts.caller.upn.as_ref(), account) {
        page.labelled("label-account", upn);
    }
    page.unbroken("label-callback", value(facts.caller.phone_number.as_ref()));
    if let Some(international) = alert.international_callback() {
        page.unbroken("label-international", Some(international.shown.clone()));
    }
    if !facts.is_drill {
        page.labelled("label-dialled", value(facts.number_dialed.as_ref()));
    }
}

fn location(page: &mut Page<'_>, alert: &Alert, address: &Address) {
    let lines = address.envelope();
    if lines.is_empty() {
        page.labelled("label-location", None);
    } else {
        page.labelled("label-location", Some(String::new()));
        for line in lines {
            page.under(line);
        }
    }
    if alert.facts().is_drill {
        return;
    }
    page.labelled("label-coordinates", address.coordinates.clone());
    if let Some(link) = &alert.facts().map_url {
        page.line(&format!("{INDENT}{link}"));
    }
}

/// The clock on the reader's wall first, then UTC.
fn time(page: &mut Page<'_>, alert: &Alert) {
    let (facts, wording) = (alert.facts(), alert.wording());
    let Some(occurred) = facts.occurred_at else {
        page.labelled("label-time", None);
        return;
    };
    let (local, zone) = moment::in_zone(occurred, alert.time_zone());
    let zone = zone.map(|name| format!(" ({name})")).unwrap_or_default();
    page.labelled("label-time", Some(format!("{}{zone}", wording.moment(&local))));
    page.under(&moment::utc(occurred));
    if let Some(age) = facts.age_seconds {
        page.under(&wording.age(age));
    }
    if let (Some(started), Some(length)) = (facts.started_at, facts.duration_seconds) {
        page.labelled("label-started", Some(wording.moment(&moment::in_zone(started, alert.time_zone()).0)));
        page.under(&moment::utc(started));
        page.labelled("label-duration", Some(wording.duration(length)));
    }
    if let Some(ended) = facts.ended_at {
        page.labelled("label-ended", Some(wording.moment(&moment::in_zone(ended, alert.time_zone()).0)));
        page.under(&moment::utc(ended));
    }
}

fn origin(page: &mut Page<'_>, alert: &Alert) {
    let facts = alert.facts();
    page.labelled("label-received", Some(moment::utc(facts.received_at)));
    page.labelled("label-policy", value(Some(&facts.policy_name)));
    page.labelled("label-tenant", value(Some(&facts.tenant_id)));
    page.labelled("label-call", value(facts.call_id.as_ref()));
    if let Some(missing) = facts.missing_proof {
        page.paragraph(&alert.wording().missing_proof(missing));
    }
    for contradiction in &facts.contradictions {
        let stated = inert(&clean(contradiction.stated()));
        page.wrapped(&alert.wording().contradiction(contradiction, &stated), "", INDENT);
    }
}

/// A value fit for the body, if there is one.
fn value(text: Option<&String>) -> Option<String> {
    written(text, inert)
}

fn written(text: Option<&String>, fit: fn(&str) -> String) -> Option<String> {
    let text = cut(&fit(&clean(text?)), MAX_VALUE_BYTES, CUT_MARK);
    (!text.is_empty()).then_some(text)
}

/// Plain text under construction.
pub(crate) struct Page<'a> {
    wording: &'a Wording,
    /// In front of each line of a drill, since somebody may see a part only.
    mark: String,
    /// The phrase that stands for a value that is not there.
    missing: &'static str,
    text: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(wording: &'a Wording) -> Self {
        Self { wording, mark: String::new(), missing: "not-given", text: String::new() }
    }

    /// Has `phrase` stand for values that are not there.
    pub(crate) fn missing(&mut self, phrase: &'static str) {
        self.missing = phrase;
    }

    /// The length of the text so far, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The text.
    pub(crate) fn text(self) -> String {
        self.text
    }

    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(&self.mark);
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        self.wrapped(text, "", "");
    }

    /// Text that belongs to the line above.
    fn under(&mut self, text: &str) {
        self.wrapped(text, INDENT, INDENT);
    }

    pub(crate) fn labelled(&mut self, label: &str, value: Option<String>) {
        let line = self.wording.labelled(label, &self.given(value));
        self.wrapped(&line, "", INDENT);
    }

    /// The same on one line: a number in two pieces is worse than a long line.
    pub(crate) fn unbroken(&mut self, label: &str, value: Option<String>) {
        let line = self.wording.labelled(label, &self.given(value));
        self.line(&line);
    }

    fn given(&self, value: Option<String>) -> String {
        value.unwrap_or_else(|| self.wording.say(self.missing))
    }

    pub(crate) fn wrapped(&mut self, text: &str, first: &str, next: &str) {
        let width = WIDTH.saturating_sub(display_width(&self.mark));
        let options = Options::new(width)
            .initial_indent(first)
            .subsequent_indent(next)
            .break_words(false)
            .word_separator(separator(text))
            .word_splitter(WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.line(&line);
        }
    }
}

/// Lines break at spaces. Chinese has none, so there they break between characters.
fn separator(text: &str) -> WordSeparator {
    let wide = display_width(text) > text.chars().count();
    if wide { WordSeparator::UnicodeBreakProperties } else { WordSeparator::AsciiSpace }
}
