//! What the tests need of the other side: keys, tokens and sealed content.

use std::sync::LazyLock;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use openssl::{
    encrypt::Encrypter,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::{Padding, Rsa},
    sign::Signer,
    symm::{Cipher, encrypt},
    x509::X509,
};
use serde_json::{Value, json};

use crate::{
    certificate::{KeyPair, KeySize},
    client_state::{ClientState, StoredClientState},
    envelope::EncryptedContent,
    keyring::{Keyring, StoredKeyPair},
    signing_keys::{SigningKey, SigningKeys},
    validation_token::PUBLISHER,
};

pub(crate) const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);
pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const OTHER_TENANT: &str = "aaaaaaaa-2222-3333-4444-555555555555";
pub(crate) const CLIENT: &str = "cccccccc-2222-3333-4444-555555555555";
pub(crate) const STS: &str = "https://sts.windows.net";
pub(crate) const LOGIN: &str = "https://login.microsoftonline.com";
pub(crate) const CLIENT_STATE: &str = "a client state, as long as they are, ......";
pub(crate) const OLD_CLIENT_STATE: &str = "the client state that was in use before....";

/// Key pairs are dear to make: two serve all tests.
pub(crate) fn key_pair(index: usize) -> &'static KeyPair {
    static PAIRS: LazyLock<[KeyPair; 2]> = LazyLock::new(|| {
        let end = Timestamp::constant(1_827_072_000, 0);
        [(); 2].map(|()| KeyPair::generate(KeySize::Rsa2048, NOW, end).unwrap())
    });
    &PAIRS[index]
}

pub(crate) fn keyring() -> Keyring {
    let key = |index: usize| StoredKeyPair {
        certificate_id: format!("key-{index}"),
        pair: key_pair(index).clone(),
        created_at: NOW,
        retired_at: None,
        revoked_at: None,
    };
    Keyring {
        keys: vec![key(0), key(1)],
        client_state_keys: Vec::new(),
        client_states: client_states(),
        signing_keys: None,
    }
}

pub(crate) fn client_states() -> Vec<StoredClientState> {
    [OLD_CLIENT_STATE, CLIENT_STATE]
        .map(|value| StoredClientState {
            id: value[..3].to_owned(),
            value: ClientState::from(value.to_owned()),
            created_at: NOW,
            retired_at: None,
        })
        .into()
}

/// Sets the members of `changes` in `value`; a null removes one.
pub(crate) fn merge(value: &mut Value, changes: Value) {
    let (Value::Object(members), Value::Object(changes)) = (value, changes) else { panic!("objects") };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, change);
        }
    }
}

pub(crate) fn v1_claims(tenant: &str) -> Value {
    json!({"ver": "1.0", "tid": tenant, "iss": format!("https://sts.windows.net/{tenant}/"), "aud": CLIENT,
        "appid": PUBLISHER, "iat": NOW.as_second(), "nbf": NOW.as_second(), "exp": NOW.as_second() + 86_400})
}

pub(crate) fn v2_claims(tenant: &str) -> Value {
    json!({"ver": "2.0", "tid": tenant, "iss": format!("{LOGIN}/{tenant}/v2.0"), "aud": CLIENT,
        "azp": PUBLISHER, "iat": NOW.as_second(), "nbf": NOW.as_second(), "exp": NOW.as_second() + 86_400})
}

/// Signs as Entra does. All signers call their key `key`.
pub(crate) struct TokenSigner(&'static PKey<Private>);

impl TokenSigner {
    pub(crate) fn new(index: usize) -> Self {
        static KEYS: LazyLock<[PKey<Private>; 2]> =
            LazyLock::new(|| [(); 2].map(|()| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()));
        Self(&KEYS[index])
    }

    pub(crate) fn keys(&self) -> SigningKeys {
        let rsa = self.0.rsa().unwrap();
        let text = |number: &openssl::bn::BigNumRef| BASE64_URL_SAFE_NO_PAD.encode(number.to_vec());
        let key = SigningKey {
            kid: "key".into(),
            n: text(rsa.n()),
            e: text(rsa.e()),
            issuer: Some(format!("{LOGIN}/{{tenantid}}/v2.0")),
        };
        SigningKeys { fetched_at: NOW, keys: vec![key] }
    }

    pub(crate) fn token(&self, mut claims: Value, changes: Value) -> String {
        merge(&mut claims, changes);
        self.sign(&json!({"alg": "RS256", "typ": "JWT", "kid": "key"}), &claims)
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signer = Signer::new(MessageDigest::sha256(), self.0).unwrap();
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Seals a resource as Graph does, or wrongly in one respect.
pub(crate) struct Sealer {
    pub(crate) pair: usize,
    pub(crate) certificate_id: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) padding: Padding,
    pub(crate) digest: MessageDigest,
}

impl Default for Sealer {
    fn default() -> Self {
        Self {
            pair: 0,
            certificate_id: "key-0",
            key: (100..132).collect(),
            padding: Padding::PKCS1_OAEP,
            digest: MessageDigest::sha1(),
        }
    }
}

impl Sealer {
    pub(crate) fn seal(&self, resource: &[u8]) -> EncryptedContent {
        let data = encrypt(Cipher::aes_256_cbc(), &self.key, Some(&self.key[..16]), resource).unwrap();
        EncryptedContent {
            data_signature: self.sign(&data),
            data: BASE64_STANDARD.encode(&data),
            data_key: self.wrapped_key(),
            certificate_id: Some(self.certificate_id.into()),
            thumbprint: Some(key_pair(self.pair).thumbprint().into()),
        }
    }

    pub(crate) fn sign(&self, data: &[u8]) -> String {
        let key = PKey::hmac(&self.key).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        BASE64_STANDARD.encode(signer.sign_oneshot_to_vec(data).unwrap())
    }

    pub(crate) fn wrapped_key(&self) -> String {
        let certificate = BASE64_STANDARD.decode(key_pair(self.pair).certificate_base64().unwrap()).unwrap();
        let public_key = X509::from_der(&certificate).unwrap().public_key().unwrap();
        let mut encrypter = Encrypter::new(&public_key).unwrap();
        encrypter.set_rsa_padding(self.padding).unwrap();
        if self.padding == Padding::PKCS1_OAEP {
            encrypter.set_rsa_oaep_md(self.digest).unwrap();
            encrypter.set_rsa_mgf1_md(self.digest).unwrap();
        }
        let mut wrapped = vec![0; encrypter.encrypt_len(&self.key).unwrap()];
        let length = encrypter.encrypt(&self.key, &mut wrapped).unwrap();
        BASE64_STANDARD.encode(&wrapped[..length])
    }
}
