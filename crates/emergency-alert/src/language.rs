//! The languages of messages, and how each is written.

use thiserror::Error;

use crate::sms_alphabet::{GSM7, SmsAlphabet, UCS2};

/// A language that messages exist in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// `en`
    #[default]
    English,
    /// `es`
    Spanish,
    /// `fr`
    French,
    /// `zh-Hans`
    SimplifiedChinese,
}

/// Not a language that messages exist in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the parameter Language must be en, es, fr or zh-Hans, but is {0:?}")]
pub struct UnknownLanguage(pub String);

impl Language {
    /// All of them, English first.
    pub const ALL: [Self; 4] = [Self::English, Self::Spanish, Self::French, Self::SimplifiedChinese];

    /// The language that a BCP 47 tag names, case not minded.
    ///
    /// # Errors
    ///
    /// Any other tag.
    pub fn parse(tag: &str) -> Result<Self, UnknownLanguage> {
        Self::ALL
            .into_iter()
            .find(|language| language.tag().eq_ignore_ascii_case(tag.trim()))
            .ok_or_else(|| UnknownLanguage(tag.to_owned()))
    }

    /// Its BCP 47 tag, as the template parameter `Language` has it.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
            Self::French => "fr",
            Self::SimplifiedChinese => "zh-Hans",
        }
    }

    /// Its words, in Fluent's syntax.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::English => include_str!("../locales/en.ftl"),
            Self::Spanish => include_str!("../locales/es.ftl"),
            Self::French => include_str!("../locales/fr.ftl"),
            Self::SimplifiedChinese => include_str!("../locales/zh-Hans.ftl"),
        }
    }

    /// The language to use where only ASCII is allowed: nobody reads Chinese sentences in Latin letters.
    pub(crate) fn in_ascii(self) -> Self {
        match self {
            Self::SimplifiedChinese => Self::English,
            latin => latin,
        }
    }

    /// How its text messages are written.
    pub(crate) fn sms_alphabet(self) -> &'static SmsAlphabet {
        match self {
            Self::SimplifiedChinese => &UCS2,
            _ => &GSM7,
        }
    }

    /// What stands between the sentences of a text message.
    pub(crate) fn full_stop(self) -> &'static str {
        match self {
            Self::SimplifiedChinese => "。",
            _ => ". ",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_found_by_its_tag() {
        for language in Language::ALL {
            assert_eq!(Language::parse(&format!(" {} ", language.tag().to_uppercase())), Ok(language));
        }
        assert_eq!(Language::parse("zh"), Err(UnknownLanguage("zh".to_owned())));
    }
}
