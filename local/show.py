"""Dials numbers in the Graph simulator and shows what subscribers get, as it arrives; fails if anything is missing or astray.

    show.py DESCRIPTION NUMBER...      the description is what `stack.py up` prints; without it the stack named `demo`

Runs in the environment with boto3.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from stack import load
from system import System, Watch

TEST_NUMBERS = {"933"}
# Who hears of real calls only, behind rules on the event bus.
MACHINES = ("pagerduty", "chat")
RULE = "-" * 78
printing = threading.Lock()


def main() -> int:
    first, *numbers = sys.argv[1:]
    system = System(json.loads(first) if first.startswith("{") else load(first))
    try:
        if first.startswith("{"):
            show_renewal(system)
        problems = [problem for number in numbers for problem in show_call(system, number)]
    except (RuntimeError, TimeoutError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"WRONG: {problem}")
    if not problems:
        print(f"All is as it should be: {', '.join(whereabouts(number) for number in numbers)}.")
    return 1 if problems else 0


def whereabouts(number: str) -> str:
    return f"{number} reached the {'TestTopic' if number in TEST_NUMBERS else 'AlertTopic'} only"


def show_renewal(system: System) -> None:
    heading("The renewer subscribes to the emergency calling policies")
    print(json.dumps(system.renew(), indent=2))


def show_call(system: System, number: str) -> list[str]:
    """Makes one call, prints what arrives, and returns what is wrong with it."""
    right, wrong = "AlertTopic", "TestTopic"
    if number in TEST_NUMBERS:
        right, wrong = wrong, right
    topic = {name: system.outputs[f"{name}Arn"] for name in (right, wrong)}
    problems = []
    heading(f"Somebody dials {number}")
    with Watch(system, lambda item: show(item, system)) as watch:
        dialled = time.time()
        report = system.dial(number)
        watch.wait_for(lambda item: item["protocol"] == "published" and item["topic"] == topic[right])
        for protocol in ("email", "sms", "http", "sqs"):
            watch.wait_for(lambda item: item["protocol"] == protocol and item["topic"] == topic[right])
        watch.wait_for(lambda item: is_emergency(item, report["callId"]))
        if number not in TEST_NUMBERS:
            for protocol in MACHINES:
                watch.wait_for(lambda item: item["protocol"] == protocol)
    items = watch.items()
    if number in TEST_NUMBERS:
        problems += [f"{number}: a test reached {item['protocol']}" for item in items if item["protocol"] in MACHINES]
    problems += [f"{number}: something reached the {wrong} by {item['protocol']}" for item in items if item.get("topic") == topic[wrong]]
    published = [item["acceptedAt"] for item in items if item["protocol"] == "published"]
    if len(published) != 1:
        problems.append(f"{number}: published {len(published)} times")
    for attempt in report["attempts"]:
        if attempt["status"] != 202:
            problems.append(f"{number}: the notification was answered with {attempt['status']}")
    print(RULE)
    print(f"{1000 * (published[0] - dialled):.0f} ms from dialling to publishing "
          f"(Graph waited {report['attempts'][0]['latencyMs']} ms for its answer).\n")
    return problems


def is_emergency(item: dict, call_id: str) -> bool:
    return (
        item["protocol"] == "event"
        and item["message"]["detail-type"] == "Emergency Call"
        and item["message"]["detail"]["callId"] == call_id
    )


def heading(text: str) -> None:
    print(f"\n{'=' * 78}\n{text}\n{'=' * 78}", flush=True)


def show(item: dict, system: System) -> None:
    """Prints what one subscriber got."""
    topics = {system.outputs[f"{name}Arn"]: name for name in ("AlertTopic", "TestTopic")}
    topic = topics.get(item.get("topic", ""), "")
    match item["protocol"]:
        case "email":
            title, text = f"EMAIL to {item['to']}, subscriber of {topic}", f"Subject: {item['subject']}\n\n{item['body'].rstrip()}"
        case "sms":
            title, text = f"SMS to {item['to']}, subscriber of {topic}", item["body"]
        case "http":
            document = laid_out(json.loads(item["body"])["Message"])
            title = f"JSON to the pager {item['to']!r}, https subscriber of {topic}"
            text = f"{item['body']}\n\nThe Message in it, the alert document, laid out for reading:\n{document}"
        case "sqs":
            title, text = f"QUEUE subscribed to {topic}", f"the same envelope, MessageId {item['message']['MessageId']}"
        case "pagerduty":
            title, text = "PAGERDUTY's Events API", laid_out(item["body"])
        case "chat":
            title, text = "CHAT, as Amazon Q gets it", laid_out(item["message"]["Message"])
        case "event":
            title = f"EVENT on the bus {system.outputs['EventBusName']}: {item['message']['detail-type']}"
            text = json.dumps(item["message"], indent=2, ensure_ascii=False)
        case _:
            return
    with printing:
        print(f"{RULE}\n{title}\n{RULE}\n{text}\n", flush=True)


def laid_out(document: str) -> str:
    return json.dumps(json.loads(document), indent=2, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
