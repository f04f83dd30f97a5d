//! The second reading of a document that is no JSON, for careless writers.
//!
//! What cannot be read costs its member and nothing else: a call must not be lost for a comma.

use serde_json::{Map, Number, Value};

/// Deeper values are left out, as `serde_json` refuses them.
const MAX_DEPTH: usize = 120;

/// Reads an object in which members may be damaged; the damaged ones are null or left out. None if no member can be read, or
/// another object follows.
///
/// Understood are: control characters and halves of characters (`\ud83d`) in texts; numbers with a decimal comma where it
/// cannot stand between two members; telephone numbers without quotation marks; `NaN` and other words, as null; commas too
/// many; text behind the object.
pub(crate) fn object(document: &str) -> Option<Map<String, Value>> {
    let mut reader = Reader { rest: document };
    reader.skip_space();
    reader.rest = reader.rest.strip_prefix('{')?;
    let members = reader.members(0);
    (!members.is_empty() && !reader.rest.contains('{')).then_some(members)
}

/// Reads from the beginning of `rest`.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The members of an object, whose brace was read, and its end.
    fn members(&mut self, depth: usize) -> Map<String, Value> {
        let mut members = Map::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => return members,
                Some('}') => {
                    self.advance(1);
                    return members;
                }
                // The array around it ends the object, too.
                Some(']') if depth > 0 => return members,
                Some(',' | ']') => self.advance(1),
                Some('"') => {
                    if let Some((name, value)) = self.member(depth) {
                        members.insert(name, value);
                    }
                    self.skip_to_separator();
                }
                Some(_) => self.skip_to_separator(),
            }
        }
    }

    fn member(&mut self, depth: usize) -> Option<(String, Value)> {
        let name = self.text()?;
        self.skip_space();
        self.rest = self.rest.strip_prefix(':')?;
        self.skip_space();
        Some((name, self.value(depth, Place::Member)?))
    }

    /// The items of an array, whose bracket was read, and its end.
    fn items(&mut self, depth: usize) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                // The object around it ends the array, too.
                None | Some('}') => return items,
                Some(']') => {
                    self.advance(1);
                    return items;
                }
                Some(',') => self.advance(1),
                Some(_) => {
                    items.extend(self.value(depth, Place::Item));
                    self.skip_to_separator();
                }
            }
        }
    }

    fn value(&mut self, depth: usize, place: Place) -> Option<Value> {
        match self.peek()? {
            '{' | '[' if depth >= MAX_DEPTH => None,
            '{' => {
                self.advance(1);
                Some(Value::Object(self.members(depth + 1)))
            }
            '[' => {
                self.advance(1);
                Some(Value::Array(self.items(depth + 1)))
            }
            '"' => self.text().map(Value::String),
            _ => Some(self.word(place)),
        }
    }

    /// A number, a word of JSON, or something else without quotation marks.
    fn word(&mut self, place: Place) -> Value {
        let word = self.take_word(place);
        if let Ok(value) = serde_json::from_str(word) {
            return value;
        }
        let decimal = word.replacen(',', ".", 1);
        if let Some(number) = serde_json::from_str::<Number>(&decimal).ok().filter(|_| word.contains(',')) {
            return Value::Number(number);
        }
        // A telephone number: no number begins with a plus or a zero.
        let digits = word.strip_prefix('+').unwrap_or(word);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Value::String(word.to_owned());
        }
        Value::Null
    }

    /// What reaches to the next separator. Between two members of an object a name stands behind the comma, so that a comma
    /// before a digit belongs to a number.
    fn take_word(&mut self, place: Place) -> &'a str {
        let bytes = self.rest.as_bytes();
        let of_number = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let ends = |at: usize| match bytes[at] {
            b',' => place == Place::Item || at == 0 || !of_number(at - 1) || !of_number(at + 1),
            byte => byte.is_ascii_whitespace() || byte.is_ascii_control() || b"{}[]\":".contains(&byte),
        };
        let end = (0..bytes.len()).find(|at| ends(*at)).unwrap_or(bytes.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A text, from its quotation mark on. None if it does not end, and then nothing is left.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut rest = std::mem::take(&mut self.rest).strip_prefix('"')?;
        loop {
            let at = rest.find(|c: char| c == '"' || c == '\\' || c.is_control())?;
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let first = rest.chars().next()?;
            let length = match first {
                '"' => {
                    self.rest = &rest[1..];
                    return Some(text);
                }
                '\\' => escape(rest, &mut text),
                _ => {
                    text.push(' ');
                    first.len_utf8()
                }
            };
            rest = &rest[length..];
        }
    }

    /// Skips what is left of a member or an item: to the comma or the bracket behind it.
    fn skip_to_separator(&mut self) {
        let mut depth = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                ',' | '}' | ']' if depth == 0 => return,
                '{' | '[' => depth += 1,
                '}' | ']' => depth -= 1,
                '"' => {
                    self.text();
                    continue;
                }
                _ => {}
            }
            self.advance(c.len_utf8());
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Member,
    Item,
}

/// Writes what the escape at the beginning of `rest` stands for, and gives its length. Half a character is replaced; what is
/// no escape stays as it is.
fn escape(rest: &str, text: &mut String) -> usize {
    let first = unit(rest);
    if let Some(first) = first {
        let second = rest.get(6..).and_then(unit);
        let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
        // A pair is one character; two units that are none are two.
        let (c, length) = match pair.filter(|c| c.len_utf16() == 2) {
            Some(c) => (c, 12),
            None => (char::from_u32(first.into()).unwrap_or('\u{fffd}'), 6),
        };
        text.push(c);
        return length;
    }
    let (c, length) = match rest[1..].chars().next() {
        Some(c @ ('"' | '\\' | '/')) => (c, 2),
        Some('b') => ('\u{8}', 2),
        Some('f') => ('\u{c}', 2),
        Some('n') => ('\n', 2),
        Some('r') => ('\r', 2),
        Some('t') => ('\t', 2),
        _ => ('\\', 1),
    };
    text.push(c);
    length
}

/// The unit of UTF-16 that an escape at the beginning of `text` stands for.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(document: &str) -> Option<Value> {
        object(document).map(Value::Object)
    }

    #[test]
    fn damage_costs_its_member() {
        for (document, value) in [
            (r#"{"a": 47,6396, "b": -122,1281}"#, json!({"a": 47.6396, "b": -122.1281})),
            (r#"{"a": 47,6396}"#, json!({"a": 47.6396})),
            (r#"{"a": 1,5e2,"b": 1}"#, json!({"a": 150.0, "b": 1})),
            (r#"{"a": 1,234,567, "b": 1}"#, json!({"a": null, "b": 1})),
            (r#"{"a": [1,2,], "b": 1,}"#, json!({"a": [1, 2], "b": 1})),
            (r#"{,"a": 1,,"b": 2}"#, json!({"a": 1, "b": 2})),
            (
                r#"{"a": NaN, "b": -Infinity, "c": Infinity, "d": undefined, "e": 1}"#,
                json!({"a": null, "b": null, "c": null, "d": null, "e": 1}),
            ),
            (
                r#"{"a": +14255550100, "b": 0791234567, "c": 1}"#,
                json!({"a": "+14255550100", "b": "0791234567", "c": 1}),
            ),
            (r#"{"a": , "b": 1}"#, json!({"a": null, "b": 1})),
            (r#"{"a":}"#, json!({"a": null})),
            (r#"{"a" 1, "b": 1}"#, json!({"b": 1})),
            (r#"{a: "x, y", "b": 1}"#, json!({"b": 1})),
            (r#"{"a": 'x, y', "b": 1}"#, json!({"a": null, "b": 1})),
            (r#"{"a": x{"y": 1, "z": "}"}, "b": 1}"#, json!({"a": null, "b": 1})),
            (r#"{"a": "1, 2 ,3,4", "b": x}"#, json!({"a": "1, 2 ,3,4", "b": null})),
            ("{\"a\": \"x\ny\u{1}\", \"b\": 1}", json!({"a": "x y ", "b": 1})),
            (
                r#"{"a": "\ud83d \ude92 \ud83d\ude92 \ud83d\u0041 \u00e9\n\q", "b": 1}"#,
                json!({"a": "\u{fffd} \u{fffd} 🚒 \u{fffd}A é\n\\q", "b": 1}),
            ),
            ("{\"a\": {\"b\": x}, \"c\": {\"d\": \"e\"}} \u{0}\u{0} }", json!({"a": {"b": null}, "c": {"d": "e"}})),
            // The end is missing.
            (r#"{"a": 1, "b": {"c": [1, "#, json!({"a": 1, "b": {"c": [1]}})),
            (r#"{"a": 1, "b": "x"#, json!({"a": 1})),
            // The array lacks its end.
            (r#"{"a": [1, 2, "b": 3}"#, json!({"a": [1, 2, "b"]})),
        ] {
            assert_eq!(read(document), Some(value), "{document}");
        }
    }

    #[test]
    fn what_has_no_member_is_no_object() {
        for document in ["", "{", "{}", "{x}", "[1,]", "\"a\": 1", "{\"a\": 1} {\"a\": 2}", "x {\"a\": 1}", "{\"a"] {
            assert_eq!(read(document), None, "{document}");
        }
    }

    #[test]
    fn depth_costs_what_is_too_deep() {
        let deep = format!(r#"{{"a": {}1{}, "b": 2}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let value = read(&deep).unwrap();
        assert_eq!(value["b"], 2);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::from),
                btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_json_reads_as_the_strict_reader_reads_it(value in btree_map(any::<String>(), json(), 1..5), pretty in any::<bool>()) {
            let value = Value::Object(value.into_iter().collect());
            let document = if pretty { format!("{value:#}") } else { value.to_string() };
            prop_assert_eq!(read(&document), serde_json::from_str(&document).ok());
        }

        #[test]
        fn nothing_panics(document in "[{}\\[\\],:\"\\\\a-e0-9ud.+ -]{0,60}") {
            let _ = object(&format!("{{{document}"));
        }
    }
}
