//! Which country a text means.

use phonenumber::country::Id;

use crate::text::{ascii, clean};

/// The longest text that is read, in characters.
const MAX_CHARS: usize = 64;

/// What a country is called besides its code of two letters: its code of three letters, its English name, what it calls
/// itself in the languages with Latin letters or Chinese characters that are spoken there, and usual short forms.
///
/// The countries where telephony with Teams is most common. Of any other country, only the code of two letters is
/// understood. No name is here that may mean something else, such as Georgia. Accents, spaces and punctuation do not
/// count, and Chinese characters are read aloud: 台湾 is Taiwan.
const NAMES: [(Id, &[&str]); 76] = [
    (Id::AE, &["ARE", "United Arab Emirates", "UAE"]),
    (Id::AR, &["ARG", "Argentina"]),
    (Id::AT, &["AUT", "Austria", "Österreich"]),
    (Id::AU, &["AUS", "Australia"]),
    (Id::BE, &["BEL", "Belgium", "België", "Belgique", "Belgien"]),
    (Id::BG, &["BGR", "Bulgaria"]),
    (Id::BH, &["BHR", "Bahrain"]),
    (Id::BR, &["BRA", "Brazil", "Brasil"]),
    (Id::CA, &["CAN", "Canada"]),
    (Id::CH, &["CHE", "Switzerland", "Schweiz", "Suisse", "Svizzera"]),
    (Id::CL, &["CHL", "Chile"]),
    (Id::CN, &["CHN", "China", "People's Republic of China", "中国", "中华人民共和国"]),
    (Id::CO, &["COL", "Colombia"]),
    (Id::CR, &["CRI", "Costa Rica"]),
    (Id::CY, &["CYP", "Cyprus"]),
    (Id::CZ, &["CZE", "Czechia", "Czech Republic", "Česko", "Česká republika"]),
    (Id::DE, &["DEU", "Germany", "Deutschland", "Federal Republic of Germany", "Bundesrepublik Deutschland"]),
    (Id::DK, &["DNK", "Denmark", "Danmark"]),
    (Id::DO, &["DOM", "Dominican Republic", "República Dominicana"]),
    (Id::EC, &["ECU", "Ecuador"]),
    (Id::EE, &["EST", "Estonia", "Eesti"]),
    (Id::EG, &["EGY", "Egypt"]),
    (Id::ES, &["ESP", "Spain", "España"]),
    (Id::FI, &["FIN", "Finland", "Suomi"]),
    (Id::FR, &["FRA", "France"]),
    (Id::GB, &["GBR", "UK", "United Kingdom", "Great Britain", "England", "Scotland", "Wales", "Northern Ireland"]),
    (Id::GR, &["GRC", "Greece"]),
    (Id::GT, &["GTM", "Guatemala"]),
    (Id::HK, &["HKG", "Hong Kong", "Hong Kong SAR", "香港"]),
    (Id::HR, &["HRV", "Croatia", "Hrvatska"]),
    (Id::HU, &["HUN", "Hungary", "Magyarország"]),
    (Id::ID, &["IDN", "Indonesia"]),
    (Id::IE, &["IRL", "Ireland", "Republic of Ireland", "Éire"]),
    (Id::IL, &["ISR", "Israel"]),
    (Id::IN, &["IND", "India"]),
    (Id::IS, &["ISL", "Iceland", "Ísland"]),
    (Id::IT, &["ITA", "Italy", "Italia"]),
    (Id::JP, &["JPN", "Japan", "日本"]),
    (Id::KE, &["KEN", "Kenya"]),
    (Id::KR, &["KOR", "South Korea", "Korea", "Republic of Korea"]),
    (Id::KW, &["KWT", "Kuwait"]),
    (Id::LI, &["LIE", "Liechtenstein"]),
    (Id::LT, &["LTU", "Lithuania", "Lietuva"]),
    (Id::LU, &["LUX", "Luxembourg", "Luxemburg", "Lëtzebuerg"]),
    (Id::LV, &["LVA", "Latvia", "Latvija"]),
    (Id::MA, &["MAR", "Morocco", "Maroc"]),
    (Id::MC, &["MCO", "Monaco"]),
    (Id::MO, &["MAC", "Macao", "Macau", "Macao SAR", "澳门"]),
    (Id::MT, &["MLT", "Malta"]),
    (Id::MX, &["MEX", "Mexico"]),
    (Id::MY, &["MYS", "Malaysia"]),
    (Id::NG, &["NGA", "Nigeria"]),
    (Id::NL, &["NLD", "Netherlands", "The Netherlands", "Nederland", "Holland"]),
    (Id::NO, &["NOR", "Norway", "Norge", "Noreg"]),
    (Id::NZ, &["NZL", "New Zealand", "Aotearoa"]),
    (Id::PA, &["PAN", "Panama"]),
    (Id::PE, &["PER", "Peru"]),
    (Id::PH, &["PHL", "Philippines", "The Philippines", "Pilipinas"]),
    (Id::PL, &["POL", "Poland", "Polska"]),
    (Id::PR, &["PRI", "Puerto Rico"]),
    (Id::PT, &["PRT", "Portugal"]),
    (Id::QA, &["QAT", "Qatar"]),
    (Id::RO, &["ROU", "Romania"]),
    (Id::SA, &["SAU", "Saudi Arabia"]),
    (Id::SE, &["SWE", "Sweden", "Sverige"]),
    (Id::SG, &["SGP", "Singapore", "新加坡"]),
    (Id::SI, &["SVN", "Slovenia", "Slovenija"]),
    (Id::SK, &["SVK", "Slovakia", "Slovak Republic", "Slovensko"]),
    (Id::TH, &["THA", "Thailand"]),
    (Id::TR, &["TUR", "Turkey", "Türkiye"]),
    (Id::TW, &["TWN", "Taiwan"]),
    (Id::UA, &["UKR", "Ukraine"]),
    (Id::US, &["USA", "United States", "United States of America", "Estados Unidos", "美国"]),
    (Id::UY, &["URY", "Uruguay"]),
    (Id::VN, &["VNM", "Vietnam"]),
    (Id::ZA, &["ZAF", "South Africa", "Suid-Afrika"]),
];

/// The country that `text` names or gives the code of, however it is capitalised and punctuated.
pub(crate) fn id(text: &str) -> Option<Id> {
    if text.chars().nth(MAX_CHARS).is_some() {
        return None;
    }
    let wanted = folded(text);
    // Two letters are a code only if they were written so; a Chinese character may transliterate to two letters.
    let code = clean(text).is_ascii().then(|| wanted.to_ascii_uppercase().parse().ok()).flatten();
    code.or_else(|| NAMES.iter().find(|(_, names)| names.iter().any(|name| folded(name) == wanted)).map(|(id, _)| *id))
}

/// The letters and digits of `text`, without accents and case.
fn folded(text: &str) -> String {
    ascii(text).chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use phonenumber::metadata::DATABASE;

    use super::*;

    fn code(text: &str) -> Option<String> {
        id(text).map(|id| id.as_ref().to_owned())
    }

    #[test]
    fn codes_and_names_are_understood() {
        for (text, expected) in [
            ("US", "US"),
            ("us ", "US"),
            ("U.S.A.", "US"),
            ("USA", "US"),
            ("United States", "US"),
            ("united states of america", "US"),
            ("美国", "US"),
            ("Deutschland", "DE"),
            ("Germany", "DE"),
            ("DEU", "DE"),
            ("Österreich", "AT"),
            ("OSTERREICH", "AT"),
            ("España", "ES"),
            ("France", "FR"),
            ("中国", "CN"),
            ("Nederland", "NL"),
            ("Italia", "IT"),
            ("Brasil", "BR"),
            ("Portugal", "PT"),
            ("UK", "GB"),
            ("台湾", "TW"),
            ("México", "MX"),
            ("\u{200f}Japan\n", "JP"),
            // Only by its code.
            ("LK", "LK"),
        ] {
            assert_eq!(code(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        let long = format!("US{}", " ".repeat(1000));
        for text in ["", " ", "U", "XX", "US2", "001", "Georgia", "Atlantis", "USAA", "德", "🇺🇸", long.as_str()]
        {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn every_name_means_one_country() {
        let mut seen: Vec<(String, Id)> = Vec::new();
        for (id, names) in NAMES {
            for name in names {
                let name = folded(name);
                assert!(name.len() > 2 || name == "uk", "{name} may be a code");
                assert!(!seen.iter().any(|(other, _)| *other == name), "{name} is there twice");
                seen.push((name, id));
            }
        }
    }

    #[test]
    fn every_code_has_a_numbering_plan() {
        for first in 'A'..='Z' {
            for second in 'A'..='Z' {
                if let Some(id) = id(&format!("{first}{second}")) {
                    assert!(DATABASE.by_id(id.as_ref()).is_some(), "{first}{second}");
                }
            }
        }
    }
}
