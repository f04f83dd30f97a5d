"""Secrets and personal data stay where they belong."""

from __future__ import annotations

import leaks
from stack import CLIENT_SECRET


def test_secrets_and_personal_data_stay_where_they_belong(system):
    # Nothing else has the address: filter policies of subscribers, which reports show, may name streets.
    system.dial("911", location={"address": {"street": "Confidential Lane", "city": "Redmond", "additionalData": {"houseNumber": "4711"}}})
    system.notify(b'{"value":[{"clientState":"forged"}]}')
    for action in ("reconcile", "rotate", "check"):
        system.renew({"action": action})
    found = leaks.secrets(system)
    assert len([what for what in found if what.startswith("private key")]) >= 2
    assert CLIENT_SECRET in found.values()
    personal = {"a name": "Adele", "an address": "Confidential Lane", "a number": "14255550100", "a user": "adele.vance"}
    assert "alert" in leaks.logged(system).lower(), "the functions' logs were not found"

    leaks.assert_nowhere(system, {**found, **personal})
