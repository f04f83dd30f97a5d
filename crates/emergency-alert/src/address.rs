//! How a location is written for people.

use phonenumber::country::Id;

use crate::country;
use crate::inert::inert;
use crate::location::Location;
use crate::text::{Alphabet, CUT_MARK, cut};
use crate::wording::Wording;

/// The longest part of an address in a message, in bytes. A whole message stays readable and far below any limit.
const MAX_PART_BYTES: usize = 400;

/// How a part is written.
type Write<'a> = &'a dyn Fn(&str) -> String;

/// A location in the pieces that stand on one line of an envelope each; cleaned and of bounded length.
pub(crate) struct Address {
    /// The organisation.
    pub(crate) company: Option<String>,
    /// The building or other named place.
    pub(crate) place: Option<String>,
    /// House number, street and suffix.
    pub(crate) street: Option<String>,
    /// Floor, suite, room.
    pub(crate) unit: Option<String>,
    /// City, state and postal code.
    pub(crate) city: Option<String>,
    /// The county, marked as such.
    pub(crate) county: Option<String>,
    /// The country or region.
    pub(crate) country: Option<String>,
    /// Latitude and longitude in degrees; both or none.
    pub(crate) coordinates: Option<String>,
}

impl Address {
    /// The address of `location`, in `alphabet` and inert. What the alphabet cannot write counts as not given.
    pub(crate) fn new(location: &Location, alphabet: Alphabet, wording: &Wording) -> Self {
        let write = &|text: &str| inert(&alphabet(text));
        let part = |text: &Option<String>| part(text.as_ref(), write);
        let company = part(&location.company_name);
        Self {
            place: part(&location.display_name).filter(|place| Some(place) != company.as_ref()),
            company,
            street: street_line(location, write),
            unit: unit_line(location, write, wording),
            city: city_line(location, write),
            county: part(&location.county).map(|county| wording.county(&county)),
            country: part(&location.country_or_region),
            coordinates: location.point().map(|(latitude, longitude)| wording.coordinates(latitude, longitude)),
        }
    }

    /// The address as on an envelope, without the coordinates.
    pub(crate) fn envelope(&self) -> Vec<&str> {
        [&self.company, &self.place, &self.street, &self.unit, &self.city, &self.county, &self.country]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect()
    }

    /// The envelope on one line, else the coordinates.
    pub(crate) fn one_line(&self) -> Option<String> {
        let lines = self.envelope();
        if lines.is_empty() { self.coordinates.clone() } else { Some(lines.join(", ")) }
    }

    /// What a short message must say for somebody to start walking: the street and the floor or room; without a
    /// street everything else that leads there.
    pub(crate) fn shortest(&self) -> Vec<&str> {
        let parts: [&Option<String>; 5] = if self.street.is_some() {
            [&self.street, &self.unit, &None, &None, &None]
        } else {
            [&self.place, &self.company, &self.unit, &self.city, &self.coordinates]
        };
        parts.into_iter().filter_map(Option::as_deref).collect()
    }

    /// What adds to [`Address::shortest`], most helpful first.
    pub(crate) fn more(&self) -> Vec<&str> {
        if self.street.is_none() {
            return Vec::new();
        }
        [&self.place, &self.city, &self.company].into_iter().filter_map(Option::as_deref).collect()
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.envelope().is_empty() && self.coordinates.is_none()
    }
}

fn part(text: Option<&String>, write: Write<'_>) -> Option<String> {
    let text = cut(&write(text?), MAX_PART_BYTES, CUT_MARK);
    (!text.is_empty()).then_some(text)
}

/// House number, street and suffix, in the order of the country. Some senders repeat the number and the suffix in the
/// street; they are written once.
pub(crate) fn street_line(location: &Location, write: Write<'_>) -> Option<String> {
    let street = part(location.street.as_ref(), write)?;
    let words: Vec<String> = street.split(' ').map(str::to_lowercase).collect();
    let repeated = |word: Option<&String>, text: &String| word.is_some_and(|word| *word == text.to_lowercase());
    let number_first = Order::of(location).number_first;
    let neighbour = if number_first { words.first() } else { words.last() };
    // In `7 Avenue` the number is the name: written twice it does no harm.
    let neighbour = neighbour.filter(|_| words.len() > 2);
    let number = part(location.house_number.as_ref(), write).filter(|number| !repeated(neighbour, number));
    let suffix = part(location.street_suffix.as_ref(), write).filter(|suffix| !repeated(words.last(), suffix));
    let parts = if number_first { [number, Some(street), suffix] } else { [Some(street), suffix, number] };
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

fn unit_line(location: &Location, write: Write<'_>, wording: &Wording) -> Option<String> {
    // A house number without a street still narrows the search.
    let house = match part(location.street.as_ref(), write) {
        Some(_) => None,
        None => part(location.house_number.as_ref(), write).map(|number| wording.house(&number)),
    };
    let unit = part(location.additional_info.as_ref(), write).map(|unit| wording.unit(&unit));
    let line: Vec<String> = [house, unit].into_iter().flatten().collect();
    (!line.is_empty()).then(|| line.join(", "))
}

fn city_line(location: &Location, write: Write<'_>) -> Option<String> {
    let [city, state, code] =
        [&location.city, &location.state, &location.postal_code].map(|text| part(text.as_ref(), write));
    let (before, after) =
        if Order::of(location).code_first { ([code, city], [state, None]) } else { ([city, None], [state, code]) };
    let joined = |words: [Option<String>; 2]| words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let line: Vec<String> = [joined(before), joined(after)].into_iter().filter(|part| !part.is_empty()).collect();
    (!line.is_empty()).then(|| line.join(", "))
}

/// In which order a country writes addresses, as its post wants them (Universal Postal Union, *Postal addressing systems in
/// member countries*).
struct Order {
    /// The house number stands before the street.
    number_first: bool,
    /// The postal code stands before the city.
    code_first: bool,
}

impl Order {
    /// The American order where the country is not known or not listed here.
    fn of(location: &Location) -> Self {
        match location.country_or_region.as_deref().and_then(country::id) {
            Some(
                Id::AR
                | Id::AT
                | Id::BE
                | Id::BG
                | Id::CH
                | Id::CN
                | Id::CZ
                | Id::DE
                | Id::DK
                | Id::EE
                | Id::ES
                | Id::FI
                | Id::GR
                | Id::HR
                | Id::IS
                | Id::IT
                | Id::LI
                | Id::LT
                | Id::MX
                | Id::NL
                | Id::NO
                | Id::PL
                | Id::PT
                | Id::RO
                | Id::RS
                | Id::SE
                | Id::SI
                | Id::SK
                | Id::TR,
            ) => Self { number_first: false, code_first: true },
            Some(Id::BR | Id::CL | Id::CO | Id::EC | Id::PE | Id::UY) => {
                Self { number_first: false, code_first: false }
            }
            Some(Id::FR | Id::LU | Id::MC) => Self { number_first: true, code_first: true },
            _ => Self { number_first: true, code_first: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::text::{clean, gsm7};

    fn english() -> Wording {
        Wording::new(Language::English)
    }

    fn full() -> Location {
        Location {
            display_name: Some("Building 7".to_owned()),
            company_name: Some("Contoso Ltd".to_owned()),
            house_number: Some("725".to_owned()),
            street: Some("Microsoft Way".to_owned()),
            street_suffix: Some("NE".to_owned()),
            additional_info: Some("Floor 7, Room 712".to_owned()),
            city: Some("Redmond".to_owned()),
            county: Some("King".to_owned()),
            state: Some("WA".to_owned()),
            postal_code: Some("98052".to_owned()),
            country_or_region: Some("United States".to_owned()),
            latitude: Some(47.6396),
            longitude: Some(-122.128_123_4),
            text: None,
        }
    }

    #[test]
    fn an_envelope_has_every_part() {
        let address = Address::new(&full(), clean, &english());
        assert_eq!(
            address.envelope(),
            [
                "Contoso Ltd",
                "Building 7",
                "725 Microsoft Way NE",
                "Floor 7, Room 712",
                "Redmond, WA 98052",
                "County: King",
                "United States"
            ]
        );
        assert_eq!(address.coordinates.as_deref(), Some("47.63960, -122.12812"));
        assert_eq!(address.shortest(), ["725 Microsoft Way NE", "Floor 7, Room 712"]);
        assert_eq!(address.more(), ["Building 7", "Redmond, WA 98052", "Contoso Ltd"]);
    }

    #[test]
    fn number_and_suffix_in_the_street_are_not_repeated() {
        let repeated = Location { street: Some("725 Microsoft Way ne".to_owned()), ..full() };
        assert_eq!(Address::new(&repeated, clean, &english()).street.as_deref(), Some("725 Microsoft Way ne"));
        let similar = Location { street: Some("7250 Line".to_owned()), ..full() };
        assert_eq!(Address::new(&similar, clean, &english()).street.as_deref(), Some("725 7250 Line NE"));
    }

    #[test]
    fn each_country_has_its_order() {
        let written = |country: &str, street: &str, state: Option<&str>| {
            let location = Location {
                house_number: Some("5".to_owned()),
                street: Some(street.to_owned()),
                street_suffix: None,
                city: Some("Ort".to_owned()),
                state: state.map(ToOwned::to_owned),
                postal_code: Some("10623".to_owned()),
                country_or_region: Some(country.to_owned()),
                ..Location::default()
            };
            let address = Address::new(&location, clean, &english());
            [address.street.unwrap(), address.city.unwrap()]
        };
        for (country, street, city) in [
            ("México", "Weg 5", "10623 Ort, XX"),
            ("Brasil", "Weg 5", "Ort, XX 10623"),
            ("Deutschland", "Weg 5", "10623 Ort, XX"),
            ("ES", "Weg 5", "10623 Ort, XX"),
            ("France", "5 Weg", "10623 Ort, XX"),
            ("United States", "5 Weg", "Ort, XX 10623"),
            ("United Kingdom", "5 Weg", "Ort, XX 10623"),
            ("Nowhere", "5 Weg", "Ort, XX 10623"),
        ] {
            assert_eq!(written(country, "Weg", Some("XX")), [street, city], "{country}");
        }
        assert_eq!(written("DE", "Langer Weg 5", None), ["Langer Weg 5", "10623 Ort"]);
        assert_eq!(written("US", "5 Langer Weg", None), ["5 Langer Weg", "Ort, 10623"]);
        // What is left would be no street.
        assert_eq!(written("US", "5 Avenue", None)[0], "5 5 Avenue");
        assert_eq!(written("ES", "Calle 5", None)[0], "Calle 5 5");
    }

    #[test]
    fn a_bare_number_within_the_building_is_labelled() {
        let bare = Location { additional_info: Some("700".to_owned()), ..full() };
        assert_eq!(Address::new(&bare, clean, &english()).unit.as_deref(), Some("Floor/room 700"));
    }

    #[test]
    fn a_name_equal_to_the_company_is_written_once() {
        let same = Location { display_name: Some("Contoso Ltd".to_owned()), ..full() };
        assert_eq!(
            Address::new(&same, clean, &english()).envelope().iter().filter(|line| **line == "Contoso Ltd").count(),
            1
        );
    }

    #[test]
    fn without_a_street_everything_else_leads_there() {
        let no_street = Location { street: None, ..full() };
        let address = Address::new(&no_street, clean, &english());
        assert_eq!(
            address.shortest(),
            [
                "Building 7",
                "Contoso Ltd",
                "House number 725, Floor 7, Room 712",
                "Redmond, WA 98052",
                "47.63960, -122.12812"
            ]
        );
        assert!(address.more().is_empty());
    }

    #[test]
    fn what_the_alphabet_cannot_write_is_not_given() {
        let picture = Location { street: Some("🔥".to_owned()), additional_info: Some("🚒".to_owned()), ..full() };
        let address = Address::new(&picture, gsm7, &english());
        assert_eq!((address.street.as_deref(), address.unit.as_deref()), (None, Some("House number 725")));
        assert_eq!(address.shortest()[0], "Building 7");
    }

    #[test]
    fn one_line_falls_back_to_complete_coordinates() {
        let only = Location { latitude: Some(1.0), longitude: Some(2.0), ..Location::default() };
        assert_eq!(Address::new(&only, clean, &english()).one_line().as_deref(), Some("1.00000, 2.00000"));
        let half = Location { latitude: Some(1.0), ..Location::default() };
        assert!(Address::new(&half, clean, &english()).is_empty());
        assert_eq!(Address::new(&half, clean, &english()).one_line(), None);
    }
}
