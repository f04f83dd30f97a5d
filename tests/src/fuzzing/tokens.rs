//! Validation tokens.

use std::{collections::BTreeSet, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use graph_notifications::{CheckedToken, ClientId, Policies, SigningKeys, validation_token::Requirements};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::{
    forgeries::{
        case::{Body, Group},
        target::{CLIENT, HAPPENED_AT, LOGIN_ENDPOINT, OTHER_POLICY, OTHER_TENANT, POLICY, TENANT, Target},
    },
    simulator::tokens::PUBLISHER,
};

/// The tokens of the corpus's genuine notifications: all that Entra signed.
static GENUINE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let group: Group = serde_json::from_str(include_str!("../../forgeries/genuine.json")).expect("a group");
    let tokens = group.cases.into_iter().filter_map(|case| {
        let Body::Text(body) = case.request.body else { return None };
        let body: Value = serde_json::from_str(&body).ok()?;
        serde_json::from_value::<Vec<String>>(body["validationTokens"].clone()).ok()
    });
    tokens.flatten().collect()
});

/// What each token is checked against.
struct Checks {
    client_id: ClientId,
    policies: Policies,
    keys: SigningKeys,
    now: Timestamp,
}

static CHECKS: LazyLock<Checks> = LazyLock::new(|| {
    let now = HAPPENED_AT.parse().expect("a time");
    let jwks = Target::new(LOGIN_ENDPOINT).signing_keys().to_string();
    let policies = format!("{POLICY},{OTHER_TENANT}/{OTHER_POLICY}");
    Checks {
        client_id: CLIENT.parse().expect("a GUID"),
        policies: Policies::parse(&policies, TENANT.parse().expect("a GUID")).expect("policies"),
        keys: SigningKeys::from_jwks(jwks.as_bytes(), now).expect("keys"),
        now,
    }
});

impl Checks {
    fn check(&self, token: &str) -> Option<CheckedToken> {
        let requirements = Requirements {
            client_id: self.client_id,
            policies: &self.policies,
            login_endpoint: LOGIN_ENDPOINT,
            v1_issuers: "https://sts.windows.net",
            now: self.now,
        };
        CheckedToken::check(token, &requirements).ok()
    }
}

/// The input is a token. None is valid but those that Entra signed.
///
/// # Panics
/// If that is not so.
pub fn validation_token(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else { return };
    let valid = CHECKS.check(token).is_some_and(|checked| checked.verify(&CHECKS.keys, &CHECKS.policies).is_ok());
    assert_eq!(valid, GENUINE.contains(token), "{token}");
}

/// The input is a token's claims. Only if they say what they must does it come to the signature.
///
/// # Panics
/// If claims pass that an independent reading of the rules does not let pass, or, where each member has its type and stands
/// there once, the other way round.
pub fn token_claims(data: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Value>(data) else {
        // A number or an escape that no value holds is JSON all the same, and may stand where nobody reads it.
        let is_json = std::str::from_utf8(data).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        assert!(is_json || tenant_of_checked(data).is_none(), "what is not JSON passes");
        return;
    };
    if let Some(tenant) = tenant_of_checked(data) {
        assert_eq!(Some(tenant), tenant_of_good_claims(&claims));
    }
    let typed = |(name, value): &(&String, &Value)| match name.as_str() {
        "exp" | "nbf" => value.is_i64(),
        _ => value.is_string(),
    };
    let members = claims.as_object().into_iter().flatten().filter(typed);
    let typed = Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>());
    let text = typed.to_string();
    // With its header and in base64, a token of the greatest length that is read holds no more.
    if text.len() < 12_000 {
        assert_eq!(tenant_of_checked(text.as_bytes()), tenant_of_good_claims(&typed));
    }
}

/// The tenant that a token with these claims may vouch for once its signature is verified.
fn tenant_of_checked(claims: &[u8]) -> Option<String> {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"RS256","kid":"a-key"}"#);
    let checked = CHECKS.check(&format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(claims)))?;
    Some(checked.tenant().to_string())
}

/// The same by an independent reading of "Set up change notifications that include resource data" and "Access tokens in
/// the Microsoft identity platform".
fn tenant_of_good_claims(claims: &Value) -> Option<String> {
    let text = |name: &str| claims.get(name)?.as_str();
    let tenant = text("tid")?;
    let known = [TENANT, OTHER_TENANT].into_iter().find(|known| known.eq_ignore_ascii_case(tenant))?;
    let (issuer, publisher) = match text("ver")? {
        "1.0" => (format!("https://sts.windows.net/{known}/"), text("appid")?),
        "2.0" => (format!("{LOGIN_ENDPOINT}/{known}/v2.0"), text("azp")?),
        _ => return None,
    };
    let now = CHECKS.now.as_second();
    let ends = claims.get("exp")?.as_i64()?;
    let begins = claims.get("nbf")?.as_i64()?;
    let in_time = ends.saturating_add(300) > now && begins.saturating_sub(300) <= now;
    (text("iss")? == issuer && text("aud")? == CLIENT && publisher == PUBLISHER && in_time).then(|| known.to_owned())
}
