//! Telephone numbers in the form that reaches them from everywhere, where that form is beyond doubt.

use phonenumber::country::Id;
use phonenumber::{Mode, PhoneNumber};

use crate::country;
use crate::text::clean;

/// The longest number that is read, in characters.
const MAX_CHARS: usize = 64;

/// A telephone number as it is dialled from any country.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct International {
    /// E.164: `+14255550100`. Without the extension, which the format has no place for.
    pub(crate) e164: String,
    /// The same for reading, with the extension if there is one: `+1 425-555-0100 ext. 12`.
    pub(crate) shown: String,
}

/// The international form of `number`, which may be written in any way, for a caller in `country`: a code of ISO 3166
/// or a name.
///
/// A wrong number is worse than none: the caller would not be reached, and somebody else would be called. So it is
/// `None` unless the number is a valid one and there is only one way to read it. A number with an international prefix
/// reads as such. One without is a number of the country, in its national form or in the international form without
/// the plus, which is how Graph writes it; what would also be a number elsewhere in that form is in doubt.
pub(crate) fn international(number: &str, country: Option<&str>) -> Option<International> {
    let written = Written::read(number)?;
    let digits = written.digits.as_str();
    if written.plus {
        let found = worldwide(digits)?;
        // "+39 (0)" promises that the zero is left out, but in Italy it belongs to the number.
        let keeps_zero = written.optional_zero && e164(&found)[1..] == *digits;
        return (!keeps_zero).then(|| written.found(&found));
    }
    let prefixed = digits.strip_prefix("00");
    let near = country.and_then(country::id).and_then(|country| national(digits, country));
    let found = match (near, worldwide(prefixed.unwrap_or(digits))) {
        (Some(near), Some(far)) => (e164(&near) == e164(&far)).then_some(near)?,
        (Some(near), None) => near,
        (None, far) => far.filter(|_| prefixed.is_some())?,
    };
    Some(written.found(&found))
}

/// A number as somebody wrote it, taken apart.
struct Written {
    /// Whether a plus stands in front.
    plus: bool,
    /// Whether a zero stands in parentheses, as in `+44 (0)20`.
    optional_zero: bool,
    digits: String,
    extension: Option<String>,
}

impl Written {
    /// `None` for everything that holds more than one number and its extension.
    fn read(number: &str) -> Option<Self> {
        if number.chars().nth(MAX_CHARS).is_some() {
            return None;
        }
        let text = clean(number).to_ascii_lowercase();
        let text = text.strip_prefix("tel:").unwrap_or(&text);
        let end = text.find(|c: char| c.is_alphabetic() || matches!(c, ';' | '#')).unwrap_or(text.len());
        let (main, rest) = text.split_at(end);
        let extension = if rest.is_empty() { None } else { Some(extension(rest)?) };
        let optional_zero = main.contains("(0)");
        let mut written = Self { plus: false, optional_zero, digits: String::new(), extension };
        for c in main.chars() {
            match c {
                '0'..='9' => written.digits.push(c),
                '+' if !written.plus && written.digits.is_empty() => written.plus = true,
                // No slash: it may stand between two numbers that share their beginning.
                ' ' | '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
                _ => return None,
            }
        }
        Some(written)
    }

    /// What is told of the number that was meant.
    fn found(&self, number: &PhoneNumber) -> International {
        let mut shown = number.format().mode(Mode::International).to_string();
        if let Some(extension) = &self.extension {
            shown.push_str(" ext. ");
            shown.push_str(extension);
        }
        International { e164: e164(number), shown }
    }
}

/// Reads the extension that follows a number.
fn extension(rest: &str) -> Option<String> {
    let digits = [";ext=", "extension", "ext.", "ext", "x", "#"].iter().find_map(|label| rest.strip_prefix(label))?;
    let digits = digits.trim();
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.to_owned())
}

/// Reads `digits` as country code and national number.
fn worldwide(digits: &str) -> Option<PhoneNumber> {
    let number = phonenumber::parse(None, format!("+{digits}")).ok()?;
    // The library strips national prefixes. The zero of "+44 (0)20" is one; any other digit may be part of the number.
    let start = digits.strip_suffix(&number.national().to_string())?;
    let rest = start.strip_prefix(&number.code().value().to_string())?;
    matches!(rest, "" | "0").then_some(number).filter(is_sound)
}

/// Reads `digits` as somebody in the country would dial them, or with its country code in front.
fn national(digits: &str, country: Id) -> Option<PhoneNumber> {
    let number = phonenumber::parse(Some(country), digits).ok()?;
    digits.ends_with(&number.national().to_string()).then_some(number).filter(is_sound)
}

fn is_sound(number: &PhoneNumber) -> bool {
    // A plus, and 7 to 15 digits.
    number.is_valid() && (8..=16).contains(&e164(number).len())
}

fn e164(number: &PhoneNumber) -> String {
    number.format().mode(Mode::E164).to_string()
}

/// The characters that are dialed: without a leading `tel:` and formatting.
pub(crate) fn dialed(number: &str) -> String {
    let number = clean(number);
    let number = match number.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &number[4..],
        _ => &number,
    };
    number.chars().filter(|c| !c.is_whitespace() && !"-().".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(number: &str, country: Option<&str>) -> Option<(String, String)> {
        international(number, country).map(|found| (found.e164, found.shown))
    }

    #[test]
    fn numbers_that_read_in_one_way_get_their_international_form() {
        for (number, country, e164, read) in [
            // Graph's own example.
            ("14255550100", Some("US"), "+14255550100", "+1 425-555-0100"),
            ("14255550100", Some("United States"), "+14255550100", "+1 425-555-0100"),
            ("14255550100", Some("Canada"), "+14255550100", "+1 425-555-0100"),
            ("425-555-0100", Some("USA"), "+14255550100", "+1 425-555-0100"),
            ("(425) 555.0100", Some("US"), "+14255550100", "+1 425-555-0100"),
            ("1 425 555 0100", Some("us"), "+14255550100", "+1 425-555-0100"),
            // With a prefix the country does not matter.
            ("+1 425-555-0100", None, "+14255550100", "+1 425-555-0100"),
            ("+1 425-555-0100", Some("Deutschland"), "+14255550100", "+1 425-555-0100"),
            ("(+1) 425 555 0100", None, "+14255550100", "+1 425-555-0100"),
            ("tel:+14255550100", None, "+14255550100", "+1 425-555-0100"),
            ("\u{200e}+1\u{a0}425\u{2011}555\u{2011}0100\u{202c}", None, "+14255550100", "+1 425-555-0100"),
            ("+49 30 901820", None, "+4930901820", "+49 30 901820"),
            ("+49 (0)30 901820", Some("US"), "+4930901820", "+49 30 901820"),
            ("0049 30 901820", None, "+4930901820", "+49 30 901820"),
            ("0049 30 901820", Some("Germany"), "+4930901820", "+49 30 901820"),
            ("011 49 30 901820", Some("US"), "+4930901820", "+49 30 901820"),
            ("+90 312 213 29 65", None, "+903122132965", "+90 312 213 29 65"),
            // National forms.
            ("030 901820", Some("Deutschland"), "+4930901820", "+49 30 901820"),
            ("4930901820", Some("DEU"), "+4930901820", "+49 30 901820"),
            ("020 7031 3000", Some("UK"), "+442070313000", "+44 20 7031 3000"),
            ("01 42 68 53 00", Some("France"), "+33142685300", "+33 1 42 68 53 00"),
            ("912 345 678", Some("España"), "+34912345678", "+34 912 34 56 78"),
            ("06 5685 1242", Some("Italia"), "+390656851242", "+39 06 5685 1242"),
            ("010 1234 5678", Some("中国"), "+861012345678", "+86 10 1234 5678"),
        ] {
            let expected = Some((e164.to_owned(), read.to_owned()));
            assert_eq!(shown(number, country), expected, "{number} {country:?}");
        }
    }

    #[test]
    fn an_extension_is_shown_and_is_no_part_of_the_number() {
        for number in [
            "tel:+14255550100;ext=12",
            "TEL:+1-425-555-0100;EXT=12",
            "+1 425-555-0100 x12",
            "+1 425-555-0100 ext. 12",
            "+1 425-555-0100 Extension 12",
            "+14255550100#12",
        ] {
            let expected = Some(("+14255550100".to_owned(), "+1 425-555-0100 ext. 12".to_owned()));
            assert_eq!(shown(number, None), expected, "{number}");
        }
    }

    #[test]
    fn what_is_in_doubt_has_no_international_form() {
        let long = "1".repeat(10_000);
        let spaced = format!("+1 425{}5550100", " ".repeat(10_000));
        for (number, country) in [
            // The country is not known, or says nothing.
            ("14255550100", None),
            ("425-555-0100", None),
            ("14255550100", Some("Atlantis")),
            ("011 49 30 901820", None),
            // A number of another country, without a plus: dialled in the US it reaches nobody.
            ("4930901820", Some("US")),
            ("442070313000", Some("US")),
            // A mobile telephone in China, or an American in China.
            ("13012345678", Some("CN")),
            // Connecticut, or an Egyptian in Connecticut.
            ("203-555-0100", Some("US")),
            // Numbers of the same country, with and without its code in front.
            ("4941123456", Some("DE")),
            // It would have to be rewritten: an area code added, or the sign of a mobile telephone.
            ("464 1234", Some("AG")),
            ("011 15 2345 6789", Some("AR")),
            ("+52 1 55 1234 5678", None),
            ("+1 670 0765", None),
            // Only one zero may be too many.
            ("+49 0030 901820", None),
            // The zero is part of the number after all.
            ("+39 (0)55 1234567", None),
            // Nobody has such a number.
            ("+1 425", None),
            ("+14255550100999", None),
            ("+49 2153 664555 9556", None),
            ("+999 123456789", None),
            ("911", Some("US")),
            ("+0", None),
            // More than a number.
            ("+1 425-555-0100 / 0101", None),
            ("+49 30 901820/21", None),
            ("+1 425-555-0100, +1 425-555-0101", None),
            ("+1 425-555-0100 +1 425-555-0101", None),
            ("++14255550100", None),
            ("14255550100+", Some("US")),
            ("+14255550100;ext=12;phone-context=+49", None),
            ("+14255550100;phone-context=+49", None),
            ("030901820;phone-context=+49", None),
            ("+14255550100 ext.", None),
            ("+14255550100 x12 or x13", None),
            ("+1-800-FLOWERS", None),
            ("+1425555010O", None),
            ("sip:+14255550100@contoso.com", None),
            ("adele.vance@contoso.com", None),
            ("*67 425-555-0100", Some("US")),
            ("+١٤٢٥٥٥٥٠١٠٠", None),
            ("", Some("US")),
            ("+", None),
            ("tel:", None),
            (";ext=12", None),
            ("\u{202e}", None),
            ("Restricted", Some("US")),
            (long.as_str(), Some("US")),
            (spaced.as_str(), None),
            ("14255550100", Some(long.as_str())),
        ] {
            assert_eq!(shown(number, country), None, "{number} {country:?}");
        }
    }

    fn countries() -> impl Strategy<Value = Option<&'static str>> {
        proptest::sample::select(vec![None, Some("US"), Some("Germany"), Some("IT"), Some("CN"), Some("GB"), Some("x")])
    }

    fn check(number: &str, found: &International) {
        let digits = found.e164.strip_prefix('+').unwrap();
        assert!(digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'), "{number:?}");
        assert!((7..=15).contains(&digits.len()), "{number:?}");
        // What is dialled after the country code was given, as it stands; the country code may have been left out.
        let significant = phonenumber::parse(None, &found.e164).unwrap().national().to_string();
        let (main, extension) = number.split_at(number.find([';', 'x']).unwrap_or(number.len()));
        let only_digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        assert!(only_digits(main).ends_with(&significant), "{number:?}");
        assert_eq!(only_digits(&found.shown), format!("{digits}{}", only_digits(extension)), "{number:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_panics(number in any::<String>(), country in proptest::option::of(any::<String>())) {
            if let Some(found) = international(&number, country.as_deref()) {
                check(&number, &found);
            }
        }

        #[test]
        fn no_digit_is_made_up(
            number in "(tel:)?(\\+|00|011|0)?[1-9]([-. ()]?[0-9]){4,15}(;ext=[0-9]{1,4}| x[0-9]{1,4})?",
            country in countries(),
        ) {
            if let Some(found) = international(&number, country) {
                check(&number, &found);
            }
        }
    }
}
