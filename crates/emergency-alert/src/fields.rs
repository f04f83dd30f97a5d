//! Tolerant access to the members of JSON objects that may be missing, misplaced or of another type than documented.

use serde_json::{Map, Value};

use crate::text::clean;

/// One or more JSON objects looked through in order: the first usable value wins.
///
/// Emergency call documents hold the same facts at different depths (wrapped or flat, `additionalData` nested or
/// flattened), so each look-up names all the places.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    layers: Vec<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The members of `object`.
    pub(crate) fn of(object: &'a Map<String, Value>) -> Self {
        Self { layers: vec![object] }
    }

    /// The same, with the members of `other` where these have nothing usable.
    pub(crate) fn or(mut self, other: Fields<'a>) -> Self {
        self.layers.extend(other.layers);
        self
    }

    /// The members of the object called `name`; none when there is no such object.
    pub(crate) fn child(&self, name: &str) -> Fields<'a> {
        let layers = self.values(name).filter_map(Value::as_object).collect();
        Fields { layers }
    }

    /// Visible text: a string, trimmed, or a whole number (house numbers and telephone numbers may come unquoted).
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.values(name).find_map(|value| match value {
            // What shows nothing is nothing, or a message would present an invisible name.
            Value::String(text) if !clean(text).is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        })
    }

    /// A finite number, given as a number or as text, with a point or a comma, within `-limit..=limit`.
    pub(crate) fn number_within(&self, name: &str, limit: f64) -> Option<f64> {
        self.values(name)
            .filter_map(|value| match value {
                Value::String(text) => text.trim().replacen(',', ".", 1).parse().ok(),
                value => value.as_f64(),
            })
            .find(|number: &f64| number.abs() <= limit)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.layers.iter().filter_map(move |layer| layer.get(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn text_is_trimmed_and_the_first_usable_value_wins() {
        let (first, second) = (json!({"a": " x ", "b": "  ", "c": null}), json!({"a": "y", "b": "y", "c": "y"}));
        let fields = Fields::of(object(&first)).or(Fields::of(object(&second)));
        assert_eq!(fields.text("a").as_deref(), Some("x"));
        assert_eq!(fields.text("b").as_deref(), Some("y"));
        assert_eq!(fields.text("c").as_deref(), Some("y"));
        assert_eq!(fields.text("d"), None);
    }

    #[test]
    fn whole_numbers_are_text_and_other_types_are_not() {
        let value =
            json!({"n": 4_255_550_100_u64, "f": 1.5, "b": true, "l": ["x"], "o": {"x": "y"}, "i": "\u{202e}\u{0}"});
        let fields = Fields::of(object(&value));
        assert_eq!(fields.text("n").as_deref(), Some("4255550100"));
        for name in ["f", "b", "l", "o", "i"] {
            assert_eq!(fields.text(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_come_as_numbers_or_text_and_must_be_within_the_limit() {
        let value = json!({"n": -47.5, "t": " 47.5 ", "big": 90.1, "nan": "NaN", "inf": "inf", "x": "north", "i": 90, "c": "-47,5",
            "thousands": "1,000.5", "list": "1,2,3"});
        let fields = Fields::of(object(&value));
        assert_eq!(fields.number_within("n", 90.0), Some(-47.5));
        assert_eq!(fields.number_within("t", 90.0), Some(47.5));
        assert_eq!(fields.number_within("i", 90.0), Some(90.0));
        assert_eq!(fields.number_within("c", 90.0), Some(-47.5));
        for name in ["big", "nan", "inf", "x", "missing", "thousands", "list"] {
            assert_eq!(fields.number_within(name, 90.0), None, "{name}");
        }
    }

    #[test]
    fn children_are_looked_up_in_every_layer() {
        let (first, second) = (json!({"c": "text"}), json!({"c": {"a": "x"}}));
        let fields = Fields::of(object(&first)).or(Fields::of(object(&second)));
        assert_eq!(fields.child("c").text("a").as_deref(), Some("x"));
        assert_eq!(fields.child("d").text("a"), None);
    }
}
