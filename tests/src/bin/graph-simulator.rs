//! The Graph simulator as a program; `graph-simulator --help` lists its options.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use end_to_end::simulator::Simulator;
use end_to_end::simulator::config::{Application, CLIENT_ID, CLIENT_SECRET, Config, ROLE, TENANT_ID, Tenant};
use end_to_end::simulator::keys::read_certificate;
use end_to_end::simulator::sample;
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
Microsoft Graph and Entra for local runs: tokens, signing keys, subscriptions, and encrypted emergency-call notifications.

Usage: graph-simulator [options]
       graph-simulator sample DIRECTORY     write the sample events

  --port PORT                 0, the default, takes a free one
  --bind ADDRESS              127.0.0.1 by default; the control functions answer this machine only
  --origin URL                what clients call this address, if not http://127.0.0.1:PORT
  --tenant GUID               a tenant; may be repeated
  --client-id GUID            the application
  --client-secret TEXT        its secret; may be repeated
  --certificate FILE          a certificate of the application, in PEM, DER or base64 of DER; may be repeated
  --policy [GUID/]NAME        a known emergency calling policy, of the first tenant or another; may be repeated.
                              Without any, every name is known
  --without-role              issue tokens without CallEvents-Emergency.Read.All
  --gateway URL               a local API Gateway for the hosts *.execute-api.*, such as http://127.0.0.1:4566
  --connect-to HOST=URL       what stands in for another host; may be repeated
  --setting NAME=JSON         a setting as in /_control/settings, such as tokenVersion='\"2.0\"'; may be repeated

When it is ready it prints one line of JSON: {\"listening\":\"http://127.0.0.1:PORT\"}. SIGTERM or SIGINT ends it.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "graph-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    match arguments {
        [flag] if flag == "--help" || flag == "-h" => {
            std::io::stdout().write_all(HELP.as_bytes())?;
            Ok(())
        }
        [command, directory] if command == "sample" => Ok(sample::write(Path::new(directory))?),
        _ => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(configuration(arguments)?))
        }
    }
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let simulator = Simulator::start(config).await?;
    {
        let mut out = std::io::stdout().lock();
        let listening = serde_json::json!({ "listening": simulator.origin() });
        writeln!(out, "{listening}")?;
        out.flush()?;
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

fn configuration(arguments: &[String]) -> Result<Config, Box<dyn Error>> {
    let mut config = Config::default();
    let mut tenants: Vec<String> = Vec::new();
    let mut secrets: Vec<String> = Vec::new();
    let mut certificates = Vec::new();
    let mut policies: Vec<String> = Vec::new();
    let mut client_id = CLIENT_ID.to_owned();
    let mut roles = vec![ROLE.to_owned()];
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        if flag == "--without-role" {
            roles.clear();
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} is unknown or lacks its value; see --help"))?;
        match flag.as_str() {
            "--port" => config.bind.set_port(value.parse()?),
            "--bind" => config.bind.set_ip(value.parse()?),
            "--origin" => config.origin = Some(value.trim_end_matches('/').to_owned()),
            "--tenant" => tenants.push(value.to_ascii_lowercase()),
            "--client-id" => client_id = value.to_ascii_lowercase(),
            "--client-secret" => secrets.push(value.clone()),
            "--certificate" => {
                let certificate = read_certificate(&std::fs::read(value)?);
                certificates.push(certificate.ok_or_else(|| format!("{value} holds no certificate"))?);
            }
            "--policy" => policies.push(value.clone()),
            "--gateway" => config.routes.gateway = Some(value.clone()),
            "--connect-to" => {
                let (host, url) = pair(flag, value)?;
                config.routes.hosts.insert(host.to_owned(), url.to_owned());
            }
            "--setting" => {
                let (name, json) = pair(flag, value)?;
                let value: serde_json::Value = serde_json::from_str(json)?;
                config.settings = config.settings.with(&serde_json::json!({ name: value }))?;
            }
            _ => return Err(format!("{flag} is unknown; see --help").into()),
        }
    }
    if tenants.is_empty() {
        tenants.push(TENANT_ID.to_owned());
    }
    if secrets.is_empty() {
        secrets.push(CLIENT_SECRET.to_owned());
    }
    config.tenants = with_policies(tenants, &policies)?;
    config.applications =
        vec![Application { client_id, client_secrets: secrets, certificates, roles, ..Application::default() }];
    Ok(config)
}

fn pair<'a>(flag: &str, value: &'a str) -> Result<(&'a str, &'a str), String> {
    value.split_once('=').ok_or_else(|| format!("{flag} takes two values with = between them"))
}

/// Each tenant with its policies. One that a policy names counts as a tenant.
fn with_policies(tenants: Vec<String>, policies: &[String]) -> Result<Vec<Tenant>, String> {
    let first = tenants[0].clone();
    let mut all: Vec<Tenant> = tenants.into_iter().map(|id| Tenant { id, policies: None }).collect();
    for policy in policies {
        let (tenant, name) = policy
            .split_once('/')
            .map_or((first.clone(), policy.as_str()), |(tenant, name)| (tenant.to_ascii_lowercase(), name));
        if name.is_empty() {
            return Err("--policy takes a name".to_owned());
        }
        match all.iter_mut().find(|known| known.id == tenant) {
            Some(known) => known.policies.get_or_insert_default().push(name.to_owned()),
            None => all.push(Tenant { id: tenant, policies: Some(vec![name.to_owned()]) }),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> Config {
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        configuration(&arguments).unwrap()
    }

    #[test]
    fn options_reach_the_configuration() {
        let config = configured(
            "--port 8080 --client-secret one --client-secret two --gateway http://127.0.0.1:4566 --connect-to a.test=http://127.0.0.1:1 --setting pageSize=7",
        );
        assert_eq!(config.bind.port(), 8080);
        assert_eq!(config.applications[0].client_secrets, ["one", "two"]);
        assert_eq!(config.routes.gateway.as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(config.routes.hosts["a.test"], "http://127.0.0.1:1");
        assert_eq!(config.settings.page_size, 7);
        assert_eq!(config.tenants[0].id, TENANT_ID);
        assert!(config.tenants[0].policies.is_none());
    }

    #[test]
    fn policies_belong_to_their_tenants() {
        let other = "11111111-2222-3333-4444-555555555555";
        let config = configured(&format!("--policy Global --policy {other}/Site"));
        assert_eq!(config.tenants[0].policies.as_deref().unwrap(), ["Global"]);
        assert_eq!(config.tenants[1].id, other);
        assert_eq!(config.tenants[1].policies.as_deref().unwrap(), ["Site"]);
    }

    #[test]
    fn a_certificate_is_read_from_its_file() {
        let pair = end_to_end::simulator::keys::shared(2048, 0);
        let file = std::env::temp_dir().join(format!("graph-simulator-{}.pem", std::process::id()));
        std::fs::write(&file, pair.certificate.to_pem().unwrap()).unwrap();
        let config = configured(&format!("--certificate {}", file.display()));
        std::fs::write(&file, "nothing").unwrap();
        let refused = configuration(&["--certificate".to_owned(), file.display().to_string()]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(config.applications[0].certificates[0].to_der().unwrap(), pair.certificate_der());
        assert!(refused.is_err());
    }

    #[test]
    fn unknown_options_are_refused() {
        for text in ["--nonsense 1", "--port", "--port x", "--setting pageSize", "--setting nonsense=1"] {
            let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert!(configuration(&arguments).is_err(), "{text}");
        }
    }
}
