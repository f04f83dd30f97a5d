//! How notifications stray from Microsoft's pages, as public reports say that they do, and which proofs of the sender they
//! still hold.

use fastrand::Rng;
use serde_json::{Value, json};

/// Of a thousand items, how many are odd in some way that costs no proof.
const ODD: u32 = 150;
/// Of a thousand items, how many have no client state.
const WITHOUT_STATE: u32 = 10;
/// Of a thousand notifications, how many come without tokens.
const WITHOUT_TOKENS: u32 = 10;
/// Of a thousand notifications, how many come with more tokens than they need.
const WITH_MORE_TOKENS: u32 = 50;

/// What is odd about an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Nothing.
    #[default]
    None,
    /// It states its tenant as `organizationId` alone.
    OrganizationOnly,
    /// It states no tenant.
    NoTenant,
    /// Its `resource` is another path.
    OtherResource,
    /// It has no `resource`.
    NoResource,
    /// Its `changeType` is another one.
    OtherChange,
    /// It has no `changeType`.
    NoChange,
    /// It has no client state: one proof is missing.
    NoClientState,
}

impl Oddity {
    const HARMLESS: [Self; 6] = [
        Self::OrganizationOnly,
        Self::NoTenant,
        Self::OtherResource,
        Self::NoResource,
        Self::OtherChange,
        Self::NoChange,
    ];

    pub(super) fn draw(rng: &mut Rng) -> Self {
        match rng.u32(..1000) {
            draw if draw < WITHOUT_STATE => Self::NoClientState,
            draw if draw < WITHOUT_STATE + ODD => Self::HARMLESS[rng.usize(..Self::HARMLESS.len())],
            _ => Self::None,
        }
    }

    /// Makes an item odd.
    pub(super) fn apply(self, item: &mut Value) {
        let (absent, other) = match self {
            Self::None => return,
            Self::OrganizationOnly => (&["tenantId"][..], None),
            Self::NoTenant => (&["tenantId", "organizationId"][..], None),
            Self::OtherResource => (&[][..], Some(("resource", "communications/emergencyCalls"))),
            Self::NoResource => (&["resource"][..], None),
            Self::OtherChange => (&[][..], Some(("changeType", "created"))),
            Self::NoChange => (&["changeType"][..], None),
            Self::NoClientState => (&["clientState"][..], None),
        };
        let item = item.as_object_mut().expect("an item is an object");
        for name in absent {
            item.remove(*name);
        }
        if let Some((name, value)) = other {
            item.insert(name.to_owned(), json!(value));
        }
    }
}

/// The tokens of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tokens {
    /// One for each tenant of the items.
    Needed,
    /// One for each tenant of the application.
    OfAllTenants,
    /// Those that are needed behind one that Microsoft did not sign.
    BehindForged,
    /// None: one proof is missing.
    Missing,
}

impl Tokens {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        match rng.u32(..1000) {
            draw if draw < WITHOUT_TOKENS => Self::Missing,
            draw if draw < WITHOUT_TOKENS + WITH_MORE_TOKENS => {
                if rng.bool() {
                    Self::OfAllTenants
                } else {
                    Self::BehindForged
                }
            }
            _ => Self::Needed,
        }
    }

    /// Whether an item that comes with them holds both proofs.
    pub(super) fn prove(self, oddity: Oddity) -> bool {
        self != Self::Missing && oddity != Oddity::NoClientState
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oddity_changes_what_it_says_and_nothing_else() {
        let whole = json!({"tenantId": "t", "organizationId": "t", "resource": "r", "changeType": "updated", "clientState": "s"});
        for (oddity, left) in [
            (Oddity::None, whole.clone()),
            (
                Oddity::OrganizationOnly,
                json!({"organizationId": "t", "resource": "r", "changeType": "updated", "clientState": "s"}),
            ),
            (Oddity::NoTenant, json!({"resource": "r", "changeType": "updated", "clientState": "s"})),
            (
                Oddity::NoClientState,
                json!({"tenantId": "t", "organizationId": "t", "resource": "r", "changeType": "updated"}),
            ),
        ] {
            let mut item = whole.clone();
            oddity.apply(&mut item);
            assert_eq!(item, left, "{oddity:?}");
        }
    }

    #[test]
    fn all_of_them_are_drawn() {
        let mut rng = Rng::with_seed(1);
        let drawn: Vec<_> = (0..20_000).map(|_| (Oddity::draw(&mut rng), Tokens::draw(&mut rng))).collect();
        for oddity in [Oddity::None, Oddity::NoClientState].iter().chain(&Oddity::HARMLESS) {
            assert!(drawn.iter().any(|(drawn, _)| drawn == oddity), "{oddity:?}");
        }
        for tokens in [Tokens::Needed, Tokens::OfAllTenants, Tokens::BehindForged, Tokens::Missing] {
            assert!(drawn.iter().any(|(_, drawn)| *drawn == tokens), "{tokens:?}");
        }
    }
}
