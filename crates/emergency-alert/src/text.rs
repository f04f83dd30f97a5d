//! Making foreign text safe for the layout of a message: one line, visible, of bounded length, and if need be in a
//! smaller alphabet.

use deunicode::deunicode_char;

/// What follows text that was cut.
pub(crate) const CUT_MARK: &str = "[...]";

/// `text` on one line: white space and control characters become single spaces; characters that change the direction
/// of writing or show nothing are left out.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if c.is_whitespace() || c.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if !is_invisible(c) && marks <= MAX_MARKS {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    if out.chars().all(|c| is_mark(c) || is_joiner(c)) { String::new() } else { out }
}

/// More diacritical marks on one letter than any language has would be painted over the lines around it.
const MAX_MARKS: usize = 4;

/// Diacritical marks, which show only on a letter.
fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{483}'..='\u{489}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}'
    )
}

/// What joins characters or chooses between their forms, and shows nothing alone.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// `text` in at most `max` bytes of UTF-8, cut at a character boundary and marked with `mark` where it is longer.
pub(crate) fn cut(text: &str, max: usize, mark: &str) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub(mark.len()));
    format!("{}{mark}", text[..end].trim_end())
}

/// How text is written: [`clean`], [`ascii`] or [`gsm7`].
pub(crate) type Alphabet = fn(&str) -> String;

/// Cleaned `text` in printable ASCII, without pictographs.
pub(crate) fn ascii(text: &str) -> String {
    transliterate(text, |c| c.is_ascii())
}

/// Cleaned `text` in the basic GSM 7-bit alphabet (3GPP TS 23.038), without its extension table and without pictographs:
/// each character is one septet.
pub(crate) fn gsm7(text: &str) -> String {
    transliterate(text, is_gsm7).chars().filter_map(basic_gsm7).collect()
}

/// Cleaned `text` without pictographs, in whatever script it is.
pub(crate) fn without_pictographs(text: &str) -> String {
    clean(&clean(text).chars().map(|c| if is_pictograph(c) { ' ' } else { c }).collect::<String>())
}

fn transliterate(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        if keep(c) {
            out.push(c);
        } else if is_pictograph(c) {
            out.push(' ');
        } else {
            out.push_str(deunicode_char(c).unwrap_or_default());
        }
    }
    // Transliterations may bring spaces of their own.
    clean(&out)
}

/// The nearest character of the basic table; the extension table's cost two septets each.
fn basic_gsm7(c: char) -> Option<char> {
    match c {
        '[' | '{' => Some('('),
        ']' | '}' => Some(')'),
        '\\' | '|' => Some('/'),
        '^' | '`' => Some('\''),
        '~' => Some('-'),
        c => is_gsm7(c).then_some(c),
    }
}

/// Whether a character is in the basic GSM 7-bit table.
pub(crate) fn is_gsm7(c: char) -> bool {
    matches!(c, ' '..='Z' | '_' | 'a'..='z') || "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà".contains(c)
}

/// Emoji and other signs that a transliteration would spell out. Their names read as facts of the emergency: a picture
/// of a fire engine behind a name is no fire engine on its way. Letters and digits in circles and squares are not among
/// them.
fn is_pictograph(c: char) -> bool {
    // The information source sign is a letter to Unicode.
    c == '\u{2139}'
        || matches!(
            c,
            '\u{2300}'..='\u{23ff}'
                | '\u{2600}'..='\u{27bf}'
                | '\u{2934}'..='\u{2935}'
                | '\u{2b00}'..='\u{2bff}'
                | '\u{303d}'
                | '\u{1f000}'..='\u{1faff}'
        ) && !c.is_alphanumeric()
}

/// Bidirectional controls, zero-width characters, fillers, tags and noncharacters. Joiners stay: scripts and emoji need them.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    ) || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_one_visible_line() {
        assert_eq!(clean("  a\r\n\tb\u{0}\u{85}c\u{2028}d  "), "a b c d");
        assert_eq!(clean("\u{202e}evil\u{2066} \u{feff}x\u{ffff}\u{1fffe}"), "evil x");
        assert_eq!(clean("\u{200b}\u{202c}"), "");
        for blank in ["\u{3164}", "\u{200d}", "\u{2800} \u{115f}", "\u{fe0f}\u{301}"] {
            assert_eq!(clean(blank), "", "{blank:?}");
        }
        assert_eq!(clean(&format!("A{}b", "\u{301}".repeat(5_000))), format!("A{}b", "\u{301}".repeat(4)));
        assert_eq!(clean("👩\u{200d}🚒 Zoë"), "👩\u{200d}🚒 Zoë");
    }

    #[test]
    fn cut_text_ends_at_a_character_boundary_with_the_mark() {
        assert_eq!(cut("ééééé", 10, "..."), "ééééé");
        assert_eq!(cut("éééééé", 10, "..."), "ééé...");
        assert_eq!(cut("ab cdefgh", 6, "..."), "ab...");
    }

    #[test]
    fn ascii_is_transliterated() {
        assert_eq!(ascii("Zoë Łukasz"), "Zoe Lukasz");
        assert_eq!(ascii("王小明"), "Wang Xiao Ming");
        assert_eq!(ascii("٠١٢-３"), "012-3");
        assert!(ascii("a\u{10fffd}b").is_ascii());
    }

    #[test]
    fn pictographs_are_left_out_and_never_become_words() {
        for write in [ascii, gsm7] {
            assert_eq!(write("Ann 🚒"), "Ann");
            assert_eq!(write("Ann🔥Lee 👩\u{200d}🚒\u{1f3fd} ❤\u{fe0f}"), "Ann Lee");
            assert_eq!(write("☎ ℹ ⏰ ☢ ✅ ➡ ⤴ ⬛ 〽 🀄 🆘 🈵 🇩🇪 🫀"), "");
            assert_eq!(write("Room ➂ 🄱 1\u{fe0f}\u{20e3}"), "Room 3 B 1");
        }
    }

    #[test]
    fn gsm7_keeps_its_own_letters_and_replaces_the_rest() {
        assert_eq!(gsm7("Zoë Müller é @ £"), "Zoe Müller é @ £");
        assert_eq!(gsm7("[a] {b} ~^`|\\ €5"), "(a) (b) -''// EUR5");
        assert_eq!(gsm7("“Łódź” – 王"), "\"Lodz\" - Wang");
    }
}
