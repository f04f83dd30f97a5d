//! The alert as a message in a chat.

use std::fmt;

use serde::Serialize;

use crate::address::Address;
use crate::alert::Alert;
use crate::inert::{account, inert};
use crate::moment;
use crate::summary::{summary, tags};
use crate::text::{CUT_MARK, clean, cut};
use crate::warnings::warnings;

/// The longest title, in bytes.
const MAX_TITLE_BYTES: usize = 250;

/// The longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 8_000;

/// The longest value on a line, in bytes.
const MAX_VALUE_BYTES: usize = 400;

/// The member `content` of a custom notification of Amazon Q Developer in chat applications.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// `client-markdown`
    pub text_type: &'static str,
    /// One line.
    pub title: String,
    /// A list of lines. Of Markdown only what Slack and Microsoft Teams both show alike.
    pub description: String,
}

impl Alert {
    /// The alert as a message in a chat.
    #[must_use]
    pub fn chat(&self) -> Chat {
        let description = lines(self).into_iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n");
        Chat {
            text_type: "client-markdown",
            title: summary(self, self.wording(), text, MAX_TITLE_BYTES, CUT_MARK),
            description: cut(&description, MAX_DESCRIPTION_BYTES, CUT_MARK),
        }
    }
}

fn lines(alert: &Alert) -> Vec<String> {
    let (facts, wording) = (alert.facts(), alert.wording());
    let address = Address::new(&facts.location, text, wording);
    let number = value(facts.number_dialed.as_ref());
    let labelled = |label: &str, value: Option<String>| value.map(|value| wording.labelled(label, &value));
    let mut lines = vec![format!("{}{}", tags(alert, wording), alert.headline(text))];
    if alert.degraded_reason().is_none() {
        lines.push(callback(alert));
    }
    lines.extend(labelled("label-caller", value(facts.caller.display_name.as_ref())));
    lines.extend(labelled("label-account", written(facts.caller.upn.as_ref(), account)));
    lines.extend(labelled("label-location", address.one_line()));
    lines.extend(facts.map_url.clone());
    if let Some(occurred) = facts.occurred_at {
        let (moment, _) = moment::in_zone(occurred, alert.time_zone());
        lines.push(wording.labelled("label-time", &wording.moment(&moment)));
    }
    lines.extend(warnings(alert, wording, &address, number.as_deref()));
    lines.extend(labelled("label-policy", value(Some(&facts.policy_name))));
    lines.extend(labelled("label-call", value(facts.call_id.as_ref())));
    lines
}

fn callback(alert: &Alert) -> String {
    let wording = alert.wording();
    let Some(number) = number(alert.facts().caller.phone_number.as_ref()) else {
        return wording.say("no-callback");
    };
    let shown =
        alert.international_callback().map(|international| &international.shown).filter(|shown| **shown != number);
    let both = shown.map_or_else(|| number.clone(), |shown| format!("{number} ({shown})"));
    wording.labelled("label-callback", &both)
}

fn value(given: Option<&String>) -> Option<String> {
    written(given, inert)
}

fn written(given: Option<&String>, fit: fn(&str) -> String) -> Option<String> {
    let value = cut(&fit(&text(given?)), MAX_VALUE_BYTES, CUT_MARK);
    (!value.is_empty()).then_some(value)
}

/// A telephone number, which must be shown as it is to be dialled.
fn number(given: Option<&String>) -> Option<String> {
    let number = clean(given?);
    let dialled = number.chars().all(|c| c.is_ascii_digit() || "+*#().,;=- ext".contains(c));
    // Emphasis takes two asterisks.
    if dialled && number.matches('*').count() < 2 {
        Some(cut(&inert(&number), MAX_VALUE_BYTES, CUT_MARK))
    } else {
        value(given)
    }
}

/// Text that a chat shows as it is. In Slack and Teams the characters replaced here make links, mentions and emphasis,
/// which a name must not; what is a link without them is made inert as everywhere.
fn text(given: &str) -> String {
    let given = clean(given);
    let mut text = String::with_capacity(given.len());
    let mut characters = given.chars().peekable();
    let mut inside = false;
    while let Some(c) = characters.next() {
        let next_inside = characters.peek().is_some_and(|next| next.is_alphanumeric());
        text.push(match c {
            '<' => '‹',
            '>' => '›',
            '*' => '∗',
            '`' => '\'',
            '~' => '∼',
            // Within a word it is an underscore and nothing else.
            '_' if !(inside && next_inside) => 'ˍ',
            c => c,
        });
        inside = c.is_alphanumeric();
    }
    text.replace("](", "] (")
}

/// Shows nothing: every member is personal data.
impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_a_link_a_mention_or_emphasis() {
        assert_eq!(
            text("<!channel> *Ann* `x` [call me](https://evil.example)\n# head ~gone~ _bent_ first_last@example.com"),
            "‹!channel› ∗Ann∗ 'x' [call me] (https://evil.example) # head ∼gone∼ ˍbentˍ first_last@example.com"
        );
    }

    #[test]
    fn a_number_stays_as_it_is_dialled() {
        let shown = |given: &str| number(Some(&given.to_owned())).unwrap();
        assert_eq!(shown("*67 425-555-0100;ext=12"), "*67 425-555-0100;ext=12");
        assert_eq!(shown("*1* <@U1>"), "∗1∗ ‹@U1›");
    }
}
