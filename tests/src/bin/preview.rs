//! Renders calls as people and machines would get them, without publishing anything; `preview --help` lists its options.
//!
//! Standard output is one JSON array with an object for each call and language: `kind` (the name of the file), `title`,
//! `language`, `email` (`subject` and `body`), `sms`, `smsParts`, `document` and `attributes`. Calls stand in the order of
//! their ids, events of the same call in the order in which they arrived. `events/README.md` describes the files.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use emergency_alert::{
    Alert, Audience, Contradiction, DegradedReason, EmergencyCall, End, Language, Notification, Proof, Relation,
    Settings, Start, sms_parts,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const HELP: &str = "\
Renders calls as email, text message and JSON, in every language.

Usage: preview [options]

  --calls DIR            the calls, one file each; events/calls by default
  --languages LIST       separated by commas; all by default
  --time-zone ZONE       TimeZone; America/Los_Angeles by default
  --test-numbers LIST    TestNumbers; 933 by default
  --map-link LINK        MapLink; OpenStreetMap by default
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "preview: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    match Options::read(arguments)? {
        None => out.write_all(HELP.as_bytes())?,
        Some(options) => serde_json::to_writer(&mut out, &render(&calls_in(&options.calls)?, &options.settings()?)?)?,
    }
    Ok(())
}

/// What is asked for.
struct Options {
    calls: PathBuf,
    languages: String,
    time_zone: String,
    test_numbers: String,
    map_link: String,
}

impl Options {
    /// The options, or none where help is asked for.
    fn read(arguments: &[String]) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self {
            calls: "events/calls".into(),
            languages: Language::ALL.map(Language::tag).join(","),
            time_zone: "America/Los_Angeles".to_owned(),
            test_numbers: "933".to_owned(),
            map_link: String::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            if flag == "--help" || flag == "-h" {
                return Ok(None);
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} is unknown or lacks its value; see --help"))?;
            match flag.as_str() {
                "--calls" => options.calls = value.into(),
                "--languages" => options.languages.clone_from(value),
                "--time-zone" => options.time_zone.clone_from(value),
                "--test-numbers" => options.test_numbers.clone_from(value),
                "--map-link" => options.map_link.clone_from(value),
                _ => return Err(format!("{flag} is unknown; see --help").into()),
            }
        }
        Ok(Some(options))
    }

    /// The settings for each language.
    fn settings(&self) -> Result<Vec<Settings>, Box<dyn Error>> {
        let Self { languages, time_zone, test_numbers, map_link, .. } = self;
        let settings = languages.split(',').map(|tag| Settings::parse(test_numbers, time_zone, tag, map_link));
        Ok(settings.collect::<Result<_, _>>()?)
    }
}

/// A file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Call {
    #[serde(skip)]
    kind: String,
    title: String,
    notification: Envelope,
    document: Option<Box<RawValue>>,
    degraded: Option<Reason>,
    drill: Option<Topic>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    relation: Option<Told>,
    #[serde(default)]
    new_place: bool,
    #[serde(default)]
    new_caller: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    tenant_id: String,
    policy_name: String,
    call_id: Option<String>,
    received_at: Timestamp,
    verified: bool,
    missing_proof: Option<Missing>,
    stated_policy: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Missing {
    ValidationToken,
    ClientState,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Told {
    NowVerified,
    Updated,
    OtherReport,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    NoContent,
    Undecryptable,
    Unparseable,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Topic {
    Alert,
    Test,
}

impl Call {
    fn alert(&self, settings: &Settings) -> Result<Alert, Box<dyn Error>> {
        let Envelope { tenant_id, policy_name, call_id, received_at, verified, missing_proof, stated_policy } =
            &self.notification;
        let proof = match (verified, missing_proof) {
            (true, None) => Proof::Both,
            (false, None | Some(Missing::ValidationToken)) => Proof::ClientStateOnly,
            (false, Some(Missing::ClientState)) => Proof::TokenOnly,
            (true, Some(_)) => return Err("what is verified lacks no proof".into()),
        };
        let notification = Notification {
            tenant_id: tenant_id.clone(),
            policy_name: policy_name.clone(),
            call_id: call_id.clone(),
            received_at: *received_at,
            proof,
            contradictions: stated_policy.clone().map(Contradiction::Policy).into_iter().collect(),
        };
        let mut alert = match (&self.document, self.degraded, self.drill) {
            (Some(document), None, None) => {
                Alert::from_call(EmergencyCall::from_resource(document.get().as_bytes())?, &notification, settings)
            }
            (None, Some(reason), None) => {
                let reason = match reason {
                    Reason::NoContent => DegradedReason::NoEncryptedContent,
                    Reason::Undecryptable => DegradedReason::Undecryptable,
                    Reason::Unparseable => DegradedReason::Unparseable,
                };
                Alert::degraded(reason, &self.kind, &notification, settings)
            }
            (None, None, Some(topic)) => {
                let audience = match topic {
                    Topic::Alert => Audience::Alert,
                    Topic::Test => Audience::Test,
                };
                Alert::drill(audience, &notification, settings)
            }
            _ => return Err("exactly one of document, degraded and drill must be there".into()),
        };
        if let Some(started_at) = self.started_at {
            alert.set_start(Start { at: started_at, is_test: false });
        }
        if let Some(ended_at) = self.ended_at {
            alert.set_end(End { at: ended_at });
        }
        alert.set_relation(match self.relation {
            None => Relation::First,
            Some(Told::NowVerified) => {
                Relation::NowVerified { other_place: self.new_place, other_caller: self.new_caller }
            }
            Some(Told::Updated) => Relation::Updated { place: self.new_place, caller: self.new_caller },
            Some(Told::OtherReport) => Relation::OtherReport,
        });
        Ok(alert)
    }

    fn rendered(&self, settings: &Settings) -> Result<Rendered<'_>, Box<dyn Error>> {
        let alert = self.alert(settings).map_err(|error| format!("{}: {error}", self.kind))?;
        let (email, sms) = (alert.email(), alert.sms());
        Ok(Rendered {
            kind: &self.kind,
            title: &self.title,
            language: settings.language().tag(),
            email: Mail { subject: email.subject, body: email.body },
            sms_parts: sms_parts(&sms),
            sms,
            document: RawValue::from_string(alert.json())?,
            attributes: alert.attributes().into_iter().collect(),
        })
    }
}

/// A call in one language.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendered<'a> {
    kind: &'a str,
    title: &'a str,
    language: &'static str,
    email: Mail,
    sms: String,
    sms_parts: usize,
    document: Box<RawValue>,
    attributes: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Mail {
    subject: String,
    body: String,
}

/// The calls of a folder.
fn calls_in(folder: &Path) -> Result<Vec<Call>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut calls = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let (Some(kind), Some("json")) =
            (path.file_stem(), path.extension().and_then(|extension| extension.to_str()))
        {
            let text = fs::read(&path)?;
            let call = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            calls.push(Call { kind: kind.to_string_lossy().into_owned(), ..call });
        }
    }
    calls.sort_by(|one, other| one.place().cmp(&other.place()));
    Ok(calls)
}

impl Call {
    /// What it is sorted by.
    fn place(&self) -> (Option<&str>, Timestamp, &str) {
        (self.notification.call_id.as_deref(), self.notification.received_at, &self.kind)
    }
}

fn render<'a>(calls: &'a [Call], settings: &[Settings]) -> Result<Vec<Rendered<'a>>, Box<dyn Error>> {
    calls.iter().flat_map(|call| settings.iter().map(|settings| call.rendered(settings))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn options(text: &str) -> Result<Option<Options>, Box<dyn Error>> {
        Options::read(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn samples() -> Vec<Call> {
        calls_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/calls")).unwrap()
    }

    /// As the output has it.
    fn shown(calls: &[Call], settings: &[Settings]) -> Vec<Value> {
        let text = serde_json::to_string(&render(calls, settings).unwrap()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn one(all: &[Value], kind: &str) -> Value {
        all.iter().find(|shown| shown["kind"] == kind).unwrap().clone()
    }

    #[test]
    fn every_sample_is_shown_in_every_language() {
        let all = shown(&samples(), &options("").unwrap().unwrap().settings().unwrap());
        let different: HashSet<_> = all.iter().map(|shown| (&shown["kind"], &shown["language"])).collect();
        assert_eq!(different.len(), samples().len() * 4);
        for shown in &all {
            assert_eq!(shown["language"], shown["document"]["language"]);
            assert_eq!(shown["smsParts"], sms_parts(shown["sms"].as_str().unwrap()));
        }
    }

    #[test]
    fn the_events_of_a_call_follow_each_other() {
        let kinds: Vec<String> = samples().into_iter().map(|call| call.kind).collect();
        assert_eq!(kinds[..2], ["started", "ended"]);
    }

    #[test]
    fn a_sample_is_what_its_file_says() {
        let all = shown(&samples(), &options("--languages en").unwrap().unwrap().settings().unwrap());
        let document = |kind: &str| one(&all, kind)["document"].take();
        assert_eq!(document("ended")["durationSeconds"], 342);
        assert_eq!(document("ended-start-unseen")["durationSeconds"], Value::Null);
        assert_eq!(document("test")["audience"], "test");
        assert_eq!(document("unverified")["verified"], false);
        assert_eq!(document("drill")["audience"], "test");
        assert_eq!(document("drill-to-alert-topic")["audience"], "alert");
        for degraded in ["no-content", "undecryptable", "unparseable"] {
            assert_eq!(document(degraded)["degraded"], true, "{degraded}");
        }
        let bodies =
            ["no-content", "undecryptable", "unparseable"].map(|kind| one(&all, kind)["email"]["body"].to_string());
        assert_eq!(bodies.iter().collect::<HashSet<_>>().len(), 3, "each says why");
    }

    #[test]
    fn options_reach_the_settings() {
        let given = "--languages fr,en --time-zone Europe/Paris --test-numbers 15 --map-link none --calls elsewhere";
        let options = options(given).unwrap().unwrap();
        assert_eq!(options.calls, Path::new("elsewhere"));
        let settings = options.settings().unwrap();
        assert_eq!(settings.iter().map(|settings| settings.language().tag()).collect::<Vec<_>>(), ["fr", "en"]);
        let all = shown(&samples(), &settings);
        assert_eq!(one(&all, "started")["document"]["mapUrl"], Value::Null);
        assert!(one(&all, "started")["sms"].as_str().unwrap().contains("22:04"), "Paris has another time");
        assert_eq!(one(&all, "test")["document"]["isTest"], false, "933 is a number as any other");
    }

    #[test]
    fn unknown_options_are_refused() {
        for text in ["--nonsense 1", "--calls", "x"] {
            assert!(options(text).is_err(), "{text}");
        }
        assert!(options("--languages en,tlh").unwrap().unwrap().settings().is_err());
    }

    #[test]
    fn a_call_is_one_thing_only() {
        let envelope = r#""notification": {"tenantId": "t", "policyName": "p", "callId": "c", "receivedAt": "2026-11-23T21:04:08Z", "verified": true}"#;
        let read = |rest: &str| -> Result<(), Box<dyn Error>> {
            let call: Call = serde_json::from_str(&format!(r#"{{"title": "t", {envelope}{rest}}}"#))?;
            call.rendered(&Settings::parse("933", "UTC", "en", "")?)?;
            Ok(())
        };
        assert!(read(r#", "drill": "test""#).is_ok());
        for wrong in
            ["", r#", "drill": "test", "document": {}"#, r#", "drill": "all""#, r#", "document": []"#, r#", "x": 1"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
