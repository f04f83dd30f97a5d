//! The keyring as it is stored.

use graph_notifications::Keyring;

/// The input is a stored keyring. What is read as one is the same when it is written and read again, and an error or the
/// form for debugging repeats nothing that is secret.
///
/// # Panics
/// If that is not so.
pub fn keyring(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let keyring = match Keyring::from_json(text) {
        Ok(keyring) => keyring,
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 200 && said.is_ascii(), "{said}");
            return;
        }
    };
    let written = keyring.to_json().expect("OpenSSL writes what it has read");
    let again = Keyring::from_json(&written).expect("what was written is read");
    assert_eq!(*again.to_json().expect("OpenSSL writes what it has read"), *written);
    assert_eq!(again.keys.len(), keyring.keys.len());
    assert_eq!(again.signing_keys, keyring.signing_keys);
    let names = |keyring: &Keyring| keyring.keys.iter().map(|key| key.certificate_id.clone()).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&keyring));
    assert_eq!(
        again.current_key().map(|key| &key.certificate_id),
        keyring.current_key().map(|key| &key.certificate_id)
    );
    for (again, state) in again.client_states.iter().zip(&keyring.client_states) {
        assert!(again.value.matches(state.value.expose()));
    }
    let shown = format!("{keyring:?}");
    for key in &keyring.keys {
        let private_key = key.pair.private_key_base64().expect("OpenSSL writes what it has read");
        assert!(!shown.contains(private_key.as_str()), "a private key is shown");
    }
    for state in keyring.client_states.iter().map(|state| state.value.expose()).filter(|state| state.len() >= 40) {
        let named = |name: &str| name.contains(state);
        let elsewhere = keyring.client_states.iter().any(|other| named(&other.id))
            || keyring.keys.iter().any(|key| named(&key.certificate_id))
            || keyring
                .signing_keys
                .iter()
                .flat_map(|keys| &keys.keys)
                .any(|key| named(&key.kid) || key.issuer.as_deref().is_some_and(named));
        assert!(elsewhere || !shown.contains(state), "a client state is shown");
    }
}
