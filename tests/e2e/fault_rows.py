"""The fault matrix: what can go wrong around the two functions, and what is expected then.

`ROWS` is all of it as data. `test_faults.py` makes each row happen on the deployed stack, or the row names another test that does
so, most often in Rust over fakes in virtual time. `docs/faults.md` is written from the same data by `local/fault_document.py`. A dependency and a mode
without a row is in `IMPOSSIBLE`, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MODES = {
    "down": "is down",
    "refusing": "refuses",
    "throttling": "throttles",
    "slow": "does not answer",
    "garbage": "answers garbage",
    "wrong": "answers something else",
    "lost": "does it, but the answer is lost",
    "recovering": "fails at first, then works",
    "killed": "the function ends before the call takes effect",
    "killedAfter": "the function ends after the call took effect",
}


@dataclass(frozen=True)
class Row:
    """A dependency that fails in one way."""

    function: str
    dependency: str
    mode: str
    # What this row has besides other rows with the same mode.
    variant: str = ""
    # How it fails, in words, where those of the mode do not say it.
    fails: str = ""
    # What the proxy (`service`) or the Graph simulator (`operation`) is told.
    faults: tuple[dict, ...] = ()
    # The test that makes the row happen instead: its file and name, and in brackets which of its cases does.
    test: str = ""
    # Why the fault moves no metric that has an alarm.
    unseen: str = ""
    # Alarms that watch what moves. For a row in Python exactly those of which one datapoint breaches the threshold.
    alarms: tuple[str, ...] = ()
    # Alarms that go off because too little comes, or nothing any more. For a row in Python exactly those that a pass would set off.
    silence: tuple[str, ...] = ()
    # The function's metrics that count the fault, at least so often.
    metrics: dict[str, int] = field(default_factory=dict)
    # In words, where the data of a row does not say it. For a row that names a test: the answer that Graph gets and what people get,
    # or what the run does.
    note: str = ""
    # What comes next, in words: Graph's next attempt or the next run. A row that names a test has it.
    then: str = ""

    @property
    def id(self) -> str:
        return "-".join(part.replace(" ", "_") for part in (self.function, self.dependency, self.mode, self.variant) if part)


@dataclass(frozen=True)
class Call(Row):
    """Somebody dials 911 while the fault lasts; then it ends, and Graph retries."""

    # The receiver has just started.
    cold: bool = False
    # Graph signs with a key that the keyring does not have yet.
    new_signing_key: bool = False
    # How many calls Graph reports in one request.
    calls: int = 1
    # How Graph's attempts end while the fault lasts: a status, `5xx`, `unreachable` or `timedOut`.
    answers: tuple[object, ...] = (202,)
    # How many alerts each call has raised when the attempts of `answers` are over.
    alerts: tuple[int, ...] = (1,)
    verified: bool = True
    # How many it has raised in the end.
    total: tuple[int, ...] = (1,)
    # How many more come if Graph then delivers once more what it has delivered.
    again: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Run(Row):
    """The renewer runs while the fault lasts, and once more when it has ended."""

    action: str = "reconcile"
    # What is done before, so that the run has a reason to make the call: `lost` removes a subscription at Graph, `late` moves
    # Graph's clock on by three hours.
    before: str = ""
    # How the run ends: `ok`, `problems`, or the type of the error with which the invocation fails.
    ends: str = "ok"
    # How many of the two policies have a live subscription when the run has ended.
    subscribed: int = 2
    # How many drills the queue of TestTopic gets.
    drills: int = 0


SECRETS = "Secrets Manager"
TABLE_READ, TABLE_WRITE, TABLE = "DynamoDB, reading", "DynamoDB, writing", "DynamoDB"
SNS, BUS = "SNS", "EventBridge"
SECOND_WAY = "SNS, with a second topic"
KEYS = "Entra's signing keys"
WAY_IN = "API Gateway and Lambda"
CLOCK = "the clock"
LIFECYCLE = "EventBridge, what Graph says of subscriptions"


def aws(service: str, mode: str, **more: object) -> dict:
    """A fault of an AWS service, for the proxy."""
    return {"service": service, "mode": mode, **more}


def microsoft(operation: str, effect: str, times: int | None = None, **more: object) -> dict:
    """A fault of Graph or Entra, for the simulator."""
    return {"operation": operation, "effect": effect, "times": times, **more}


REFUSED = ("NotificationsRefused",)
CRASHED = {"answers": ("5xx",), "alarms": ("NotificationsRefused", "ReceiverErrors")}
# What the renewer sends through the public address does not come back, or does not arrive.
PROBED = ("EndpointUnreachable", "ProbesMissing")
OUTLASTED = "nothing is lost or late: the second attempt succeeds"

WRONG_KEYRING = {"ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:x", "Name": "x", "SecretString": '{"version":1}'}
WRONG_ITEM = {"Item": {"pk": {"S": "alert#another"}, "sk": {"S": "published"}, "expiresAt": {"N": "1"}}}
NO_MESSAGE = '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult/></PublishResponse>'
NO_ENTRIES = (
    '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Successful/><Failed/>'
    "</PublishBatchResult></PublishBatchResponse>"
)
NO_EVENTS = {"FailedEntryCount": 0, "Entries": []}

HANDLER = "functions/receiver/tests/handler.rs"
SECOND = "tests/e2e/test_second_way.py"
NO_HOME = (("down", "reset", ""), ("refusing", "failing", "answers 500"), ("slow", "hanging", ""))

TWICE = "twice rather than never"

RECEIVER = [
    # ------------------------------------------------------------------ the keyring
    *(
        Call(
            "receiver", SECRETS, mode, "a receiver that has just started", cold=True,
            faults=(aws("secretsmanager", mode, **({"body": WRONG_KEYRING} if mode == "wrong" else {})),),
            answers=(503,), alerts=(0,), metrics={"NotificationsUndecided": 1, "KeyringFailures": 1},
            alarms=(*REFUSED, "KeyringOutOfReach"),
        )
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "wrong", "lost")
    ),
    Call("receiver", SECRETS, "recovering", "a receiver that has just started", cold=True,
         faults=(aws("secretsmanager", "down", times=1),), unseen=OUTLASTED),
    *(
        Call("receiver", SECRETS, mode, "while the function starts", cold=True,
             faults=(aws("secretsmanager", mode, times=1),), alerts=(0,), **CRASHED)
        for mode in ("killed", "killedAfter")
    ),
    Row("receiver", SECRETS, "slow", "a receiver that runs",
        test=f"{HANDLER}::a_keyring_that_was_read_once_outlives_the_secret",
        metrics={"KeyringFailures": 1}, alarms=("KeyringOutOfReach",),
        note="202; the alert: the keyring in memory serves on", then="nothing is left to do"),

    # ------------------------------------------------------------------ what was published before
    *(
        Call(
            "receiver", TABLE_READ, mode,
            faults=(aws("dynamodb", mode, action="GetItem", **({"body": WRONG_ITEM} if mode == "wrong" else {})),),
            metrics={"StateTableFailures": 1}, alarms=("StateTableFailing",),
        )
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "wrong", "lost")
    ),
    Call("receiver", TABLE_READ, "recovering", faults=(aws("dynamodb", "throttling", action="GetItem", times=1),), unseen=OUTLASTED),
    *(
        Call("receiver", TABLE_READ, mode, faults=(aws("dynamodb", mode, action="GetItem", times=1),), alerts=(0,), **CRASHED)
        for mode in ("killed", "killedAfter")
    ),
    *(
        Call(
            "receiver", TABLE_WRITE, mode,
            faults=(aws("dynamodb", mode, action="PutItem"), aws("dynamodb", mode, action="UpdateItem")),
            metrics={"StateTableFailures": 2}, alarms=("StateTableFailing",),
            # Only what took effect is remembered.
            again=(0,) if mode == "lost" else (1,),
        )
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "lost")
    ),
    Call("receiver", TABLE_WRITE, "recovering", faults=(aws("dynamodb", "throttling", action="UpdateItem", times=1),), unseen=OUTLASTED),
    # The mark, the start of the call and the time of the latest one are written at once: the mark may be done before another kills.
    *(
        Call("receiver", TABLE_WRITE, mode, faults=(aws("dynamodb", mode, action="UpdateItem", times=1),), total=(1, 2), note=TWICE, **CRASHED)
        for mode in ("killed", "killedAfter")
    ),

    # ------------------------------------------------------------------ people
    *(
        Call(
            "receiver", SNS, mode, faults=(aws("sns", mode, **({"body": NO_MESSAGE} if mode == "wrong" else {})),),
            answers=(503,), alerts=(0,), metrics={"AlertsNotPublished": 1}, alarms=REFUSED,
        )
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "wrong")
    ),
    Call("receiver", SNS, "slow", fails="does it, and answers after a second", variant="late", faults=(aws("sns", "late", hangSeconds=1),),
         unseen="the attempt has that much time: to give it up would be to tell people twice"),
    Call("receiver", SNS, "wrong", "three calls in one request", calls=3, faults=(aws("sns", "wrong", body=NO_ENTRIES),),
         answers=(503,), alerts=(0,), metrics={"AlertsNotPublished": 3}, alarms=REFUSED),
    Call("receiver", SNS, "lost", "once", faults=(aws("sns", "lost", times=1),), alerts=(2,), total=(2,), note=TWICE,
         unseen="people have the alert, twice; the log has the attempt that failed"),
    Call("receiver", SNS, "lost", "every time", faults=(aws("sns", "lost"),), answers=(503,), alerts=(3,), total=(4,),
         metrics={"AlertsNotPublished": 1}, alarms=REFUSED, note="several times rather than never"),
    Call("receiver", SNS, "recovering", faults=(aws("sns", "down", times=2),), unseen="the third attempt of the same invocation succeeds"),
    Call("receiver", SNS, "killed", faults=(aws("sns", "killed", times=1),), alerts=(0,), **CRASHED),
    Call("receiver", SNS, "killedAfter", faults=(aws("sns", "killedAfter", times=1),), total=(2,), note=TWICE, **CRASHED),

    *(
        Row("receiver", SECOND_WAY, mode, "in this Region", metrics={"AlertsPublishedSecondWay": 1}, alarms=("SecondWayUsed",),
            test=f"{SECOND}::test_what_the_home_region_does_not_take_goes_the_second_way_once[{case}]",
            note="202; the alert, from the other Region", then="a repeated delivery is recognized", fails=fails)
        for mode, case, fails in NO_HOME
    ),
    Row("receiver", SECOND_WAY, "slow", "in both Regions", metrics={"AlertsNotPublished": 1}, alarms=("NotificationsRefused",),
        test=f"{SECOND}::test_only_when_both_ways_fail_graph_is_asked_to_retry", note="503; nothing yet",
        then="Graph sends it again: one alert in all, from this Region"),
    *(
        Row("receiver", SECOND_WAY, mode, "in this Region, a test call", metrics={"AlertsNotPublished": 1}, alarms=("NotificationsRefused",),
            test=f"{SECOND}::test_a_test_call_waits_for_the_home_region[{case}]", note="503; nothing yet",
            then="Graph sends it again: one alert in all, from this Region", fails=fails)
        for mode, case, fails in NO_HOME
    ),

    # ------------------------------------------------------------------ machines
    *(
        Call(
            "receiver", BUS, mode, faults=(aws("events", mode, **({"body": NO_EVENTS} if mode == "wrong" else {})),),
            metrics={"CallEventsNotPut": 1}, alarms=("CallEventsLost",),
        )
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "wrong", "lost")
    ),
    Call("receiver", BUS, "recovering", faults=(aws("events", "throttling", times=1),), unseen=OUTLASTED),
    *(
        Call("receiver", BUS, mode, faults=(aws("events", mode, times=1),), total=(1, 2), note=TWICE, **CRASHED)
        for mode in ("killed", "killedAfter")
    ),
    Row("receiver", LIFECYCLE, "down", test=f"{HANDLER}::a_lifecycle_item_that_does_not_reach_the_bus_is_counted",
        note="202; nothing, as always: it is about a subscription",
        then="Graph does not repeat it; the monitor asks for each subscription every minute, whatever Graph says",
        unseen="`LifecycleEventsNotPut` counts it; what the subscription lacks is found by the renewer's next pass or run, which says so"),

    # ------------------------------------------------------------------ a signing key that the keyring lacks
    *(
        Call(
            "receiver", KEYS, mode, variant, cold=True, new_signing_key=True, faults=(microsoft("signingKeys", **how),), verified=False,
            metrics={"AlertsUnverified": 1}, alarms=("UnverifiedAlerts",),
            # Delivered again, the call is verified, and told as that.
            again=(1,),
        )
        for mode, variant, how in (
            ("down", "", {"effect": "drop"}),
            ("refusing", "", {"effect": "fail", "status": 403}),
            ("throttling", "", {"effect": "fail", "status": 429, "retryAfterSeconds": 60}),
            ("slow", "", {"effect": "delay", "milliseconds": 5000}),
            ("garbage", "", {"effect": "answer", "body": "<html>It works!</html>"}),
            ("wrong", "", {"effect": "answer", "body": {"keys": []}}),
            ("lost", "", {"effect": "dropAnswer"}),
        )
    ),
    *(
        Call(
            "receiver", KEYS, mode, "one of the two documents", cold=True, new_signing_key=True, faults=(microsoft("signingKeys", times=1, **how),),
            unseen="the key stands in the other document; if it did not, the alert would be marked as not verified",
        )
        for mode, how in (("garbage", {"effect": "answer", "body": "<html>It works!</html>"}), ("recovering", {"effect": "drop"}))
    ),
    Call("receiver", KEYS, "killed", cold=True, new_signing_key=True, alerts=(0,),
         faults=(microsoft("signingKeys", "delay", milliseconds=60_000, times=2), {"kill": "receiver"}), **CRASHED),

    # ------------------------------------------------------------------ the way in
    Call("receiver", WAY_IN, "down", faults=(aws("execute-api", "down"),), answers=("unreachable",), alerts=(0,), silence=PROBED),
    Call("receiver", WAY_IN, "refusing", faults=(aws("execute-api", "refusing"),), answers=(403,), alerts=(0,), silence=PROBED),
    Call("receiver", WAY_IN, "throttling", "API Gateway", faults=(aws("execute-api", "throttling"),), answers=(429,), alerts=(0,),
         alarms=("GatewayThrottled",), silence=PROBED),
    Call("receiver", WAY_IN, "throttling", "Lambda", faults=(aws("execute-api", "throttling", status=503, code="Service Unavailable"),),
         answers=(503,), alerts=(0,), alarms=(*REFUSED, "ReceiverThrottled")),
    Call("receiver", WAY_IN, "slow", faults=(aws("execute-api", "slow", hangSeconds=4, times=1),), answers=("timedOut",), alerts=(0,),
         alarms=("AnswersSlow",), note="ten minutes later, since Graph holds back what goes to a slow endpoint"),
    Call("receiver", WAY_IN, "lost", faults=(aws("execute-api", "lost", times=1),), answers=("unreachable",),
         unseen="people have the alert, once: the repeated delivery is recognized"),
    Call("receiver", WAY_IN, "recovering", faults=(aws("execute-api", "down", times=2),), answers=("unreachable", "unreachable"), alerts=(0,),
         unseen="Graph's third attempt arrives, seconds late; AWS does not count connections that were reset, and the alarms on the "
                "address wait for ten minutes of it"),
    Call("receiver", WAY_IN, "killed", "between two invocations", fails="the function ends", faults=({"kill": "receiver"},), unseen="the next call starts another process"),

    # ------------------------------------------------------------------ the clock
    Row("receiver", CLOCK, "wrong", "up to five minutes off",
        test=f"{HANDLER}::a_clock_that_is_five_minutes_off_changes_nothing",
        unseen="tokens may be used five minutes early or late", note="202; the alert", then="nothing is left to do"),
    Row("receiver", CLOCK, "wrong", "further off",
        test=f"{HANDLER}::a_clock_that_is_days_off_leaves_calls_unverified_and_says_so",
        metrics={"AlertsUnverified": 1}, alarms=("UnverifiedAlerts",),
        note="202; the alert says NOT VERIFIED, since old tokens must not count. AWS keeps this clock",
        then="nothing is left to do. With `UnverifiedCalls=Reject` **the call is lost**, and the alarm RejectedWithClientState says so"),
]

# ----------------------------------------------------------------------------------------------------------------- the renewer
FAILED = {"ends": "NothingRenewed", "metrics": {"RenewalFailures": 2}, "alarms": ("RenewalsFailing", "RenewerErrors")}
UNWATCHED = {
    "before": "lost", "ends": "PolicyUnwatched", "subscribed": 1, "metrics": {"RenewalFailures": 1, "SubscriptionsLost": 1},
    "alarms": ("RenewalsFailing", "RenewerErrors", "SubscriptionsLost", "SubscriptionsRunningOut"),
}
PROBLEM = {"ends": "problems", "metrics": {"Problems": 1}, "alarms": ("RenewerProblems",)}
FOUND_LOST = {"before": "lost", "metrics": {"SubscriptionsLost": 1}, "alarms": ("SubscriptionsLost",)}

ANOTHER_SECRET = {"ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:y", "Name": "y", "SecretString": "another secret"}
SECRET_READ, SECRET_WRITE = "Secrets Manager, reading", "Secrets Manager, writing"
TOKEN, LIST, CREATE, PATCH, DELETE = "Entra's tokens", "Graph, listing", "Graph, creating", "Graph, renewing", "Graph, deleting"
VALIDATING, READ_BACK = "Graph, validating the address", "Graph, reading back"
DEPLOYMENT = "CloudFormation's answer"
STS, APP_CERTIFICATES = "STS, for GraphCredential=Federated", "Secrets Manager, for GraphCredential=Certificate"
DRILL_LIST, DRILL_EVENT = "SNS, listing whom a drill should reach", "EventBridge, a drill's event"
PROBE, COUNTING, NOTES = "the public address, probed", "SNS, counting subscribers", "DynamoDB, the watch's notes"
START = "EventBridge Scheduler and AWS Lambda"
NEXT_WATCH = "looks anew, five minutes later"
OVERDUE = "comes when it is started again: Graph delivers for about an hour after the last run"
GARBAGE = "<html>It works!</html>"
MADE_UP = {
    "id": "11111111-2222-3333-4444-555555555555", "resource": "communications/adhoc", "changeType": "updated",
    "notificationUrl": "https://example.com/", "expirationDateTime": "2100-01-01T00:00:00Z",
}
# Longer than a run may wait.
LATER = 600

TESTS = "functions/renewer/src/tests.rs"
FAULTS = "functions/renewer/src/tests/faults.rs"
WATCH = "functions/renewer/src/watch/tests.rs"
DRILLS = "tests/e2e/test_drill.py"
RINGS = "tests/interop/test_alarms.py::test_what_breaks_rings_in_time"
WHOLE_RUN = {
    "down": f"{FAULTS}::what_graph_does_not_do_for_a_whole_run_is_counted_and_the_next_run_does_it",
    "slow": f"{FAULTS}::what_graph_leaves_unanswered_for_a_whole_run_is_counted_in_time_and_the_next_run_does_it",
}
NOT_TWICE = f"{FAULTS}::what_graph_did_without_saying_so_is_not_done_twice"
AFTER_A_CRASH = f"{TESTS}::after_a_crash_at_any_step_the_next_run_ends_well"
REPAIRS = "repairs what is left"
BY_ID = "every subscription is renewed: only what no record tells of waits for a list that is right"
AGAIN = (
    "AWS Lambda starts it once more; if it dies again, the event is in the dead-letter queue and `DeadLetters` rings; the next run on "
    "schedule repairs what is left"
)
PROBLEM_SEEN = {"metrics": {"Problems": 1}, "alarms": ("RenewerProblems",)}
FAILURE_SEEN = {"metrics": {"RenewalFailures": 1}, "alarms": ("RenewalsFailing", "RenewerErrors")}
BLIND = {"metrics": {"WatchProblems": 1}, "alarms": ("WatchBlind",)}


def graph(dependency: str, operation: str, refused: dict, **row: object) -> list[Row]:
    """The rows of one of Graph's operations: those that outlast a run in virtual time, the others on the deployed stack."""
    lasting = {key: value for key, value in refused.items() if key in ("metrics", "alarms")}
    return [
        *(
            Row("renewer", dependency, mode, "for a whole run", test=test, note="tries five times, with growing pauses, and fails", then=REPAIRS,
                **lasting)
            for mode, test in WHOLE_RUN.items()
        ),
        Run("renewer", dependency, "refusing", faults=(microsoft(operation, "fail", status=403),), **{**row, **refused}),
        Run("renewer", dependency, "throttling", "for longer than a run",
            faults=(microsoft(operation, "fail", status=429, retryAfterSeconds=LATER),), **{**row, **refused}),
    ]


RENEWER = [
    # ------------------------------------------------------------------ secrets
    *(
        Run("renewer", SECRET_READ, mode,
            faults=(aws("secretsmanager", mode, action="GetSecretValue", **({"body": ANOTHER_SECRET} if mode == "wrong" else {})),), **FAILED)
        for mode in ("down", "refusing", "throttling", "garbage", "wrong", "lost")
    ),
    Run("renewer", SECRET_READ, "recovering", faults=(aws("secretsmanager", "down", action="GetSecretValue", times=2),),
        unseen="the third attempt succeeds"),
    *(
        Run("renewer", SECRET_WRITE, mode, "a new key", action="rotate", faults=(aws("secretsmanager", mode, action="PutSecretValue"),),
            note="the old key serves on", **PROBLEM)
        for mode in ("down", "refusing", "throttling", "garbage", "lost")
    ),
    Run("renewer", SECRET_WRITE, "recovering", "a new key", action="rotate",
        faults=(aws("secretsmanager", "throttling", action="PutSecretValue", times=2),), unseen="the third attempt succeeds"),

    # ------------------------------------------------------------------ the state table
    *(
        Run("renewer", TABLE, mode, faults=(aws("dynamodb", mode),), note="renews and creates, deletes nothing", **PROBLEM)
        for mode in ("down", "refusing", "throttling", "garbage", "lost")
    ),
    Run("renewer", TABLE, "wrong", "no records", faults=(aws("dynamodb", "wrong", action="Query", body={"Items": [], "Count": 0, "ScannedCount": 0}),),
        note="replaces what it does not know any more", unseen="every policy has its subscription"),
    Row("renewer", TABLE, "slow", test=f"{TESTS}::without_the_state_table_it_renews_and_creates_and_deletes_nothing",
        note="renews and creates, deletes nothing, and ends in its time", then=REPAIRS, **PROBLEM_SEEN),
    Run("renewer", TABLE, "recovering", faults=(aws("dynamodb", "throttling", times=2),), unseen="the third attempt succeeds"),

    # ------------------------------------------------------------------ the event bus, which is told what was lost
    *(
        Run("renewer", BUS, mode, faults=(aws("events", mode, **({"body": NO_EVENTS} if mode == "wrong" else {})),),
            before="lost", ends="problems", metrics={"SubscriptionsLost": 1, "Problems": 1}, alarms=("SubscriptionsLost", "RenewerProblems"),
            note="the subscription is made anew")
        for mode in ("down", "refusing", "throttling", "garbage", "wrong", "lost")
    ),
    Run("renewer", BUS, "recovering", faults=(aws("events", "down", times=2),), note="the subscription is made anew", **FOUND_LOST),

    # ------------------------------------------------------------------ drills
    *(
        Run("renewer", SNS, mode, action="drill", faults=(aws("sns", mode, action="Publish", **({"body": NO_MESSAGE} if mode == "wrong" else {})),),
            ends="DrillNotSent", alarms=("RenewerErrors",), then="it is not sent later: whoever asked for the drill must ask again")
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "wrong")
    ),
    Run("renewer", SNS, "lost", action="drill", faults=(aws("sns", "lost", action="Publish"),), ends="DrillNotSent", alarms=("RenewerErrors",),
        drills=3, note="people have the drill all the same, once for each of its three attempts",
        then="whoever asked for the drill asks whether it came before asking again"),
    Run("renewer", SNS, "recovering", action="drill", faults=(aws("sns", "throttling", action="Publish", times=2),), drills=1,
        unseen="the third attempt succeeds", then="nothing is left to do"),
    *(
        Row("renewer", dependency, "refusing", fails="answers 500", test=f"{DRILLS}::test_what_fails_beside_the_topic_is_in_the_report",
            note="the drill is sent, and its report says what is missing", then="whoever asked for the drill asks again",
            unseen="whoever asked for the drill reads it in the report")
        for dependency in (DRILL_LIST, DRILL_EVENT)
    ),

    # ------------------------------------------------------------------ Entra
    Run("renewer", TOKEN, "down", faults=(microsoft("token", "drop"),), note="tries five times, with growing pauses", **FAILED),
    Run("renewer", TOKEN, "refusing", faults=(microsoft("token", "fail", status=401, code="7000222"),), **FAILED),
    Run("renewer", TOKEN, "throttling", "for longer than a run",
        faults=(microsoft("token", "fail", status=429, retryAfterSeconds=LATER),), **FAILED),
    Run("renewer", TOKEN, "garbage", faults=(microsoft("token", "answer", body=GARBAGE),), **FAILED),
    Run("renewer", TOKEN, "wrong", faults=(microsoft("token", "answer", body={"token_type": "Bearer"}),), **FAILED),
    Run("renewer", TOKEN, "lost", "once", faults=(microsoft("token", "dropAnswer", times=1),), unseen=OUTLASTED),
    Run("renewer", TOKEN, "recovering", faults=(microsoft("token", "drop", times=2),), unseen="the third attempt succeeds"),
    *(
        Run("renewer", KEYS, mode, faults=(microsoft("signingKeys", **how),), note="the keys of the last run serve on", **PROBLEM)
        for mode, how in (
            ("refusing", {"effect": "fail", "status": 403}),
            ("garbage", {"effect": "answer", "body": GARBAGE}),
            ("wrong", {"effect": "answer", "body": {"keys": []}}),
        )
    ),
    Row("renewer", KEYS, "slow", test=f"{FAULTS}::slow_signing_keys_hold_up_no_tenant_for_long_and_the_stored_ones_stay",
        note="the keys of the last run serve on", then=REPAIRS, **PROBLEM_SEEN),
    Row("renewer", KEYS, "down", test=f"{TESTS}::signing_keys_that_cannot_be_fetched_stay_and_hold_nothing_back",
        note="the keys of the last run serve on", then=REPAIRS, **PROBLEM_SEEN),
    Run("renewer", KEYS, "recovering", faults=(microsoft("signingKeys", "drop", times=1),), unseen=OUTLASTED),

    # ------------------------------------------------------------------ what takes the client secret's place
    *(
        Row("renewer", STS, mode, test=f"{FAULTS}::without_a_token_of_aws_nothing_is_renewed_until_there_is_one",
            note="fails, unless a client secret is left, which serves and is a problem in the report", then=REPAIRS, **FAILURE_SEEN)
        for mode in ("down", "slow", "wrong")
    ),
    *(
        Row("renewer", APP_CERTIFICATES, mode, "reading",
            test=f"{FAULTS}::the_apps_certificates_are_never_written_over_and_the_old_one_serves_until_a_new_one_is_stored",
            note="fails, and leaves the secret as it is", then=REPAIRS, **FAILURE_SEEN)
        for mode in ("down", "garbage", "wrong")
    ),
    Row("renewer", APP_CERTIFICATES, "down", "writing the next certificate",
        test=f"{FAULTS}::the_apps_certificates_are_never_written_over_and_the_old_one_serves_until_a_new_one_is_stored",
        note="the old certificate serves on", then="makes and stores the next one", **PROBLEM_SEEN),

    # ------------------------------------------------------------------ Graph
    *(
        Row("renewer", LIST, mode, test=f"{FAULTS}::a_list_that_cannot_be_had_keeps_nothing_from_being_renewed", unseen=BY_ID,
            note="renews by the recorded ids, and the report says that the list could not be had", then="renews")
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "lost")
    ),
    Row("renewer", LIST, "wrong", "empty, partial, stale or contradicting", unseen=BY_ID, then="renews",
        test=f"{TESTS}::a_list_that_lies_decides_nothing_about_what_is_recorded",
        note="renews by the recorded ids, and the report names what the list got wrong"),
    Row("renewer", LIST, "recovering", test=f"{TESTS}::passing_failures_are_outlasted_with_growing_pauses", note="is as ever", then="renews",
        unseen="the second attempt succeeds"),

    *graph(CREATE, "createSubscription", UNWATCHED),
    Run("renewer", CREATE, "garbage", "once", faults=(microsoft("createSubscription", "answer", body=GARBAGE, status=201, times=1),),
        note="looks at the list and creates", **FOUND_LOST),
    Run("renewer", CREATE, "wrong", "an answer without an effect", faults=(microsoft("createSubscription", "answer", body=MADE_UP, status=201, times=1),),
        subscribed=1, then="notices it, and makes the subscription", **FOUND_LOST),
    Run("renewer", CREATE, "lost", faults=(microsoft("createSubscription", "dropAnswer", times=1),),
        note="looks at the list and adopts", **FOUND_LOST),
    Run("renewer", CREATE, "recovering", faults=(microsoft("createSubscription", "drop", times=2),), **FOUND_LOST),
    Run("renewer", VALIDATING, "down", "for a whole run", faults=(microsoft("handshake", "drop"),),
        note="Graph answers 400, that the validation timed out; tries five times, with growing pauses", **UNWATCHED),
    Run("renewer", VALIDATING, "recovering", faults=(microsoft("handshake", "drop", times=2),), **FOUND_LOST),

    *graph(PATCH, "updateSubscription", FAILED),
    Run("renewer", PATCH, "garbage", faults=(microsoft("updateSubscription", "answer", body=GARBAGE),), **FAILED),
    Row("renewer", PATCH, "wrong", "an answer without an effect", test=f"{TESTS}::a_renewal_that_graph_only_pretends_is_a_problem",
        note="is as ever", then="notices it", **PROBLEM_SEEN),
    Run("renewer", PATCH, "lost", "once", faults=(microsoft("updateSubscription", "dropAnswer", times=1),), unseen=OUTLASTED),
    Run("renewer", PATCH, "recovering", faults=(microsoft("updateSubscription", "drop", times=2),), unseen="the third attempt succeeds"),

    *(
        Row("renewer", DELETE, mode, test=test, note="reports the subscription that stays", then="deletes it", **PROBLEM_SEEN)
        for mode, test in ({mode: WHOLE_RUN["down"] for mode in ("down", "refusing", "throttling", "garbage")} | WHOLE_RUN).items()
    ),
    Row("renewer", DELETE, "lost", test=NOT_TWICE, unseen="what is gone already counts as deleted", note="is as ever", then="renews"),
    Row("renewer", DELETE, "recovering", test=f"{TESTS}::strays_that_cannot_be_deleted_at_once_are_deleted_a_moment_later",
        unseen=OUTLASTED, note="is as ever", then="renews"),

    # A new certificate that the answer to a renewal does not show is read back.
    *(
        Row("renewer", READ_BACK, mode, test=f"{FAULTS}::a_new_key_comes_into_use_whatever_becomes_of_reading_back",
            note="renews, and keeps the old key as long as Graph may encrypt for it", then="gives Graph the new certificate, if it has not got it",
            unseen="either key reads what Graph seals")
        for mode in ("down", "refusing", "throttling", "slow", "garbage", "lost", "recovering")
    ),
    Row("renewer", READ_BACK, "wrong", "the old certificate", test=f"{TESTS}::a_certificate_that_a_renewal_does_not_change_is_changed_by_replacing",
        note="replaces the subscription: for a moment there is none", then="renews",
        unseen="the report says so; keys are changed at night unless somebody asks for it"),

    # ------------------------------------------------------------------ a deployment
    Row("renewer", DEPLOYMENT, "down", test=f"{TESTS}::cloudformation_is_told_until_it_listens", alarms=("RenewerErrors",),
        note="tells it four times, with growing pauses, and fails", then="tells it once more, when AWS Lambda starts it again; CloudFormation ends "
        "the deployment after its own time"),
    Row("renewer", DEPLOYMENT, "recovering", test=f"{TESTS}::cloudformation_is_told_until_it_listens", note="is as ever",
        then="nothing is left to do", unseen="the fourth attempt is heard"),

    # ------------------------------------------------------------------ the monitor
    *(
        Row("renewer", PROBE, mode, test=f"{WATCH}::only_202_in_time_is_an_answer", note="`monitor` counts the probe as not answered",
            then=NEXT_WATCH, silence=PROBED)
        for mode in ("down", "refusing", "throttling", "garbage", "wrong")
    ),
    Row("renewer", PROBE, "slow", test=f"{FAULTS}::a_probe_that_is_not_answered_in_time_counts_as_not_answered_and_hides_nothing_else",
        note="`monitor` counts the probe as not answered", then=NEXT_WATCH, silence=PROBED),
    *(
        Row("renewer", dependency, "down", test=f"{WATCH}::what_cannot_be_seen_is_a_problem_and_hides_nothing_else",
            note="`monitor` says what it cannot see, and looks at everything else", then=NEXT_WATCH, **BLIND)
        for dependency in (COUNTING, NOTES)
    ),

    # ------------------------------------------------------------------ what starts the renewer
    Row("renewer", START, "down", "the schedule of its runs", test=f"{RINGS}[the renewer's schedule is disabled]",
        note="there is none, and `monitor` says since when", then=OVERDUE, alarms=("ReconcileOverdue",),
        metrics={"ReconcileOverdueSeconds": 1}),
    Row("renewer", START, "down", "the schedule of its monitor", test=f"{RINGS}[the monitor's schedule is disabled]",
        note="renews", then="renews", silence=("WatchMissing", "ProbesMissing")),
    Row("renewer", START, "down", "both schedules", test=f"{RINGS}[both schedules are disabled]",
        note="there is none", then=OVERDUE, silence=("WatchMissing", "ProbesMissing")),
    Row("renewer", START, "refusing", "the function cannot run", test=f"{RINGS}[the renewer's function is broken]",
        note="there is none", then=OVERDUE, alarms=("RenewerErrors", "DeadLetters"), silence=("WatchMissing", "ProbesMissing")),
    Row("renewer", START, "recovering", "five passes of the monitor", test="tests/interop/test_alarms.py::test_what_is_well_alarms_nobody[five passes are lost]",
        note="renews", then="renews", unseen="the next pass sees all that these would have"),

    # ------------------------------------------------------------------ killed, anywhere
    *(
        Row("renewer", dependency, mode, test=AFTER_A_CRASH, alarms=("RenewerErrors",), note="dies, which AWS Lambda counts as an error", then=AGAIN)
        for dependency in (SECRET_READ, SECRET_WRITE, TABLE, BUS, TOKEN, KEYS, LIST, CREATE, PATCH, DELETE, READ_BACK)
        for mode in ("killed", "killedAfter")
    ),

    # ------------------------------------------------------------------ the clock
    Run("renewer", CLOCK, "wrong", "hours behind Graph's", before="late", unseen="a subscription lasts for a day, so that hours do not matter"),
]

ONE_FAILURE = "whatever keeps the answer away is one failure, as when it is down"

IMPOSSIBLE: dict[tuple[str, str, str], str] = {
    ("receiver", TABLE_WRITE, "wrong"): "nothing in the answers to PutItem and UpdateItem is read",
    ("receiver", KEYS, "killedAfter"): "fetching keys has no effect: as killed before",
    **{
        ("receiver", SECOND_WAY, mode): "as with one topic: whatever keeps an alert from being taken sends it the second way"
        for mode in MODES if mode not in ("down", "refusing", "slow")
    },
    **{
        ("receiver", LIFECYCLE, mode): "as with calls: whatever keeps the bus from taking an event is one failure"
        for mode in MODES if mode != "down"
    },
    ("receiver", WAY_IN, "garbage"): "API Gateway hands on the function's answer or makes an error of its own",
    ("receiver", WAY_IN, "wrong"): "API Gateway hands on the function's answer or makes an error of its own",
    ("receiver", WAY_IN, "killedAfter"): "as the connection that is lost after success",
    **{
        ("renewer", dependency, "slow"): "after three attempts of five seconds the same as no connection, as with SNS"
        for dependency in (SECRET_READ, SECRET_WRITE, BUS)
    },
    ("renewer", SECRET_WRITE, "wrong"): "an answer that does not name the new version is garbage",
    ("renewer", TOKEN, "slow"): "after 40 seconds the same as no connection",
    ("renewer", KEYS, "throttling"): "the same to the renewer as any other error",
    ("renewer", KEYS, "lost"): "the same to the renewer as no connection: nothing is changed by asking",
    ("renewer", DELETE, "wrong"): "nothing in the answer is read",
    **{
        ("renewer", VALIDATING, mode): "Graph answers 400 whatever it gets in place of its token"
        for mode in ("refusing", "throttling", "slow", "garbage", "wrong", "lost")
    },
    **{("renewer", VALIDATING, mode): "it is a part of creating a subscription" for mode in ("killed", "killedAfter")},
    **{("renewer", DEPLOYMENT, mode): "any status but 2xx is one failure, as no connection" for mode in ("refusing", "throttling")},
    ("renewer", DEPLOYMENT, "slow"): "after 40 seconds the same as no connection; a function whose time ends before has failed, too",
    ("renewer", DEPLOYMENT, "garbage"): "nothing in the answer is read",
    ("renewer", DEPLOYMENT, "wrong"): "nothing in the answer is read",
    ("renewer", DEPLOYMENT, "lost"): "told twice: CloudFormation takes the first",
    ("renewer", SNS, "killed"): "nothing is kept of a drill: whoever asked for it sees that it failed",
    ("renewer", SNS, "killedAfter"): "nothing is kept of a drill: whoever asked for it sees that it failed",
    ("renewer", DEPLOYMENT, "killed"): "AWS Lambda runs the function again with the same event",
    ("renewer", DEPLOYMENT, "killedAfter"): "AWS Lambda runs the function again with the same event",
    **{("renewer", STS, mode): ONE_FAILURE for mode in ("refusing", "throttling", "garbage", "lost")},
    ("renewer", STS, "recovering"): "as with secrets: three attempts",
    **{("renewer", APP_CERTIFICATES, mode): ONE_FAILURE for mode in ("refusing", "throttling", "slow", "lost")},
    ("renewer", APP_CERTIFICATES, "recovering"): "as with the other secrets: three attempts",
    **{
        ("renewer", dependency, mode): "asking changes nothing" if dependency == STS else "the next certificate is stored as a whole or not at all"
        for dependency in (STS, APP_CERTIFICATES) for mode in ("killed", "killedAfter")
    },
    **{
        ("renewer", dependency, mode): "whoever asked for the drill reads in its report what is missing, for whatever reason"
        for dependency in (DRILL_LIST, DRILL_EVENT) for mode in MODES if mode != "refusing"
    },
    ("renewer", PROBE, "lost"): "the same as no connection: the receiver does nothing but count probes",
    ("renewer", PROBE, "recovering"): "it is posted once: the next look at everything posts another, and the alarm waits for two that were not answered",
    **{("renewer", dependency, mode): ONE_FAILURE for dependency in (COUNTING, NOTES) for mode in MODES if mode not in ("down", "killed", "killedAfter")},
    **{
        ("renewer", dependency, mode): "a pass that dies changes nothing but its notes and what it repaired: the next one looks anew"
        for dependency in (PROBE, COUNTING, NOTES) for mode in ("killed", "killedAfter")
    },
    ("renewer", START, "throttling"): "EventBridge Scheduler tries five times for a run and once for a pass of the monitor; after that, as when it refuses",
    ("renewer", START, "slow"): "a start that comes late is one that did not come until then",
    **{("renewer", START, mode): "whatever the schedule of runs sends starts a run" for mode in ("garbage", "wrong")},
    ("renewer", START, "lost"): "started twice: while one run holds the lease, another leaves",
    **{("renewer", START, mode): "see the rows in which the function is killed" for mode in ("killed", "killedAfter")},
}

IMPOSSIBLE |= {
    (function, CLOCK, mode): "the clock is not called over a network"
    for function in ("receiver", "renewer") for mode in MODES if mode != "wrong"
}

ROWS: list[Row] = [*RECEIVER, *RENEWER]
