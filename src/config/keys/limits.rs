//! `rate_limits` of providers and models.

use super::{Key, Kind, Section};

/// Longest limit interval: 31 days, in seconds.
const MONTH: u64 = 31 * 86_400;

const INPUT_ONLY: &str = "use `input_token_limit` with `interval`: this version limits input tokens";
const PER_USER: &str = "use `per_user`: this version limits each client on its own";

const PER_USER_KEY: Key = Key::new("per_user", Kind::Table(&TABLE), "", "Limits of each client.");
const PER_GROUP_KEY: Key =
    Key::new("per_group", Kind::Table(&POOLS), "", "One pool for each group.").later(PER_USER);
const TOTAL_KEY: Key =
    Key::new("total", Kind::Table(&ENTRY), "", "One pool for all callers.").later(PER_USER);

#[rustfmt::skip]
pub(super) static PROVIDER_LIMITS: Section = Section {
    title: "[llm.providers.NAME.rate_limits]",
    keys: &[PER_USER_KEY, PER_GROUP_KEY, TOTAL_KEY],
    names: Some(Key::new("MODEL", Kind::Table(&MODEL_LIMITS), "", "Old spelling of `models.MODEL.rate_limits`.")),
};

#[rustfmt::skip]
pub(super) static MODEL_LIMITS: Section = Section {
    title: "[llm.providers.NAME.models.MODEL.rate_limits]",
    names: None,
    keys: &[PER_USER_KEY, PER_GROUP_KEY, TOTAL_KEY],
};

#[rustfmt::skip]
static TABLE: Section = Section { title: "[….rate_limits.per_user]", names: None, keys: &[
    INPUT, INTERVAL,
    Key::new("groups", Kind::Table(&GROUPS), "", "Limits of the clients of one group."),
    OUTPUT, TOTAL, REQUESTS, COST, CONCURRENT, WINDOWS, MODE, ON_OUTPUT,
] };

#[rustfmt::skip]
static GROUPS: Section = Section { title: "[….rate_limits.per_user.groups]", keys: &[],
    names: Some(Key::new("GROUP", Kind::Table(&ENTRY), "", "A group that is listed in `group_values`.")) };

#[rustfmt::skip]
static ENTRY: Section = Section { title: "[….rate_limits.per_user.groups.GROUP]", names: None,
    keys: &[INPUT, INTERVAL, OUTPUT, TOTAL, REQUESTS, COST, CONCURRENT, WINDOWS, MODE, ON_OUTPUT] };

#[rustfmt::skip]
static WINDOW: Section = Section { title: "[[….rate_limits.per_user.windows]]", names: None,
    keys: &[INPUT, INTERVAL, OUTPUT, TOTAL, REQUESTS, COST] };

#[rustfmt::skip]
static POOLS: Section = Section { title: "[….rate_limits.per_group]", names: None, keys: &[
    Key::new("groups", Kind::Table(&POOL_GROUPS), "", "A pool for each group."),
    Key::new("max_share", Kind::Number, "", "The largest share of a pool one client may take."),
] };

#[rustfmt::skip]
static POOL_GROUPS: Section = Section { title: "[….rate_limits.per_group.groups]", keys: &[],
    names: Some(Key::new("GROUP", Kind::Table(&ENTRY), "", "A group that is listed in `group_values`.")) };

const INPUT: Key = Key::new(
    "input_token_limit",
    Kind::Integer(0, i64::MAX as u64),
    "",
    "Input tokens in any `interval`; 0 = none.",
);
const INTERVAL: Key =
    Key::new("interval", Kind::Duration(1, MONTH), "", "Length of the sliding window, 1 s to 31 d.");
const OUTPUT: Key =
    Key::new("output_token_limit", Kind::Integer(0, i64::MAX as u64), "", "Output tokens.").later(INPUT_ONLY);
const TOTAL: Key =
    Key::new("total_token_limit", Kind::Integer(0, i64::MAX as u64), "", "Input and output tokens.")
        .later(INPUT_ONLY);
const REQUESTS: Key =
    Key::new("request_limit", Kind::Integer(0, i64::MAX as u64), "", "Requests.").later(INPUT_ONLY);
const COST: Key = Key::new("cost_limit", Kind::Number, "", "Money.").later(INPUT_ONLY);
const CONCURRENT: Key =
    Key::new("concurrent_limit", Kind::Integer(0, 1 << 32), "", "Calls in flight.").later(INPUT_ONLY);
const WINDOWS: Key = Key::new("windows", Kind::Tables(&WINDOW), "", "More intervals.")
    .later("keep the interval that matters most in the table itself");
const MODE: Key = Key::new(
    "mode",
    Kind::Choice(&["enforce", "shadow"]),
    "\"enforce\"",
    "`shadow` counts and never refuses.",
)
.later_unless(&["enforce"], "remove it: limits are enforced");
const ON_OUTPUT: Key = Key::new(
    "on_output_limit",
    Kind::Choice(&["finish", "cut"]),
    "\"finish\"",
    "What happens to a stream at its limit.",
)
.later_unless(&["finish"], "remove it: output is not limited");
