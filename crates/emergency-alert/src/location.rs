//! Where the caller is, as far as Teams says.

use std::fmt;

use serde::Serialize;

use crate::fields::Fields;

/// The location of a caller: Graph's `location` with `physicalAddress` and `outlookGeoCoordinates`, and the parts of
/// the address that emergency call notifications add in `additionalData`.
///
/// Teams may send the registered location of a caller rather than the live one.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// All known parts on one line, as written on an envelope in the language of the messages; the coordinates when
    /// nothing else is known. Set in alerts only.
    pub text: Option<String>,
    /// The name of the place, such as a building.
    pub display_name: Option<String>,
    /// The organisation at the address.
    pub company_name: Option<String>,
    /// The number of the house in the street.
    pub house_number: Option<String>,
    /// The street, with or without the house number.
    pub street: Option<String>,
    /// What follows the name of the street, such as `NE`.
    pub street_suffix: Option<String>,
    /// What finds the caller within the building: floor, suite, room.
    pub additional_info: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// The county.
    pub county: Option<String>,
    /// The state or province.
    pub state: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The country or region.
    pub country_or_region: Option<String>,
    /// Degrees north, -90 to 90.
    pub latitude: Option<f64>,
    /// Degrees east, -180 to 180.
    pub longitude: Option<f64>,
}

impl Location {
    /// Reads Graph's `location` object.
    pub(crate) fn from_fields(location: &Fields<'_>) -> Self {
        let address = location.child("address");
        let additional = address.child("additionalData");
        let address = address.or(additional);
        let coordinates = location.child("coordinates");
        Self {
            text: None,
            display_name: location.text("displayName"),
            company_name: address.text("companyName"),
            house_number: address.text("houseNumber"),
            street: address.text("street"),
            street_suffix: address.text("streetSuffix"),
            additional_info: address.text("additionalInfo"),
            city: address.text("city"),
            county: address.text("county"),
            state: address.text("state"),
            postal_code: address.text("postalCode"),
            country_or_region: address.text("countryOrRegion"),
            latitude: coordinates.number_within("latitude", 90.0),
            longitude: coordinates.number_within("longitude", 180.0),
        }
    }

    /// Latitude and longitude in degrees; both or none. Zero and zero is in the open sea: nobody filled them in.
    pub(crate) fn point(&self) -> Option<(f64, f64)> {
        Some((self.latitude?, self.longitude?)).filter(|point| *point != (0.0, 0.0))
    }

    /// The parts of the address.
    pub(crate) fn parts(&self) -> [Option<&str>; 11] {
        [
            &self.display_name,
            &self.company_name,
            &self.house_number,
            &self.street,
            &self.street_suffix,
            &self.additional_info,
            &self.city,
            &self.county,
            &self.state,
            &self.postal_code,
            &self.country_or_region,
        ]
        .map(Option::as_deref)
    }

    /// The text members, for bounding their length.
    pub(crate) fn texts_mut(&mut self) -> [&mut Option<String>; 12] {
        [
            &mut self.text,
            &mut self.display_name,
            &mut self.company_name,
            &mut self.house_number,
            &mut self.street,
            &mut self.street_suffix,
            &mut self.additional_info,
            &mut self.city,
            &mut self.county,
            &mut self.state,
            &mut self.postal_code,
            &mut self.country_or_region,
        ]
    }
}

/// Shows nothing: a location is personal data and must not reach a log by accident.
/// Degrees with five decimals, which are about a metre.
pub(crate) fn degrees(value: f64) -> String {
    let degrees = format!("{value:.5}");
    // Nobody writes a negative zero.
    if degrees == "-0.00000" { "0.00000".to_owned() } else { degrees }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location").finish_non_exhaustive()
    }
}
