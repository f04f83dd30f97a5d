//! Making foreign text unlinkable.
//!
//! Mail programs, chats and telephones turn what looks like a link into one. A name that comes with a call must not: those
//! who read an alert click on what it says.
//!
//! A space is put where a link would be recognized: behind the dot of a host name, behind the colon of a scheme. No program
//! joins a link over a space, people read on as if nothing were there, and it is in every alphabet; an invisible character
//! is not in that of text messages, and would be copied along unseen.

/// Schemes that are linked although no slash follows. With a slash every scheme is.
const SCHEMES: [&str; 30] = [
    "blob",
    "bitcoin",
    "callto",
    "data",
    "facetime",
    "facetime-audio",
    "file",
    "ftp",
    "geo",
    "http",
    "https",
    "im",
    "intent",
    "javascript",
    "magnet",
    "mailto",
    "maps",
    "market",
    "mms",
    "news",
    "sip",
    "sips",
    "skype",
    "sms",
    "smsto",
    "tel",
    "vbscript",
    "webcal",
    "whatsapp",
    "xmpp",
];

/// `text`, which must be cleaned and in its final alphabet, without anything that becomes a link.
pub(crate) fn inert(text: &str) -> String {
    if !text.contains(|c| is_dot(c) || is_colon(c) || c == '\\') {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().filter(|c| !is_selector(*c)).collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in characters.iter().enumerate() {
        out.push(*c);
        let (before, after) = (&characters[..at], &characters[at + 1..]);
        let links = match c {
            '\\' => after.first() == Some(&'\\'),
            c if is_colon(*c) => ends_in_scheme(before, after),
            c if is_dot(*c) => joins_labels(*c, before, after) || joins_octets(before, after),
            _ => false,
        };
        if links {
            out.push(' ');
        }
    }
    out
}

/// An account, which stays as it is if it is one: it looks like an address of email. Anything else is made inert.
pub(crate) fn account(text: &str) -> String {
    let is_account = text.split_once('@').is_some_and(|(name, domain)| {
        let of_name = |c: char| c.is_alphanumeric() || "'.-_!#^~+".contains(c);
        let of_domain = |c: char| c.is_alphanumeric() || c == '-';
        !name.is_empty()
            && name.chars().all(of_name)
            && domain.split('.').all(|label| !label.is_empty() && label.chars().all(of_domain))
    });
    if is_account { text.to_owned() } else { inert(text) }
}

/// The dots that stand between the labels of a host name (UTS 46), and those that look like them.
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{2024}' | '\u{3002}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}')
}

fn is_colon(c: char) -> bool {
    matches!(c, ':' | '\u{ff1a}' | '\u{fe55}')
}

/// Chooses between forms of a character; it shows nothing, and host names are read without it.
fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a dot is one between the labels of a host name: the last of them are letters, at least two. An ordinary dot has
/// a space behind it, a single letter or a digit: `St. Mary's`, `O.R.`, `Bldg.4`, `2.5`.
fn joins_labels(dot: char, before: &[char], after: &[char]) -> bool {
    let Some(last) = before.last().filter(|last| of_label(**last)) else { return false };
    let Some(next) = after.first().filter(|next| !next.is_whitespace()) else { return false };
    let www = before.len() >= 3
        && before[before.len() - 3..].iter().all(|c| c.eq_ignore_ascii_case(&'w'))
        // Between other scripts and Latin a line may be broken, and then it begins with this.
        && !before[..before.len() - 3].last().is_some_and(char::is_ascii_alphanumeric);
    // This one ends sentences in Chinese and Japanese, where no space follows.
    let sentence = matches!(dot, '\u{3002}' | '\u{ff61}') && !(last.is_ascii() && next.is_ascii());
    let label = next.is_alphabetic() && after.get(1).is_some_and(|second| of_label(*second));
    www || label && !sentence
}

fn of_label(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_' || !c.is_ascii() && !c.is_whitespace() && !is_dot(c)
}

/// Whether a dot is one of an address of IPv4.
fn joins_octets(before: &[char], after: &[char]) -> bool {
    let of_number = |c: &char| c.is_ascii_digit() || *c == '.';
    let start = before.len() - before.iter().rev().take_while(|c| of_number(c)).count();
    let end = after.iter().take_while(|c| of_number(c)).count();
    let left: String = before[start..].iter().collect();
    let right: String = after[..end].iter().collect();
    let (left, right): (Vec<&str>, Vec<&str>) = (left.split('.').collect(), right.split('.').collect());
    // Of the four octets one, two or three stand before the dot.
    (1..=3).any(|count| {
        left.len() >= count
            && right.len() >= 4 - count
            && left[left.len() - count..].iter().chain(&right[..4 - count]).all(|octet| is_octet(octet))
    })
}

fn is_octet(text: &str) -> bool {
    text.parse::<u8>().is_ok_and(|octet| octet.to_string() == text)
}

/// Whether a colon ends the scheme of a link.
fn ends_in_scheme(before: &[char], after: &[char]) -> bool {
    let of_scheme = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-');
    let length = before.iter().rev().take_while(|c| of_scheme(c)).count();
    let text: String = before[before.len() - length..].iter().collect::<String>().to_ascii_lowercase();
    // It may follow another word: `x-https:`.
    let is_scheme = |at: usize| SCHEMES.contains(&&text[at..]) || text[at..].starts_with("ms-");
    let mut starts = text.match_indices(['+', '-']).map(|(at, _)| at + 1);
    match after.first() {
        None => false,
        Some(next) if next.is_whitespace() => false,
        // Whatever stands before.
        Some('/' | '\\') => before.last().is_some_and(|last| !last.is_whitespace()),
        Some(_) => is_scheme(0) || starts.any(is_scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_become_a_link_gets_a_space() {
        for (given, shown) in [
            ("https://evil.example/911", "https: //evil. example/911"),
            ("HTTP://EVIL", "HTTP: //EVIL"),
            ("www.x", "www. x"),
            ("WWW.1a", "WWW. 1a"),
            ("evil.example", "evil. example"),
            ("x.co/abc", "x. co/abc"),
            ("a.b.evil.co.uk:8080", "a.b. evil. co. uk:8080"),
            ("tel:911", "tel: 911"),
            ("mailto:eve@evil.example", "mailto: eve@evil. example"),
            ("sip:+14255550100@evil.example;user=phone", "sip: +14255550100@evil. example;user=phone"),
            ("x-https:evil", "x-https: evil"),
            ("msteams:/l/call", "msteams: /l/call"),
            ("ms-settings:x", "ms-settings: x"),
            ("javascript:alert(1)", "javascript: alert(1)"),
            ("\\\\server\\share", "\\ \\server\\share"),
            ("10.0.0.1/x", "10. 0. 0. 1/x"),
            ("1.2.3.4.5", "1. 2. 3. 4. 5"),
            ("bücher.example", "bücher. example"),
            ("пример.рф", "пример. рф"),
            ("例子.中国", "例子. 中国"),
            ("x.xn--p1ai", "x. xn--p1ai"),
            ("evil．example", "evil． example"),
            ("evil。example", "evil。 example"),
            ("www。例子", "www。 例子"),
            ("例子www．-x", "例子www． -x"),
            ("evil.\u{fe0f}example", "evil. example"),
            ("❤.ws", "❤. ws"),
            ("https：//evil", "https： //evil"),
            ("evil-.example", "evil-. example"),
        ] {
            assert_eq!(inert(given), shown, "{given}");
            assert_eq!(inert(shown), shown, "a second time changes nothing");
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "St. Mary's",
            "2.5",
            "Bldg.4",
            "O.R.",
            "U.S. Route 1",
            "10:30",
            "10.30",
            "47.63960, -122.12810",
            "01.42.68.53.00",
            "+1.425.555.0100",
            "Room 1.204",
            "3. Stock",
            "Straße des 17. Juni 135",
            "Contoso .NET Team",
            "e.V.",
            "a.m.",
            "Ph.D.",
            "Smith & Sons, Inc., Dept. 5",
            "Floor 7: Room 12",
            "Room:12",
            "C: drive",
            "1/2",
            "北京。上海",
            "...",
            "wait...",
            "2026-12-01T04:15:48.847321Z",
            "version 1.2.3",
            "192.168.0",
            "300.1.1.1",
        ] {
            assert_eq!(inert(text), text);
        }
    }

    #[test]
    fn only_what_looks_like_an_account_stays_one() {
        for account_name in ["adele.vance@contoso.com", "adele_contoso.com#EXT#@fabrikam.onmicrosoft.com", "o'neil@x"] {
            assert_eq!(account(account_name), account_name);
        }
        for (given, shown) in [
            ("https://evil.example/@x.example", "https: //evil. example/@x. example"),
            ("evil.example", "evil. example"),
            ("a@b@evil.example", "a@b@evil. example"),
            ("x@evil.example/path", "x@evil. example/path"),
            ("see evil.example x@y.example", "see evil. example x@y. example"),
            ("@evil.example", "@evil. example"),
        ] {
            assert_eq!(account(given), shown);
        }
    }
}
