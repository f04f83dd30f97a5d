//! Links from coordinates to a map.

use thiserror::Error;

use crate::location::degrees;

/// A link that shows a point on a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapLink(Option<String>);

const OPEN_STREET_MAP: &str = "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}&zoom=18";

/// Longer links are cut by some mail programs.
const MAX_LENGTH: usize = 200;

/// No map, and not a link to one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the parameter MapLink must be OpenStreetMap, none, or an https address with {{latitude}} and {{longitude}}, but is {0:?}"
)]
pub struct UnusableMapLink(pub String);

impl MapLink {
    /// Reads the template parameter `MapLink`: `OpenStreetMap` (also what an empty value means), `none`, or an https
    /// address in which `{latitude}` and `{longitude}` stand for degrees such as `47.63960` and `-122.12810`.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn parse(value: &str) -> Result<Self, UnusableMapLink> {
        let value = value.trim();
        let usable = value.starts_with("https://")
            && value.len() <= MAX_LENGTH
            && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\`".contains(&byte))
            && ["{latitude}", "{longitude}"].iter().all(|place| value.contains(place));
        match value {
            "" => Ok(Self::default()),
            name if name.eq_ignore_ascii_case("OpenStreetMap") => Ok(Self::default()),
            name if name.eq_ignore_ascii_case("none") => Ok(Self(None)),
            _ if usable => Ok(Self(Some(value.to_owned()))),
            _ => Err(UnusableMapLink(value.to_owned())),
        }
    }

    /// The link to a point, unless there are to be none.
    pub(crate) fn to(&self, latitude: f64, longitude: f64) -> Option<String> {
        let link = self.0.as_ref()?.replace("{latitude}", &degrees(latitude));
        Some(link.replace("{longitude}", &degrees(longitude)))
    }
}

/// OpenStreetMap.
impl Default for MapLink {
    fn default() -> Self {
        Self(Some(OPEN_STREET_MAP.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_open_street_map() {
        let link = "https://www.openstreetmap.org/?mlat=47.63960&mlon=-122.12810&zoom=18";
        for value in ["", "OpenStreetMap", " openstreetmap "] {
            assert_eq!(MapLink::parse(value).unwrap().to(47.6396, -122.1281).as_deref(), Some(link), "{value}");
        }
        assert_eq!(MapLink::parse("none").unwrap().to(1.0, 2.0), None);
    }

    #[test]
    fn another_map_is_an_https_address_with_both_places() {
        let own = MapLink::parse("https://maps.example.com/@{latitude},{longitude}?again={latitude}").unwrap();
        assert_eq!(own.to(1.0, -2.0).as_deref(), Some("https://maps.example.com/@1.00000,-2.00000?again=1.00000"));
        for wrong in [
            "http://maps.example.com/{latitude},{longitude}",
            "https://maps.example.com/{latitude}",
            "https://maps.example.com/{latitude} {longitude}",
            "https://maps.example.com/\"{latitude},{longitude}",
            "bing",
        ] {
            assert_eq!(MapLink::parse(wrong), Err(UnusableMapLink(wrong.to_owned())), "{wrong}");
        }
    }
}
