//! One fault at a time is planted into what was seen, and must be found under its link, with its cause and with what to do. Then
//! whole checks, over surroundings that a test made.

use std::time::Duration;

use graph_subscriptions::{
    AllowedHosts, GraphEndpoint, GraphError, GraphErrorKind, ServicePrincipal, Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    check,
    fake::{self, Fake, NOW, OTHER, TENANT, config, config_with, record, subscription},
    judge::judge,
    look::look,
    report::CheckReport,
    seen::{
        CertificateSeen, Claims, CredentialSeen, EncryptionCertificate, Granted, Handshake, KeyName, KeyringSeen,
        KeyringUnseen, Seen, TenantSeen,
    },
};
use crate::finding::{Link, Row, State};
use crate::topics::Topic;
use crate::{
    config::Config,
    coverage::Coverage,
    ports::{Alarm, HandshakeAnswer, OutsideError, Subscribers},
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A chain in which all is well.
fn good() -> Seen {
    let key = |kid: &str| KeyName { kid: kid.to_owned(), n: "xw".to_owned() };
    let subscribers = |confirmed| Ok(Subscribers { confirmed, pending: 0 });
    let alarm = |name: &str| Alarm { name: name.to_owned(), state: "OK".to_owned(), description: "why".to_owned() };
    let keys = || vec![key("kid-1"), key("kid-2")];
    Seen {
        credential: CredentialSeen::Secret,
        tenants: vec![TenantSeen {
            tenant: TENANT.parse().unwrap(),
            answers: vec![Ok(granted())],
            settings: Some(Ok(ServicePrincipal { app_role_assignment_required: false, account_enabled: true })),
            subscriptions: Some(Ok(vec![subscription("s1", "Global"), subscription("s7", "Not ours to watch")])),
            signing_keys: vec![(TokenVersion::V2, Ok(keys())), (TokenVersion::V1, Ok(keys()))],
        }],
        keyring: Ok(KeyringSeen {
            current: Some("key-1".to_owned()),
            certificates: vec![certificate("key-0", DAY, -DAY), certificate("key-1", DAY, DAY * 600)],
            client_states: vec!["state-0".to_owned(), "state-1".to_owned()],
            signing_keys: Some((NOW - HOUR, vec![key("kid-0"), key("kid-1"), key("kid-2")])),
        }),
        records: Ok(vec![record(Some("s1"))]),
        handshake: Handshake {
            token: "Validation: a b".to_owned(),
            answer: Ok(HandshakeAnswer {
                status: 200,
                content_type: "text/plain; charset=utf-8".to_owned(),
                body: "Validation: a b".to_owned(),
            }),
        },
        topics: vec![
            (Topic::Alert, subscribers(3)),
            (Topic::Test, subscribers(2)),
            (Topic::Operations, subscribers(1)),
            (Topic::Chat, subscribers(1)),
            (Topic::SecondAlert, subscribers(2)),
        ],
        coverage: vec![(Topic::Alert, Ok(Coverage::Unfiltered)), (Topic::SecondAlert, Ok(Coverage::Unfiltered))],
        second_way: Some(Ok(Duration::from_millis(400))),
        alarms: Ok(vec![alarm("stack-A"), alarm("stack-B")]),
    }
}

fn granted() -> Granted {
    Granted { roles: Some(vec!["Other.Read.All".to_owned(), "CallEvents-Emergency.Read.All".to_owned()]) }
}

fn certificate(id: &str, age: SignedDuration, left: SignedDuration) -> EncryptionCertificate {
    EncryptionCertificate { id: id.to_owned(), created_at: NOW - age, ends_at: Some(NOW + left) }
}

fn entra_refuses(code: u32) -> TokenError {
    TokenError { status: Some(401), codes: vec![code], message: format!("AADSTS{code}: no"), retry_after: None }
}

fn graph_refuses(kind: GraphErrorKind, status: u16) -> GraphError {
    GraphError {
        kind,
        status: Some(status),
        code: None,
        message: "as Graph says".to_owned(),
        request_id: Some("r1".to_owned()),
        retry_after: None,
    }
}

fn down(service: &str) -> OutsideError {
    OutsideError(format!("{service}: AccessDenied: not authorized"))
}

/// All rows that are not as they should be, with a fault in the chain.
fn found_with(config: &Config, plant: impl FnOnce(&mut Seen)) -> Vec<Row> {
    let mut seen = good();
    plant(&mut seen);
    judge(&seen, config, NOW).into_iter().filter(|row| row.state != State::Ok).collect()
}

fn found(plant: impl FnOnce(&mut Seen)) -> Vec<Row> {
    found_with(&config("Global"), plant)
}

/// The fault is found under this link and nowhere else, and its finding and its step hold these words.
#[track_caller]
fn assert_found(link: Link, state: State, words: &[&str], plant: impl FnOnce(&mut Seen)) {
    assert_one(&found(plant), link, state, words);
}

#[track_caller]
fn assert_one(rows: &[Row], link: Link, state: State, words: &[&str]) {
    assert_eq!(rows.iter().map(|row| (row.link, row.state)).collect::<Vec<_>>(), [(link, state)], "{rows:#?}");
    assert_says(&rows[0], words);
}

#[track_caller]
fn assert_says(row: &Row, words: &[&str]) {
    let step = row.step.as_deref().expect("a fault has a step");
    for word in words {
        assert!(row.finding.contains(word) || step.contains(word), "'{word}' is not in {row:#?}");
    }
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(found(|_| {}), []);
    let rows = judge(&good(), &config("Global"), NOW);
    let links = [
        Link::Credential,
        Link::Roles,
        Link::AppSettings,
        Link::SigningKeys,
        Link::SigningKeys,
        Link::Keyring,
        Link::EncryptionCertificate,
        Link::StateTable,
        Link::Subscription,
        Link::Endpoint,
        Link::Topic,
        Link::Topic,
        Link::Topic,
        Link::Topic,
        Link::Topic,
        Link::SecondWay,
        Link::Alarm,
    ];
    assert_eq!(rows.iter().map(|row| row.link).collect::<Vec<_>>(), links);
    assert!(rows.iter().all(|row| row.step.is_none()));
}

// The app in Entra

/// What follows from having no token is unknown, and says where to begin.
#[track_caller]
fn assert_no_token(rows: &[Row], words: &[&str]) {
    let links: Vec<_> = rows.iter().map(|row| (row.link, row.state)).collect();
    let expected = [
        (Link::Credential, State::Failed),
        (Link::Roles, State::Unknown),
        (Link::AppSettings, State::Unknown),
        (Link::Subscription, State::Unknown),
    ];
    assert_eq!(links, expected, "{rows:#?}");
    assert_says(&rows[0], words);
    assert_says(&rows[3], &["credential first"]);
}

fn without_token(error: TokenError) -> impl FnOnce(&mut Seen) {
    |seen| {
        seen.tenants[0].answers = vec![Err(error)];
        (seen.tenants[0].settings, seen.tenants[0].subscriptions) = (None, None);
    }
}

#[test]
fn a_wrong_secret() {
    assert_no_token(
        &found(without_token(entra_refuses(7_000_215))),
        &["status 401", "AADSTS7000215", "ClientSecret is wrong", "not its ID"],
    );
}

#[test]
fn an_expired_secret() {
    assert_no_token(&found(without_token(entra_refuses(7_000_222))), &["ClientSecret has expired", "add a new one"]);
}

#[test]
fn a_refusal_with_an_unknown_number() {
    let rows = found(without_token(entra_refuses(123)));
    assert_no_token(&rows, &["https://login.microsoftonline.com/error?code=123"]);
}

#[test]
fn an_entra_that_is_ill() {
    let error = TokenError { status: Some(503), codes: vec![], message: "busy".to_owned(), retry_after: None };
    assert_no_token(&found(without_token(error)), &["status 503", "passing failure", "some minutes"]);
}

#[test]
fn an_entra_that_does_not_answer() {
    let error = TokenError { status: None, codes: vec![], message: "dns error".to_owned(), retry_after: None };
    assert_no_token(&found(without_token(error)), &["no answer (dns error)", "LoginEndpoint"]);
}

#[test]
fn no_credential_at_all() {
    for (kind, words) in [
        ("Secret", ["ClientSecret", "Value (not its ID)"]),
        ("Certificate", ["reconcile", "upload"]),
        ("Federated", ["enable-outbound-web-identity-federation", "sts:GetWebIdentityToken"]),
    ] {
        let rows = found_with(&config_with(kind, "Global"), |seen| {
            seen.credential = CredentialSeen::Missing("it is empty".to_owned());
            seen.tenants[0].answers = Vec::new();
            (seen.tenants[0].settings, seen.tenants[0].subscriptions) = (None, None);
        });
        assert_no_token(&rows, &["it is empty", words[0], words[1]]);
    }
}

#[test]
fn a_client_secret_of_which_nobody_knows_the_end() {
    let mut config = config("Global");
    for (end, words) in
        [(None, "Nobody has said"), (Some(NOW), "ended 0 min ago"), (Some(NOW - DAY * 3), "ended 3 days ago")]
    {
        config.client_secret_expires_at = end;
        let rows = found_with(&config, |_| ());
        assert_one(&rows, Link::Credential, State::Warning, &[words, "ClientSecretExpiresOn"]);
    }
    config.client_secret_expires_at = None;
    let rows = found_with(&config, |seen| seen.credential = CredentialSeen::Federated(Claims::default()));
    assert_eq!(rows, [], "it signs in without a secret");
}

#[test]
fn a_federated_credential_with_another_subject() {
    let rows = found_with(&config_with("Federated", "Global"), |seen| {
        seen.credential = CredentialSeen::Federated(Claims::default());
        without_token(entra_refuses(700_213))(seen);
    });
    assert_no_token(
        &rows,
        &["AADSTS700213", "No federated credential of the app has the token's subject", "letter by letter"],
    );
}

/// Certificates that end after these times, and what Entra answers to each.
fn certificates(all: &[(SignedDuration, Result<Granted, TokenError>)]) -> Seen {
    let mut seen = good();
    let one = |(index, (left, _)): (usize, &(SignedDuration, _))| CertificateSeen {
        thumbprint: format!("THUMB{index}"),
        ends_at: Some(NOW + *left),
        pem: String::new(),
    };
    seen.credential = CredentialSeen::Certificates(all.iter().enumerate().map(one).collect());
    seen.tenants[0].answers = all.iter().map(|(_, answer)| answer.clone()).collect();
    seen
}

#[track_caller]
fn assert_certificates(all: &[(SignedDuration, Result<Granted, TokenError>)], expected: &[(State, &[&str])]) {
    let rows = judge(&certificates(all), &config_with("Certificate", "Global"), NOW);
    let rows: Vec<_> = rows.into_iter().filter(|row| row.subject.starts_with("certificate THUMB")).collect();
    assert_eq!(rows.len(), expected.len(), "{rows:#?}");
    for (row, (state, words)) in rows.iter().zip(expected) {
        assert_eq!((row.link, row.state), (Link::Credential, *state), "{row:#?}");
        let text = format!("{} {}", row.finding, row.step.as_deref().unwrap_or_default());
        assert!(words.iter().all(|word| text.contains(word)), "{row:#?}");
    }
}

#[test]
fn a_certificate_that_entra_accepts() {
    assert_certificates(&[(DAY * 300, Ok(granted()))], &[(State::Ok, &["accepts it", "ends in 300 days"])]);
}

#[test]
fn a_certificate_that_was_not_uploaded() {
    let refused = || Err(entra_refuses(700_027));
    assert_certificates(&[(DAY * 300, refused())], &[(State::Failed, &["does not accept", "Upload", "Certificates"])]);
    // The one before it does the work until then, and its end is near.
    assert_certificates(
        &[(DAY * 365, refused()), (DAY * 50, Ok(granted()))],
        &[(State::Warning, &["does not accept", "Upload"]), (State::Warning, &["ends in 50 days"])],
    );
    assert_certificates(
        &[(DAY * 365, refused()), (DAY * 5, Ok(granted()))],
        &[(State::Warning, &["Upload"]), (State::Failed, &["ends in 5 days"])],
    );
}

#[test]
fn a_certificate_that_has_a_successor() {
    assert_certificates(
        &[(DAY * 365, Ok(granted())), (DAY * 5, Ok(granted()))],
        &[(State::Ok, &["accepts it"]), (State::Ok, &["A later one is accepted, too"])],
    );
}

#[test]
fn a_certificate_that_could_not_be_tried() {
    assert_certificates(
        &[(DAY * 365, Err(entra_refuses(700_016)))],
        &[(State::Unknown, &["cannot be seen", "credential first"])],
    );
    // Of two errors the one is told that another certificate would not mend.
    let seen = certificates(&[(DAY * 365, Err(entra_refuses(700_027))), (DAY, Err(entra_refuses(7_000_112)))]);
    let rows = judge(&seen, &config_with("Certificate", "Global"), NOW);
    assert!(rows[0].finding.contains("AADSTS7000112"), "{rows:#?}");
}

#[test]
fn a_missing_consent() {
    assert_found(
        Link::Roles,
        State::Failed,
        &["CallEvents-Emergency.Read.All", "administrator must grant admin consent"],
        |seen| seen.tenants[0].answers = vec![Ok(Granted { roles: Some(vec!["CallEvents.Read.All".to_owned()]) })],
    );
}

#[test]
fn a_token_that_cannot_be_read() {
    assert_found(Link::Roles, State::Unknown, &["cannot be read", "subscriptions"], |seen| {
        seen.tenants[0].answers = vec![Ok(Granted { roles: None })];
    });
}

#[test]
fn assignment_required() {
    assert_found(
        Link::AppSettings,
        State::Failed,
        &["without validation tokens", "Enterprise applications", "'Assignment required?'", "No"],
        |seen| {
            let settings = ServicePrincipal { app_role_assignment_required: true, account_enabled: true };
            seen.tenants[0].settings = Some(Ok(settings));
        },
    );
}

#[test]
fn a_disabled_app() {
    assert_found(Link::AppSettings, State::Failed, &["disabled", "Enabled for users to sign-in"], |seen| {
        let settings = ServicePrincipal { app_role_assignment_required: false, account_enabled: false };
        seen.tenants[0].settings = Some(Ok(settings));
    });
}

#[test]
fn settings_that_the_app_may_not_read() {
    let error = graph_refuses(GraphErrorKind::Forbidden, 403);
    assert_found(
        Link::AppSettings,
        State::Unknown,
        &["Application.Read.All", "Look by hand", "'Assignment required?' must be No"],
        |seen| seen.tenants[0].settings = Some(Err(error)),
    );
}

#[test]
fn an_app_that_the_tenant_does_not_have() {
    let error = graph_refuses(GraphErrorKind::NotFound, 404);
    assert_found(Link::AppSettings, State::Failed, &["no enterprise application", "ClientId", "consent"], |seen| {
        seen.tenants[0].settings = Some(Err(error));
    });
}

#[test]
fn settings_that_graph_cannot_say_now() {
    let error = graph_refuses(GraphErrorKind::Unavailable, 503);
    assert_found(Link::AppSettings, State::Unknown, &["not available", "check again", "Look by hand"], |seen| {
        seen.tenants[0].settings = Some(Err(error));
    });
}

// The keys

fn keyring(seen: &mut Seen) -> &mut KeyringSeen {
    seen.keyring.as_mut().unwrap()
}

#[test]
fn a_document_of_signing_keys_that_cannot_be_had() {
    assert_found(Link::SigningKeys, State::Warning, &["answered 500", "60 min", "LoginEndpoint"], |seen| {
        seen.tenants[0].signing_keys[1].1 = Err(SigningKeysError::Status(500));
    });
    let rows = found(|seen| seen.tenants[0].signing_keys[1].1 = Err(SigningKeysError::Unreadable));
    assert_eq!(rows[0].subject, format!("{TENANT} v1.0"));
}

#[test]
fn old_signing_keys() {
    for (age, fault) in [
        (24, None),
        (25, Some((State::Warning, "25 h ago"))),
        (48, Some((State::Warning, "2 days ago"))),
        (49, Some((State::Failed, "2 days ago"))),
    ] {
        let rows = found(|seen| {
            keyring(seen).signing_keys.as_mut().unwrap().0 = NOW - HOUR * age;
            seen.tenants[0].signing_keys.truncate(1);
        });
        match fault {
            Some((state, word)) => assert_one(&rows, Link::SigningKeys, state, &[word, "reconcile"]),
            None => assert_eq!(rows, []),
        }
    }
}

#[test]
fn a_signing_key_that_the_keyring_lacks() {
    for lacking in [
        KeyName { kid: "kid-9".to_owned(), n: "xw".to_owned() },
        KeyName { kid: "kid-1".to_owned(), n: "yw".to_owned() },
    ] {
        assert_found(Link::SigningKeys, State::Warning, &["lacks 1 of 3", "reconcile"], |seen| {
            seen.tenants[0].signing_keys[0].1.as_mut().unwrap().push(lacking);
        });
    }
}

#[test]
fn no_signing_keys_in_the_keyring() {
    let rows = found(|seen| {
        keyring(seen).signing_keys = None;
        seen.tenants[0].signing_keys.truncate(1);
    });
    assert_one(&rows, Link::SigningKeys, State::Failed, &["no signing keys", "not verified", "reconcile"]);
}

#[test]
fn a_keyring_that_cannot_be_used() {
    let unreadable = KeyringUnseen::Unreadable("Secrets Manager: AccessDenied".to_owned());
    let unusable = KeyringUnseen::Unusable("line 1, column 2".to_owned());
    for (unseen, words) in [
        (unreadable, ["AccessDenied", "roles"]),
        (KeyringUnseen::Empty, ["no value yet", "reconcile"]),
        (unusable, ["line 1, column 2", "AWSPREVIOUS"]),
    ] {
        let rows = found(|seen| seen.keyring = Err(unseen));
        let links: Vec<_> = rows.iter().map(|row| (row.link, row.state)).collect();
        let expected = [
            (Link::SigningKeys, State::Unknown),
            (Link::SigningKeys, State::Unknown),
            (Link::Keyring, State::Failed),
            (Link::Subscription, State::Unknown),
        ];
        assert_eq!(links, expected, "{rows:#?}");
        assert_says(&rows[2], &words);
        assert_says(&rows[3], &["keyring first"]);
    }
}

#[test]
fn a_keyring_is_called_by_its_name() {
    let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:Keyring-a1b2".to_owned();
    let rows = found_with(&Config { keyring_secret_id: arn, ..config("Global") }, |seen| keyring(seen).current = None);
    assert_eq!(rows[0].subject, "Keyring-a1b2");
}

#[test]
fn a_keyring_without_a_current_key() {
    assert_found(Link::Keyring, State::Failed, &["no current key", "reconcile"], |seen| keyring(seen).current = None);
}

#[test]
fn a_version_of_graph_that_may_not_know_emergency_calls_is_named_where_there_is_no_subscription() {
    let missing = |config: &Config| {
        let rows = found_with(config, |seen| seen.tenants[0].subscriptions = Some(Ok(Vec::new())));
        rows.into_iter().find(|row| row.link == Link::Subscription).unwrap().step.unwrap()
    };
    let beta = "GraphEndpoint=https://graph.microsoft.com/beta";
    assert!(missing(&config("Global")).contains(beta));
    let mut on_beta = config("Global");
    on_beta.graph = GraphEndpoint::parse("https://graph.microsoft.com/beta", AllowedHosts::Published).unwrap();
    assert!(!missing(&on_beta).contains(beta));
}

#[test]
fn a_keyring_without_client_states() {
    let rows = found(|seen| keyring(seen).client_states.clear());
    let links: Vec<_> = rows.iter().map(|row| (row.link, row.state)).collect();
    assert_eq!(links, [(Link::Keyring, State::Failed), (Link::Subscription, State::Failed)]);
    assert_says(&rows[0], &["no client state", "no receiver can use it", "reconcile"]);
}

#[test]
fn an_encryption_certificate_at_its_end() {
    for (left, state, word) in [
        (DAY * 59, State::Warning, "ends in 59 days"),
        (DAY * 6, State::Failed, "ends in 6 days"),
        (-DAY * 3, State::Failed, "ended 3 days ago"),
    ] {
        assert_found(Link::EncryptionCertificate, state, &[word, "rotate"], |seen| {
            keyring(seen).certificates[1] = certificate("key-1", DAY, left);
        });
    }
    assert_found(Link::EncryptionCertificate, State::Unknown, &["cannot be read"], |seen| {
        keyring(seen).certificates[1].ends_at = None;
    });
}

#[test]
fn a_key_that_should_have_been_replaced() {
    let aged = |age| move |seen: &mut Seen| keyring(seen).certificates[1] = certificate("key-1", age, DAY * 500);
    assert_found(
        Link::EncryptionCertificate,
        State::Warning,
        &["92 days old", "KeyRotationDays", "90 days"],
        aged(DAY * 92 + HOUR * 2),
    );
    // It waits for a quiet hour of the night.
    assert_eq!(found(aged(DAY * 92 + HOUR)), []);
}

#[test]
fn a_state_table_that_cannot_be_read() {
    let rows = found(|seen| seen.records = Err(down("DynamoDB")));
    let links: Vec<_> = rows.iter().map(|row| (row.link, row.state)).collect();
    assert_eq!(links, [(Link::StateTable, State::Failed), (Link::Subscription, State::Unknown)]);
    assert_says(&rows[0], &["DynamoDB: AccessDenied", "deploy the stack again"]);
    assert_says(&rows[1], &["client state", "state table first"]);
}

// The subscriptions

fn listed(seen: &mut Seen) -> &mut Vec<Subscription> {
    seen.tenants[0].subscriptions.as_mut().unwrap().as_mut().unwrap()
}

fn recorded(seen: &mut Seen) -> &mut crate::records::Record {
    &mut seen.records.as_mut().unwrap()[0]
}

#[test]
fn every_other_subscription_of_the_app_is_named() {
    let words = ["another subscription, s8 to users/1/messages", "elsewhere.example", "valid tokens", "after-a-leak"];
    assert_found(Link::Subscription, State::Warning, &words, |seen| {
        let mut other = subscription("s8", "Global");
        other.resource = "users/1/messages".to_owned();
        other.notification_url = "https://elsewhere.example/hook?key=hunter2".to_owned();
        let mut ended = other.clone();
        (ended.id, ended.expires_at) = ("s9".to_owned(), NOW);
        listed(seen).extend([other, ended]);
    });
}

#[test]
fn a_graph_that_does_not_list() {
    for (kind, status, words) in [
        (GraphErrorKind::Unauthorized, 401, ["does not accept the access token", "same cloud"]),
        (GraphErrorKind::Forbidden, 403, ["admin consent", "quota"]),
        (GraphErrorKind::NotFound, 404, ["does not know it", "Check GraphEndpoint"]),
        (GraphErrorKind::Throttled, 429, ["too many requests", "Wait"]),
        (GraphErrorKind::Unavailable, 503, ["not available", "service health"]),
        (GraphErrorKind::Transport, 0, ["did not answer", "GraphEndpoint"]),
        (GraphErrorKind::Unexpected, 200, ["unexpected answer", "request-id"]),
    ] {
        let words = [words[0], words[1], "as Graph says"];
        assert_found(Link::Subscription, State::Failed, &words, |seen| {
            seen.tenants[0].subscriptions = Some(Err(graph_refuses(kind, status)));
        });
    }
}

#[test]
fn a_policy_without_a_subscription() {
    assert_found(
        Link::Subscription,
        State::Failed,
        &["Graph has no subscription for it: calls go unreported", "reconcile", "Teams admin centre"],
        |seen| {
            listed(seen).remove(0);
            seen.records = Ok(Vec::new());
        },
    );
}

#[test]
fn a_subscription_that_graph_lost() {
    assert_found(Link::Subscription, State::Failed, &["no longer has its subscription", "reconcile"], |seen| {
        listed(seen).remove(0);
    });
}

#[test]
fn a_policy_that_graph_may_not_know() {
    assert_found(Link::Subscription, State::Failed, &["attempt 10 min ago", "compare PolicyNames"], |seen| {
        listed(seen).remove(0);
        recorded(seen).subscription_id = None;
    });
}

#[test]
fn a_subscription_that_ended() {
    assert_found(Link::Subscription, State::Failed, &["ended 3 h ago", "unreported", "reconcile"], |seen| {
        listed(seen)[0].expires_at = NOW - HOUR * 3;
    });
}

#[test]
fn a_subscription_that_runs_out() {
    let with = |left: SignedDuration| move |seen: &mut Seen| listed(seen)[0].expires_at = NOW + left;
    assert_found(Link::Subscription, State::Warning, &["ends in 11 h", "reconcile"], with(HOUR * 11));
    assert_eq!(found(with(HOUR * 12)), []);
}

#[test]
fn a_subscription_without_a_lifecycle_address() {
    assert_found(Link::Subscription, State::Warning, &["no address for lifecycle", "reconcile"], |seen| {
        listed(seen)[0].lifecycle_notification_url = None;
    });
    assert_found(Link::Subscription, State::Warning, &["lifecycle", "elsewhere.example instead"], |seen| {
        listed(seen)[0].lifecycle_notification_url = Some("https://elsewhere.example/?secret".to_owned());
    });
}

#[test]
fn a_subscription_that_nobody_can_decrypt() {
    assert_found(Link::Subscription, State::Failed, &["'key-9'", "keyring lacks", "without details"], |seen| {
        listed(seen)[0].encryption_certificate_id = Some("key-9".to_owned());
    });
    assert_found(Link::Subscription, State::Unknown, &["does not say for which certificate", "test number"], |seen| {
        listed(seen)[0].encryption_certificate_id = None;
    });
    let older = |seen: &mut Seen| listed(seen)[0].encryption_certificate_id = Some("key-0".to_owned());
    assert_eq!(found(older), []);
}

#[test]
fn a_subscription_whose_client_state_nobody_knows() {
    type Plant = fn(&mut Seen);
    let faults: [(&str, Plant); 3] = [
        ("unrecorded", |seen| seen.records = Ok(Vec::new())),
        ("recorded under another id", |seen| recorded(seen).subscription_id = Some("s0".to_owned())),
        ("recorded with a lost state", |seen| recorded(seen).client_state_id = "state-9".to_owned()),
    ];
    for (fault, plant) in faults {
        let rows = found(plant);
        assert_eq!(rows.len(), 1, "{fault}");
        assert_one(&rows, Link::Subscription, State::Failed, &["client state", "alert as not verified", "reconcile"]);
    }
}

#[test]
fn an_unfinished_attempt_proves_the_client_state() {
    let rows = found(|seen| {
        recorded(seen).subscription_id = None;
        recorded(seen).subscription_expires_at = Some(listed(seen)[0].expires_at);
    });
    assert_eq!(rows, []);
}

#[test]
fn duplicates() {
    assert_found(Link::Subscription, State::Warning, &["2 subscriptions", "more than once", "reconcile"], |seen| {
        // The recorded one counts, although this one lasts longer and is unknown.
        let longer = Subscription { expires_at: NOW + HOUR * 24, ..subscription("s2", "Global") };
        listed(seen).push(longer);
    });
}

#[test]
fn a_subscription_that_delivers_elsewhere() {
    let elsewhere = || Subscription {
        notification_url: "https://other.example/hook?key=hidden".to_owned(),
        ..subscription("s2", "Global")
    };
    assert_found(
        Link::Subscription,
        State::Warning,
        &["delivers to other.example instead", "own app registration"],
        |seen| {
            listed(seen).push(elsewhere());
        },
    );
    let rows = found(|seen| listed(seen)[0] = elsewhere());
    let states: Vec<_> = rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Failed, State::Warning]);
    assert!(!format!("{rows:?}").contains("hidden"));
}

#[test]
fn a_renewal_that_is_long_ago() {
    for (minutes, state) in [(61, Some(State::Warning)), (121, Some(State::Failed)), (60, None)] {
        let rows = found(|seen| recorded(seen).updated_at = NOW - SignedDuration::from_mins(minutes));
        match state {
            Some(state) => {
                assert_one(&rows, Link::Subscription, state, &["last renewed", "about an hour", "reconcile"]);
            }
            None => assert_eq!(rows, []),
        }
    }
}

#[test]
fn each_policy_is_looked_at_in_its_own_tenant() {
    let rows = found_with(&config(&format!("Global,{OTHER}/Global")), |seen| {
        let mut other = good().tenants.remove(0);
        other.tenant = OTHER.parse().unwrap();
        other.subscriptions = Some(Ok(Vec::new()));
        seen.tenants.push(other);
    });
    assert_one(&rows, Link::Subscription, State::Failed, &["no subscription"]);
    assert_eq!(rows[0].subject, format!("{OTHER}/Global"));
}

// Our own address

fn answers(status: u16, content_type: &str, body: &str) -> impl FnOnce(&mut Seen) {
    let answer = HandshakeAnswer { status, content_type: content_type.to_owned(), body: body.to_owned() };
    |seen| seen.handshake.answer = Ok(answer)
}

#[test]
fn an_address_that_answers_with_another_status() {
    for (status, word) in [
        (404, "route POST /notifications"),
        (403, "firewall"),
        (401, "firewall"),
        (400, "suspicious"),
        (429, "throttled"),
        (307, "no redirect"),
        (500, "Its log"),
        (503, "Its log"),
        (202, "not how the receiver answers"),
    ] {
        let status_word = format!("status {status}");
        assert_found(Link::Endpoint, State::Failed, &[&status_word, word], answers(status, "text/plain", ""));
    }
}

#[test]
fn an_address_that_answers_in_another_form() {
    let fault = answers(200, "application/json", "Validation: a b");
    assert_found(Link::Endpoint, State::Failed, &["'application/json' instead of text/plain"], fault);
    assert_eq!(found(answers(200, "TEXT/PLAIN", "Validation: a b")), []);
}

#[test]
fn an_address_that_does_not_decode() {
    for (body, word) in [
        ("Validation:+a+b", "plus signs"),
        ("Validation%3a+a+b", "without decoding"),
        ("\"Validation: a b\"", "something around it"),
        ("Validation: a b\n", "something around it"),
        ("hello", "wrongly ('hello')"),
        ("", "wrongly"),
    ] {
        assert_found(Link::Endpoint, State::Failed, &[word, "in front of it"], answers(200, "text/plain", body));
    }
}

#[test]
fn an_address_that_cannot_be_reached() {
    for (error, word) in [
        ("it timed out after 10 seconds", "receiver's log and duration"),
        ("no answer came in time", "receiver's log and duration"),
        ("error sending request: client error (Connect): dns error: no such host", "DNS"),
        ("client error (Connect): invalid peer certificate: UnknownIssuer", "TLS certificate"),
        ("client error (Connect): tcp connect error: Connection refused", "HTTP API must exist"),
    ] {
        assert_found(Link::Endpoint, State::Failed, &[error, word], |seen| {
            seen.handshake.answer = Err(OutsideError(error.to_owned()));
        });
    }
}

// Those who are told

#[test]
fn topics_that_nobody_hears() {
    for (index, state, words) in [
        (0, State::Failed, ["Nobody hears of emergency calls", "aws sns subscribe"]),
        (1, State::Warning, ["Nobody hears of test calls", "aws sns subscribe"]),
        (2, State::Warning, ["Nobody hears the alarms", "OperationsEmail"]),
        (3, State::Warning, ["No chat hears of emergency calls", "Amazon Q"]),
        (4, State::Failed, ["takes the second way", "SecondAlertTopicArn"]),
    ] {
        assert_found(Link::Topic, state, &words, |seen| {
            seen.topics[index].1 = Ok(Subscribers { confirmed: 0, pending: 0 });
        });
    }
}

#[test]
fn topics_for_calls_whose_subscribers_all_have_a_filter_policy() {
    for index in [0, 1] {
        let words = ["Every confirmed subscriber has a filter policy (2)", "without a filter policy"];
        assert_found(Link::Topic, State::Failed, &words, |seen| seen.coverage[index].1 = Ok(Coverage::Filtered(2)));
        let words = ["cannot be seen: Amazon SNS: AccessDenied", "sns:GetSubscriptionAttributes"];
        assert_found(Link::Topic, State::Unknown, &words, |seen| seen.coverage[index].1 = Err(down("Amazon SNS")));
    }
    assert_eq!(found(|seen| seen.coverage[0].1 = Ok(Coverage::Filtered(0))), [], "that is said once");
}

#[test]
fn a_second_topic_that_is_not_there() {
    assert_found(Link::Topic, State::Failed, &["NotFound", "second-region.yaml"], |seen| {
        seen.topics[4].1 = Err(OutsideError("Amazon SNS: NotFound: Topic does not exist".to_owned()));
    });
}

#[test]
fn a_second_topic_that_is_far_away() {
    assert_found(Link::SecondWay, State::Warning, &["after 401 ms", "about half a second", "nearer Region"], |seen| {
        seen.second_way = Some(Ok(Duration::from_millis(401)));
    });
    assert_found(Link::SecondWay, State::Unknown, &["unknown: Amazon SNS: AccessDenied"], |seen| {
        seen.second_way = Some(Err(down("Amazon SNS")));
    });
    let mut seen = good();
    let of_the_second_way = |seen: &Seen| {
        let rows = judge(seen, &config("Global"), NOW);
        rows.into_iter().filter(|row| row.link == Link::SecondWay).map(|row| row.finding).collect::<Vec<_>>()
    };
    assert_eq!(of_the_second_way(&seen), ["Over a new connection it answered after 400 ms."]);
    seen.second_way = None;
    assert!(of_the_second_way(&seen).is_empty());
}

#[test]
fn subscribers_that_have_not_confirmed() {
    assert_found(Link::Topic, State::Warning, &["Have not confirmed", "2", "open the link"], |seen| {
        seen.topics[0].1 = Ok(Subscribers { confirmed: 1, pending: 2 });
    });
    let rows = found(|seen| seen.topics[0].1 = Ok(Subscribers { confirmed: 0, pending: 1 }));
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [State::Failed, State::Warning]);
}

#[test]
fn topics_that_cannot_be_asked() {
    for (index, state) in
        [(0, State::Failed), (1, State::Unknown), (2, State::Unknown), (3, State::Unknown), (4, State::Failed)]
    {
        assert_found(Link::Topic, state, &["Amazon SNS: AccessDenied", "sns:GetTopicAttributes"], |seen| {
            seen.topics[index].1 = Err(down("Amazon SNS"));
        });
    }
}

fn alarms(states: [&str; 2]) -> impl FnOnce(&mut Seen) {
    move |seen| {
        for (alarm, state) in seen.alarms.as_mut().unwrap().iter_mut().zip(states) {
            state.clone_into(&mut alarm.state);
        }
    }
}

#[test]
fn alarms_that_went_off() {
    assert_found(Link::Alarm, State::Failed, &["in alarm", "why"], alarms(["OK", "ALARM"]));
    let subjects: Vec<_> = found(alarms(["ALARM", "ALARM"])).into_iter().map(|row| row.subject).collect();
    assert_eq!(subjects, ["stack-A", "stack-B"]);
}

#[test]
fn alarms_that_have_nothing_to_go_by() {
    let blind = alarms(["INSUFFICIENT_DATA", "INSUFFICIENT_DATA"]);
    assert_found(Link::Alarm, State::Warning, &["2 of 2 alarms (A, B)", "metrics exist"], blind);
    let rows = found(alarms(["ALARM", "INSUFFICIENT_DATA"]));
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [State::Failed, State::Warning]);
}

#[test]
fn alarms_that_cannot_be_seen_or_are_not_there() {
    assert_found(Link::Alarm, State::Unknown, &["CloudWatch: AccessDenied", "cloudwatch:DescribeAlarms"], |seen| {
        seen.alarms = Err(down("CloudWatch"));
    });
    assert_found(Link::Alarm, State::Warning, &["no alarms", "Deploy"], |seen| seen.alarms = Ok(Vec::new()));
}

// Whole checks

const ENDS_AT: Timestamp = Timestamp::constant(1_764_000_300, 0);

async fn checked(fake: &Fake, kind: &str) -> CheckReport {
    check(fake, &config_with(kind, "Global"), ENDS_AT).await
}

#[tokio::test]
async fn a_whole_check_reads_as_people_read_it() {
    let report = checked(&Fake::new(), "Secret").await;
    let expected = [
        "ok       credential              11111111-2222-3333-4444-555555555555         Microsoft Entra gave an access token for the client secret.",
        "ok       roles                   11111111-2222-3333-4444-555555555555         The app has CallEvents-Emergency.Read.All.",
        "ok       app-settings            11111111-2222-3333-4444-555555555555         'Assignment required?' is No, and the app is enabled.",
        "ok       signing-keys            11111111-2222-3333-4444-555555555555 v2.0    The keyring holds all 2. The keyring's signing keys were fetched 60 min ago.",
        "ok       signing-keys            11111111-2222-3333-4444-555555555555 v1.0    The keyring holds all 2. The keyring's signing keys were fetched 60 min ago.",
        "ok       keyring                 keyring                                      It can be read. Keys: 1, client states: 1.",
        "ok       encryption-certificate  key-1                                        It ends in 365 days. Its key is 24 h old, of 90 days.",
        "ok       state-table             table                                        It can be read. Subscriptions recorded: 1.",
        "ok       subscription            11111111-2222-3333-4444-555555555555/Global  Graph delivers to our address for 23 h 20 min more; it was renewed 10 min ago.",
        "ok       endpoint                https://example.org/notifications            It repeats the validation token as Graph wants it.",
        "ok       topic                   AlertTopic                                   Confirmed subscribers: 3.",
        "ok       topic                   SecondAlertTopic                             Confirmed subscribers: 2.",
        "ok       topic                   TestTopic                                    Confirmed subscribers: 2.",
        "ok       topic                   OperationsTopic                              Confirmed subscribers: 1.",
        "ok       topic                   ChatTopic                                    Confirmed subscribers: 1.",
        "ok       second-way              SecondAlertTopic                             Over a new connection it answered after 93 ms.",
        "ok       alarm                   stack                                        All 2 alarms are OK.",
    ];
    assert_eq!(report.table, expected, "{:#?}", report.table);
    assert!(report.ok);
    assert_eq!((report.action, report.checked_at), ("check", NOW));
}

#[tokio::test]
async fn silence_everywhere_is_a_report_and_ends_before_the_invocation() {
    for kind in ["Secret", "Certificate", "Federated"] {
        let fake = Fake { silent: true, ..Fake::new() };
        let report = checked(&fake, kind).await;
        assert!(!report.ok);
        let failed: Vec<_> = report.rows.iter().filter(|row| row.state == State::Failed).map(|row| row.link).collect();
        assert_eq!(
            failed,
            [Link::Credential, Link::Keyring, Link::StateTable, Link::Endpoint, Link::Topic, Link::Topic],
            "{report:#?}"
        );
        assert!(report.rows.iter().all(|row| row.state != State::Ok));
        assert_eq!(fake.waited(), Duration::from_secs(295));
    }
}

#[tokio::test]
async fn time_that_is_over_is_no_error() {
    let fake = Fake { silent: true, ..Fake::new() };
    let report = check(&fake, &config("Global"), NOW - HOUR).await;
    assert!(!report.ok && fake.waited().is_zero());
}

#[tokio::test]
async fn the_handshake_asks_as_graph_does_and_never_the_same() {
    let (fake, config) = (Fake::new(), config("Global"));
    let token = look(&fake, &config, ENDS_AT).await.handshake.token;
    let start = "Validation: Testing client application reachability for subscription Request-Id: ";
    assert_eq!(token, format!("{start}00000001-0000-0002-0000-000300000004"));
    assert_ne!(look(&fake, &config, ENDS_AT).await.handshake.token, token);
}

/// The lines of a report that say what to enter in Entra.
fn to_enter(report: &CheckReport) -> Vec<(&str, &str)> {
    report.entra.iter().map(|entry| (entry.name, entry.value.as_str())).collect()
}

const BASICS: [(&str, &str); 2] =
    [("Permission with admin consent", "CallEvents-Emergency.Read.All"), ("Assignment required?", "No")];

#[tokio::test]
async fn a_secret_is_to_be_made_in_entra() {
    let mut fake = Fake::new();
    fake.secrets.remove("client-secret");
    let report = checked(&fake, "Secret").await;
    let entry = ("Client secret", "one whose Value (not its ID) is the parameter ClientSecret");
    assert_eq!(to_enter(&report), [BASICS[0], BASICS[1], entry]);
    assert!(report.rows[0].finding.contains("client-secret is empty"), "{report:#?}");
}

#[tokio::test]
async fn certificates_are_shown_for_upload_before_entra_knows_them() {
    let mut fake = Fake::new();
    fake.secrets.insert("app-certificates", fake::stored_certificates(2));
    fake.tokens = vec![Err(entra_refuses(700_027)), Ok(fake::ACCESS_TOKEN)].into();
    let report = checked(&fake, "Certificate").await;
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.rows[1].subject, format!("certificate {}", fake::pair().thumbprint()));
    assert_eq!([report.rows[1].state, report.rows[2].state], [State::Warning, State::Ok]);
    let entries = to_enter(&report);
    assert_eq!((&entries[..2], entries.len()), (&BASICS[..], 4));
    let (name, pem) = entries[2];
    assert_eq!(name, "Certificate");
    let lines: Vec<_> = pem.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"));
    assert!(lines[1..lines.len() - 1].iter().all(|line| line.len() <= 64));
    assert_eq!(lines[1..lines.len() - 1].concat(), fake::pair().certificate_base64().unwrap());
    assert!(report.table.contains(&lines[1].to_owned()));
}

#[tokio::test]
async fn any_token_will_do_to_look_further() {
    for first_accepted in [true, false] {
        let mut fake = Fake::new();
        fake.secrets.insert("app-certificates", fake::stored_certificates(2));
        let mut tokens = vec![Err(entra_refuses(700_027)), Ok(fake::ACCESS_TOKEN)];
        tokens.rotate_left(usize::from(first_accepted));
        fake.tokens = tokens.into();
        let report = checked(&fake, "Certificate").await;
        let subscription = report.rows.iter().find(|row| row.link == Link::Subscription).unwrap();
        assert_eq!(subscription.state, State::Ok, "{first_accepted}");
    }
}

#[tokio::test]
async fn no_certificate_yet_says_how_to_get_one() {
    let mut fake = Fake::new();
    fake.secrets.remove("app-certificates");
    let report = checked(&fake, "Certificate").await;
    assert_says(&report.rows[0], &["no certificate yet", "reconcile", "upload"]);
    assert_eq!(to_enter(&report), BASICS);
}

#[tokio::test]
async fn a_federated_credential_is_shown_before_entra_knows_it() {
    let mut fake = Fake::new();
    fake.tokens = vec![Err(entra_refuses(70_021))].into();
    let report = checked(&fake, "Federated").await;
    let expected = [
        BASICS[0],
        BASICS[1],
        ("Issuer", "https://x.tokens.sts.global.api.aws"),
        ("Subject identifier", "arn:aws:iam::1:role/renewer"),
        ("Audience", "api://AzureADTokenExchange"),
    ];
    assert_eq!(to_enter(&report), expected);
    assert!(report.table.iter().any(|line| line.ends_with("Subject identifier: arn:aws:iam::1:role/renewer")));
    // Without a token of AWS the audience alone is known.
    fake.web_identity = Err(OutsideError("AWS STS: OutboundWebIdentityFederationDisabled: no".to_owned()));
    let report = checked(&fake, "Federated").await;
    assert_eq!(to_enter(&report)[4], ("Audience", "api://AzureADTokenExchange"));
    assert!(to_enter(&report)[3].1.starts_with("(known as soon as"));
    assert_says(&report.rows[0], &["OutboundWebIdentityFederationDisabled", "enable-outbound"]);
}

#[tokio::test]
async fn a_subscription_that_the_list_leaves_out_is_seen_by_its_id() {
    let fake = Fake { list_is_empty: true, ..Fake::new() };
    let seen = look(&fake, &config("Global"), ENDS_AT).await;
    assert_eq!(seen.tenants[0].subscriptions, Some(Ok(vec![subscription("s1", "Global")])));
}

#[tokio::test]
async fn a_web_identity_token_is_read_as_far_as_it_goes() {
    for (token, issuer, audience) in [
        ("no token", None, None),
        // {"iss":"i","aud":["a","b"]}
        ("x.eyJpc3MiOiJpIiwiYXVkIjpbImEiLCJiIl19.y", Some("i"), Some("a")),
        // {"iss":1,"aud":{}}
        ("x.eyJpc3MiOjEsImF1ZCI6e319.y", None, None),
    ] {
        let fake = Fake { web_identity: Ok(token), ..Fake::new() };
        let seen = look(&fake, &config_with("Federated", "Global"), ENDS_AT).await;
        let CredentialSeen::Federated(claims) = seen.credential else { panic!("{:?}", seen.credential) };
        assert_eq!((claims.issuer.as_deref(), claims.audience.as_deref()), (issuer, audience), "{token}");
    }
}

#[tokio::test]
async fn no_secret_is_seen_or_reported() {
    let private_key = fake::pair().private_key_base64().unwrap();
    for kind in ["Secret", "Certificate", "Federated"] {
        for tokens in [vec![Ok(fake::ACCESS_TOKEN)], vec![Err(entra_refuses(7_000_215))]] {
            let mut fake = Fake::new();
            fake.tokens = tokens.into();
            let seen = format!("{:?}", look(&fake, &config_with(kind, "Global"), ENDS_AT).await);
            let report = serde_json::to_string(&checked(&fake, kind).await).unwrap();
            for text in [&seen, &report] {
                for secret in ["hunter2", fake::ACCESS_TOKEN, fake::WEB_IDENTITY, "eyJ", &private_key[..40], "PRIVATE"]
                {
                    assert!(!text.contains(secret), "{kind}: '{secret}' is in {text}");
                }
            }
        }
    }
}
