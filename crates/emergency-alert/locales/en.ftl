# What people read in an alert, in English. The syntax is Fluent's: https://projectfluent.org/fluent/guide/
#
# Change the words as you like and build again; the tests say if something is missing. Names after $ are filled in:
#   $known    yes where the number that was dialled is known, else no
#   $number   the number that was dialled, or the one to call back
#   $duration a length of time, as the messages duration-... say it

## Marks in front of a subject, a text message and each line of a drill

tag-drill = DRILL
tag-test = TEST
tag-unverified = NOT VERIFIED
tag-unverified-short = UNVERIFIED
# $what is place, caller or both.
tag-now-verified = NOW VERIFIED
tag-differs =
    { $what ->
        [place] LOCATION DIFFERS
        [caller] CALLER DIFFERS
       *[both] LOCATION AND CALLER DIFFER
    }
tag-updated =
    { $what ->
        [place] UPDATED LOCATION
        [caller] UPDATED CALLER
       *[both] UPDATED LOCATION AND CALLER
    }
tag-other-report = OTHER PLACE OR CALLER, VERIFIED ONE STAYS
tag-late = LATE
tag-late-by = LATE { $duration }

## What happened, in the fewest words: subjects, text messages, chat

call =
    { $known ->
        [yes] { $number } call
       *[no] Emergency call
    }
short-started = { call }
short-started-ended = { call }, already ended
short-started-ended-at = { call }, already ended at { $time }
short-ended = { call } ended
short-ended-after = { call } ended after { $duration }
short-event = { call }, event "{ $kind }"
short-unknown-event = { call }, unknown event
short-unreadable = Emergency call, details could not be read
short-drill = Drill, no real call

## What happened, as a sentence

headline-started =
    { $known ->
        [yes] Somebody dialled { $number } in Microsoft Teams.
       *[no] Somebody dialled an emergency number in Microsoft Teams.
    }
headline-started-ended = { headline-started } The call has already ended.
headline-started-ended-at = { headline-started } The call has already ended, at { $time }.
headline-ended =
    { $known ->
        [yes] The call to { $number } in Microsoft Teams has ended.
       *[no] The emergency call in Microsoft Teams has ended.
    }
headline-ended-after =
    { $known ->
        [yes] The call to { $number } in Microsoft Teams has ended after { $duration }.
       *[no] The emergency call in Microsoft Teams has ended after { $duration }.
    }
headline-event =
    { $known ->
        [yes] Microsoft Teams reported "{ $kind }" for a call to { $number }. The meaning of this event is not known here.
       *[no] Microsoft Teams reported "{ $kind }" for an emergency call. The meaning of this event is not known here.
    }
headline-unknown-event =
    { $known ->
        [yes] Microsoft Teams reported an event of no stated kind for a call to { $number }.
       *[no] Microsoft Teams reported an event of no stated kind for an emergency call.
    }
headline-unreadable = An emergency call was made under policy { $policy }; details could not be read.
headline-drill = This is a drill. Nobody has made an emergency call.

## Labels

label-caller = Caller
label-account = Account
label-callback = Call back
label-international = International
label-dialled = Dialled
label-location = Location
label-coordinates = Coordinates
label-time = Time
label-started = Started
label-ended = Ended
label-duration = Duration
label-received = Received
label-policy = Policy
label-tenant = Tenant
label-call = Call ID
labelled = { $label }: { $value }

## Details

unknown-caller = unknown caller
call-back = Call back { $number }
no-callback = No callback number
confirm = Treat as real; confirm by a number you already have
no-location = LOCATION MISSING
not-given = NOT GIVEN
not-readable = COULD NOT BE READ
under-policy = Policy { $policy }
county = County: { $county }
house = House number { $number }
# Stands in front of what says floor or room where that has no words.
unit = Floor/room { $unit }

## Warnings

warning-drill = DRILL: this message tests that alerts arrive. Take no action except to note that you received it.
warning-test =
    { $known ->
        [yes] TEST: { $number } is a test number.
       *[no] TEST: this call was made to a test number.
    }
warning-unverified = NOT VERIFIED: one of the two proofs that Microsoft sent this is missing. Treat the call as real, and confirm it by a number that you already have, not by the number in this message.
warning-unverified-test = NOT VERIFIED: one of the two proofs that Microsoft sent this is missing.
warning-now-verified = NOW VERIFIED: what was reported of this call before was not verified. This message is.
warning-differs =
    { $what ->
        [place] LOCATION DIFFERS: the unverified report named another location, or none. Go by this message.
        [caller] CALLER DIFFERS: the unverified report named another caller, or none. Go by this message.
       *[both] LOCATION AND CALLER DIFFER: the unverified report named others, or none. Go by this message.
    }
warning-updated =
    { $what ->
        [place] UPDATED LOCATION: the location above is new. The message before named another one, or none.
        [caller] UPDATED CALLER: what is said of the caller above is new. The message before named another one, or none.
       *[both] UPDATED LOCATION AND CALLER: the location and the caller above are new. The message before named others, or none.
    }
warning-other-report = NOT VERIFIED: a report names another place or another caller; the verified place and caller stay.
warning-no-content = DETAILS COULD NOT BE READ: the notification carried none. { ask }
warning-undecryptable = DETAILS COULD NOT BE READ: they could not be decrypted. { ask }
warning-unparseable = DETAILS COULD NOT BE READ: they are not in the expected form. { ask }
ask = Look in the Teams security-desk chat, or ask whoever runs the telephone system who called.
warning-no-location = LOCATION MISSING: Teams sent no location for this call.
warning-no-street = NO STREET ADDRESS: the location above is all that Teams sent.
warning-late = LATE: this happened { $duration } before this message was made.
registered-location = The location is what Teams sent. It may be the registered location of the caller and not where the caller is now.

## Small print

missing-validation-token = The validation token is missing or could not be checked.
missing-client-state = The client state is missing or unknown.
contradiction-tenant = The notification states another tenant: { $stated }
contradiction-policy = The notification states another policy: { $stated }

## Many unverified calls in one message

combined-calls =
    { $count ->
        [one] { $count } emergency call
       *[other] { $count } emergency calls
    }
combined-headline =
    { $count ->
        [one] { $count } emergency call was reported; it is not verified.
       *[other] { $count } emergency calls were reported; none of them is verified.
    }
combined-more = and { $count } more
combined = So many unverified calls arrived at once that this message tells them together.

## What stands in a drill where the facts of a call would stand

drill-caller = (name of the caller)
drill-account = (account of the caller)
drill-callback = (number to call back)
drill-street = (house number and street)
drill-unit = (floor and room)
drill-city = (city)

## Time. $weekday is 1 for Monday to 7, $month 1 to 12; $time is the time of day with its zone.

moment = { weekday }, { month } { day }, { $year }, { $time }
day = { $day }
weekday =
    { $weekday ->
        [1] Monday
        [2] Tuesday
        [3] Wednesday
        [4] Thursday
        [5] Friday
        [6] Saturday
       *[7] Sunday
    }
month =
    { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    }
at = At { $time }
received-at = Received { $time }
before = { $duration } before this message was made
ahead = { $duration } ahead of the clock of this system

duration-seconds =
    { $count ->
        [one] { $count } second
       *[other] { $count } seconds
    }
duration-minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
duration-hours =
    { $count ->
        [one] { $count } hour
       *[other] { $count } hours
    }
duration-days =
    { $count ->
        [one] { $count } day
       *[other] { $count } days
    }
duration-pair = { $longer } { $shorter }
short-seconds = { $count } s
short-minutes = { $count } min
short-hours = { $count } h
short-days = { $count } d

## Numbers

decimal-mark = { "." }
coordinates = { $latitude }, { $longitude }
