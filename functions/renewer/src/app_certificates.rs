//! The certificates by which the app signs in to Entra, where the parameter `GraphCredential` is `Certificate`: their keys are
//! made here and leave this function only for AWS Secrets Manager; an operator uploads the public halves to Entra.
//!
//! ```json
//! {"version": 1, "certificates": [{"certificate": "…", "privateKey": "…", "createdAt": "…"}]}
//! ```

use graph_notifications::KeyPair;
use graph_subscriptions::{ClientCertificate, Credential};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ports::{WRITES, World};

/// How long a certificate is valid.
const VALIDITY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How long before the end of one the next is made: the time that an operator has to upload it.
const OVERLAP: SignedDuration = SignedDuration::from_hours(60 * 24);

/// A certificate is valid from a day ago, for clocks that lag.
const LAG: SignedDuration = SignedDuration::from_hours(24);

const VERSION: u32 = 1;

/// The app's certificates, the oldest first.
#[derive(Debug, Default)]
pub struct AppCertificates {
    /// Each with its key. There is more than one while the next waits to be uploaded.
    pub certificates: Vec<AppCertificate>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct AppCertificate {
    /// The certificate and its key.
    pub pair: KeyPair,
    /// When it was made.
    pub created_at: Timestamp,
}

impl AppCertificate {
    /// Whether it can still be used.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.pair.not_after().is_some_and(|end| end > now)
    }
}

impl AppCertificates {
    /// Reads them; none if none were made yet.
    ///
    /// # Errors
    /// With a sentence, if they cannot be read.
    pub async fn read(world: &impl World, secret_id: &str) -> Result<Self, String> {
        Self::read_version(world, secret_id).await.map(|(all, _)| all)
    }

    async fn read_version(world: &impl World, secret_id: &str) -> Result<(Self, Option<String>), String> {
        match world.read(secret_id).await {
            Err(error) => Err(format!("the app's certificates cannot be read from the secret {secret_id}: {error}")),
            Ok(None) => Ok((Self::default(), None)),
            Ok(Some(stored)) if stored.text().is_none() => Ok((Self::default(), Some(stored.version))),
            Ok(Some(stored)) => match Self::from_json(&stored.value) {
                Some(all) => Ok((all, Some(stored.version))),
                None => {
                    Err(format!("the secret {secret_id} holds no certificates that can be used and was left as it is"))
                }
            },
        }
    }

    /// Reads them, makes the first one or the next one if it is time, drops those that have ended, and stores the change.
    /// Says whether one was made.
    ///
    /// # Errors
    /// With a sentence, if they cannot be read, made or stored.
    pub async fn prepare(world: &impl World, secret_id: &str) -> Result<(Self, bool), String> {
        for _ in 0..WRITES {
            if let Some(prepared) = Self::try_to_prepare(world, secret_id).await? {
                return Ok(prepared);
            }
        }
        Err(format!("the secret {secret_id} was changed by another run each time it was to be written"))
    }

    /// As [`prepare`](Self::prepare); `None` if another run has written since they were read.
    async fn try_to_prepare(world: &impl World, secret_id: &str) -> Result<Option<(Self, bool)>, String> {
        let (mut all, version) = Self::read_version(world, secret_id).await?;
        let now = world.now();
        let before = all.certificates.len();
        all.certificates.retain(|one| one.is_valid(now));
        let lasting = |one: &AppCertificate| one.pair.not_after().is_some_and(|end| end > now + OVERLAP);
        let made = !all.certificates.iter().any(lasting);
        if made {
            let pair =
                world.key_pair(now - LAG, now + VALIDITY).map_err(|error| format!("no keys can be made: {error}"))?;
            all.certificates.push(AppCertificate { pair, created_at: now });
        }
        if made || all.certificates.len() != before {
            let text =
                all.to_json().map_err(|error| format!("the app's certificates cannot be written out: {error}"))?;
            let replaced = world.replace(secret_id, version.as_deref(), &text).await;
            let replaced = replaced.map_err(|error| {
                format!("the app's certificates cannot be stored in the secret {secret_id}: {error}")
            })?;
            if !replaced {
                return Ok(None);
            }
        }
        Ok(Some((all, made)))
    }

    /// What to sign in with, the newest first: as soon as it is uploaded it is used, and until then the one before it.
    ///
    /// # Errors
    /// With a sentence, if there is none.
    pub fn credentials(&self, now: Timestamp) -> Result<Vec<Credential>, String> {
        let usable = self.certificates.iter().rev().filter(|one| one.is_valid(now));
        let credentials: Vec<_> = usable.filter_map(|one| credential(&one.pair)).collect();
        if credentials.is_empty() {
            return Err("the app has no certificate yet; the next run makes one".to_owned());
        }
        Ok(credentials)
    }

    fn from_json(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        if stored.version != VERSION {
            return None;
        }
        let certificates = stored.certificates.iter().map(|one| {
            let pair = KeyPair::from_base64(&one.certificate, &one.private_key).ok()?;
            Some(AppCertificate { pair, created_at: one.created_at })
        });
        certificates.collect::<Option<_>>().map(|certificates| Self { certificates })
    }

    fn to_json(&self) -> Result<Zeroizing<String>, String> {
        let certificates = self.certificates.iter().map(|one| {
            Ok::<_, String>(StoredCertificate {
                certificate: one.pair.certificate_base64().map_err(|error| error.to_string())?,
                private_key: one.pair.private_key_base64().map_err(|error| error.to_string())?,
                created_at: one.created_at,
            })
        });
        let stored = Stored { version: VERSION, certificates: certificates.collect::<Result<_, _>>()? };
        serde_json::to_string(&stored).map(Zeroizing::new).map_err(|error| error.to_string())
    }
}

fn credential(pair: &KeyPair) -> Option<Credential> {
    let (certificate, key) = (pair.certificate_base64().ok()?, pair.private_key_base64().ok()?);
    ClientCertificate::from_base64(&certificate, &key).ok().map(Credential::Certificate)
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    certificates: Vec<StoredCertificate>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredCertificate {
    certificate: String,
    private_key: Zeroizing<String>,
    created_at: Timestamp,
}
