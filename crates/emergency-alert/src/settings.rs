//! What an operator chooses: test numbers, time zone, language and map.

use jiff::tz::TimeZone;
use thiserror::Error;

use crate::language::{Language, UnknownLanguage};
use crate::map_link::{MapLink, UnusableMapLink};
use crate::phone::dialed;
use crate::wording::Wording;

/// How alerts are made and worded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Numbers that make a call a test.
    pub test_numbers: TestNumbers,
    /// The zone of times in messages, besides UTC.
    pub time_zone: TimeZone,
    /// The map that coordinates link to.
    pub map_link: MapLink,
    /// The words of messages.
    pub(crate) wording: Wording,
}

impl Settings {
    /// Reads the template parameters `TestNumbers` (comma-separated), `TimeZone` (an IANA name), `Language` (a tag such as
    /// `fr`) and `MapLink` (see [`MapLink::parse`]).
    ///
    /// # Errors
    ///
    /// The first parameter whose value cannot be used.
    pub fn parse(test_numbers: &str, time_zone: &str, language: &str, map_link: &str) -> Result<Self, SettingsError> {
        Ok(Self {
            test_numbers: TestNumbers::parse(test_numbers)?,
            time_zone: TimeZone::get(time_zone.trim()).map_err(|_| SettingsError::TimeZone(time_zone.to_owned()))?,
            wording: Wording::new(Language::parse(language)?),
            map_link: MapLink::parse(map_link)?,
        })
    }

    /// The language of messages.
    #[must_use]
    pub fn language(&self) -> Language {
        self.wording.language()
    }
}

/// The test number 933, UTC, English, OpenStreetMap.
impl Default for Settings {
    fn default() -> Self {
        Self {
            test_numbers: TestNumbers::default(),
            time_zone: TimeZone::UTC,
            map_link: MapLink::default(),
            wording: Wording::new(Language::default()),
        }
    }
}

/// A template parameter whose value cannot be used. Each message is one sentence that names the parameter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// An entry is not a number that can be dialled.
    #[error("the parameter TestNumbers must list numbers to dial, separated by commas, such as 933, but one is {0:?}")]
    NoNumber(String),
    /// An entry is a number on which people ask for help.
    #[error("the parameter TestNumbers must not contain {0}, or real emergency calls would pass for tests")]
    RealNumber(String),
    /// Not the name of a time zone.
    #[error("the parameter TimeZone must be an IANA time zone name such as America/New_York, but is {0:?}")]
    TimeZone(String),
    /// The language.
    #[error(transparent)]
    Language(#[from] UnknownLanguage),
    /// The map.
    #[error(transparent)]
    MapLink(#[from] UnusableMapLink),
}

/// The numbers that make a call a test. A test is routed and marked as one, never suppressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNumbers(Vec<String>);

/// The emergency numbers of the largest numbering plans; the list only catches a dangerous slip.
const REAL_NUMBERS: [&str; 3] = ["911", "112", "999"];

impl TestNumbers {
    /// Reads a comma-separated list; empty entries are skipped, and an empty list means that no number is a test.
    ///
    /// # Errors
    ///
    /// An entry with something else than digits, `+`, `*`, `#` and formatting, or one of 911, 112 and 999.
    pub fn parse(list: &str) -> Result<Self, SettingsError> {
        let mut numbers = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let number = dialed(entry);
            if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit() || "+*#".contains(c)) {
                return Err(SettingsError::NoNumber(entry.to_owned()));
            }
            if REAL_NUMBERS.contains(&number.as_str()) {
                return Err(SettingsError::RealNumber(number));
            }
            numbers.push(number);
        }
        Ok(Self(numbers))
    }

    /// Whether `number` is one of these, however either is formatted.
    #[must_use]
    pub fn contains(&self, number: &str) -> bool {
        self.0.contains(&dialed(number))
    }
}

/// `933`, the test number of North America.
impl Default for TestNumbers {
    fn default() -> Self {
        Self(vec!["933".to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_does_not_matter_in_either_place() {
        let numbers = TestNumbers::parse(" 9-33 , tel:(0) 800.1,").unwrap();
        for number in ["933", "9 3 3", "9-3-3", "(933)", "tel:933", "TEL: 933", "\u{202a}933\u{202c}", "08001"] {
            assert!(numbers.contains(number), "{number}");
        }
        for number in ["911", "9331", "+933", "93", "", "tel:"] {
            assert!(!numbers.contains(number), "{number}");
        }
    }

    #[test]
    fn the_default_is_933_utc_english_and_open_street_map() {
        let default = Settings::default();
        let parsed = Settings::parse("933", "UTC", "en", "").unwrap();
        assert_eq!(default.test_numbers, parsed.test_numbers);
        assert_eq!(default.time_zone, parsed.time_zone);
        assert_eq!(default.language(), parsed.language());
        assert_eq!(default.map_link, parsed.map_link);
    }

    #[test]
    fn an_empty_list_makes_nothing_a_test() {
        let none = TestNumbers::parse("").unwrap();
        assert!(!none.contains("933") && !none.contains(""));
    }

    #[test]
    fn each_error_is_a_sentence_that_names_the_parameter() {
        let message = |numbers, zone, language| Settings::parse(numbers, zone, language, "").unwrap_err().to_string();
        assert_eq!(
            message("933,abc", "UTC", "en"),
            "the parameter TestNumbers must list numbers to dial, separated by commas, such as 933, but one is \"abc\""
        );
        assert_eq!(
            message("tel:911", "UTC", "en"),
            "the parameter TestNumbers must not contain 911, or real emergency calls would pass for tests"
        );
        assert_eq!(
            message("933", "Mars/Olympus", "en"),
            "the parameter TimeZone must be an IANA time zone name such as America/New_York, but is \"Mars/Olympus\""
        );
        assert_eq!(
            message("933", "UTC", "tlh"),
            "the parameter Language must be en, es, fr or zh-Hans, but is \"tlh\""
        );
        assert!(message("-", "UTC", "en").contains("TestNumbers"));
        assert!(message("933", "", "en").contains("TimeZone"));
        assert_eq!(
            Settings::parse("933", "UTC", "en", "bing").unwrap_err().to_string(),
            "the parameter MapLink must be OpenStreetMap, none, or an https address with {latitude} and {longitude}, but is \"bing\""
        );
    }
}
