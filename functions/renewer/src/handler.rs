//! One invocation: what the event asks for, and what comes of it.

use lambda_edge::environment::SettingError;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;

use crate::{
    check::{check, ports::Surroundings, report::CheckReport},
    cloudformation::{self, NotCloudFormation, Verdict},
    config::Config,
    deployment::{NotAnswered, deploy},
    drill::{self, NotSent, drill, report::DrillReport},
    input::{Action, UnknownAction},
    ports::Deployment,
    report::Report,
    run::{Asked, Invocation, reconcile},
    verdict::{NotCovered, log, verdict},
    watch::{self, monitor, report::WatchReport},
};

/// All of the outside world that an invocation may touch.
pub trait Outside: Surroundings + Deployment + drill::ports::Stage + watch::ports::Watched {}

impl<O: Surroundings + Deployment + drill::ports::Stage + watch::ports::Watched> Outside for O {}

/// What an invocation returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A run's report.
    Run(Box<Report>),
    /// A check's report.
    Check(CheckReport),
    /// A watch's report.
    Watch(Box<WatchReport>),
    /// A drill's report.
    Drill(DrillReport),
    /// What a deployment was told.
    Deployment {
        /// Whether it goes on.
        ok: bool,
        /// Why, in a sentence.
        reason: String,
    },
}

impl Answer {
    fn deployed(verdict: Verdict) -> Self {
        let (ok, reason) = match verdict {
            Verdict::Success(reason) => (true, reason),
            Verdict::Failed(reason) => (false, reason),
        };
        tracing::info!(ok, reason, "CloudFormation was answered");
        Self::Deployment { ok, reason }
    }
}

/// The invocation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The event asks for something that is not known.
    #[error(transparent)]
    UnknownAction(#[from] UnknownAction),
    /// Calls go unreported, or soon will.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
    /// A drill reached nobody.
    #[error(transparent)]
    DrillNotSent(#[from] NotSent),
    /// The function's settings cannot be used.
    #[error(transparent)]
    Settings(SettingError),
    /// Somebody pretends to be CloudFormation.
    #[error(transparent)]
    NotCloudFormation(#[from] NotCloudFormation),
    /// CloudFormation waits for an answer that could not be sent.
    #[error(transparent)]
    DeploymentUnanswered(#[from] NotAnswered),
}

impl From<RunError> for Diagnostic {
    fn from(error: RunError) -> Self {
        let error_type = match &error {
            RunError::UnknownAction(_) => "UnknownAction",
            RunError::NotCovered(NotCovered::PolicyUnwatched(_)) => "PolicyUnwatched",
            RunError::NotCovered(NotCovered::NothingRenewed(_)) => "NothingRenewed",
            RunError::DrillNotSent(_) => "DrillNotSent",
            RunError::Settings(_) => "SettingsUnusable",
            RunError::NotCloudFormation(_) => "NotCloudFormation",
            RunError::DeploymentUnanswered(_) => "DeploymentUnanswered",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// Does what the event asks for, and logs the report.
///
/// # Errors
/// If the event asks for something unknown or only looks as if it came from CloudFormation, if after a run a policy is unwatched
/// or none could be renewed, if a drill is not sent, or if a deployment cannot be answered: then the invocation must fail, so that it is repeated and noticed.
pub async fn handle(
    outside: &impl Outside,
    config: &Config,
    event: &Value,
    invocation: Invocation<'_>,
) -> Result<Answer, RunError> {
    // Boxed: all that an invocation may do, in one future, is deeper than the compiler looks.
    let asked = match Action::from_event(event)? {
        Action::Scheduled => Asked::BySchedule,
        Action::Reconcile => Asked::ToReconcile,
        Action::Rotate => Asked::ToRotate,
        Action::ReplaceLeaked => Asked::ToReplaceLeaked,
        Action::Lifecycle(event) => Asked::ByGraph(event),
        Action::Check => return Ok(Answer::Check(Box::pin(check(outside, config, invocation.ends_at)).await)),
        Action::Monitor(scheduled_at) => {
            let report = Box::pin(monitor(outside, config, invocation, scheduled_at)).await;
            log_watch(&report);
            return Ok(Answer::Watch(Box::new(report)));
        }
        Action::Drill(asked) => {
            let sent = Box::pin(drill(outside, config, &asked, invocation.ends_at)).await;
            log_drill(&sent);
            return Ok(Answer::Drill(sent?));
        }
        Action::CustomResource(request) => {
            let request = request.verified(&config.stack_id)?;
            let verdict = Box::pin(deploy(outside, config, &request, invocation)).await?;
            return Ok(Answer::deployed(verdict));
        }
    };
    let report = Box::pin(reconcile(outside, config, invocation, &asked)).await;
    log(&report);
    verdict(&report)?;
    Ok(Answer::Run(Box::new(report)))
}

/// Refuses whatever the event asks for, since the function's settings cannot be used. A deployment of the stack with this id
/// is told so: it would wait for the answer of a function that does not start.
///
/// # Errors
/// Always.
pub async fn handle_without_settings(
    deployment: &impl Deployment,
    error: &SettingError,
    stack_id: &str,
    event: &Value,
) -> Result<Answer, RunError> {
    if let Ok(Action::CustomResource(request)) = Action::from_event(event) {
        let request = request.verified(stack_id)?;
        let answered = cloudformation::answer(deployment, &request, &request.verdict_without_settings(error)).await;
        answered.map_err(|error| NotAnswered(error.to_string()))?;
    }
    Err(RunError::Settings(error.clone()))
}

/// What is as it should be is said by the metrics alone: a pass comes every minute.
fn log_watch(report: &WatchReport) {
    if !report.ok || !report.new_problems.is_empty() {
        let text = serde_json::to_string(report).unwrap_or_default();
        tracing::warn!(report = text, "the monitor saw something wrong");
    }
}

/// Without the addresses of those who are subscribed.
fn log_drill(sent: &Result<DrillReport, NotSent>) {
    match sent {
        Ok(DrillReport { ok, topic, call_id, rows, .. }) => {
            let rows = serde_json::to_string(rows).unwrap_or_default();
            tracing::info!(ok, topic, call_id, rows, "a drill was sent");
        }
        Err(error) => tracing::error!(%error, "a drill was not sent"),
    }
}
