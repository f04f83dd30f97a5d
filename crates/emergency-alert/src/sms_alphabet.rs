//! The alphabets of text messages, and how many parts a text takes in each (3GPP TS 23.038 and 23.040).

use crate::text::{Alphabet, gsm7, is_gsm7, without_pictographs};

/// How text messages are written and measured.
pub(crate) struct SmsAlphabet {
    /// Brings text into the alphabet.
    pub(crate) write: Alphabet,
    /// The units that a text takes.
    pub(crate) units: fn(&str) -> usize,
    /// The units of a message that is sent in one part.
    pub(crate) one_part: usize,
    /// The units of each part of a longer message; the rest of a part says how parts belong together.
    pub(crate) part: usize,
    /// The parts that a message may take for what is worth knowing but need not be there.
    pub(crate) usual_parts: usize,
}

/// The most parts of a message.
pub(crate) const MAX_PARTS: usize = 3;

/// The basic table of the GSM 7-bit alphabet: a septet for each character.
pub(crate) static GSM7: SmsAlphabet =
    SmsAlphabet { write: gsm7, units: |text| text.chars().count(), one_part: 160, part: 153, usual_parts: 1 };

/// UCS-2: two bytes for each unit of UTF-16. One part would leave out who called.
pub(crate) static UCS2: SmsAlphabet = SmsAlphabet {
    write: without_pictographs,
    units: |text| text.encode_utf16().count(),
    one_part: 70,
    part: 67,
    usual_parts: 2,
};

impl SmsAlphabet {
    /// The parts in which `text` is sent.
    pub(crate) fn parts(&self, text: &str) -> usize {
        match (self.units)(text) {
            units if units <= self.one_part => 1,
            units => units.div_ceil(self.part),
        }
    }

    /// The units of that many parts.
    pub(crate) fn capacity(&self, parts: usize) -> usize {
        if parts <= 1 { self.one_part } else { parts * self.part }
    }

    /// `text` in at most `max` units, cut between characters and marked where it is longer.
    pub(crate) fn cut(&self, text: &str, max: usize) -> String {
        const MARK: &str = "...";
        if (self.units)(text) <= max {
            return text.to_owned();
        }
        let mut kept = String::new();
        let mut units = MARK.len();
        for c in text.chars() {
            units += (self.units)(c.encode_utf8(&mut [0; 4]));
            if units > max {
                break;
            }
            kept.push(c);
        }
        format!("{}{MARK}", kept.trim_end())
    }
}

/// The parts in which a text message is sent: 160 characters of the basic GSM 7-bit alphabet in one and 153 in each of
/// several; 70 and 67 units of UTF-16 where any character is not in it.
#[must_use]
pub fn sms_parts(text: &str) -> usize {
    if text.chars().all(is_gsm7) { GSM7.parts(text) } else { UCS2.parts(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_in_units_of_the_alphabet() {
        for (text, parts) in [
            ("a".repeat(160), 1),
            ("é".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("王".repeat(70), 1),
            ("王".repeat(71), 2),
            ("a".repeat(69) + "王", 1),
            ("𠮷".repeat(36), 2),
            (String::new(), 1),
        ] {
            assert_eq!(sms_parts(&text), parts, "{text}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(GSM7.cut("éééééé", 6), "éééééé");
        assert_eq!(GSM7.cut("ééééééé", 6), "ééé...");
        assert_eq!(GSM7.cut("ab cdefg", 6), "ab...");
        assert_eq!(UCS2.cut("𠮷𠮷𠮷𠮷", 6), "𠮷...");
    }
}
