//! Asks for an access token as the crate `graph-subscriptions` does, so that another implementation can judge what it sends.
//!
//! Standard input is one JSON object, and standard output gets one:
//!
//! ```json
//! {"loginEndpoint": "…", "tenantId": "…", "clientId": "…", "scope": "…", "credential": {"clientSecret": "…"}}
//! {"ok": true, "roles": ["…"]}
//! ```
//!
//! Other credentials are `{"certificate": "…", "privateKey": "…"}`, as a keyring has them, and `{"federated": "…"}`. Where
//! there is no token, `ok` is false, and `codes` and `error` say why.

use std::error::Error;

use graph_notifications::{ClientId, TenantId};
use graph_subscriptions::http::{self, Timeouts};
use graph_subscriptions::{AllowedHosts, ClientCertificate, Credential, LoginEndpoint, entra};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    login_endpoint: String,
    tenant_id: TenantId,
    client_id: ClientId,
    scope: String,
    credential: Given,
}

#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Given {
    Secret { client_secret: String },
    Certificate { certificate: String, private_key: String },
    Federated { federated: String },
}

impl Given {
    fn read(self) -> Result<Credential, Box<dyn Error>> {
        Ok(match self {
            Self::Secret { client_secret } => Credential::ClientSecret(client_secret),
            Self::Certificate { certificate, private_key } => {
                Credential::Certificate(ClientCertificate::from_base64(&certificate, &private_key)?)
            }
            Self::Federated { federated } => Credential::Federated(federated),
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let question: Question = serde_json::from_reader(std::io::stdin().lock())?;
    let login = LoginEndpoint::parse(&question.login_endpoint, AllowedHosts::Published)?;
    let credential = question.credential.read()?;
    let client = http::client(Timeouts::PATIENT)?;
    let (tenant, app, now) = (question.tenant_id, question.client_id, Timestamp::now());
    let asked = entra::token(&client, &login, tenant, app, &credential, &question.scope, now).await;
    let answer = match asked {
        Ok(token) => json!({"ok": true, "roles": token.roles()}),
        Err(error) => json!({"ok": false, "codes": error.codes, "error": error.to_string()}),
    };
    serde_json::to_writer(std::io::stdout().lock(), &answer)?;
    Ok(())
}
