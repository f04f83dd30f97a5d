//! Why Entra gave no token, and what an operator can do about it.

use std::{fmt, time::Duration};

/// Entra gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Entra's own error numbers (`7000215` for AADSTS7000215): hints, since Microsoft changes them.
    pub codes: Vec<u32>,
    /// What Entra or the network said, of bounded length and without what was secret in the request. For a federated
    /// credential that does not match, Entra says here which issuer, subject or audience it saw.
    pub message: String,
    /// How long Entra asks to wait.
    pub retry_after: Option<Duration>,
}

/// Error numbers that pass, although the status is that of a refusal. 70021 is among them because a federated credential
/// is known everywhere only minutes after it was added, 90061 because Entra asks the token's issuer over the network.
const PASSING: [u32; 5] = [50_196, 90_006, 90_033, 90_061, 70_021];

/// Error numbers that say that the credential itself is not accepted.
const CREDENTIAL_REFUSED: [u32; 17] = [
    7_000_215, 7_000_222, 7_000_218, 700_027, 700_024, 50_027, 7_000_214, 1_000_502, 70_021, 700_211, 700_212, 700_213,
    7_002_121, 7_002_131, 7_000_272, 5_002_738, 90_061,
];

impl TokenError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.status {
            None => true,
            Some(status) => status == 429 || status >= 500 || self.is_one_of(&PASSING),
        }
    }

    /// Whether Entra did not accept the credential itself: with another one the same request may succeed.
    #[must_use]
    pub fn is_credential_refused(&self) -> bool {
        self.is_one_of(&CREDENTIAL_REFUSED)
    }

    /// The likeliest cause and what an operator can do about it, where the error number tells.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        self.codes.iter().find_map(|code| advice(*code))
    }

    fn is_one_of(&self, codes: &[u32]) -> bool {
        self.codes.iter().any(|code| codes.contains(code))
    }
}

fn advice(code: u32) -> Option<&'static str> {
    Some(match code {
        700_016 => {
            "ClientId is unknown in this tenant: check ClientId and TenantId, and that the tenant's administrator consented"
        }
        7_000_112 => {
            "the application is disabled in this tenant: enable it in Entra under Enterprise applications, Properties"
        }
        90_002 => "TenantId is unknown to Microsoft Entra: check it, and LoginEndpoint if this is a national cloud",
        90_038 | 900_382 | 900_432 => "this tenant is in another cloud: check LoginEndpoint and GraphEndpoint",
        7_000_215 => "ClientSecret is wrong: it must be the secret's value, not its ID",
        7_000_222 => "ClientSecret has expired: add a new one to the app registration and deploy it",
        7_000_218 => "the request held no credential: check GraphCredential, and ClientSecret if it is Secret",
        700_027 => {
            "the app registration does not have the certificate that signed the request: upload the current one under \
             Certificates & secrets, Certificates"
        }
        700_024 => {
            "the signed request was not valid at Entra's time, by a clock that is wrong or a token that is too old: ask again"
        }
        50_027 => "the signed request was meant for another address: check LoginEndpoint and TenantId",
        7_000_214 | 1_000_502 => {
            "the certificate is revoked or outside its validity: make a new one and upload it under Certificates & \
             secrets, Certificates"
        }
        70_021 => {
            "no federated credential of the app matches, or it was added a moment ago: wait ten minutes, then compare its \
             issuer, subject and audience with those of the token"
        }
        700_211 => {
            "no federated credential of the app has the token's issuer: set it to your AWS account's token issuer, letter \
             by letter as the message shows it"
        }
        700_213 => {
            "no federated credential of the app has the token's subject: set it to the renewer's role, letter by letter as \
             the message shows it"
        }
        7_002_121 | 700_212 => {
            "no federated credential of the app has the token's audience: set it to api://AzureADTokenExchange, or to that \
             of the national cloud of LoginEndpoint"
        }
        7_002_131 => {
            "the expression of the app's federated credential does not match the token: use an exact subject instead"
        }
        7_000_272 | 90_061 => {
            "Entra cannot read the key of the token's issuer: check that the federated credential's issuer is your AWS \
             account's, and ask again"
        }
        5_002_738 => "Entra does not know the token's signature algorithm: the token must be signed with RS256",
        70_011 | 700_022 | 1_002_012 => "the scope is not accepted: check GraphEndpoint",
        500_011 => "this tenant knows no Microsoft Graph at GraphEndpoint: check GraphEndpoint and LoginEndpoint",
        65_001 => "the app's permissions lack consent: an administrator of the tenant must grant it",
        53_003 => "a Conditional Access policy of the tenant blocks the app: exclude the app from it",
        530_032 => "a security policy of the tenant blocks the app: ask its administrator to allow the app",
        90_033 | 90_006 => "Microsoft Entra has a passing failure: nothing to do, the next run asks again",
        50_196 => "Microsoft Entra sees the same request too often: wait, the next run asks again",
        _ => return None,
    })
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Microsoft Entra gave no access token")?;
        if let Some(advice) = self.advice() {
            write!(f, ": {advice}")?;
        }
        match self.status {
            Some(status) => write!(f, " (status {status}: {})", self.message),
            None => write!(f, " ({})", self.message),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u32) -> TokenError {
        TokenError { status: Some(401), codes: vec![code], message: "as Entra says".to_owned(), retry_after: None }
    }

    #[test]
    fn each_number_has_its_advice() {
        for (codes, sign) in [
            (&[700_016][..], "ClientId"),
            (&[7_000_112], "Enterprise applications"),
            (&[90_002], "TenantId"),
            (&[90_038, 900_382, 900_432], "another cloud"),
            (&[7_000_215], "value, not its ID"),
            (&[7_000_222], "ClientSecret has expired"),
            (&[7_000_218], "GraphCredential"),
            (&[700_027], "upload the current one"),
            (&[700_024], "ask again"),
            (&[50_027], "LoginEndpoint"),
            (&[7_000_214, 1_000_502], "make a new one"),
            (&[70_021], "wait ten minutes"),
            (&[700_211], "issuer"),
            (&[700_213], "subject"),
            (&[7_002_121, 700_212], "api://AzureADTokenExchange"),
            (&[7_002_131], "expression"),
            (&[7_000_272, 90_061], "key of the token's issuer"),
            (&[5_002_738], "RS256"),
            (&[70_011, 700_022, 1_002_012, 500_011], "GraphEndpoint"),
            (&[65_001], "consent"),
            (&[53_003], "Conditional Access"),
            (&[530_032], "security policy"),
            (&[90_033, 90_006, 50_196], "the next run asks again"),
        ] {
            for code in codes {
                let advice = refused(*code).advice().unwrap_or_else(|| panic!("{code} has no advice"));
                assert!(advice.contains(sign), "{code}: {advice}");
                assert!(refused(*code).to_string().contains(advice), "{code}");
            }
        }
        assert_eq!(refused(1).advice(), None);
        assert_eq!(refused(1).to_string(), "Microsoft Entra gave no access token (status 401: as Entra says)");
    }

    #[test]
    fn what_entra_saw_stays_beside_the_advice() {
        for code in [700_211, 700_213, 7_002_121] {
            assert!(refused(code).to_string().contains("as Entra says"), "{code}");
        }
    }

    #[test]
    fn refused_credentials_are_told_from_other_refusals() {
        for code in [
            7_000_215, 7_000_222, 7_000_218, 700_027, 700_024, 50_027, 7_000_214, 1_000_502, 70_021, 700_211, 700_213,
            7_002_121, 7_002_131, 700_212, 7_000_272, 5_002_738, 90_061,
        ] {
            assert!(refused(code).is_credential_refused(), "{code}");
        }
        for code in [700_016, 7_000_112, 90_002, 900_382, 70_011, 500_011, 65_001, 53_003, 90_033, 50_196] {
            assert!(!refused(code).is_credential_refused(), "{code}");
        }
    }

    #[test]
    fn what_passes_is_retryable() {
        for (status, code, retryable) in [
            (None, 0, true),
            (Some(503), 0, true),
            (Some(429), 0, true),
            (Some(400), 90_033, true),
            (Some(400), 90_006, true),
            (Some(400), 50_196, true),
            (Some(400), 70_021, true),
            (Some(400), 90_061, true),
            (Some(401), 700_213, false),
            (Some(401), 7_000_215, false),
            (Some(400), 90_002, false),
        ] {
            let error = TokenError { status, ..refused(code) };
            assert_eq!(error.is_retryable(), retryable, "{error:?}");
        }
    }
}
