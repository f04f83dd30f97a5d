//! The calls that a run makes, by name.

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Entra,
    Graph,
    SecretsManager,
    DynamoDb,
    EventBridge,
}

impl Service {
    pub(super) fn is_microsoft(self) -> bool {
        matches!(self, Self::Entra | Self::Graph)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Entra => "Entra",
            Self::Graph => "Graph",
            Self::SecretsManager => "Secrets Manager",
            Self::DynamoDb => "DynamoDB",
            Self::EventBridge => "EventBridge",
        }
    }
}

/// A call that a run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Token,
    SigningKeys,
    List,
    Get,
    Create,
    Renew,
    Delete,
    ReadSecret,
    WriteSecret,
    TakeLease,
    ReleaseLease,
    ReadRecords,
    PutRecord,
    DeleteRecord,
    ReadLifecycleRun,
    AnnounceLifecycleRun,
    PutHealth,
}

impl Call {
    pub(super) fn service(self) -> Service {
        match self {
            Self::Token | Self::SigningKeys => Service::Entra,
            Self::List | Self::Get | Self::Create | Self::Renew | Self::Delete => Service::Graph,
            Self::ReadSecret | Self::WriteSecret => Service::SecretsManager,
            Self::PutHealth => Service::EventBridge,
            Self::TakeLease
            | Self::ReleaseLease
            | Self::ReadRecords
            | Self::PutRecord
            | Self::DeleteRecord
            | Self::ReadLifecycleRun
            | Self::AnnounceLifecycleRun => Service::DynamoDb,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::SigningKeys => "signing keys",
            Self::List => "list",
            Self::Get => "get",
            Self::Create => "create",
            Self::Renew => "renew",
            Self::Delete => "delete",
            Self::ReadSecret => "read secret",
            Self::WriteSecret => "write secret",
            Self::TakeLease => "take lease",
            Self::ReleaseLease => "release lease",
            Self::ReadRecords => "read records",
            Self::PutRecord => "put record",
            Self::DeleteRecord => "delete record",
            Self::ReadLifecycleRun => "read lifecycle run",
            Self::AnnounceLifecycleRun => "announce lifecycle run",
            Self::PutHealth => "put health",
        }
    }
}
