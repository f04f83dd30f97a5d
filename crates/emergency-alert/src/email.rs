//! The alert as an email.

use jiff::Timestamp;

use crate::address::Address;
use crate::alert::Alert;
use crate::document::AlertDocument;
use crate::moment;
use crate::text::{CUT_MARK, ascii, clean, cut};
use crate::wording::{self, Occasion};

/// SNS takes subjects of fewer than 100 characters.
const MAX_SUBJECT: usize = 99;

/// The width that plain-text mail programs show without wrapping.
const WIDTH: usize = 72;

/// Where the values of the labelled lines begin.
const INDENT: usize = 12;

/// The longest value in the body, in bytes; with the number of lines it keeps the body below 16 kB.
const MAX_VALUE_BYTES: usize = 400;

/// An email in plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// Printable ASCII on one line, fewer than 100 characters.
    pub subject: String,
    /// Lines of at most 72 characters wherever words allow, ending in `\n`; at most 16 kB.
    pub body: String,
}

impl Email {
    pub(crate) fn new(alert: &Alert) -> Self {
        Self { subject: subject(alert), body: body(alert) }
    }
}

/// Flags, number dialled, who and where, most telling part first, since the end may be cut.
fn subject(alert: &Alert) -> String {
    let document = alert.document();
    let tags = [
        (document.is_test, wording::TEST_TAG),
        (!document.verified, wording::UNVERIFIED_TAG),
        (alert.lateness().is_some(), wording::LATE_TAG),
    ];
    let mut subject = String::new();
    for (_, tag) in tags.iter().filter(|(shown, _)| *shown) {
        subject.extend(["[", tag, "] "]);
    }

    let bounded = |text: &str, max| cut(&ascii(text), max, "...");
    let number = document.number_dialed.as_deref().map(|number| bounded(number, 20)).filter(|text| !text.is_empty());
    let kind = document.event_type.as_deref().map(|kind| bounded(kind, 20));
    let occasion = match alert.occasion() {
        Occasion::Other(_) => Occasion::Other(kind.as_deref().filter(|kind| !kind.is_empty())),
        occasion => occasion,
    };
    subject.push_str(&ascii(&wording::short_headline(occasion, number.as_deref())));
    if alert.degraded_reason().is_some() {
        if let Some(policy) = alert.policy(ascii) {
            subject.extend([": ", &policy]);
        }
    } else {
        subject.push_str(": ");
        let caller = &document.caller;
        let who =
            caller.display_name.iter().chain(&caller.upn).chain(&caller.phone_number).map(|text| bounded(text, 30));
        let who = who.into_iter().find(|text| !text.is_empty());
        subject.push_str(who.as_deref().unwrap_or(wording::UNKNOWN_CALLER));
        let address = Address::new(&document.location, ascii);
        let policy = alert.policy(ascii);
        let mut places = [address.shortest(), address.more()].concat();
        if places.is_empty() {
            places.push(wording::NO_LOCATION);
            places.extend(policy.as_deref());
        }
        for place in places {
            subject.push_str(", ");
            subject.push_str(place);
        }
    }
    cut(&ascii(&subject), MAX_SUBJECT, "...")
}

fn body(alert: &Alert) -> String {
    let document = alert.document();
    let occasion = alert.occasion();
    let address = Address::new(&document.location, clean);
    let missing = wording::missing(occasion);
    let number = value(document.number_dialed.as_ref());
    let policy = cut(&clean(&document.policy_name), MAX_VALUE_BYTES, CUT_MARK);
    let mut page = Page::default();

    let kind = value(document.event_type.as_ref());
    let occasion = match occasion {
        Occasion::Other(_) => Occasion::Other(kind.as_deref()),
        occasion => occasion,
    };
    page.paragraph(&wording::headline(occasion, number.as_deref(), &policy));
    let warnings = warnings(alert, &address, number.as_deref());
    if !warnings.is_empty() {
        page.blank();
    }
    for warning in warnings {
        page.paragraph(&warning);
    }

    page.blank();
    let name = value(document.caller.display_name.as_ref());
    page.labelled(wording::CALLER_LABEL, name.as_deref().unwrap_or(missing));
    if let Some(upn) = value(document.caller.upn.as_ref()) {
        page.labelled(wording::ACCOUNT_LABEL, &upn);
    }
    let phone = value(document.caller.phone_number.as_ref());
    page.labelled(wording::CALLBACK_LABEL, phone.as_deref().unwrap_or(missing));
    page.labelled(wording::DIALLED_LABEL, number.as_deref().unwrap_or(missing));

    page.blank();
    let lines = address.envelope();
    page.labelled(wording::LOCATION_LABEL, lines.first().unwrap_or(&missing));
    for line in lines.iter().skip(1) {
        page.labelled("", line);
    }
    page.labelled(wording::COORDINATES_LABEL, address.coordinates.as_deref().unwrap_or(missing));
    if !address.is_empty() {
        page.blank();
        page.paragraph(wording::REGISTERED_LOCATION);
    }

    page.blank();
    time(&mut page, alert, missing);
    moment_lines(&mut page, wording::RECEIVED_LABEL, document.received_at, alert);

    page.blank();
    page.labelled(wording::POLICY_LABEL, &policy);
    page.labelled(wording::TENANT_LABEL, &cut(&clean(&document.tenant_id), MAX_VALUE_BYTES, CUT_MARK));
    let call = value(document.call_id.as_ref());
    page.labelled(wording::CALL_LABEL, call.as_deref().unwrap_or(missing));
    page.text
}

fn warnings(alert: &Alert, address: &Address, number: Option<&str>) -> Vec<String> {
    let document: &AlertDocument = alert.document();
    let mut warnings = Vec::new();
    if document.is_test {
        warnings.push(wording::test_warning(number.unwrap_or_default()));
    }
    if !document.verified {
        warnings.push(wording::unverified_warning(document.is_test));
    }
    if let Some(reason) = alert.degraded_reason() {
        warnings.push(wording::unreadable_warning(reason));
    } else if address.is_empty() {
        warnings.push(wording::NO_LOCATION_WARNING.to_owned());
    } else if address.street.is_none() {
        warnings.push(wording::NO_STREET_WARNING.to_owned());
    }
    if let Some(age) = alert.lateness() {
        warnings.push(wording::late_warning(age));
    }
    warnings
}

fn time(page: &mut Page, alert: &Alert, missing: &str) {
    let Some(occurred) = alert.document().occurred_at else {
        page.labelled(wording::TIME_LABEL, missing);
        return;
    };
    moment_lines(page, wording::TIME_LABEL, occurred, alert);
    if let Some(age) = alert.document().age_seconds {
        page.labelled("", &wording::age(age));
    }
}

/// The clock on the reader's wall first, then UTC.
fn moment_lines(page: &mut Page, label: &str, moment: Timestamp, alert: &Alert) {
    let local = moment::local(moment, alert.time_zone());
    for (index, line) in local.into_iter().chain([moment::utc(moment)]).enumerate() {
        page.labelled(if index == 0 { label } else { "" }, &line);
    }
}

/// A value fit for the body, if there is one.
fn value(text: Option<&String>) -> Option<String> {
    let text = cut(&clean(text?), MAX_VALUE_BYTES, CUT_MARK);
    (!text.is_empty()).then_some(text)
}

/// Plain text under construction.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        self.wrapped("", text, 0);
    }

    fn labelled(&mut self, label: &str, value: &str) {
        self.wrapped(&format!("{label:INDENT$}"), value, INDENT);
    }

    /// Breaks lines between words only: a cut number or link is worse than a long line.
    fn wrapped(&mut self, start: &str, text: &str, indent: usize) {
        let mut width = start.chars().count();
        self.text.push_str(start);
        for (index, word) in text.split(' ').enumerate() {
            let length = word.chars().count();
            if index > 0 && width + 1 + length > WIDTH {
                self.text.push('\n');
                self.text.extend(std::iter::repeat_n(' ', indent));
                width = indent;
            } else if index > 0 {
                self.text.push(' ');
                width += 1;
            }
            self.text.push_str(word);
            width += length;
        }
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_hang() {
        let mut page = Page::default();
        page.labelled("Label:", &format!("{} {} {}", "a".repeat(30), "b".repeat(29), "c".repeat(70)));
        assert_eq!(
            page.text,
            format!("Label:      {} {}\n            {}\n", "a".repeat(30), "b".repeat(29), "c".repeat(70))
        );
        assert_eq!(page.text.lines().next().unwrap().len(), WIDTH);
    }
}
