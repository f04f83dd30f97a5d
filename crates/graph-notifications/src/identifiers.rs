//! The names by which Microsoft knows organisations, applications and emergency calling policies.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A Microsoft Entra tenant: the organisation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Uuid);

/// An application (client) ID: the app registration that owns the subscriptions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Uuid);

/// The text is not a GUID in its usual form of 8-4-4-4-12 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID such as 11111111-2222-3333-4444-555555555555")]
pub struct NotAGuid;

macro_rules! guid {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = NotAGuid;

            fn from_str(text: &str) -> Result<Self, NotAGuid> {
                // The hyphenated form only: `Uuid` also takes braces, URNs and bare digits, which Microsoft never sends.
                if text.len() != 36 {
                    return Err(NotAGuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAGuid)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAGuid;

            fn try_from(text: String) -> Result<Self, NotAGuid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

guid!(TenantId);
guid!(ClientId);

/// The name of a Teams emergency calling policy, as in the Teams admin centre: `Global`, `Headquarters`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(String);

/// The text cannot be a policy's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a policy name: it must have 1 to 128 characters and no control characters")]
pub struct NotAPolicyName;

impl PolicyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = NotAPolicyName;

    fn from_str(text: &str) -> Result<Self, NotAPolicyName> {
        let length = text.chars().count();
        if length == 0 || length > 128 || text.chars().any(char::is_control) {
            return Err(NotAPolicyName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PolicyName {
    type Error = NotAPolicyName;

    fn try_from(text: String) -> Result<Self, NotAPolicyName> {
        text.parse()
    }
}

impl From<PolicyName> for String {
    fn from(name: PolicyName) -> String {
        name.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An emergency calling policy of one tenant: what one subscription watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Policy {
    /// The tenant that the policy belongs to.
    pub tenant: TenantId,
    /// The policy's name in that tenant.
    pub name: PolicyName,
}

impl Policy {
    /// The resource path to subscribe to, as in Microsoft's "Get change notifications for emergency calls". A quote in
    /// the name is doubled, as `OData` wants it.
    #[must_use]
    pub fn resource(&self) -> String {
        let name = self.name.as_str().replace('\'', "''");
        format!("communications/calls/getEmergencyEventsByPolicy(policyName='{name}')")
    }

    /// Whether it is the policy of this tenant and name. Teams takes names in any case, so a difference in case is none here.
    #[must_use]
    pub fn is(&self, tenant: TenantId, name: &PolicyName) -> bool {
        self.tenant == tenant && self.name.as_str().to_lowercase() == name.as_str().to_lowercase()
    }

    /// The name of the policy that a resource path speaks of; `None` if it is the path of something else.
    ///
    /// Read tolerantly, since the path decides nothing: in any case, with an address or slashes before it and more path
    /// behind it, percent-encoded or not.
    #[must_use]
    pub fn name_in_resource(resource: &str) -> Option<PolicyName> {
        name_in_path(resource).or_else(|| name_in_path(&percent_decoded(resource)?))
    }
}

fn name_in_path(path: &str) -> Option<PolicyName> {
    const FUNCTION: &str = "getemergencyeventsbypolicy(";
    // In ASCII lower case every character keeps its place.
    let arguments = path.to_ascii_lowercase().find(FUNCTION)? + FUNCTION.len();
    let (parameter, value) = path[arguments..].split_once('=')?;
    if !parameter.trim().eq_ignore_ascii_case("policyName") {
        return None;
    }
    let quoted = value.trim_start().strip_prefix('\'')?;
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, behind) = rest.split_once('\'')?;
        name.push_str(part);
        // A doubled quote is one quote of the name; a single one ends it.
        match behind.strip_prefix('\'') {
            Some(more) => {
                name.push('\'');
                rest = more;
            }
            None if behind.trim_start().starts_with(')') => return name.parse().ok(),
            None => return None,
        }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    // The form's rules, but for `+`, which is no space in a path.
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let (decoded, _) = form_urlencoded::parse(text.as_bytes()).next()?;
    Some(decoded.into_owned())
}

/// The policies that this installation watches: never empty, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies(Vec<Policy>);

/// The list of policy names cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoliciesError {
    /// No name in the list.
    #[error("it names no policy")]
    Empty,
    /// An entry is no policy name.
    #[error("'{0}' is {1}")]
    Name(String, NotAPolicyName),
    /// What stands before the slash is no tenant.
    #[error("'{0}' does not begin with a tenant's GUID: what stands before the slash is {1}")]
    Tenant(String, NotAGuid),
}

impl Policies {
    /// Reads a comma-delimited list of names. `Headquarters` is a policy of the `home` tenant;
    /// `11111111-2222-3333-4444-555555555555/Headquarters` one of another tenant.
    ///
    /// # Errors
    /// If the list is empty, or an entry is neither of the two.
    pub fn parse(list: &str, home: TenantId) -> Result<Self, PoliciesError> {
        let mut policies = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let policy = parse_policy(entry, home)?;
            // A name in two spellings is one policy, and can have one subscription only.
            if !policies.iter().any(|known: &Policy| known.is(policy.tenant, &policy.name)) {
                policies.push(policy);
            }
        }
        if policies.is_empty() {
            return Err(PoliciesError::Empty);
        }
        Ok(Self(policies))
    }

    /// The policies, in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.iter()
    }

    /// Whether any policy of this tenant is watched.
    #[must_use]
    pub fn include_tenant(&self, tenant: TenantId) -> bool {
        self.0.iter().any(|policy| policy.tenant == tenant)
    }

    /// The watched policy of this tenant and name, in any case.
    #[must_use]
    pub fn find(&self, tenant: TenantId, name: &PolicyName) -> Option<&Policy> {
        self.0.iter().find(|policy| policy.is(tenant, name))
    }

    /// The tenants, each once, in the order in which they were named.
    #[must_use]
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants = Vec::new();
        for policy in &self.0 {
            if !tenants.contains(&policy.tenant) {
                tenants.push(policy.tenant);
            }
        }
        tenants
    }
}

fn parse_policy(entry: &str, home: TenantId) -> Result<Policy, PoliciesError> {
    let (tenant, name) = match entry.split_once('/') {
        None => (home, entry),
        Some((tenant, name)) => {
            let tenant = tenant.trim().parse().map_err(|error| PoliciesError::Tenant(entry.to_owned(), error))?;
            (tenant, name.trim())
        }
    };
    let name = name.parse().map_err(|error| PoliciesError::Name(entry.to_owned(), error))?;
    Ok(Policy { tenant, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER: &str = "AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee";

    fn policy(tenant: &str, name: &str) -> Policy {
        Policy { tenant: tenant.parse().unwrap(), name: name.parse().unwrap() }
    }

    #[test]
    fn a_policy_name_has_1_to_128_characters_without_control_characters() {
        for good in ["é".repeat(128), " ".to_owned(), "Head office / 2".to_owned()] {
            let name: PolicyName = good.parse().unwrap();
            assert_eq!((name.to_string(), format!("{name:?}")), (good.clone(), format!("{good:?}")));
            assert_eq!(String::from(name), good);
        }
        for bad in [String::new(), "é".repeat(129), "é".repeat(200), "a\tb".to_owned()] {
            assert_eq!(bad.parse::<PolicyName>(), Err(NotAPolicyName), "{bad}");
        }
    }

    #[test]
    fn a_guid_is_read_in_any_case_and_written_in_lower_case() {
        let tenant: TenantId = OTHER.parse().unwrap();
        assert_eq!(tenant.to_string(), OTHER.to_lowercase());
    }

    #[test]
    fn only_the_hyphenated_form_is_a_guid() {
        for text in ["", "common", "{11111111-2222-3333-4444-555555555555}", "11111111222233334444555555555555"] {
            assert_eq!(text.parse::<TenantId>(), Err(NotAGuid), "{text}");
        }
        assert_eq!("1111111-22222-3333-4444-555555555555".parse::<ClientId>(), Err(NotAGuid));
    }

    #[test]
    fn a_resource_path_names_its_policy() {
        for name in ["Global", "Head Office", "O'Hare", "''", "a,b/c", "a+b", "a=b&c", "50%", "総務"] {
            let policy = policy(HOME, name);
            assert_eq!(Policy::name_in_resource(&policy.resource()), Some(policy.name.clone()), "{name}");
            let encoded = policy.resource().bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
            for spelling in [
                format!("/{}", policy.resource()),
                format!("https://graph.microsoft.com/v1.0/{}", policy.resource()),
                policy.resource().replace("getEmergency", "GETEMERGENCY").replace("policyName", "PolicyName"),
                policy.resource().replace("policyName=", " policyName = "),
                format!("{}/events('1')", policy.resource()),
                policy.resource().replace('\'', "%27"),
                encoded,
            ] {
                assert_eq!(Policy::name_in_resource(&spelling), Some(policy.name.clone()), "{spelling}");
            }
        }
        assert_eq!(
            policy(HOME, "O'Hare").resource(),
            "communications/calls/getEmergencyEventsByPolicy(policyName='O''Hare')"
        );
    }

    #[test]
    fn other_resource_paths_name_no_policy() {
        for resource in [
            "",
            "users/1/messages",
            "communications/calls/getEmergencyEventsByPolicy(policyName='')",
            "communications/calls/getEmergencyEventsByPolicy(policyName='a'b')",
            "communications/calls/getEmergencyEventsByPolicy(policyName='a\u{0}b')",
            "communications/calls/getEmergencyEventsByPolicy(policyName='a'",
            "communications/calls/getEmergencyEventsByPolicy(other='a')",
            "communications/calls('8d7c')",
            "communications/calls/getEmergencyEventsByPolicy(policyName=\u{30fb}\u{30fb}\u{30fb}')",
        ] {
            assert_eq!(Policy::name_in_resource(resource), None, "{resource}");
        }
    }

    #[test]
    fn a_list_names_policies_of_the_home_tenant_and_of_others() {
        let home = HOME.parse().unwrap();
        let policies = Policies::parse(&format!(" Global, {OTHER}/Site 1,Global,GLOBAL,"), home).unwrap();
        let expected = [policy(HOME, "Global"), policy(OTHER, "Site 1")];
        assert_eq!(policies.iter().cloned().collect::<Vec<_>>(), expected);
        assert_eq!(policies.tenants(), [home, OTHER.parse().unwrap()]);
        let global = "GLOBAL".parse().unwrap();
        assert_eq!(policies.find(home, &global), Some(&policy(HOME, "Global")));
        assert_eq!(policies.find(OTHER.parse().unwrap(), &global), None);
    }

    #[test]
    fn a_bad_list_says_which_entry_is_wrong() {
        let home = HOME.parse().unwrap();
        assert_eq!(Policies::parse(" ,", home), Err(PoliciesError::Empty));
        let message = Policies::parse("Global,contoso/Site", home).unwrap_err().to_string();
        assert!(message.contains("'contoso/Site'") && message.contains("GUID"), "{message}");
        assert!(matches!(Policies::parse("a\u{7}", home), Err(PoliciesError::Name(..))));
    }
}
